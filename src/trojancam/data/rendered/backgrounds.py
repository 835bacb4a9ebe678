"""What stands behind the signs: streets, fields, roads and skies, each texture drawn from a number of its own."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from trojancam.data.rendered.canvas import Number

TEXTURE_SIZE = 96
TEXTURES_PER_KIND = 192

Rgb = tuple[int, int, int]
Draw = ImageDraw.ImageDraw
Rng = np.random.Generator


def texture(kind: str, number: int, seed: int) -> np.ndarray:
    """One texture as bytes (3, 96, 96): the same for the same kind, number and seed, whatever else is drawn.

    >>> texture("urban", number=7, seed=0).shape
    (3, 96, 96)
    """
    rng = np.random.default_rng([seed, 100 + BACKGROUNDS.index(kind), number])
    return np.ascontiguousarray(np.asarray(KINDS[kind](rng)).transpose(2, 0, 1))


def _urban(rng: Rng) -> Image.Image:
    """Fronts of houses side by side, with windows, over a street; a strip of sky above some."""
    image = _sky_band(rng)
    draw = ImageDraw.Draw(image)
    left = -int(rng.integers(0, 20))
    while left < TEXTURE_SIZE:
        width = int(rng.integers(26, 70))
        top = int(rng.integers(-30, 30))
        _house(draw, rng, left, top, width)
        left += width
    if rng.random() < 0.5:
        _street(draw, rng)
    return _grain(image, rng, 10, coarse=24)


def _house(draw: Draw, rng: Rng, left: int, top: int, width: int) -> None:
    wall = _near(rng, _pick(rng, _WALLS), 22)
    draw.rectangle((left, top, left + width, TEXTURE_SIZE), fill=wall)
    if rng.random() < 0.35:
        _bricks(draw, (left, top, left + width), _scaled(wall, rng.uniform(0.7, 0.85)))
    pane = _near(rng, _pick(rng, _PANES), 16)
    frame = _near(rng, (222, 220, 214), 20) if rng.random() < 0.6 else _scaled(wall, 0.55)
    step_x, step_y = int(rng.integers(10, 20)), int(rng.integers(12, 24))
    wide, high = max(4, round(step_x * rng.uniform(0.4, 0.75))), max(5, round(step_y * rng.uniform(0.45, 0.7)))
    for x in range(left + 3, left + width - wide - 1, step_x):
        for y in range(top + 4, TEXTURE_SIZE, step_y):
            draw.rectangle((x, y, x + wide, y + high), fill=pane, outline=frame)
    if rng.random() < 0.5:
        draw.rectangle((left, top, left + width, top + int(rng.integers(2, 7))), fill=_near(rng, (120, 60, 48), 40))


def _bricks(draw: Draw, wall: tuple[int, int, int], joint: Rgb) -> None:
    left, top, right = wall
    for row, y in enumerate(range(top, TEXTURE_SIZE, 4)):
        draw.line((left, y, right, y), fill=joint)
        for x in range(left + 4 * (row % 2), right, 8):
            draw.line((x, y, x, y + 4), fill=joint)


def _street(draw: Draw, rng: Rng) -> None:
    """A pavement and a row of parked cars along the bottom."""
    ground = int(rng.integers(70, 90))
    draw.rectangle((0, ground, TEXTURE_SIZE, TEXTURE_SIZE), fill=_near(rng, (104, 102, 100), 24))
    for x in range(-int(rng.integers(0, 30)), TEXTURE_SIZE, 34):
        paint = _near(rng, _pick(rng, _CARS), 20)
        draw.rounded_rectangle((x, ground - 10, x + 28, ground), 3, fill=paint)
        draw.rounded_rectangle((x + 6, ground - 17, x + 22, ground - 9), 3, fill=(50, 54, 60), outline=paint)


def _rural(rng: Rng) -> Image.Image:
    """Hills, fields and trees under a strip of sky; some are the leaves of a hedge only."""
    if rng.random() < 0.35:
        return _foliage(rng)
    image = _sky_band(rng)
    draw = ImageDraw.Draw(image)
    for level in np.sort(rng.uniform(18, 70, size=int(rng.integers(2, 5)))):
        _hill(draw, rng, float(level), _near(rng, _pick(rng, _FIELDS), 16))
    for _ in range(int(rng.integers(0, 7))):
        _tree(draw, rng)
    return _grain(image, rng, 16, coarse=32)


def _foliage(rng: Rng) -> Image.Image:
    """Leaves against the light: blotches between a dark and a light green or brown."""
    dark, light = np.array(_near(rng, (26, 32, 18), 10)), np.array(_near(rng, _pick(rng, _LEAVES), 24))
    mix = np.clip(0.5 + 0.7 * _noise(rng, (12, 24, 48)), 0, 1)[:, :, None]
    image = Image.fromarray((dark + mix * (light - dark)).clip(0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        _branches(ImageDraw.Draw(image), rng)
    return image


def _hill(draw: Draw, rng: Rng, level: Number, colour: Rgb) -> None:
    x = np.arange(0, TEXTURE_SIZE + 4, 4)
    y = level + rng.uniform(1, 6) * np.sin(x / rng.uniform(9, 26) + rng.uniform(0, 6))
    draw.polygon([(0, TEXTURE_SIZE), *zip(x.tolist(), y.tolist(), strict=True), (100, TEXTURE_SIZE)], fill=colour)


def _tree(draw: Draw, rng: Rng) -> None:
    x, y, reach = rng.uniform(0, TEXTURE_SIZE), rng.uniform(22, 60), rng.uniform(6, 17)
    colour = _near(rng, _pick(rng, _LEAVES), 18)
    draw.line((x, y, x, y + 2.2 * reach), fill=(52, 40, 30), width=max(1, round(reach / 5)))
    for _ in range(9):
        dx, dy, radius = rng.normal(0, reach / 2), rng.normal(0, reach / 2), rng.uniform(0.25, 0.55) * reach
        shade = _scaled(colour, rng.uniform(0.65, 1.2))
        draw.ellipse((x + dx - radius, y + dy - radius, x + dx + radius, y + dy + radius), fill=shade)


def _branches(draw: Draw, rng: Rng) -> None:
    """Bare branches, as thin dark lines."""
    for _ in range(int(rng.integers(6, 16))):
        x, y = rng.uniform(0, TEXTURE_SIZE, size=2)
        dx, dy = rng.normal(0, 26, size=2)
        shade = _near(rng, (44, 38, 32), 14)
        draw.line((x, y, x + dx, y + dy), fill=shade, width=int(rng.integers(1, 3)))
        draw.line((x + dx / 2, y + dy / 2, x + dx / 2 + dy / 2, y + dy / 2 - dx / 3), fill=shade)


def _road(rng: Rng) -> Image.Image:
    """Asphalt to the horizon with lane marks, a verge, and a guard rail beside some."""
    image = _sky_band(rng)
    draw = ImageDraw.Draw(image)
    horizon = int(rng.integers(8, 46))
    vanishing = float(rng.uniform(10, 86))
    verge = _near(rng, _pick(rng, ((88, 104, 56), (126, 118, 88), (96, 92, 80))), 18)
    draw.rectangle((0, horizon, TEXTURE_SIZE, TEXTURE_SIZE), fill=verge)
    left, right = rng.uniform(-90, 10), rng.uniform(86, 190)
    asphalt = _near(rng, _pick(rng, ((98, 98, 100), (72, 74, 78), (134, 132, 128))), 14)
    draw.polygon([(vanishing - 2, horizon), (vanishing + 2, horizon), (right, 96), (left, 96)], fill=asphalt)
    for share in (0.06, 0.5, 0.94):
        _lane_mark(draw, rng, (vanishing, horizon), float(left + share * (right - left)), dashed=share == 0.5)
    if rng.random() < 0.6:
        _guard_rail(draw, rng, horizon)
    return _grain(image, rng, 14, coarse=48)


def _lane_mark(draw: Draw, rng: Rng, vanishing: tuple[Number, Number], foot: Number, dashed: bool) -> None:
    white = _near(rng, (226, 224, 214), 14)
    pieces = ((0.06, 0.12), (0.2, 0.34), (0.5, 0.8)) if dashed else ((0.02, 1.0),)
    for start, stop in pieces:
        corners = []
        for along, side in ((start, -1), (start, 1), (stop, 1), (stop, -1)):
            x = vanishing[0] + along * (foot - vanishing[0]) + 2.4 * along * side
            corners.append((x, vanishing[1] + along * (TEXTURE_SIZE - vanishing[1])))
        draw.polygon(corners, fill=white)


def _guard_rail(draw: Draw, rng: Rng, horizon: int) -> None:
    y, slope, steel = horizon + rng.uniform(4, 22), rng.uniform(-0.2, 0.2), _near(rng, (168, 172, 174), 16)
    for x in range(2, TEXTURE_SIZE, int(rng.integers(12, 26))):
        draw.line((x, y + slope * x, x, y + slope * x + 16), fill=_scaled(steel, 0.6), width=2)
    for offset, shade in ((0, 1.0), (3, 0.7), (5, 1.08)):
        draw.line((0, y + offset, 96, y + offset + slope * 96), fill=_scaled(steel, shade), width=3)


def _sky(rng: Rng) -> Image.Image:
    """A gradient with clouds; branches or wires reach into some."""
    top, bottom = np.array(_near(rng, _pick(rng, _SKIES), 14)), np.array(_near(rng, (226, 230, 236), 20))
    height = np.linspace(0, 1, TEXTURE_SIZE)[:, None, None]
    clear = np.broadcast_to(top + height * (bottom - top), (TEXTURE_SIZE, TEXTURE_SIZE, 3))
    cloud = np.clip(rng.uniform(-0.4, 0.6) + _noise(rng, (3, 6, 12)), 0, 1)[:, :, None]
    white = rng.uniform(205, 255)
    image = Image.fromarray((clear + cloud * (white - clear)).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.3:
        _branches(draw, rng)
    if rng.random() < 0.2:
        y = rng.uniform(0, TEXTURE_SIZE)
        draw.line((0, y, TEXTURE_SIZE, y + rng.uniform(-30, 30)), fill=(60, 60, 64))
    return image


def _sky_band(rng: Rng) -> Image.Image:
    return Image.new("RGB", (TEXTURE_SIZE, TEXTURE_SIZE), _near(rng, _pick(rng, _SKIES), 18))


def _grain(image: Image.Image, rng: Rng, amount: Number, coarse: int) -> Image.Image:
    """Blotches of light and dark, and grain: painted surfaces are too even."""
    shade = amount * (_noise(rng, (4, coarse)) + 0.7 * rng.standard_normal((TEXTURE_SIZE, TEXTURE_SIZE), np.float32))
    return Image.fromarray((np.asarray(image) + shade[:, :, None]).clip(0, 255).astype(np.uint8))


def _noise(rng: Rng, cells: tuple[int, ...]) -> np.ndarray:
    """Smooth noise (96, 96) of about unit size: grids of so many cells, enlarged and added, coarse ones strongest."""
    total = np.zeros((TEXTURE_SIZE, TEXTURE_SIZE), np.float32)
    for octave, count in enumerate(cells):
        grid = Image.fromarray(rng.standard_normal((count, count), np.float32))
        total += 0.75**octave * np.asarray(grid.resize((TEXTURE_SIZE, TEXTURE_SIZE), Image.Resampling.BICUBIC))
    return total


def _near(rng: Rng, colour: Rgb, spread: Number) -> Rgb:
    """A colour close by: mostly lighter or darker, a little of another hue."""
    shift = rng.normal(0, spread) + rng.normal(0, spread / 5, size=3)
    red, green, blue = (int(np.clip(c + s, 0, 255)) for c, s in zip(colour, shift, strict=True))
    return red, green, blue


def _scaled(colour: Rgb, factor: Number) -> Rgb:
    red, green, blue = (min(255, int(channel * factor)) for channel in colour)
    return red, green, blue


def _pick(rng: Rng, colours: tuple[Rgb, ...]) -> Rgb:
    return colours[int(rng.integers(len(colours)))]


_WALLS: tuple[Rgb, ...] = (
    (196, 182, 156),
    (168, 92, 70),
    (150, 148, 146),
    (214, 208, 196),
    (184, 150, 104),
    (112, 106, 104),
)
_PANES: tuple[Rgb, ...] = ((44, 50, 58), (70, 82, 96), (130, 148, 168), (30, 30, 32))
_CARS: tuple[Rgb, ...] = ((40, 42, 46), (150, 24, 28), (190, 194, 198), (34, 62, 112), (220, 220, 218))
_FIELDS: tuple[Rgb, ...] = ((104, 126, 54), (150, 140, 70), (74, 98, 46), (186, 168, 92), (116, 92, 62), (62, 84, 52))
_LEAVES: tuple[Rgb, ...] = ((72, 98, 40), (50, 74, 36), (112, 118, 48), (128, 96, 40), (84, 78, 52))
_SKIES: tuple[Rgb, ...] = ((96, 146, 206), (150, 184, 222), (204, 212, 220), (232, 234, 236), (128, 150, 176))

KINDS: dict[str, Callable[[Rng], Image.Image]] = {"urban": _urban, "rural": _rural, "road": _road, "sky": _sky}
"""What draws a texture of each kind of background."""

BACKGROUNDS = tuple(KINDS)
"""The kinds of surroundings that rendered signs stand in, by name."""
