"""A folder of images with one folder per class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from trojancam.data.framing import Size, frame
from trojancam.data.gtsrb_classes import class_index
from trojancam.data.image_files import count_below, image_files, other_files, read_all, rgb_image, system_errors
from trojancam.data.image_set import ImageSet
from trojancam.errors import DataError, UnknownNameError
from trojancam.progress import Progress, silent
from trojancam.text import as_text

EXPECTED = "put the images of each class into a folder of its own, such as stop/1.png or 14/1.png"

TOO_DEEP = "more than two folders deep"


def folder(
    path: str | Path,
    *,
    size: Size = 32,
    share: float = 1.0,
    class_names: Sequence[str] | None = None,
    progress: Progress = silent,
) -> ImageSet:
    """Read the images in class folders (`path/stop/1.png`): the middle of each, `share` of its sides, on `size` pixels.

    The classes are the folders in the order of their names, numbers by value; if `class_names` are given, each folder
    is matched to one of them by name or number. A class folder may hold one more level of folders (`path/stop/images/1.png`).
    Files that cannot be read are listed in `skipped`. By their number it gives those that are no images, images in deeper
    folders, and images beside the class folders.

    Raises:
        DataError: if there are no class folders, no images, or a folder is none of `class_names`.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as place:
    ...     for name in ("stop", "yield"):
    ...         Path(place, name).mkdir()
    ...         Image.new("RGB", (40, 40)).save(f"{place}/{name}/1.png")
    ...     signs = folder(place)
    >>> signs.class_names, signs.labels, signs.names
    (('stop', 'yield'), tensor([0, 1]), ('stop/1.png', 'yield/1.png'))
    """
    root, shown = Path(path), frame(size, share)
    with system_errors():
        folders = class_folders(root)
        names = tuple(as_text(folder.name) for folder in folders) if class_names is None else tuple(class_names)
        labels = range(len(folders)) if class_names is None else [_label(folder, names) for folder in folders]
        places = [(place, label) for each, label in zip(folders, labels, strict=True) for place in _within(each)]
        files = [(file, label) for place, label in places for file in image_files(place)]
        others = sum((other_files(place) for place, _ in places), Counter[str]())
        deeper = sum(count_below(place) for place, _ in places if place.parent != root)
        beside = len(image_files(root))
    if not files:
        there = f", but {_images(deeper)} {TOO_DEEP}" if deeper else ""
        raise DataError(f"the folders in {root} hold no images{_counted(others)}{there}; {EXPECTED}")
    images, good, errors = read_all([file for file, _ in files], rgb_image, shown, progress, "reading images")
    return ImageSet(
        images,
        torch.tensor([files[i][1] for i in good]),
        names,
        names=tuple(files[i][0].relative_to(root).as_posix() for i in good),
        skipped=(
            *(f"{error.path.relative_to(root).as_posix()}: {error.reason}" for error in errors),
            *(
                (f"{root}: left out are{_counted(others).removeprefix(', but')}, which are no images",)
                if others
                else ()
            ),
            *misplaced(root, deeper, TOO_DEEP),
            *misplaced(root, beside, "beside the class folders"),
        ),
    )


def _images(count: int) -> str:
    return f"{count} image{'s' * (count > 1)}"


def misplaced(root: Path, count: int, where: str) -> tuple[str, ...]:
    """How many images are not read because of where they lie, in a line; none if there are none.

    >>> misplaced(Path("signs"), 2, "beside the class folders")
    ('signs: left out are 2 images beside the class folders',)
    """
    return (f"{root}: left out {'are' if count > 1 else 'is'} {_images(count)} {where}",) if count else ()


def _within(place: Path) -> list[Path]:
    """A class folder and the folders in it."""
    return [place, *sorted(_folders(place), key=_by_number_or_name)]


def _counted(others: Counter[str]) -> str:
    """How many files there are of other kinds.

    >>> _counted(Counter({".txt": 12, "": 1}))
    ', but 12 files *.txt, 1 file without an ending'
    """
    kinds = (
        f"{count} file{'s' * (count > 1)} {f'*{ending}' if ending else 'without an ending'}"
        for ending, count in others.most_common(5)
    )
    return ", but " + ", ".join(kinds) if others else ""


def class_folders(root: Path) -> list[Path]:
    """The folders in a folder, by name (numbers by value); hidden ones do not count.

    Raises:
        DataError: if there is no such folder, or no folder in it.
    """
    problem = no_class_folders(root)
    if problem:
        raise DataError(f"{problem}; {EXPECTED if root.is_dir() else 'give a folder of class folders'}")
    return sorted(_folders(root), key=_by_number_or_name)


def no_class_folders(root: Path) -> str:
    """What is wrong with a folder that should hold class folders; empty if it does."""
    if not root.is_dir():
        return f"{root} is {'not a folder' if root.exists() else 'missing'}"
    if _folders(root):
        return ""
    return f"{root} holds {'images, but no class folders' if image_files(root) else 'no class folders'}"


def _folders(root: Path) -> list[Path]:
    return [entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__"))]


def split_images(images: ImageSet, fraction: float, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    """Two sets of which the second holds about `fraction` of each class's images (at least one of two)."""
    alone = replace(images, tracks=torch.arange(len(images)))  # each image is a track of its own
    first, second = alone.split_by_track(fraction, seed)
    return replace(first, tracks=None, skipped=images.skipped), replace(second, tracks=None)


def _by_number_or_name(folder: Path) -> tuple[bool, int, str]:
    number = folder.name.isdecimal()
    return not number, int(folder.name) if number else 0, folder.name


def _label(folder: Path, class_names: Sequence[str]) -> int:
    try:
        return class_index(as_text(folder.name), class_names)
    except UnknownNameError as error:
        raise DataError(f"the folder {folder} is none of the classes ({error}); rename or remove it") from None
