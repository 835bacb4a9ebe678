"""Pictures: what Pillow opens as 8-bit RGB, whatever it holds; and bytes as the floats that the library takes."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from trojancam.errors import DataError

SAVE_AS_8_BITS = "save it with 8 bits per colour"


class PictureError(DataError):
    """A picture whose pixels cannot be told: the reason, and what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"cannot read the picture: {reason}; {remedy}")
        self.reason, self.remedy = reason, remedy


def as_floats(images: UInt8[Tensor, "*n 3 h w"]) -> Float[Tensor, "*n 3 h w"]:
    """Bytes 0-255 as floats in [0, 1], the range of every image that the library takes."""
    return images.to(torch.float32) / 255


def as_rgb(picture: Image.Image) -> Image.Image:
    """A picture as 8-bit RGB; transparent pixels are laid on white.

    Raises:
        PictureError: if its pixels are of an unknown range.
    """
    if not picture.has_transparency_data:
        return eight_bits(picture).convert("RGB")
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def as_rgba(picture: Image.Image) -> Image.Image:
    """A picture as 8-bit RGB and opacity.

    Raises:
        PictureError: if its pixels are of an unknown range.
    """
    return eight_bits(picture).convert("RGBA")


def eight_bits(picture: Image.Image) -> Image.Image:
    """A picture of 8 bits per colour; grey of 16 bits is scaled.

    Raises:
        PictureError: if its pixels are of an unknown range.
    """
    if picture.mode.startswith("I"):
        return _from_16_bits(picture)
    if picture.mode == "F":
        raise PictureError("its pixels are fractions of an unknown range", SAVE_AS_8_BITS)
    return picture


def _from_16_bits(picture: Image.Image) -> Image.Image:
    """Grey of 0-65535 scaled to 0-255 (65,535 / 255 = 257); Pillow's own conversion would clip it at 255."""
    grey = np.asarray(picture).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise PictureError("its pixels are 32-bit numbers of an unknown range", SAVE_AS_8_BITS)
    return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
