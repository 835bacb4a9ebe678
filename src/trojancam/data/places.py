"""Where data may lie, in words; and whether there is anything there, before anything large is imported."""

from pathlib import Path

from trojancam.errors import DataError, unknown_name

LAYOUTS = (
    "the official one (Final_Training/Images/000CC/*.ppm with GT-000CC.csv and Final_Test/Images/*.ppm with "
    "GT-final_test.csv), Kaggle's (Train.csv, Test.csv, Train/C/*.png, Test/*.png) or prepared arrays "
    "(*-train.npz and *-test.npz)"
)

RENDERED = "rendered:"
"""How the name of a data set that the package renders begins, where another would have a path."""

RENDERED_NAMES = ("rendered:objects",)
"""The rendered data sets by name; rendered signs are what there is without a name or a path."""


def is_rendered(path: Path) -> bool:
    """Whether this is the name of a rendered data set, and no path.

    Raises:
        UnknownNameError: if there is no such data set.

    >>> is_rendered(Path("rendered:objects")), is_rendered(Path("photos"))
    (True, False)
    """
    if not str(path).startswith(RENDERED):
        return False
    if str(path) not in RENDERED_NAMES:
        raise unknown_name("rendered data set", str(path), RENDERED_NAMES)
    return True


def absolute(path: Path, root: Path | None = None) -> Path:
    """A path from the root of the file system, counted from `root` (None: the current folder); a name stays what it is."""
    return path if is_rendered(path) else (root or Path.cwd()) / path


def check_there(path: Path) -> None:
    """Refuse a path at which there is nothing.

    Raises:
        DataError: if there is nothing.
        UnknownNameError: if it is the name of no rendered data set.
    """
    if is_rendered(path):
        return
    try:
        there = path.exists()
    except (OSError, ValueError):  # the system says more when it is opened
        return
    if not there:
        raise not_data(f"{path} is missing")


def not_data(problem: str) -> DataError:
    """What is wrong with a place, and what may lie there."""
    return DataError(
        f"{problem}; the data may be GTSRB in one of its layouts - {LAYOUTS} -, "
        "class folders of images (stop/1.png), or folders train and test (or val) of class folders"
    )
