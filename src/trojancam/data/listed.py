"""Images that a table lists: a CSV file with a path and a label in each row."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from trojancam.data.framing import Frame
from trojancam.data.gtsrb_classes import class_index
from trojancam.data.image_files import read_all, rgb_image, system_errors
from trojancam.data.image_set import ImageSet
from trojancam.errors import DataError, UnknownNameError
from trojancam.progress import Progress, silent

PATHS = ("path", "file", "filename", "filepath", "file_path", "image", "image_path", "img", "img_path", "name", "id")
LABELS = ("label", "class", "classid", "class_id", "class_name", "classname", "category", "target", "y")
SPLITS = ("split", "set", "subset", "partition")
TESTING = ("test", "testing", "val", "valid", "validation")


@dataclass(frozen=True)
class Row:
    """An image file, the label as it stands there, and whether it is one to test with; None where the table does not say."""

    file: Path
    label: str
    testing: bool | None


def rows_of(table: Path) -> list[Row]:
    """The rows of a table: its columns are found by their names, or are path and label where they have none.

    Paths are relative to the table's folder.

    Raises:
        DataError: if it is no such table.
    """
    with system_errors():
        content = table.read_bytes()
    try:
        text = content.decode("utf-8-sig")
        lines = [row for row in csv.reader(text.splitlines(), delimiter=_delimiter(text)) if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {table} ({error}); give a CSV file with a path and a label in each row") from None
    if not lines or len(lines[0]) < 2:
        raise DataError(f"{table} has no two columns; give a CSV file with a path and a label in each row")
    head = [name.strip().casefold() for name in lines[0]]
    path, label, split = (
        next((head.index(name) for name in names if name in head), None) for names in (PATHS, LABELS, SPLITS)
    )
    if path is None or label is None:
        if not (table.parent / lines[0][0].strip()).is_file():
            raise DataError(f"{table} has no columns path and label, but {', '.join(lines[0])[:80]}; name them so")
        path, label, split, lines = 0, 1, None, [[], *lines]
    return [_row(table, number, line, path, label, split) for number, line in enumerate(lines[1:], 2)]


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _row(table: Path, number: int, line: Sequence[str], path: int, label: int, split: int | None) -> Row:
    if len(line) <= max(path, label, split or 0) or not line[label].strip():
        raise DataError(f"row {number} of {table} has no path and label; correct it")
    testing = None if split is None else line[split].strip().casefold() in TESTING
    return Row(table.parent / line[path].strip(), line[label].strip(), testing)


def classes_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """The labels, each once: numbers by value, then names."""
    return tuple(sorted({row.label for row in rows}, key=_by_number_or_name))


def _by_number_or_name(label: str) -> tuple[bool, int, str]:
    number = label.isdecimal()
    return not number, int(label) if number else 0, label


def listed_images(
    table: Path, rows: Sequence[Row], class_names: Sequence[str], shown: Frame, progress: Progress = silent
) -> ImageSet:
    """The images of these rows, in this frame; those that cannot be read are listed in `skipped`.

    Raises:
        DataError: if a label is none of `class_names`, or no image can be read.
    """
    try:
        numbers = {label: class_index(label, class_names) for label in classes_of(rows)}
    except UnknownNameError as error:
        raise DataError(f"a label in {table} is none of the classes ({error}); correct it") from None
    images, good, errors = read_all([row.file for row in rows], rgb_image, shown, progress, "reading images")
    return ImageSet(
        images,
        torch.tensor([numbers[rows[i].label] for i in good]),
        tuple(class_names),
        names=tuple(rows[i].file.as_posix() for i in good),
        skipped=tuple(f"{error.path}: {error.reason}" for error in errors),
    )
