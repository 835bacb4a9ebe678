"""Records: what a piece of the study came to, in files that are whole or absent: pictures, tables, and the numbers."""

import ast
import csv
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from trojancam import figures
from trojancam.files import written_whole
from trojancam.kept import SUFFIX, files_kept, keep_files
from trojancam.progress import Progress
from trojancam.report.documents.reproduce import PieceTable
from trojancam.report.page import Table
from trojancam_study.exhibits import Exhibit, Piece
from trojancam_study.study import Study

Record = dict[str, Any]
HERE = "trojancam_study"  # of this package, a piece depends on what it imports; of the library, on all
SOURCE = Path(__file__).parents[1]
LIBRARY = SOURCE / "trojancam"


def kept(out: Path, name: str, key: str) -> Record | None:
    """What was recorded of a piece, if it was, under this key, and all its files are there as they were written."""
    if not files_kept(_note(out, name), key):
        return None
    record: Record = json.loads(_path(out, name).read_text(encoding="utf-8"))
    return record


def key_of(study: Study, name: str, piece: Piece) -> str:
    """A name for all that a piece's record depends on: the study, and the code that makes the piece."""
    parts = study.fingerprint(), name, piece.title, piece.said, *sources(piece.make.__module__)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def sources(module: str) -> list[str]:
    """The source of a module of this package and of those that it imports, and of the whole library below it."""
    found = dict(_library())
    waiting = [module]
    while waiting:
        path = SOURCE.joinpath(*waiting.pop().split(".")).with_suffix(".py")
        if path.is_file() and path not in found:
            found[path] = path.read_text(encoding="utf-8")
            waiting += _imported(found[path])
    return [found[path] for path in sorted(found)]


@cache
def _library() -> Mapping[Path, str]:
    """The source of the library as it was when it was first asked for, without the command line."""
    below = [path for path in LIBRARY.rglob("*.py") if path.relative_to(LIBRARY).parts[0] != "cli"]
    return {path: path.read_text(encoding="utf-8") for path in below}


def _imported(text: str) -> Iterator[str]:
    """What is imported from this package, as names of modules; a name may be that of a module, too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith(HERE):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def made(study: Study, name: str, piece: Piece, out: Path, key: str, progress: Progress) -> None:
    """Make a piece, write its files and its record, and last of all the note that keeps them."""
    started = time.perf_counter()
    exhibit = piece.make(study, progress)
    _note(out, name).unlink(missing_ok=True)  # another study's record must not stand beside this one's pictures
    files = [*_pictures(exhibit, name, out), *_tables(exhibit.tables, name, out)]
    record = {
        "name": name,
        "key": key,
        "title": piece.title,
        "said": piece.said,
        "found": exhibit.found,
        "verdict": exhibit.verdict,
        "measurements": [asdict(measurement) for measurement in exhibit.measurements],
        "numbers": exhibit.numbers,
        "tables": [{field: getattr(table, field) for field in PieceTable.model_fields} for table in exhibit.tables],
        "pictures": [
            {
                "file": f"figures/{_stem(name, ending)}.png",
                "caption": caption,
                "shows_images": any(axes.images for axes in figure.axes),
            }
            for ending, (figure, caption) in exhibit.pictures.items()
        ],
        "files": files,
        "seconds": round(time.perf_counter() - started, 2),
        "trainings": {str(each): round(study.training_seconds(each), 1) for each in piece.trainings(study)},
    }
    with written_whole(_path(out, name)) as partial:
        partial.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    keep_files(_note(out, name), key, [_path(out, name), *(out / file for file in files)])


def _path(out: Path, name: str) -> Path:
    return out / "pieces" / f"{name}.json"


def _note(out: Path, name: str) -> Path:
    return _path(out, name).with_suffix(SUFFIX)


def _stem(name: str, ending: str) -> str:
    return f"{name}-{ending}" if ending else name


def _pictures(exhibit: Exhibit, name: str, out: Path) -> list[str]:
    files = []
    for ending, (figure, _) in exhibit.pictures.items():
        for kind in ("png", "pdf"):
            file = f"figures/{_stem(name, ending)}.{kind}"
            figures.save(figure, out / file)
            files.append(file)
    return files


def _tables(tables: Sequence[Table], name: str, out: Path) -> list[str]:
    files = []
    for number, table in enumerate(tables):
        stem = name if len(tables) == 1 else f"{name}-{number + 1}"
        for kind, write in (("csv", _csv), ("md", _markdown)):
            file = f"tables/{stem}.{kind}"
            with written_whole(out / file) as partial:
                write(table, partial)
            files.append(file)
    return files


def _csv(table: Table, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([table.headings, *table.rows])


def _markdown(table: Table, path: Path) -> None:
    path.write_text(table.markdown() + "\n", encoding="utf-8")
