"""Encoding: tensors in records that JSON can hold, as pictures of 8 bits or as the very numbers."""

import base64
import io
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

UNREADABLE = (
    KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError, SyntaxError, RuntimeError,
    Image.DecompressionBombError,
)  # fmt: skip
"""What reading a record that is none may raise, Pillow's readers included."""


def to_png(pixels: Float[Tensor, "c h w"]) -> str:
    """Values in [0, 1] of three channels, or of four with alpha last, as a PNG of 8 bits in base 64."""
    plain = pixels.detach().cpu().mul(255).round().to(torch.uint8).permute(1, 2, 0)
    stream = io.BytesIO()
    Image.fromarray(plain.numpy(), "RGBA" if plain.shape[2] == 4 else "RGB").save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def from_png(text: object, mode: str = "RGBA") -> Float[Tensor, "c h w"]:
    """What `to_png` wrote, to the nearest of 8 bits; raises one of `UNREADABLE` if it is something else."""
    if not isinstance(text, str):
        raise TypeError(f"a picture is text in base 64, not {text!r}")
    with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=("PNG",)) as image:
        return torch.from_numpy(np.array(image.convert(mode))).permute(2, 0, 1).float() / 255


def to_numbers(values: Float[Tensor, "..."]) -> dict[str, Any]:
    """A tensor's shape, and its values as 32-bit floats (little-endian) in base 64.

    >>> from_numbers(to_numbers(torch.tensor([[0.1, -2.0]])), (1, None))
    tensor([[ 0.1000, -2.0000]])
    """
    plain = values.detach().cpu().contiguous().numpy().astype("<f4")
    return {"shape": list(values.shape), "float32": base64.b64encode(plain.tobytes()).decode()}


def from_numbers(record: Any, expected: tuple[int | None, ...]) -> Float[Tensor, "..."]:
    """What `to_numbers` wrote, of the expected shape (None: any side of at least 1).

    Raises one of `UNREADABLE` if it is something else, or its numbers are not finite.
    """
    shape = [int(side) for side in record["shape"]]
    content = base64.b64decode(record["float32"], validate=True)
    fits = len(shape) == len(expected) and all(
        side == wanted or (wanted is None and side >= 1) for side, wanted in zip(shape, expected, strict=True)
    )
    if not fits or len(content) != 4 * math.prod(shape):
        raise ValueError(f"{len(content)} bytes as numbers of shape {shape} are not what belongs there")
    values = torch.from_numpy(np.frombuffer(content, "<f4").reshape(shape).astype(np.float32))
    if not bool(values.isfinite().all()):
        raise ValueError("some of its numbers are not finite")
    return values
