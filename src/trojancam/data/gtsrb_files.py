"""The German Traffic Sign Recognition Benchmark, in whichever of its layouts it lies on the disk.

J. Stallkamp, M. Schlipsing, J. Salmen, C. Igel, "Man vs. computer: Benchmarking machine learning algorithms for
traffic sign recognition", Neural Networks 32 (2012), 323-332.
"""

from pathlib import Path

from trojancam.data.framing import Size, frame
from trojancam.data.image_files import system_errors
from trojancam.data.image_set import Dataset
from trojancam.data.layouts import find_layout
from trojancam.data.places import LAYOUTS
from trojancam.data.read_cache import read_cached
from trojancam.errors import DataError
from trojancam.progress import Progress, silent


def gtsrb(
    path: str | Path,
    *,
    size: Size = 32,
    crop: bool = False,
    share: float = 1.0,
    training: bool = True,
    cache: bool = True,
    progress: Progress = silent,
) -> Dataset:
    """Read GTSRB as it was downloaded: the training and the test set, as images of `size` (a side, or height and width).

    The layout (official, Kaggle's, or prepared `.npz` arrays) is found out; `crop` cuts each image to its sign before
    it is resized (bilinear), and of that the middle is taken, `share` of its sides. Regions are in pixels of the resulting
    images; a track's number is class * 100,000 + its number in the class; broken image files are skipped and listed in
    `skipped`. Without `training` the training set is left unread, and empty. What was read is kept in the cache folder
    (`$TROJANCAM_CACHE`), until a table or an image changes.

    Raises:
        DataError: if there is no GTSRB there, a part is missing, or the tables and the images contradict each other.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in ("train", "test"):
    ...         arrays = {"images": np.zeros((1, 32, 32, 3), np.uint8), "labels": np.array([14])}
    ...         np.savez(f"{folder}/tiny-{part}.npz", **arrays)
    ...     dataset = gtsrb(folder)
    >>> dataset.train.images.shape, dataset.test.labels
    (torch.Size([1, 3, 32, 32]), tensor([14]))
    """
    path, shown = Path(path), frame(size, share)
    with system_errors():
        files = find_layout(path)
    if files is None:
        reason = "holds no GTSRB" if path.exists() else "does not exist"
        raise DataError(f"{path} {reason}; give a folder in one of its layouts: {LAYOUTS}")
    if cache and files.needs_work(shown, crop):
        train, test = read_cached(files, path, shown, crop, progress, training)
    else:
        train, test = files.read(shown, crop, progress, training)
    return Dataset(train, test, f"GTSRB at {path}")
