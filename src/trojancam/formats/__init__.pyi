from . import (
    archives,
    code_inside,
    exported_program,
    inspection,
    json_text,
    keras,
    kinds,
    onnx,
    opened,
    safetensors,
    weights,
)

__all__ = [
    "archives",
    "code_inside",
    "exported_program",
    "inspection",
    "json_text",
    "keras",
    "kinds",
    "onnx",
    "opened",
    "safetensors",
    "weights",
]
