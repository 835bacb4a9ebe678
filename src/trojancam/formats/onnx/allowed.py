"""All of ONNX's operations that are read, by name."""

from trojancam.formats.onnx.dense import LAYERS
from trojancam.formats.onnx.node import Operation
from trojancam.formats.onnx.pointwise import POINTWISE
from trojancam.formats.onnx.rearranging import SHAPES
from trojancam.formats.onnx.windowed import WINDOWS

OPERATIONS: dict[str, Operation] = {**LAYERS, **POINTWISE, **SHAPES, **WINDOWS}
