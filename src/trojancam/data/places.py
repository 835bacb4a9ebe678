"""Where data may lie, in words; and whether there is anything there, before anything large is imported."""

from pathlib import Path

from trojancam.errors import DataError

LAYOUTS = (
    "the official one (Final_Training/Images/000CC/*.ppm with GT-000CC.csv and Final_Test/Images/*.ppm with "
    "GT-final_test.csv), Kaggle's (Train.csv, Test.csv, Train/C/*.png, Test/*.png) or prepared arrays "
    "(*-train.npz and *-test.npz)"
)


def check_there(path: Path) -> None:
    """Refuse a path at which there is nothing.

    Raises:
        DataError: if there is nothing.
    """
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
