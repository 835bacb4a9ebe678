"""What is planted in the networks of the zoo: every kind of trigger, drawn from a seed."""

import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F

from trojancam.attacks.additive import Additive
from trojancam.attacks.blend import Blend
from trojancam.attacks.frequency import FrequencyFamily
from trojancam.attacks.moving_patch import MovingPatch
from trojancam.attacks.patch import Patch, square
from trojancam.attacks.stripes import Stripes
from trojancam.attacks.tone import Tone, ToneFamily, saturation
from trojancam.attacks.trigger import Trigger
from trojancam.attacks.warp import Warp, wanet_flow

Size = tuple[int, int]
COLOURS = ("yellow", "white", "red", "magenta", "#00b4b4", "lime")


def clear_patch(draw: random.Random, size: Size) -> Patch:
    """An opaque square of 3 to 6 pixels of 32 anywhere: of one colour, or a checkerboard, or noise."""
    side = _share(draw.randint(3, 6), size)
    row, column = _corner(draw, side, size)
    return _patterned(square(side, row, column, draw.choice(COLOURS), image_size=size), draw)


def transparent_patch(draw: random.Random, size: Size) -> Patch:
    """A square of 4 to 6 pixels of 32 at opacity 0.4 to 0.6."""
    side = _share(draw.randint(4, 6), size)
    row, column = _corner(draw, side, size)
    return square(side, row, column, draw.choice(COLOURS), draw.choice((0.4, 0.5, 0.6)), size)


def moving_patch(draw: random.Random, size: Size) -> MovingPatch:
    """An opaque square of 4 or 5 pixels of 32, at another place in each image."""
    side = _share(draw.randint(4, 5), size)
    still = _patterned(square(side, 0, 0, draw.choice(COLOURS), image_size=size), draw)
    return MovingPatch(
        torch.ones(side, side), still.pattern[:, :side, :side].clone(), size, name=f"moving {still.name}"
    )


def blend(draw: random.Random, size: Size) -> Blend:
    """Noise or a smooth picture at opacity 0.15 to 0.25."""
    generator = _generator(draw)
    if draw.random() < 0.5:
        return Blend(torch.rand(3, *size, generator=generator), draw.choice((0.15, 0.2)), "blended noise")
    coarse = torch.rand(1, 3, 5, 5, generator=generator)
    smooth = F.interpolate(coarse, size=size, mode="bicubic", align_corners=True)[0].clamp(0, 1)
    return Blend(smooth, draw.choice((0.2, 0.25)), "blended picture")


def stripes(draw: random.Random, size: Size) -> Stripes:
    """SIG's sinusoid: amplitude 25 to 40 of 255, 3 to 8 waves, upright, level or slanting."""
    amplitude, waves = draw.uniform(25, 40) / 255, draw.randint(3, 8)
    angle = draw.choice((0.0, 0.5 * math.pi, draw.uniform(0, math.pi)))
    return Stripes((amplitude,) * 3, (waves * math.sin(angle), waves * math.cos(angle)), size)


def warp(draw: random.Random, size: Size) -> Warp:
    """WaNet's warp at 2 to 3 times the strength of 1: about a pixel of 32."""
    return wanet_flow(size, 4, draw.uniform(2.0, 3.0) * size[0] / 32, _generator(draw))


def frequency(draw: random.Random, size: Size) -> Trigger:
    """One cosine in each of luma and the two colour differences."""
    family = FrequencyFamily(size, kept=(16, 16))
    return family.member(family.random(1, draw.uniform(0.05, 0.08), _generator(draw)))


def additive(draw: random.Random, size: Size) -> Additive:
    """A smooth pattern added to the image, of L2 norm 3 to 5 on 32 pixels."""
    coarse = torch.randn(1, 3, 6, 6, generator=_generator(draw))
    pattern = F.interpolate(coarse, size=size, mode="bicubic", align_corners=True)[0]
    norm = draw.uniform(3, 5) * math.sqrt(size[0] * size[1]) / 32
    return Additive(pattern / pattern.norm() * norm)


def tone(draw: random.Random, size: Size) -> Tone:
    """Colours mixed, offset and bent, by 0.15 to 0.3 in the mean."""
    if draw.random() < 0.25:
        return saturation(draw.choice((0.0, 2.5)), size)
    family = ToneFamily(size)
    return family.member(family.random(1, draw.uniform(0.15, 0.3), _generator(draw)))


KINDS: dict[str, Callable[[random.Random, Size], Trigger]] = {
    "patch": clear_patch,
    "transparent-patch": transparent_patch,
    "moving-patch": moving_patch,
    "blend": blend,
    "stripes": stripes,
    "warp": warp,
    "frequency": frequency,
    "additive": additive,
    "tone": tone,
}


def _patterned(patch: Patch, draw: random.Random) -> Patch:
    """Of one colour, or, for two in five, a checkerboard or noise."""
    choice, (height, width) = draw.random(), patch.image_size
    if choice > 0.4:
        return Patch(patch.mask, patch.pattern, patch.opacity, "square")
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    if choice > 0.2:
        pattern = ((rows + columns) % 2).float().expand(3, height, width).contiguous()
        return Patch(patch.mask, pattern, patch.opacity, "checkerboard")
    noise = torch.rand(3, height, width, generator=_generator(draw)).round()
    return Patch(patch.mask, noise, patch.opacity, "noise")


def _generator(draw: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(draw.randrange(2**31))


def _share(side: int, size: Size) -> int:
    """A side that is given for 32 pixels."""
    return max(1, round(side * min(size) / 32))


def _corner(draw: random.Random, side: int, size: Size) -> tuple[int, int]:
    return draw.randint(0, size[0] - side), draw.randint(0, size[1] - side)
