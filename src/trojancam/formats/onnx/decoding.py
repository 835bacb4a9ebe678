"""ONNX files: decoded within limits, and refused where they hold more than one plain graph."""

import mmap
from pathlib import Path
from typing import TYPE_CHECKING

from trojancam.errors import ModelError, Remedy
from trojancam.formats.model_file import check_there
from trojancam.formats.onnx.protobuf import DamagedError, check_wire

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

MAX_BYTES = 2**31 - 1  # protobuf knows no larger message
MAX_NODES = 12_000
OPSETS = range(7, 29)
PLAIN_DOMAINS = ("", "ai.onnx")


def parsed(path: Path) -> "ModelProto":
    """The message in an ONNX file, decoded after its size and its structure have been looked at.

    Raises:
        ModelError: if the package that decodes it is missing, or the file is missing, damaged, too large, or holds
            more than one plain graph of ONNX's own operations.
    """
    try:
        import onnx
    except ImportError:
        raise ModelError(
            "reading ONNX files needs the extra 'onnx'", Remedy.INSTALL, detail="'trojancam[onnx]'"
        ) from None
    check_there(path)
    if path.stat().st_size > MAX_BYTES:
        raise ModelError(f"{path} is larger than the 2 GB that an ONNX file can have; get it again from its source")
    model = _decoded(path, onnx.ModelProto())
    _check_plain(path, model)
    return model


def as_said(name: str) -> str:
    """A name from a file, fit for a sentence: short, and on one line.

    >>> as_said(100 * "v") == 80 * "v", len(as_said(chr(10)))
    (True, 2)
    """
    return repr(name[:80])[1:-1]


def opset(path: Path, model: "ModelProto") -> int:
    """The version of ONNX's operations that the file uses.

    Raises:
        ModelError: if it names none or one that is not known.
    """
    versions = [entry.version for entry in model.opset_import if entry.domain in PLAIN_DOMAINS]
    if len(set(versions)) != 1 or versions[0] not in OPSETS:
        given = ", ".join(str(version) for version in versions) or "none"
        raise ModelError(
            f"{path} uses the operator set {given}, known are {OPSETS[0]} to {OPSETS[-1]}; export the network anew"
        )
    return int(versions[0])


def _decoded(path: Path, model: "ModelProto") -> "ModelProto":
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise DamagedError("it is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                check_wire(mapped, model.DESCRIPTOR)
            model.ParseFromString(file.read())
    except (DamagedError, DecodeError, OSError) as error:
        raise ModelError(f"{path} is not a whole ONNX file ({error}); get it again from its source") from None
    return model


def _check_plain(path: Path, model: "ModelProto") -> None:
    """Refuse what is no plain graph: training, sparse weights, quantisation, too many nodes, foreign or nested ones."""
    graph = model.graph
    if not graph.node:
        raise ModelError(f"{path} is not a whole ONNX file (it has no graph); get it again from its source")
    for count, what in ((len(graph.output), "outputs"), (len(graph.node), "nodes")):
        if count > MAX_NODES:
            raise ModelError(f"{path} has {count} {what}, more than the {MAX_NODES} that are read; export a part")
    if model.training_info:
        raise ModelError(f"{path} holds instructions for training; export the network for inference")
    if graph.sparse_initializer:
        raise ModelError(f"{path} holds sparse weights, which are not read; export the network with dense ones")
    _check_nodes(path, graph, {(function.domain, function.name) for function in model.functions})


def _check_nodes(path: Path, graph: "GraphProto", functions: set[tuple[str, str]]) -> None:
    for node in graph.node:
        if (node.domain, node.op_type) in functions:
            raise ModelError(
                f"{path} calls a function of its own, {node.op_type[:80]!r}; export the network with functions inlined"
            )
        if node.domain not in PLAIN_DOMAINS:
            raise ModelError(
                f"{path} uses the operation {node.op_type[:80]!r} of {node.domain[:80]!r}, which is not ONNX's own; "
                "export the network with ONNX's own operations"
            )
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ModelError(
                f"{path} has graphs inside its {node.op_type[:80]!r} node, where what runs depends on the images; "
                "export the network without control flow"
            )
