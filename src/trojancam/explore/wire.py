"""The wire: arrays and pictures in a form that JSON and a page can hold."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

TILES_PER_ROW = 10


def array(values: Tensor) -> dict[str, Any]:
    """An array: its shape, and its little-endian 32-bit floats in base64.

    >>> import torch
    >>> array(torch.tensor([1.0, 2.0]))
    {'shape': [2], 'data': 'AACAPwAAAEA='}
    """
    plain = np.ascontiguousarray(values.detach().cpu().numpy(), dtype="<f4")
    return {"shape": list(values.shape), "data": base64.b64encode(plain.tobytes()).decode()}


def unpacked(value: Any) -> Any:
    """The same with every array as nested lists, null for what is not finite: for people who read it elsewhere.

    >>> unpacked({"a": [{"shape": [2], "data": "AACAPwAAwH8="}]})
    {'a': [[1.0, None]]}
    """
    if isinstance(value, dict):
        if value.keys() == {"shape", "data"}:
            plain = np.frombuffer(base64.b64decode(value["data"]), dtype="<f4").reshape(value["shape"])
            return unpacked(plain.tolist())
        return {key: unpacked(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [unpacked(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float | Tensor) -> float | None:
    """A number as JSON can hold it: null where it is not finite."""
    plain = float(value)
    return plain if math.isfinite(plain) else None


def picture(image: Float[Tensor, "3 h w"]) -> str:
    """An image in [0, 1] as the address of a PNG, pixel by pixel."""
    return png_address((image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def atlas(images: UInt8[Tensor, "n 3 h w"]) -> str:
    """Images side by side, ten in a row, as the address of one PNG; a single blank tile where there are none."""
    tiles = images.permute(0, 2, 3, 1).numpy()
    height, width = tiles.shape[1:3]
    rows = max(1, -(-len(tiles) // TILES_PER_ROW))
    columns = max(1, min(len(tiles), TILES_PER_ROW))
    sheet = np.zeros((rows * height, columns * width, 3), dtype=np.uint8)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, TILES_PER_ROW)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    return png_address(sheet)


def png_address(pixels: UInt8[np.ndarray, "h w 3"]) -> str:
    """Pixels as a `data:` address of a PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def rounded(values: Sequence[float]) -> list[float]:
    """Numbers as a person would write them, none of 32-bit rounding's long tails."""
    return [float(f"{value:.6g}") for value in values]
