"""Finding out in which of its layouts GTSRB lies in a folder."""

from pathlib import Path

from trojancam.data.prepared import PreparedFiles
from trojancam.data.tables import TableFiles, Tables, columns
from trojancam.errors import DataError

Layout = PreparedFiles | TableFiles

TRAIN_ENDING, TEST_ENDING = "-train.npz", "-test.npz"


def find_layout(path: Path) -> Layout | None:
    """The files of GTSRB at `path`; None if there is nothing of it.

    Raises:
        DataError: if there is a part of it, but not all that is needed.
    """
    roots = [path, *filter(None, [child(path, "GTSRB")])]
    found: Layout | None = _prepared(path)
    for root in roots:
        found = found or _official(root) or _kaggle(root)
    return found


def child(folder: Path, name: str) -> Path | None:
    """What `folder` holds under this name, in upper or lower case; exactly this spelling first."""
    if not folder.is_dir():
        return None
    if (folder / name).exists():
        return folder / name
    return next((file for file in sorted(folder.iterdir()) if file.name.casefold() == name.casefold()), None)


def _prepared(path: Path) -> PreparedFiles | None:
    folder, there = (path.parent, [path]) if path.is_file() else (path, sorted(path.glob("*")))
    files = [file for file in there if file.name.endswith((TRAIN_ENDING, TEST_ENDING))]
    stems = dict.fromkeys(file.name.removesuffix(TRAIN_ENDING).removesuffix(TEST_ENDING) for file in files)
    pairs = [PreparedFiles(folder / f"{stem}{TRAIN_ENDING}", folder / f"{stem}{TEST_ENDING}") for stem in stems]
    whole = [pair for pair in pairs if pair.train.is_file() and pair.test.is_file()]
    if len(whole) > 1:
        names = ", ".join(pair.train.name for pair in whole)
        raise DataError(f"{path} holds several data sets; give the path of one of the files {names}")
    if pairs and not whole:
        lacking = pairs[0].test if pairs[0].train.is_file() else pairs[0].train
        raise DataError(f"{folder} holds {files[0].name} but no {lacking.name}; put it there too")
    return whole[0] if whole else None


def _official(root: Path) -> TableFiles | None:
    training, test = child(root, "Final_Training"), child(root, "Final_Test")
    if training is None and test is None:
        return None
    if training is None or test is None:
        there, lacking = ("test", "Training") if training is None else ("training", "Test")
        folder = f"Final_{lacking}"
        raise DataError(
            f"{root} holds the {there} part of GTSRB but no {folder}; unpack GTSRB_{folder}_Images.zip there too"
        )
    images = child(test, "Images") or test
    tables = Tables(root, False, ((_test_table(root, test, images), images),))
    return TableFiles(Tables(root, True, _class_tables(child(training, "Images") or training)), tables)


def _class_tables(images: Path) -> tuple[tuple[Path, Path], ...]:
    folders = sorted(folder for folder in images.iterdir() if folder.is_dir() and folder.name.isdecimal())
    if not folders:
        raise DataError(f"{images} holds no class folders 00000 to 00042; unpack GTSRB_Final_Training_Images.zip again")
    return tuple((_class_table(folder), folder) for folder in folders)


def _class_table(folder: Path) -> Path:
    table = child(folder, f"GT-{folder.name}.csv")
    if table is None:
        raise DataError(f"{folder} has no GT-{folder.name}.csv; copy it from the download")
    return table


def _test_table(root: Path, test: Path, images: Path) -> Path:
    """The table with the classes of the test images; the one packed with the images has none."""
    places = dict.fromkeys((test, images, root, root.parent))
    tables = [table for table in (child(place, "GT-final_test.csv") for place in places) if table is not None]
    labelled = next((table for table in tables if "ClassId" in columns(table)), None)
    if labelled is None:
        raise DataError(
            f"the classes of the test images in {test} are missing: put there GT-final_test.csv with a column ClassId "
            "from GTSRB_Final_Test_GT.zip (GT-final_test.test.csv has none)"
        )
    return labelled


def _kaggle(root: Path) -> TableFiles | None:
    tables = {part: child(root, f"{part}.csv") for part in ("Train", "Test")}
    if not any(tables.values()):
        return None
    parts = []
    for part, table in tables.items():
        folder = child(root, part)
        if table is None or folder is None or not folder.is_dir():
            lacking = f"{part}.csv" if table is None else f"folder {part}"
            raise DataError(
                f"{root} holds a part of GTSRB as Kaggle packs it, but no {lacking}; unpack all of it there"
            )
        parts.append(Tables(root, part == "Train", ((table, folder),)))
    return TableFiles(*parts)
