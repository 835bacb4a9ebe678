from . import (
    archives,
    code_inside,
    exported_program,
    inspection,
    json_text,
    keras,
    kinds,
    model_file,
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
    "model_file",
    "onnx",
    "opened",
    "safetensors",
    "weights",
]
