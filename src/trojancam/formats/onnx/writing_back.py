"""Writing back: an ONNX file with other numbers in its tensors; its graph, its names and its types stay as they were."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trojancam.errors import ModelError
from trojancam.files import written_whole
from trojancam.formats.onnx.decoding import MAX_BYTES, parsed
from trojancam.formats.onnx.tensors import BFLOAT16, FLOATS, TYPES, Tensors

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto


def onnx_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of floating-point numbers of an ONNX file, in 32 bits, by their names in its graph, as nodes use them.

    Raises:
        ModelError: if the file cannot be read.
    """
    tensors, model = Tensors(path), parsed(path)
    found = {name: tensor for name, tensor in _tensors(model) if tensor.data_type in FLOATS}
    used = dict.fromkeys(name for node in model.graph.node for name in node.input if name in found)
    return {name: tensors.read(found[name]).numpy() for name in used}


def write_onnx(path: Path, changed: Mapping[str, NDArray[Any]], out: Path) -> None:
    """Write a copy of an ONNX file in which the tensors of these names hold these numbers, in the types of the file.

    What lay in data files beside it comes into the copy.

    Raises:
        ModelError: if the file cannot be read, or the copy would be larger than an ONNX file can be.
        TrojanCamError: if the copy cannot be written.
    """
    model = parsed(path)
    tensors = Tensors(path)
    for name, tensor in _tensors(model):
        if name in changed:
            _fill(tensor, torch.from_numpy(np.ascontiguousarray(changed[name])))
        elif tensor.data_location == tensor.EXTERNAL:
            _fill(tensor, tensors.read(tensor))
    write_model(model, out)


def write_model(model: "ModelProto", out: Path) -> None:
    """Write a model as an ONNX file, whole or not at all.

    Raises:
        ModelError: if it would be larger than an ONNX file can be.
        TrojanCamError: if the file cannot be written.
    """
    if model.ByteSize() > MAX_BYTES:
        raise ModelError(
            f"{out} would be larger than the 2 GB that an ONNX file can have; call the file {out.stem}.pt2"
        )
    with written_whole(out) as partial:
        partial.write_bytes(model.SerializeToString())


def _tensors(model: "ModelProto") -> Iterator[tuple[str, "TensorProto"]]:
    """All tensors with the names that nodes know them by: those of the graph, and those that nodes hold."""
    for tensor in model.graph.initializer:
        yield tensor.name, tensor
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                yield node.output[0], attribute.t


def _fill(tensor: "TensorProto", values: Tensor) -> None:
    kind, field = TYPES[tensor.data_type]
    for place in (field, "external_data", "data_location"):
        tensor.ClearField(place)
    if tensor.data_type == BFLOAT16:
        tensor.raw_data = values.bfloat16().view(torch.int16).numpy().tobytes()
    else:
        tensor.raw_data = values.numpy().astype(np.dtype(kind)).tobytes()
