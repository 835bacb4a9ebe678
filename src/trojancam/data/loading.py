"""The data set that a command is given by path or name: GTSRB, class folders, rendered objects; by default rendered signs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trojancam.data.array_files import ArrayFiles, find_arrays, image_set
from trojancam.data.folders import class_folders, folder, misplaced, no_class_folders, split_images
from trojancam.data.framing import Frame, Size, frame
from trojancam.data.gtsrb_classes import GTSRB_CLASS_NAMES
from trojancam.data.gtsrb_files import gtsrb
from trojancam.data.image_files import image_files, system_errors
from trojancam.data.image_set import Dataset, ImageSet
from trojancam.data.layouts import child, find_layout
from trojancam.data.listed import classes_of, listed_images, rows_of
from trojancam.data.places import is_rendered, not_data
from trojancam.data.regions import whole_regions
from trojancam.errors import DataError, Remedy
from trojancam.files import as_path
from trojancam.progress import Progress, silent
from trojancam.text import as_text

TEST_FRACTION = 0.2
PART_NAMES = (("train", "training"), ("val", "valid", "validation"), ("test", "testing"))
PARTS = tuple(names[0] for names in PART_NAMES)


def load_dataset(
    path: str | Path | None = None,
    *,
    size: Size = 32,
    crop: bool = False,
    share: float = 1.0,
    class_names: Sequence[str] | None = None,
    classes: int | None = None,
    training: bool = True,
    seed: int = 0,
    progress: Progress = silent,
) -> Dataset:
    """The data set at `path`, in whichever layout it has; `rendered:objects` by this name; without a path the rendered signs.

    Layouts: GTSRB as `gtsrb` reads it; two folders of class folders, of `train` (or `training`), `val` (`validation`) and
    `test`, in this order; class folders alone, of which a fifth of each class's images becomes the test set; arrays in `.npz`
    or `.npy` files, in MNIST's IDX or CIFAR's binary ones; a CSV file of paths and labels. Images are the middle, `share` of
    the sides, of those in the files, on `size` pixels (a side, or height and width; see `Frame`). `class_names` order the
    classes of class folders; `classes` is how many there must be, which is looked at before any image is; `crop` cuts images
    to their regions, which only GTSRB and what is rendered have; `seed` draws the test images, and what is rendered.
    Without `training` the training set is empty, and nothing is read or rendered for it; the test images are the same, in a
    fraction of the time.

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
        from trojancam.data.rendered import rendered_signs

        _check_count(
            classes, len(GTSRB_CLASS_NAMES), "the rendered traffic signs, which are taken where no data is given"
        )
        return _rendered(rendered_signs, frame(size, share), crop, training, seed, progress)
    root = as_path(path, "a data set", "images and labels in memory make a trojancam.data.ImageSet")
    if is_rendered(root):
        from trojancam.data.rendered import OBJECT_NAMES, rendered_objects

        _check_count(classes, len(OBJECT_NAMES), "rendered objects")
        return _rendered(rendered_objects, frame(size, share), crop, training, seed, progress)
    with system_errors():
        is_gtsrb = find_layout(root) is not None
        stored = None if is_gtsrb else find_arrays(root)
        listed = root.suffix.lower() == ".csv" and root.is_file()
        if not (is_gtsrb or stored or listed):
            _check_folders(root)
    if is_gtsrb:
        _check_count(classes, len(GTSRB_CLASS_NAMES), f"GTSRB at {root}")
        return gtsrb(root, size=size, crop=crop, share=share, training=training, progress=progress)
    if crop:
        raise DataError(f"{root} does not say where the signs are in its images", Remedy.WHOLE)
    wanted = _Wanted(frame(size, share), class_names, classes, training, seed, progress)
    if stored:
        return _from_arrays(root, stored, wanted)
    if listed:
        return _from_table(root, wanted)
    images = partial(folder, size=size, share=share, progress=progress)
    check = partial(_check_count, classes, source=f"images at {root}")
    return _from_folders(root, images, class_names, training, seed, check)


def _check_count(wanted: int | None, given: int, source: str) -> None:
    """Data of more or fewer classes than a network's tell nothing of it; better said before all images are read."""
    if wanted is not None and wanted != given:
        raise DataError(
            f"the network tells {wanted} classes apart, but the data has {given} ({source})", Remedy.SAME_CLASSES
        )


def _rendered(
    render: Callable[..., Dataset], shown: Frame, crop: bool, training: bool, seed: int, progress: Progress
) -> Dataset:
    """Rendered images are square: for other frames they are rendered as large as they have to be, and cut."""
    fewer = {} if training else {"train": 0}
    dataset = render(size=max(shown.whole), seed=seed, progress=progress, **fewer)
    if not crop and shown.share == 1 and shown.height == shown.width:
        return dataset
    return Dataset(framed(dataset.train, shown, crop), framed(dataset.test, shown, crop), dataset.source)


def framed(images: ImageSet, shown: Frame, crop: bool = False) -> ImageSet:
    """Images that were read already, in another frame; with `crop`, what lies in their regions.

    Raises:
        DataError: if they are to be cut to their regions, and have none.

    >>> pixels = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(1, 3, 4, 4)
    >>> whole = ImageSet(pixels, torch.tensor([0]), ("a",), regions=torch.tensor([[2.0, 0.0, 3.0, 1.0]]))
    >>> framed(whole, Frame(2, 2), crop=True).images[0, 0].tolist()
    [[2, 3], [6, 7]]
    """
    if crop and images.regions is None:
        raise DataError("nothing says where the signs are in these images", Remedy.WHOLE)
    height, width = images.size
    last = torch.tensor([0.0, 0.0, 1.0, 1.0])  # boxes name the last pixel inside: they end one later on the ruler
    boxes = None if images.regions is None else images.regions + last
    whole = whole_regions(len(images), height, width) + last
    cut_out = whole if boxes is None or not crop else boxes
    pixels = torch.empty(len(images), 3, *shown.size, dtype=torch.uint8)
    for place, image in enumerate(images.images):
        left, top, right, bottom = cut_out[place].tolist()
        cut = shown.cut(Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()), (left, top, right, bottom))
        pixels[place] = torch.from_numpy(np.array(cut)).permute(2, 0, 1)
    if crop:
        return replace(images, images=pixels, regions=whole_regions(len(images), *shown.size))
    scale = torch.tensor([shown.whole[1] / width, shown.whole[0] / height] * 2)
    return replace(images, images=pixels, regions=None if boxes is None else shown.regions(boxes * scale - last))


@dataclass(frozen=True)
class _Wanted:
    """What is asked of a data set, wherever it lies."""

    shown: Frame
    class_names: Sequence[str] | None
    classes: int | None
    training: bool
    seed: int
    progress: Progress


def _from_arrays(root: Path, files: ArrayFiles, wanted: _Wanted) -> Dataset:
    source, names = f"arrays at {root}", wanted.class_names or files.class_names
    if names is not None:
        _check_count(wanted.classes, len(names), source)
    read = partial(
        image_set, root, shown=wanted.shown, class_names=names, classes=wanted.classes, progress=wanted.progress
    )
    if files.second is None:
        whole = read(files.first)
        _check_count(wanted.classes, len(whole.class_names), source)
        return _split(whole, source, wanted)
    test = read(files.second)
    train = read(files.first) if wanted.training else test.select(())
    most = max(train.class_names, test.class_names, key=len)  # numbers: one part may lack the last class
    _check_count(wanted.classes, len(most), source)
    return Dataset(replace(train, class_names=most), replace(test, class_names=most), source)


def _from_table(table: Path, wanted: _Wanted) -> Dataset:
    rows, source = rows_of(table), f"images listed in {table}"
    names = tuple(wanted.class_names or classes_of(rows))
    _check_count(wanted.classes, len(names), source)
    read = partial(listed_images, table, class_names=names, shown=wanted.shown, progress=wanted.progress)
    first = [row for row in rows if not row.testing]
    second = [row for row in rows if row.testing]
    if not (first and second):
        return _split(read(rows), source, wanted)
    test = read(second)
    return Dataset(read(first) if wanted.training else test.select(()), test, source)


def _split(images: ImageSet, source: str, wanted: _Wanted) -> Dataset:
    """A fifth of each class's images to test with."""
    train, test = split_images(images, TEST_FRACTION, wanted.seed)
    if not len(test):
        raise DataError(f"the {source} are one image per class, too few to test with; add images")
    return Dataset(train if wanted.training else replace(train.select(()), skipped=train.skipped), test, source)


def _from_folders(
    root: Path,
    read: Callable[..., ImageSet],
    class_names: Sequence[str] | None,
    training: bool,
    seed: int,
    check: Callable[[int], None],
) -> Dataset:
    source, parts = f"images at {root}", _parts(root)
    if len(parts) == 1:
        raise DataError(
            f"{root} holds only {parts[0].name} of the folders {', '.join(PARTS)}; add another one to test with"
        )
    with system_errors():
        names = list(class_names or (as_text(each.name) for each in class_folders(parts[0] if parts else root)))
        loose = misplaced(root, len(image_files(root)), "beside the folders of its parts")
    check(len(names))
    if not parts:
        images = read(root, class_names=class_names)
        train, test = split_images(images, TEST_FRACTION, seed)
        if not len(test):
            raise DataError(f"{root} has one image per class, too few to test with; add images or a folder test")
        if not training:
            train = replace(train.select(()), skipped=train.skipped)
        return Dataset(train, test, source)
    first, *between, second = parts
    unread = tuple(f"{each}: left out, for {first.name} and {second.name} are read" for each in between)
    test = read(second, class_names=names)
    train = read(first, class_names=class_names or names) if training else test.select(())
    return Dataset(replace(train, skipped=(*train.skipped, *unread, *loose)), test, source)


def _parts(root: Path) -> list[Path]:
    """The folders in `root` that hold parts of a data set, to train with first, to test with last; each kind once."""
    found = (next(filter(None, (child(root, name) for name in names)), None) for names in PART_NAMES)
    return [part for part in found if part is not None and part.is_dir()]


def _check_folders(root: Path) -> None:
    """Say which layouts there are, unless there are class folders (or folders of them)."""
    problem = no_class_folders(root)
    if problem:
        raise not_data(problem)
    inner = [] if _parts(root) else _data_sets_in(root)
    if len(inner) == 1:
        raise DataError(f"{root} is a folder around a data set; give {inner[0]}")


def _data_sets_in(root: Path) -> list[Path]:
    """Folders in a folder, or in those, that are data sets themselves, where there are no images as in class folders."""
    classes = class_folders(root)
    if any(image_files(place) for place in classes):
        return []
    folders = [*classes, *(place for each in classes for place in sorted(each.iterdir()) if place.is_dir())]
    if any(image_files(place) for place in folders):
        return []
    return [place for place in folders if len(_parts(place)) > 1 or _is_known(place)]


def _is_known(place: Path) -> bool:
    try:
        return find_layout(place) is not None or find_arrays(place) is not None
    except DataError:
        return False
