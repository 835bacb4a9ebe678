"""All of ONNX's operations that are read, by name."""

from trojancam.models.readers.onnx_layers import LAYERS
from trojancam.models.readers.onnx_node import Operation
from trojancam.models.readers.onnx_pointwise import POINTWISE
from trojancam.models.readers.onnx_shapes import SHAPES
from trojancam.models.readers.onnx_windows import WINDOWS

OPERATIONS: dict[str, Operation] = {**LAYERS, **POINTWISE, **SHAPES, **WINDOWS}
