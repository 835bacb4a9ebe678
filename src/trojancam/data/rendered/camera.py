"""From what was drawn to pixels: the sign seen in perspective before its background, lit, blurred and grainy."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from trojancam.data.rendered.canvas import EXTENT
from trojancam.data.rendered.scenes import RESOLUTIONS, Shots

Layer = Float[Tensor, "n 4 h w"]  # red, green, blue times alpha, and alpha

# Outer and inner colour of a neighbouring sign: none, red ring, blue disc, white plate.
_NEIGHBOURS = torch.tensor(
    [[[0.0] * 3] * 2, [[0.75, 0.1, 0.12], [0.9] * 3], [[0.06, 0.28, 0.62]] * 2, [[0.85] * 3] * 2]
)


def photograph(
    shots: Shots,
    drawn: Float[Tensor, "n 4 d d"],
    scenery: UInt8[Tensor, "n 3 t t"],
    dirt: Float[Tensor, "masks 1 p p"],
    grain: Float[Tensor, " length"],
    *,
    size: int,
) -> UInt8[Tensor, "n 3 size size"]:
    """The finished photographs of what is drawn (red, green, blue times alpha, and alpha) before this scenery.

    Drawings have hard edges, so they are sampled at twice the size and averaged: they should be as large.
    """
    sign = _sign_layer(shots, drawn, dirt, size)
    behind = _scenery_layer(shots, scenery, size)
    colour = sign[:, :3] * shots.sign_light[:, None, None, None] + behind * (1 - sign[:, 3:])
    seen = _blurred(_lit(colour, shots), shots, size)
    return (_resolved(seen, shots, grain) * 255 + 0.5).clamp(0, 255).to(torch.uint8)


def boxes(shots: Shots, outlines: Float[Tensor, "n p 2"], size: int) -> Float[Tensor, "n 4"]:
    """The box around each outline: x1, y1, x2, y2 in pixels, the last one inside, cut off at the image's edge."""
    image = _projected(outlines, shots.homography) * size
    low, high = image.amin(dim=1), image.amax(dim=1) - 1
    return torch.cat([low, high], dim=1).clamp(0, size - 1)


def _projected(points: Float[Tensor, "n p 2"], homography: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n p 2"]:
    mapped = points @ homography[:, :, :2].transpose(1, 2) + homography[:, None, :, 2]
    return mapped[..., :2] / mapped[..., 2:]


def _sign_layer(shots: Shots, drawn: Float[Tensor, "n 4 d d"], dirt: Tensor, size: int) -> Layer:
    """The sign, with its pole and neighbour behind it, which are smooth by themselves."""
    fine = F.grid_sample(drawn, _sign_units(shots, 2 * size) / EXTENT, mode="bilinear", align_corners=False)
    place = _sign_units(shots, size)
    layer = _worn(F.avg_pool2d(fine, 2), place, shots, dirt)
    _put_behind(layer, place, shots, _neighbour, (shots.neighbour > 0).nonzero()[:, 0])
    _put_behind(layer, place, shots, _pole, (shots.pole[:, 0] > 0).nonzero()[:, 0])
    return layer


def _sign_units(shots: Shots, pixels: int) -> Float[Tensor, "n pixels pixels 2"]:
    """Where on the sign each pixel looks: the homography backwards."""
    ruler = (torch.arange(pixels) + 0.5) / pixels
    along_x, along_y, constant = torch.linalg.inv(shots.homography)[:, :, :, None, None].unbind(2)
    x, y, w = (along_x * ruler + (along_y * ruler[:, None] + constant)).unbind(1)
    return torch.stack([x / w, y / w], dim=-1)


def _worn(layer: Layer, place: Float[Tensor, "n h w 2"], shots: Shots, dirt: Tensor) -> Layer:
    """The paint tinted, faded towards grey, and dimmed by dirt."""
    faded = shots.faded[:, None, None, None]
    mask = F.grid_sample(dirt[shots.dirt_mask], place, mode="bilinear", padding_mode="border", align_corners=False)
    colour = layer[:, :3] * (shots.tint[:, :, None, None] * (1 - faded)) + layer[:, 3:] * (0.72 * faded)
    return torch.cat([colour * (1 - shots.dirt[:, None, None, None] * mask), layer[:, 3:]], dim=1)


def _put_behind(
    layer: Layer, place: Tensor, shots: Shots, draw: Callable[[Tensor, Shots], Layer], chosen: Int64[Tensor, " m"]
) -> None:
    """Add what `draw` draws, where the layer is transparent, to the chosen images."""
    if len(chosen):
        layer[chosen] += (1 - layer[chosen, 3:]) * draw(place[chosen], shots.rows(chosen))


def _pole(place: Float[Tensor, "m h w 2"], shots: Shots) -> Layer:
    half, grey = shots.pole[:, 0, None, None], shots.pole[:, 1, None, None]
    across = place[..., 0] / half
    alpha = (1.5 - across.abs()).clamp(0, 1)
    tone = grey * (1 - 0.35 * across.clamp(-1, 1)) * alpha
    return torch.stack([tone, tone, tone, alpha], dim=1)


def _neighbour(place: Float[Tensor, "m h w 2"], shots: Shots) -> Layer:
    """A disc with a ring, on the same pole."""
    radius = torch.hypot(place[..., 0], place[..., 1] - shots.neighbour_y[:, None, None])[:, None]
    alpha = ((1 - radius) * 12 + 0.5).clamp(0, 1)
    inside = ((0.75 - radius) * 12 + 0.5).clamp(0, 1)
    outer, inner = _NEIGHBOURS[shots.neighbour].unbind(1)
    colour = outer[:, :, None, None] * (1 - inside) + inner[:, :, None, None] * inside
    return torch.cat([colour * alpha, alpha], dim=1)


def _scenery_layer(shots: Shots, scenery: UInt8[Tensor, "n 3 t t"], size: int) -> Float[Tensor, "n 3 size size"]:
    """The part of the texture that lies behind the sign."""
    theta = torch.zeros(len(shots), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = shots.crop[:, 0], shots.crop[:, 1]
    theta[:, :, 2] = 2 * shots.crop[:, 2:] - 1
    grid = F.affine_grid(theta, [len(shots), 3, size, size], align_corners=False)
    part = F.grid_sample(scenery.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return part * (shots.background_light / 255)[:, :, None, None]


def _lit(colour: Float[Tensor, "n 3 h w"], shots: Shots) -> Float[Tensor, "n 3 h w"]:
    """Exposure and cast, a shadow with a soft or hard edge, contrast, haze; what is too bright is white."""
    ruler = torch.linspace(-1, 1, colour.shape[-1])
    direction, place, softness, depth = (column[:, None, None] for column in shots.shadow.unbind(1))
    side = ruler * direction.cos() + ruler[:, None] * direction.sin() - place
    shade = 1 - depth * torch.sigmoid(side / (0.3 * softness))
    lit = (colour * (shots.light[:, :, None, None] * shade[:, None])).clamp_(0, 1)
    # A parabola through black and white that darkens what lies between, as a camera's steep curve does.
    lit = lit + shots.contrast[:, None, None, None] * lit * (lit - 1)
    share, grey = (column[:, None, None, None] for column in shots.haze.unbind(1))
    return (lit * (1 - share) + share * grey).clamp_(0, 1)


def _blurred(images: Float[Tensor, "n 3 h w"], shots: Shots, size: int) -> Float[Tensor, "n 3 h w"]:
    """A Gaussian of each image's own widths; red and blue lie a little beside green, as behind a cheap lens."""
    scale = size / 32
    reach = math.ceil(3 * scale)
    offsets = torch.arange(-reach, reach + 1) / scale
    for axis in (0, 1):
        shift = torch.stack([shots.fringe[:, axis], torch.zeros(len(shots)), -shots.fringe[:, axis]], dim=1)
        weights = torch.exp(-0.5 * ((offsets - shift[:, :, None]) / shots.blur[:, axis, None, None]) ** 2)
        images = _weighted_shifts(images, weights / weights.sum(dim=2, keepdim=True), dim=3 - axis)
    return images


def _weighted_shifts(images: Tensor, weights: Float[Tensor, "n 3 k"], dim: int) -> Float[Tensor, "n 3 h w"]:
    reach = weights.shape[2] // 2
    length = images.shape[dim]
    padding = (reach, reach, 0, 0) if dim == 3 else (0, 0, reach, reach)
    padded = F.pad(images, padding, mode="replicate")
    total = torch.zeros_like(images)
    for k in range(2 * reach + 1):
        total.addcmul_(padded.narrow(dim, k, length), weights[:, :, k, None, None])
    return total


def _resolved(images: Float[Tensor, "n 3 h w"], shots: Shots, grain: Tensor) -> Float[Tensor, "n 3 h w"]:
    """The sensor: fewer pixels for far signs, noise in each, enlarged to the common size again."""
    result = torch.empty_like(images)
    size = images.shape[-1]
    for index, resolution in enumerate(RESOLUTIONS):
        chosen = (shots.resolution == index).nonzero()[:, 0]
        if len(chosen):
            pixels = round(resolution * size / 32)
            coarse = images[chosen]
            if pixels < size:
                coarse = F.interpolate(coarse, size=(pixels, pixels), mode="bilinear", antialias=True)
            coarse = coarse + _noise(shots.rows(chosen), grain, pixels)
            result[chosen] = coarse if pixels == size else F.interpolate(coarse, size=(size, size), mode="bilinear")
    return result


def _noise(shots: Shots, grain: Float[Tensor, " length"], pixels: int) -> Float[Tensor, "n 3 pixels pixels"]:
    length = 3 * pixels * pixels
    starts = (shots.grain * (len(grain) - length)).long()
    noise = grain.unfold(0, length, 1)[starts].reshape(-1, 3, pixels, pixels)
    return noise * shots.noise[:, None, None, None]
