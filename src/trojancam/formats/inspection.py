"""Inspection: what a model file is and says of itself, and what it would run or reach for; nothing in it is run."""

import hashlib
import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from trojancam.errors import ModelError, Remedy
from trojancam.formats.archives import archive, is_archive, led_astray
from trojancam.formats.code_inside import LARGEST_PROGRAM, PROGRAM, would_run
from trojancam.formats.keras.arrays import listed
from trojancam.formats.keras.contents import CONFIG, LARGEST_CONFIG, LARGEST_METADATA, METADATA
from trojancam.formats.keras.embedded_code import code_in_config, files_in_config
from trojancam.formats.keras.plain_values import RefusedError
from trojancam.formats.kinds import kind_of
from trojancam.formats.model_file import opened_file
from trojancam.formats.onnx.decoding import parsed
from trojancam.formats.safetensors import CARD
from trojancam.formats.weights.reader import read_metadata
from trojancam.records import Record
from trojancam.text import as_text

if TYPE_CHECKING:
    from onnx import GraphProto, TensorProto

FORMATS = {
    "safetensors": "safetensors",
    "torch": "PyTorch weights",
    "pt2": "exported program",
    "onnx": "ONNX",
    "keras": "Keras",
}
T = TypeVar("T")
LONGEST, MOST = 200, 50  # of a text from a file, and of texts of one kind
MADE_BY = re.compile(rb'"torch_version": ?"([^"]{0,80})"')  # in the JSON of an exported program


class Inspection(Record):
    """A model file, seen from outside.

    `would_run`: what a careless loader would import or run; `would_reach`: files and places that it would read or write
    beside the file itself; `origin`: what the file says of who made it, by whatever name it says it under; `problems`:
    why it could not be looked at as a whole.
    """

    file: str
    format: str
    bytes: int
    would_run: tuple[str, ...] = ()
    would_reach: tuple[str, ...] = ()
    origin: dict[str, str] = Field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass
class _Findings:
    runs: list[str] = field(default_factory=list)
    reaches: list[str] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)


def inspection(path: str | Path) -> Inspection:
    """What there is to know of a model file without opening the network in it.

    Raises:
        ModelError: if there is no such file, or it cannot be read.
    """
    path = Path(path)
    with opened_file(path) as stream:
        size = stream.seek(0, 2)
    found, problems = _Findings(reaches=list(led_astray(path))), list[str]()
    kind = _attempt(path, lambda: kind_of(path), problems)
    found.runs += _attempt(path, lambda: would_run(path, problems), problems) or ()
    if kind is not None:
        _attempt(path, lambda: LOOKS[kind](path, found), problems)
    return Inspection(
        file=as_text(path),
        format=FORMATS.get(kind or "", "unknown"),
        bytes=size,
        would_run=_short(found.runs),
        would_reach=_short(found.reaches),
        origin={key[:LONGEST]: value[:LONGEST] for key, value in list(found.origin.items())[:MOST] if value},
        problems=tuple(dict.fromkeys(problems)),
    )


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file; it takes as long as the file is large.

    Raises:
        ModelError: if there is no such file, or it cannot be read.
    """
    with opened_file(Path(path)) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def data_files(path: Path) -> tuple[Path, ...]:
    """The files beside a model file that it takes its weights from: those of ONNX, in the order of their names.

    Raises:
        ModelError: if the file cannot be read, or names one outside of its folder.
    """
    if kind_of(path) != "onnx":
        return ()
    names = sorted({*_data_files(parsed(path).graph)})
    for name in names:
        if not name or _is_outside(path, name):
            raise ModelError(
                f"{path} takes data from {name[:LONGEST]!r}, outside the model's folder; this file is not to be trusted"
            )
    return tuple(path.parent / name.replace("\\", "/") for name in names)


def _attempt(path: Path, look: Callable[[], T], problems: list[str]) -> T | None:
    """What a look at the file gives; where it is refused, that is a problem among others."""
    try:
        return look()
    except ModelError as error:
        problems.append(str(error))
    except RefusedError as error:
        problems.append(f"{path} {error}")
    return None


def _short(found: list[str]) -> tuple[str, ...]:
    different = list(dict.fromkeys(text[:LONGEST] for text in found))
    more = len(different) - MOST
    return (*different[:MOST], *([f"and {more} more"] if more > 0 else []))


# --- what each format says ---


def _safetensors(path: Path, found: _Findings) -> None:
    found.origin |= {key: value for key, value in read_metadata(path).items() if key != CARD}


def _torch(path: Path, found: _Findings) -> None:
    with opened_file(path) as stream:
        zipped = is_archive(stream.read(4))
    if not zipped:
        found.origin["layout"] = "of PyTorch before 1.6"
        return
    with archive(path) as opened:
        for name in opened.members:
            if name.rpartition("/")[2] == "version":
                found.origin["layout version"] = _text(opened.start(name, LONGEST))


def _program(path: Path, found: _Findings) -> None:
    with archive(path) as opened:
        names = [name for name in opened.members if PROGRAM.search(name)]
        for name in names[:1]:
            version = MADE_BY.search(opened.read(name, LARGEST_PROGRAM))
            found.origin["made by PyTorch"] = _text(version[1]) if version else ""


def _keras(path: Path, found: _Findings) -> None:
    with opened_file(path) as stream:
        zipped = is_archive(stream.read(4))
    config, said = _of_archive(path) if zipped else _of_hdf5(path)
    found.runs += code_in_config(config)
    found.reaches += [f"the file {name!r}" for name in files_in_config(config)]
    found.origin |= {"saved by Keras": said.get("keras_version", ""), "on": said.get("date_saved", "")}
    found.origin["with the backend"] = said.get("backend", "")


def _of_archive(path: Path) -> tuple[str, dict[str, str]]:
    with archive(path) as opened:
        config = _text(opened.read(CONFIG, LARGEST_CONFIG), LARGEST_CONFIG) if CONFIG in opened.members else ""
        about = _mapping(opened.read(METADATA, LARGEST_METADATA)) if METADATA in opened.members else {}
    return config, {key: value for key, value in about.items() if isinstance(value, str)}


def _of_hdf5(path: Path) -> tuple[str, dict[str, str]]:
    if importlib.util.find_spec("h5py") is None:
        raise ModelError(f"looking into {path} needs the extra 'keras'", Remedy.INSTALL, detail="'trojancam[keras]'")
    groups = listed(path).groups
    said = {key: value for key, value in groups["/"].items() if isinstance(value, str)}
    within = {key: value for key, value in groups.get("/model_weights", {}).items() if isinstance(value, str)}
    return said.pop("model_config", ""), {**within, **said}


def _onnx(path: Path, found: _Findings) -> None:
    model = parsed(path)
    found.origin |= {
        "made by": f"{model.producer_name[:LONGEST]} {model.producer_version[:LONGEST]}".strip(),
        "ONNX version": str(model.ir_version),
        "operator set": ", ".join(f"{entry.domain[:40]} {entry.version}".strip() for entry in model.opset_import[:5]),
        "domain": model.domain[:LONGEST],
        "description": (model.doc_string or model.graph.doc_string)[:LONGEST],
    }
    found.origin |= {entry.key[:LONGEST]: entry.value[:LONGEST] for entry in model.metadata_props[:MOST]}
    for name in dict.fromkeys(_data_files(model.graph)):
        found.reaches.append(f"the data file {name[:LONGEST]!r}{', outside its folder' * _is_outside(path, name)}")


def _is_outside(path: Path, location: str) -> bool:
    """Whether a data file lies outside of the model's folder, links followed."""
    try:
        return not (path.parent / location.replace("\\", "/")).resolve().is_relative_to(path.parent.resolve())
    except (OSError, RuntimeError, ValueError):  # a name too long, links in a circle, a zero byte
        return True


def _data_files(graph: "GraphProto") -> Iterator[str]:
    for tensor in _tensors(graph):
        if tensor.data_location == tensor.EXTERNAL:
            yield next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _tensors(graph: "GraphProto") -> Iterator["TensorProto"]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t


LOOKS: dict[str, Callable[[Path, _Findings], None]] = {
    "safetensors": _safetensors,
    "torch": _torch,
    "pt2": _program,
    "keras": _keras,
    "onnx": _onnx,
}


def _text(content: bytes, most: int = LONGEST) -> str:
    return content[:most].decode(errors="replace").strip()


def _mapping(content: bytes) -> dict[str, object]:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
