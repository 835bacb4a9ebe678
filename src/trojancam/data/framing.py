"""Framing: which part of an image a network sees, and on how many pixels."""

import re
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from trojancam.errors import DataError

Size = int | tuple[int, int]  # the side of a square, or height and width
LARGEST = 4096


@dataclass(frozen=True)
class Frame:
    """The middle of an image, `share` of each of its sides, on `height` x `width` pixels.

    Images are resized so that the frame is that share of their sides, and the middle is cut out: as networks for ImageNet are
    evaluated, on 224 of 256 pixels. Their proportions are not kept.
    """

    height: int
    width: int
    share: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def whole(self) -> tuple[int, int]:
        """Height and width of the resized image that the frame is cut from.

        >>> Frame(224, 224, 0.875).whole, Frame(64, 48).whole
        ((256, 256), (64, 48))
        """
        return round(self.height / self.share), round(self.width / self.share)

    @property
    def corner(self) -> tuple[int, int]:
        """The row and the column of the resized image at which the frame begins."""
        height, width = self.whole
        return (height - self.height) // 2, (width - self.width) // 2

    def cut(self, image: Image.Image, box: tuple[float, float, float, float] | None = None) -> Image.Image:
        """The image, or its part in a box (left, top, right, bottom), in this frame; resized bilinearly."""
        height, width = self.whole
        if box is not None or image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
        if self.share == 1:
            return image
        top, left = self.corner
        return image.crop((left, top, left + self.width, top + self.height))

    def regions(self, regions: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        """Boxes x1, y1, x2, y2 (last pixel inside) of the resized images, as they lie in the frame; what is cut off is off.

        >>> Frame(32, 32, 0.5).regions(torch.tensor([[0.0, 20.0, 31.0, 43.0]])).tolist()
        [[0.0, 4.0, 15.0, 27.0]]
        """
        top, left = self.corner
        limits = torch.tensor([self.width, self.height] * 2, dtype=torch.float32) - 1
        return (regions - torch.tensor([left, top, left, top])).clamp(min=torch.zeros(4), max=limits)


def frame(size: Size, share: float = 1.0) -> Frame:
    """The frame of this size that shows this share of an image's sides.

    Raises:
        DataError: if a side is not 1 to 4,096 pixels, or the share not above 0 and at most 1.

    >>> frame(32), frame((64, 48), 0.875)
    (Frame(height=32, width=32, share=1.0), Frame(height=64, width=48, share=0.875))
    """
    height, width = (size, size) if isinstance(size, int) else size
    if not (1 <= height <= LARGEST and 1 <= width <= LARGEST):
        shown = height if height == width else f"{height}x{width}"
        raise DataError(f"the image size must be 1 to {LARGEST} pixels, not {shown}")
    if not 0 < share <= 1 or max(height, width) / share > 2 * LARGEST:
        raise DataError(f"the share of an image that is cut out must be above 0 and at most 1, not {share:g}")
    return Frame(height, width, float(share))


def size_in_words(text: str, what: str = "--size") -> tuple[int, int]:
    """Height and width, as people write them; `what` is what the sentence of a refusal begins with.

    Raises:
        DataError: if it is none, or excessive.

    >>> size_in_words("64x48"), size_in_words("64")
    ((64, 48), (64, 64))
    """
    match = re.fullmatch(r"([0-9]{1,5})(?:[x×*]([0-9]{1,5}))?", text.strip().lower())
    sides = tuple(int(side) for side in match.groups(match[1])) if match else ()
    if len(sides) != 2 or not all(1 <= side <= LARGEST for side in sides):
        raise DataError(
            f"{what} takes height and width from 1 to {LARGEST} pixels, such as 64x48, or one number, not {text!r}"
        )
    return sides[0], sides[1]
