"""DeepSweep: images are transformed before the network sees them, so that a trigger loses its shape (Qiu et al., AsiaCCS 2021).

Both policies of the authors' code. The light one is meant for a network in use: median filter, smaller, median filter, as large
as before, then shifted, scaled and turned at random. The intensive one is what the network is fine-tuned with beforehand
(`trojancam.removal.deepsweep_tuning`): bent as by a lens, brightened and darkened, and made far smaller for a moment, too.
Numbers are those of images of 224 pixels, scaled to the image's size: the filter of 5 pixels is at least 3 wide, and 224 pixels
become 180. The code leaves the strength of the lens to its library, whose usual one is taken here.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trojancam.errors import DataError
from trojancam.network.draws import Draws

AUTHORS_SIZE, SMALLER, MEDIAN = 224, 180, 5  # pixels
QUARTER = 0.25  # of the size, to which the intensive policy brings an image for a moment
DARKER, BRIGHTER, DARKEST = 0.6, 1.53, 2.6  # a gamma, a factor, a gamma
LENS, OFF_CENTRE = 0.05, 0.05  # at most: the distortion, and how far off its centre lies, in sides
LARGEST = 1.1  # of the size, to which an image is enlarged at most
SHIFT, SCALE, TURN = 0.16, 0.16, 4.0  # of the side, of the size, in degrees: at most, either way

Images = Float[Tensor, "n c h w"]


def swept(images: Images, seed: int = 0, first: int = 0) -> Images:
    """Images in [0, 1] after the light policy; `first` is the place of the first one among all, on which its draws hang.

    Raises:
        DataError: if they are smaller than 3 pixels.

    >>> swept(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 3, 32, 32])
    """
    width = _checked_width(images)
    return _moved_at_random(_through_smaller(median(images, width), width), seed + first)


def swept_intensively(images: Images, seed: int = 0, first: int = 0) -> Images:
    """Images in [0, 1] after the intensive policy; draws as for `swept`.

    Raises:
        DataError: if they are smaller than 3 pixels.

    >>> swept_intensively(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 3, 32, 32])
    """
    size, width = (images.shape[2], images.shape[3]), _checked_width(images)
    draws = torch.stack([Draws(seed + first + number + 1).uniform(6) for number in range(len(images))])
    bent = through_lens(images, draws[:, :3])
    dark = median(bent.clamp(0, 1) ** DARKER, width)
    toned = (dark * BRIGHTER).clamp(max=1) ** DARKEST
    quarter = [max(1, round(side * QUARTER)) for side in size]
    coarse = median(_resized(_resized(toned, (quarter[0], quarter[1])), size), width)
    return _moved_at_random(enlarged(_through_smaller(coarse, width), draws[:, 3:]), seed + first)


def through_lens(images: Images, draws: Float[Tensor, "n 3"]) -> Images:
    """Images as a lens bends them: a pixel at x from its centre shows what lies at `x (1 + k r^2 + k r^4)`; black beyond.

    `draws` in [0, 1) say k, within `LENS` either way, and where the centre is, within `OFF_CENTRE` of the middle.
    """
    k, down, across = ((2 * draws - 1) * torch.tensor([LENS, OFF_CENTRE, OFF_CENTRE])).to(images).unbind(1)
    height, width = images.shape[2:]
    rows, columns = (
        (torch.arange(side, device=images.device).to(images) + 0.5) / side - 0.5 for side in (height, width)
    )
    y, x = rows[None, :, None] - down[:, None, None], columns[None, None, :] - across[:, None, None]
    square = y**2 + x**2
    bend = 1 + k[:, None, None] * (square + square**2)
    places = torch.stack([x * bend + across[:, None, None], y * bend + down[:, None, None]], -1)
    return F.grid_sample(images, 2 * places, align_corners=False)


def enlarged(images: Images, draws: Float[Tensor, "n 3"]) -> Images:
    """Images enlarged to at most `LARGEST`, somewhere on a black ground of that size, which is brought back to theirs.

    `draws` in [0, 1) say how much, and where: down and across.
    """
    part = (1 + (LARGEST - 1) * draws[:, 0]) / LARGEST  # of the ground's side that the image takes
    left = (1 - part) / part  # `moved` shifts before it scales
    down, across = ((draws[:, place] - 0.5) * left for place in (1, 2))
    return moved(images, torch.stack([down, across, part, torch.zeros_like(part)], 1))


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


def _checked_width(images: Images) -> int:
    """The width of the median filter for these images."""
    height, width = images.shape[2:]
    if min(height, width) < 3:
        raise DataError(f"images of {height}x{width} pixels are too small for a median filter; give larger ones")
    return median_width(min(height, width))


def _moved_at_random(images: Images, seed: int) -> Images:
    """Each image shifted, scaled and turned by draws of its own, the first by those of the seed."""
    return moved(images, torch.stack([_drawn(seed + number) for number in range(len(images))]))


def _through_smaller(images: Images, width: int) -> Images:
    """Made smaller, filtered, and as large as before."""
    size = images.shape[2], images.shape[3]
    smaller = [max(1, round(side * SMALLER / AUTHORS_SIZE)) for side in size]
    return _resized(median(_resized(images, (smaller[0], smaller[1])), width), size)


def _resized(images: Images, size: tuple[int, int]) -> Float[Tensor, "n c height width"]:
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


def _drawn(seed: int) -> Float[Tensor, " 4"]:
    """Shifts, a scale and an angle, each even between its ends."""
    even = 2 * Draws(seed).uniform(4) - 1
    return even * torch.tensor([SHIFT, SHIFT, SCALE, TURN]) + torch.tensor([0.0, 0.0, 1.0, 0.0])
