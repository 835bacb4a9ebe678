"""GTSRB as image files with tables (CSV) that say where the sign is and of which class: official and Kaggle layout."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from trojancam.data.framing import Frame
from trojancam.data.gtsrb_classes import GTSRB_CLASS_NAMES
from trojancam.data.image_files import EXTENSIONS, read_all, rgb_image, system_errors
from trojancam.data.image_set import ImageSet
from trojancam.data.prepared import TRACKS_PER_CLASS
from trojancam.data.regions import scaled_regions, whole_regions
from trojancam.errors import DataError
from trojancam.progress import Progress, silent
from trojancam.showing import Brief

NUMBERS = ("Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId")
FILE_COLUMNS = ("Filename", "Path")

TRACK = re.compile(r"(?:\d+_)?(\d{1,5})_\d+")
"""TTTTT_FFFFF (official) or CCCCC_TTTTT_FFFFF (Kaggle): class, track, frame."""


class Sign(NamedTuple):
    """One row of a table, matched to its file; `roi` is width, height, x1, y1, x2, y2; `where` the row, for errors."""

    path: Path
    name: str
    label: int
    track: int
    roi: tuple[int, ...]
    where: str


@dataclass(frozen=True)
class Tables(Brief):
    """The tables of the training or the test part, each with the folder of its images."""

    root: Path
    training: bool
    pairs: tuple[tuple[Path, Path], ...]

    def fingerprint(self) -> list[tuple[str, int, int]]:
        """What changes when any table or image does: names, bytes, times of writing."""
        entries = []
        for table, folder in self.pairs:
            entries.append((str(table), table.stat().st_size, table.stat().st_mtime_ns))
            entries += [(name, e.stat().st_size, e.stat().st_mtime_ns) for name, e in sorted(_images(folder).items())]
        return entries

    def signs(self) -> list[Sign]:
        """Every row with its file.

        Raises:
            DataError: if a table is malformed or does not match the files.
        """
        return [sign for table, folder in self.pairs for sign in _signs(self, table, folder)]


@dataclass(frozen=True)
class TableFiles:
    """The training and the test part of GTSRB as image files."""

    train: Tables
    test: Tables

    def fingerprint(self, training: bool = True) -> list[tuple[str, int, int]]:
        """What changes when any table or image does, with or without those of the training set."""
        return [entry for tables in self._parts(training) for entry in tables.fingerprint()]

    def read(
        self, shown: Frame, crop: bool, progress: Progress = silent, training: bool = True
    ) -> tuple[ImageSet, ImageSet]:
        """The training set, empty where it is not wanted, and the test set."""
        found = self._read(self._parts(training), shown, crop, progress)
        return found[0] if training else found[0].select(()), found[-1]

    def _parts(self, training: bool) -> tuple[Tables, ...]:
        return (self.train, self.test) if training else (self.test,)

    def _read(self, tables: Sequence[Tables], shown: Frame, crop: bool, progress: Progress) -> list[ImageSet]:
        with system_errors():
            listed = [part.signs() for part in tables]  # all before any image: a wrong row shows at once
        signs = [sign for part in listed for sign in part]
        images, good, errors = read_all(signs, lambda sign: _cut(sign, crop), shown, progress, "reading images")
        reasons = {error.path: error.reason for error in errors}
        parts, start = [], 0
        for each, part in zip(tables, listed, strict=True):
            if not part:
                raise DataError(f"{each.pairs[0][0]} lists no images; copy it and the images again")
            inside = [k for k, i in enumerate(good) if start <= i < start + len(part)]
            if not inside:
                raise DataError(f"none of the {len(part)} images of {each.pairs[0][0]} can be read; copy them again")
            chosen = [signs[good[k]] for k in inside]
            skipped = tuple(f"{sign.name}: {reasons[sign.path]}" for sign in part if sign.path in reasons)
            parts.append(_image_set(images[inside[0] : inside[-1] + 1], chosen, skipped, shown, crop))
            start += len(part)
        return parts

    def needs_work(self, shown: Frame, crop: bool) -> bool:  # noqa: ARG002
        """Always: thousands of small files are slow to read."""
        return True


def _image_set(
    images: UInt8[Tensor, "n 3 h w"], signs: list[Sign], skipped: tuple[str, ...], shown: Frame, crop: bool
) -> ImageSet:
    with_tracks = signs[0].track >= 0
    regions = shown.regions(scaled_regions(np.array([sign.roi for sign in signs]), *shown.whole))
    return ImageSet(
        images,
        torch.tensor([sign.label for sign in signs]),
        GTSRB_CLASS_NAMES,
        tracks=torch.tensor([sign.label * TRACKS_PER_CLASS + sign.track for sign in signs]) if with_tracks else None,
        regions=whole_regions(len(signs), *shown.size) if crop else regions,
        names=tuple(sign.name for sign in signs),
        skipped=skipped,
    )


def _cut(sign: Sign, crop: bool) -> Image.Image:
    image = rgb_image(sign.path)
    width, height, x1, y1, x2, y2 = sign.roi
    if image.size != (width, height):
        found = f"{image.width} x {image.height}"
        raise DataError(f"{sign.where} says {width} x {height} pixels, but {sign.path} has {found}; correct the row")
    return image.crop((x1, y1, x2 + 1, y2 + 1)) if crop else image


def _signs(tables: Tables, table: Path, folder: Path) -> Iterator[Sign]:
    """Every row of `table` with its file in `folder`, checked against each other."""
    files = _images(folder)
    by_folded_name = {name.casefold(): name for name in files}
    seen: dict[str, str] = {}
    for where, file, numbers in _rows(table):
        name = file if file in files else by_folded_name.get(file.casefold())
        if name is None:
            raise DataError(f"{where} lists {file}, but {folder} has no such file; add the image or remove the row")
        if name in seen:
            raise DataError(f"{where} lists {file} again, after {seen[name]}; remove one of the rows")
        seen[name] = where
        yield _sign(tables, Path(files[name].path), numbers, where)
    for name in files:
        if name not in seen:
            raise DataError(f"{table} does not list {folder / name}; add a row for it or remove the image")


def _sign(tables: Tables, path: Path, numbers: list[int], where: str) -> Sign:
    *roi, label = numbers
    if not 0 <= label < len(GTSRB_CLASS_NAMES):
        raise DataError(f"{where} has class {label}, but classes go from 0 to 42; correct the row")
    width, height, x1, y1, x2, y2 = roi
    if not (0 <= x1 <= x2 < width and 0 <= y1 <= y2 < height):
        raise DataError(f"{where} has the region {roi[2:]}, which is not inside {width} x {height} pixels; correct it")
    track = _track(path, label, where) if tables.training else -1
    return Sign(path, path.relative_to(tables.root).as_posix(), label, track, tuple(roi), where)


def _track(path: Path, label: int, where: str) -> int:
    """The track that a training file's name tells; its folder must tell the class."""
    if path.parent.name.isdecimal() and int(path.parent.name) != label:
        raise DataError(f"{where} has class {label}, but {path} is in the folder of another; correct one of them")
    match = TRACK.fullmatch(path.stem)
    if match is None:
        problem = f"the file name {path.name} does not tell the track"
        raise DataError(f"{where}: {problem}; call it TTTTT_FFFFF (track_frame)")
    return int(match[1])


def _rows(table: Path) -> Iterator[tuple[str, str, list[int]]]:
    """For each row: where it is, the file it names (within the images' folder), and its numbers."""
    header, rows = _fields(table)
    file_column = next((name for name in FILE_COLUMNS if name in header), None)
    missing = [name for name in NUMBERS if name not in header]
    if file_column is None or missing:
        lacking = missing[0] if missing else FILE_COLUMNS[0]
        wanted = ", ".join((FILE_COLUMNS[0], *NUMBERS))
        raise DataError(f"{table} has no column {lacking}; its first line must name {wanted}")
    for number, fields in enumerate(rows, start=2):
        where = f"{table}, row {number}"
        if not fields:
            continue
        if len(fields) != len(header):
            raise DataError(f"{where} has {len(fields)} fields instead of {len(header)}; correct the row")
        row = dict(zip(header, (field.strip() for field in fields), strict=True))
        file = row[file_column].replace("\\", "/")
        if file_column == "Path":  # Kaggle's begins with the images' folder: Train/20/00020_00000_00000.png
            file = file.partition("/")[2] or file
        yield where, file, _numbers(where, row)


def _fields(table: Path) -> tuple[list[str], list[list[str]]]:
    """The column names of a table, and its rows."""
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()
        return _header(lines), list(csv.reader(lines[1:], delimiter=_delimiter(lines)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the table {table} ({error}); copy it again") from None


def _numbers(where: str, row: dict[str, str]) -> list[int]:
    for name in NUMBERS:
        if not re.fullmatch("[0-9]{1,9}", row[name]):
            raise DataError(f"{where} has {row[name]!r} for {name}, which is not a whole number; correct the row")
    return [int(row[name]) for name in NUMBERS]


def columns(table: Path) -> list[str]:
    """The column names of a table."""
    with table.open(encoding="utf-8-sig", errors="replace") as stream:
        return _header([stream.readline()])


def _header(lines: list[str]) -> list[str]:
    return [name.strip() for name in lines[0].split(_delimiter(lines))] if lines else []


def _delimiter(lines: list[str]) -> str:
    return ";" if lines and ";" in lines[0] else ","


def _images(folder: Path, with_folders: bool = True) -> dict[str, os.DirEntry[str]]:
    """The image files in a folder and in its folders, by their path within it; hidden files do not count."""
    found: dict[str, os.DirEntry[str]] = {}
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if with_folders and entry.is_dir():
            inside = _images(Path(entry.path), with_folders=False)
            found |= {f"{entry.name}/{name}": file for name, file in inside.items()}
        elif Path(entry.name).suffix.lower() in EXTENSIONS and entry.is_file():
            found[entry.name] = entry
    return found
