"""DeepSweep: images are transformed before the network sees them, so that a trigger loses its shape (Qiu et al., AsiaCCS 2021).

The light policy of the authors' code, which is meant for a network in use: median filter, smaller, median filter, as large as
before, then shifted, scaled and turned at random. Its numbers are those of images of 224 pixels, scaled to the image's size: the
filter of 5 pixels is at least 3 wide, and 224 pixels become 180.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trojancam.errors import DataError
from trojancam.network.draws import Draws

AUTHORS_SIZE, SMALLER, MEDIAN = 224, 180, 5  # pixels
SHIFT, SCALE, TURN = 0.16, 0.16, 4.0  # of the side, of the size, in degrees: at most, either way

Images = Float[Tensor, "n c h w"]


def swept(images: Images, seed: int = 0, first: int = 0) -> Images:
    """Images in [0, 1] after the light policy; `first` is the place of the first one among all, on which its draws hang.

    Raises:
        DataError: if they are smaller than 3 pixels.

    >>> swept(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 3, 32, 32])
    """
    size = images.shape[2], images.shape[3]
    if min(size) < 3:
        raise DataError(f"images of {size[0]}x{size[1]} pixels are too small for a median filter; give larger ones")
    width = median_width(min(size))
    smaller = [max(1, round(side * SMALLER / AUTHORS_SIZE)) for side in size]
    small = _resized(median(images, width), (smaller[0], smaller[1]))
    whole = _resized(median(small, width), size)
    return moved(whole, torch.stack([_drawn(seed + first + number) for number in range(len(images))]))


def median_width(side: int) -> int:
    """The filter's width for images of this side: an odd number of pixels.

    >>> median_width(224), median_width(32), median_width(300)
    (5, 3, 7)
    """
    return max(3, 2 * round((MEDIAN * side / AUTHORS_SIZE - 1) / 2) + 1)


def median(images: Images, width: int) -> Images:
    """Each pixel's median over a square around it, channel by channel; at the edges the outermost pixels are repeated."""
    around = width // 2
    padded = F.pad(images, (around, around, around, around), mode="replicate")
    squares = padded.unfold(2, width, 1).unfold(3, width, 1).flatten(-2)
    found: Tensor = squares.median(-1).values
    return found


def moved(images: Images, draws: Float[Tensor, "n 4"]) -> Images:
    """Images shifted (down, across, in sides), scaled and turned (in degrees), as `draws` say; what comes in is black."""
    down, across, scale, degrees = draws.unbind(1)
    angle = degrees * math.pi / 180
    ratio = images.shape[3] / images.shape[2]
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    rows = (
        torch.stack([cosine, sine / ratio, -2 * across], 1),
        torch.stack([-sine * ratio, cosine, -2 * down], 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1).to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def _resized(images: Images, size: tuple[int, int]) -> Float[Tensor, "n c height width"]:
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


def _drawn(seed: int) -> Float[Tensor, " 4"]:
    """Shifts, a scale and an angle, each even between its ends."""
    even = 2 * Draws(seed).uniform(4) - 1
    return even * torch.tensor([SHIFT, SHIFT, SCALE, TURN]) + torch.tensor([0.0, 0.0, 1.0, 0.0])
