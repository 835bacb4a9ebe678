"""Manifest: which models a fleet has, as a CSV table, JSON lines, a folder or a pattern; a row may say more than the path."""

import csv
import glob
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from trojancam.data.places import absolute
from trojancam.errors import DataError, unknown_name
from trojancam.files import as_path
from trojancam.records import Record
from trojancam.text import as_text

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".pkl", ".pt2", ".onnx", ".keras", ".h5", ".hdf5")
TABLES = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")
LARGEST = 256 << 20  # bytes of a manifest


class Entry(Record):
    """A row of a manifest: the path of a model, and what is said of it, as options of `trojancam scan` say it.

    `file` is what the row is called: the path below the folder of the manifest, or as it was given.
    """

    path: Path
    file: str = ""
    architecture: str | None = None
    key: str | None = None
    output: str | None = None
    preprocessing: str | None = None
    size: tuple[int, int] | None = None
    class_names: tuple[str, ...] | None = None
    crop: Literal["whole", "roi"] | None = None
    data: Path | None = None


LATER = ("size", "class_names", "crop")  # columns that results of before do not have in their keys
COLUMNS = ("path", *(name for name in Entry.model_fields if name not in ("path", "file")))


def read_manifest(models: str | Path | Iterable[str | Path]) -> tuple[Entry, ...]:
    """The models that a manifest, a folder (with all folders below), a pattern, or a list of paths names, in a fixed order.

    Paths in a manifest count from its own folder.

    Raises:
        DataError: if there is no such manifest or folder, a row cannot be understood, or there is no model.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "shelf.csv").write_text("path,architecture\\nnets/a.pt,trojan2\\n")
    ...     [(entry.file, entry.architecture) for entry in read_manifest(Path(folder, "shelf.csv"))]
    [('nets/a.pt', 'trojan2')]
    """
    if not isinstance(models, Iterable) or isinstance(models, str | Path):
        found = tuple(_entries(as_path(models, "a manifest or a folder of models", "give that, or a list of paths")))
        if not found:
            raise DataError(f"there is no model in {models}; a model file ends in {', '.join(SUFFIXES)}")
        return found
    listed = tuple(_plain(as_path(path, "a model file", "save each network first"), Path.cwd()) for path in models)
    if not listed:
        raise DataError("there is no model in the list")
    return listed


def part(entries: Sequence[Entry], shard: str | tuple[int, int]) -> tuple[tuple[int, Entry], ...]:
    """The entries of one part of several, such as `2/5`, each with its place among all; the parts are about as large.

    Raises:
        DataError: if there is no such part.

    >>> [place for place, _ in part([Entry(path=Path(name)) for name in "abcde"], "2/2")]
    [1, 3]
    """
    number, count = _shard(shard)
    return tuple(enumerate(entries))[number - 1 :: count]


def _shard(shard: str | tuple[int, int]) -> tuple[int, int]:
    words = shard.split("/") if isinstance(shard, str) else [str(each) for each in shard]
    try:
        number, count = (int(word) for word in words)
        if 1 <= number <= count:
            return number, count
    except ValueError:
        pass
    raise DataError(f"a shard is a number from 1 and how many there are, such as 2/5, not {'/'.join(words)!r}")


def shard_name(shard: str | tuple[int, int] | None) -> str:
    """What files of a shard have in their names; nothing where there is none.

    >>> shard_name("2/5"), shard_name(None)
    ('-2-of-5', '')
    """
    return "" if shard is None else "-{}-of-{}".format(*_shard(shard))


def _entries(given: Path) -> Iterator[Entry]:
    if given.is_dir():
        return (_plain(path, given) for path in _below(given))
    if given.suffix.lower() in (*TABLES, *LINES):
        return _rows(given)
    if given.is_file():
        return iter([_plain(given, given.parent)])
    if glob.has_magic(str(given)):
        found = sorted(glob.glob(str(given), recursive=True))  # noqa: PTH207 - also of absolute patterns
        return (_plain(Path(path), Path.cwd()) for path in found if _model(path))
    raise DataError(f"{given} is missing; give a manifest (.csv, .jsonl), a folder, a pattern, or a model file")


def _model(path: str) -> bool:
    return Path(path).suffix.lower() in SUFFIXES and not Path(path).is_dir()


def _below(folder: Path) -> list[Path]:
    """All model files in a folder and below, links to folders not followed, in the order of their names."""
    found = []
    for place, _, names in os.walk(folder):
        found += [Path(place, name) for name in names if Path(name).suffix.lower() in SUFFIXES]
    return sorted(found)


def _plain(path: Path, root: Path) -> Entry:
    whole = path.absolute()
    return Entry(path=whole, file=_called(whole, root.absolute()))


def _called(path: Path, root: Path) -> str:
    return as_text(str(path.relative_to(root) if path.is_relative_to(root) else path))


def _rows(manifest: Path) -> Iterator[Entry]:
    """The rows of a table or of JSON lines.

    Raises:
        DataError: if one is not to be understood.
    """
    try:
        if manifest.stat().st_size > LARGEST:
            raise DataError(f"{manifest} is larger than {LARGEST >> 20} MB; split it")
        text = manifest.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{manifest} is not UTF-8 text; write it so") from None
    except OSError as error:
        raise DataError(f"cannot read {manifest} ({error.strerror}); check the path and its permissions") from None
    told = _of_lines(text, manifest) if manifest.suffix.lower() in LINES else _of_table(text, manifest)
    root = manifest.parent.absolute()
    return (_entry(row, root, where) for where, row in told)


def _of_table(text: str, manifest: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter="\t" if manifest.suffix.lower() == ".tsv" else ",", strict=True
    )
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        _check_columns(names, f"{manifest}, line 1")
        for row in reader:
            where = f"{manifest}, line {reader.line_num}"
            if None in row:
                raise DataError(f"{where}: there are more cells than the {len(names)} columns")
            yield where, {name: cell.strip() or None for name, cell in row.items() if cell is not None}
    except csv.Error as error:
        raise DataError(f"{manifest}, line {reader.line_num}: it is no CSV ({error})") from None


def _of_lines(text: str, manifest: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{manifest}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise DataError(f'{where}: it is no JSON object, such as {{"path": "net.pt"}}')
        _check_columns(row, where)
        yield where, row


def _check_columns(names: Iterable[str], where: str) -> None:
    names = list(names)
    for name in names:
        if name not in COLUMNS:
            raise DataError(f"{where}: {unknown_name('column', name, COLUMNS).problem}")
    if "path" not in names:
        raise DataError(f"{where}: there is no column path; known: {', '.join(COLUMNS)}")


def _entry(row: Mapping[str, Any], root: Path, where: str) -> Entry:
    """A row as an entry; its paths count from the folder of the manifest.

    Raises:
        DataError: if a value is missing, or of another type.
    """
    if not row.get("path"):
        raise DataError(f"{where}: the path of the model is missing")
    said = {name: value for name, value in row.items() if value is not None}
    if "size" in said:
        from trojancam.data.framing import size_in_words  # imports PyTorch, which a manifest by itself does not need

        sides = said["size"] if isinstance(said["size"], list) else [said["size"]]
        said["size"] = size_in_words("x".join(str(side) for side in sides), f"{where}: size")
    if "class_names" in said:
        said["class_names"] = _names(said["class_names"], root, where)
    try:
        told = Entry.model_validate(said, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{where}: {first['loc'][0]}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None
    path = root / told.path
    found = told.model_copy(update={"path": path, "file": _called(path, root)})
    if told.data is not None:
        found = found.model_copy(update={"data": absolute(told.data, root)})
    if told.preprocessing is not None and told.preprocessing.endswith(".json"):
        found = found.model_copy(update={"preprocessing": str(root / told.preprocessing)})
    return found


def _names(said: object, root: Path, where: str) -> tuple[str, ...] | None:
    """The class names in a text file, or those that a line of JSON lists."""
    if isinstance(said, list):
        if not all(isinstance(name, str) for name in said):
            raise DataError(f"{where}: class_names: every name must be a text")
        return tuple(said)
    from trojancam.opening.open import names_said

    try:
        return names_said(root / str(said))
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
