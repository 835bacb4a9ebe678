"""The data set that a command is given by path: GTSRB, class folders, or by default the rendered signs."""

from collections.abc import Sequence
from pathlib import Path

from trojancam.data.folder import class_folders, folder, split_images
from trojancam.data.gtsrb import gtsrb
from trojancam.data.image_set import Dataset
from trojancam.data.images import system_errors
from trojancam.data.layouts import LAYOUTS, child, find_layout
from trojancam.errors import DataError
from trojancam.progress import Progress, silent

TEST_FRACTION = 0.2


def load_dataset(
    path: str | Path | None = None,
    *,
    size: int = 32,
    crop: bool = False,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Dataset:
    """The data set at `path`, in whichever layout it has; without a path the rendered signs.

    Layouts: GTSRB as `gtsrb` reads it; `train` and `test` folders of class folders; class folders alone, of which
    a fifth of each class's images becomes the test set. `class_names` order the classes of class folders; `crop`
    needs the regions that only GTSRB has; `seed` draws the test images, and the rendered signs.

    Raises:
        DataError: if there is none of these, or it cannot be read.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as place:
    ...     for name in ("train/stop", "test/stop"):
    ...         Path(place, name).mkdir(parents=True)
    ...         Image.new("RGB", (40, 40)).save(f"{place}/{name}/1.png")
    ...     dataset = load_dataset(place, size=16)
    >>> dataset.train.class_names, dataset.test.images.shape
    (('stop',), torch.Size([1, 3, 16, 16]))
    """
    if path is None:
        if crop:
            raise DataError("the rendered signs are not cropped; give the folder of GTSRB, or leave out the cropping")
        from trojancam.data.rendered import rendered_signs

        return rendered_signs(size=size, seed=seed, progress=progress)
    root = Path(path)
    with system_errors():
        is_gtsrb = find_layout(root) is not None
        if not is_gtsrb:
            _check_folders(root)
    if is_gtsrb:
        return gtsrb(root, size=size, crop=crop, progress=progress)
    if crop:
        raise DataError(f"{root} does not say where the signs are in its images; read it without cropping")
    return _from_folders(root, size, class_names, seed, progress)


def _from_folders(root: Path, size: int, class_names: Sequence[str] | None, seed: int, progress: Progress) -> Dataset:
    training, testing = child(root, "train"), child(root, "test")
    if training is None and testing is None:
        images = folder(root, size=size, class_names=class_names, progress=progress)
        train, test = split_images(images, TEST_FRACTION, seed)
        if not len(test):
            raise DataError(f"{root} has one image per class, too few to test with; add images or a folder test")
        return Dataset(train, test, f"images at {root}")
    if training is None or testing is None:
        raise DataError(f"{root} holds only one of the folders train and test; add the other")
    train = folder(training, size=size, class_names=class_names, progress=progress)
    test = folder(testing, size=size, class_names=train.class_names, progress=progress)
    return Dataset(train, test, f"images at {root}")


def _check_folders(root: Path) -> None:
    """Say which layouts there are, unless there are class folders (or folders of them)."""
    try:
        class_folders(root)
    except DataError as error:
        raise DataError(
            f"{str(error).partition(';')[0]}; the data may be GTSRB in one of its layouts - {LAYOUTS} -, "
            "class folders of images (stop/1.png), or folders train and test of class folders"
        ) from None
