"""What is drawn at random: how each sign stands and wears, and how each photograph of it turns out.

Every number comes from a table with one row per sign (or per image) and one column per property. A table is filled
row by row, so the first images of a longer list are the images of the shorter one; and what stands behind a sign comes
from a table of its own, so another background changes nothing else.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.data.rendered.canvas import Number
from trojancam.showing import Brief

# Which table: the second part of each generator's seed. The last two are those of rendered objects.
_SIGNS, _IMAGES, _BACKDROPS, _GRAIN, _DIRT, LOOKS, POSES = range(7)
_COLUMNS = 96  # more than any table needs
RESOLUTIONS = (32, 24, 20, 16)  # what the photograph resolves, for an image of 32 pixels
DIRT_MASKS = 32


@dataclass(frozen=True)
class Shots(Brief):
    """Everything that was drawn about n images, one row each; lengths in fractions of the image's side."""

    homography: Float[Tensor, "n 3 3"]  # from sign units to the image, both axes from 0 to 1
    tint: Float[Tensor, "n 3"]
    faded: Float[Tensor, " n"]
    dirt: Float[Tensor, " n"]
    dirt_mask: Int64[Tensor, " n"]
    pole: Float[Tensor, "n 2"]  # half its width in sign units (0: none), and its grey
    neighbour: Int64[Tensor, " n"]  # another sign above or below (0: none)
    neighbour_y: Float[Tensor, " n"]
    light: Float[Tensor, "n 3"]
    sign_light: Float[Tensor, " n"]
    background_light: Float[Tensor, "n 3"]
    contrast: Float[Tensor, " n"]
    haze: Float[Tensor, "n 2"]  # its share, and its grey
    shadow: Float[Tensor, "n 4"]  # direction, place, softness, depth
    blur: Float[Tensor, "n 2"]  # standard deviation along x and y, in 32nds of the side
    fringe: Float[Tensor, "n 2"]  # how far red and blue lie apart
    resolution: Int64[Tensor, " n"]  # index into RESOLUTIONS
    noise: Float[Tensor, " n"]
    grain: Float[Tensor, " n"]  # where its noise starts, 0 to 1
    backdrop: Float[Tensor, " n"]  # which texture of its kind, 0 to 1
    crop: Float[Tensor, "n 4"]  # width (negative: mirrored), height, x, y of the part of the texture

    def __len__(self) -> int:
        return len(self.homography)

    def rows(self, chosen: slice | Tensor) -> "Shots":
        """The same for some of the images."""
        return Shots(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


class Table:
    """Columns of random numbers, taken one after the other; `chosen` says which row belongs to which image."""

    def __init__(self, seed: int, table: int, rows: int, chosen: np.ndarray | slice = slice(None)) -> None:
        numbers = np.random.default_rng([seed, table]).random((rows, _COLUMNS), dtype=np.float32)
        self._columns = iter(numbers.T)
        self._chosen = chosen

    def uniform(self, low: Number = 0.0, high: Number = 1.0) -> np.ndarray:
        """Numbers between these."""
        return np.asarray(low + (high - low) * next(self._columns)[self._chosen])

    def normal(self, spread: Number) -> np.ndarray:
        """Normal numbers around 0."""
        # Box and Muller: two uniform numbers make a normal one.
        radius = np.sqrt(-2 * np.log1p(-self.uniform()))
        return np.asarray(spread * radius * np.cos(2 * np.pi * self.uniform()))

    def chance(self, probability: Number) -> np.ndarray:
        """1 with this probability, else 0."""
        return (self.uniform() < probability).astype(np.float32)


def draw_shots(tracks: Int64[Tensor, " n"], seed: int) -> Shots:
    """Draw one photograph per image; images of one track show the same sign, nearer or farther."""
    signs, sign_of_image = np.unique(tracks.numpy(), return_inverse=True)
    sign = Table(seed, _SIGNS, len(signs), sign_of_image)
    image = Table(seed, _IMAGES, len(tracks))
    place = Table(seed, _BACKDROPS, len(signs), sign_of_image)
    near = image.uniform()  # 0: where the film of this sign starts, 1: where it ends
    drawn = {
        "homography": _homography(sign, image, near),
        **_wear(sign),
        **_surroundings(sign),
        **_lighting(sign, image),
        **_lens(sign, image, near),
        **_backdrop(place, near),
    }
    return Shots(**{name: _tensor(values) for name, values in drawn.items()})


def draw_kinds(tracks: Int64[Tensor, " n"], seed: int, kinds: int) -> np.ndarray:
    """For each image a number of a kind of background, the same for all images of a track."""
    signs, sign_of_image = np.unique(tracks.numpy(), return_inverse=True)
    return (np.random.default_rng([seed, _BACKDROPS, 1]).random(len(signs))[sign_of_image] * kinds).astype(np.int64)


def grain_bank(seed: int, length: int) -> Float[Tensor, " length"]:
    """A long row of normal noise that images take their grain from."""
    return torch.from_numpy(np.random.default_rng([seed, _GRAIN]).standard_normal(length, dtype=np.float32))


def dirt_bank(seed: int) -> Float[Tensor, "masks 1 16 16"]:
    """Smooth blotches in [0, 1] that dim a dirty sign."""
    coarse = torch.from_numpy(np.random.default_rng([seed, _DIRT]).standard_normal((DIRT_MASKS, 1, 7, 7), np.float32))
    smooth = torch.nn.functional.interpolate(coarse, size=(16, 16), mode="bicubic", align_corners=False)
    return (smooth - 0.2).clamp(0, 1)


def _homography(sign: Table, image: Table, near: np.ndarray) -> np.ndarray:
    """A plane seen through a pinhole: turned by yaw, pitch and roll, `distance` sign radii away."""
    half = (sign.uniform(0.325, 0.385) + near * sign.uniform(0.03, 0.09)) * np.exp(image.normal(0.025))
    roll = sign.normal(0.065) + image.normal(0.025)
    yaw = sign.normal(0.2) + near * sign.normal(0.15)
    pitch = sign.normal(0.12) + near * sign.normal(0.05)
    distance = sign.uniform(3.5, 9.0)
    x = 0.5 + sign.normal(0.015) + image.normal(0.018)
    y = 0.5 + sign.normal(0.015) + image.normal(0.018)
    turned = rotation(roll, 2) @ rotation(pitch, 0) @ rotation(yaw, 1)
    axes = turned[:, :, :2] * half[:, None, None]
    result = np.zeros((len(near), 3, 3))
    result[:, 2, :2] = turned[:, 2, :2] / distance[:, None]
    result[:, 2, 2] = 1
    centre = np.stack([x, y], axis=1)
    result[:, :2, :2] = axes[:, :2] + centre[:, :, None] * result[:, 2:, :2]
    result[:, :2, 2] = centre
    return result


def rotation(angle: np.ndarray, axis: int) -> np.ndarray:
    """Matrices that turn space about an axis (0: x, 1: y, 2: z), (n, 3, 3)."""
    result = np.zeros((len(angle), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    result[:, axis, axis] = 1
    result[:, i, i] = result[:, j, j] = np.cos(angle)
    result[:, j, i] = np.sin(angle)
    result[:, i, j] = -np.sin(angle)
    return result


def _wear(sign: Table) -> dict[str, np.ndarray]:
    return {
        "tint": np.stack([np.exp(sign.normal(0.05)) for _ in range(3)], axis=1),
        "faded": sign.chance(0.35) * sign.uniform(0.05, 0.35),
        "dirt": sign.chance(0.5) * sign.uniform(0.05, 0.4),
        "dirt_mask": (sign.uniform() * DIRT_MASKS).astype(np.int64),
    }


def _surroundings(sign: Table) -> dict[str, np.ndarray]:
    """The pole, and part of another sign above or below on it."""
    below = np.where(sign.uniform() < 0.5, 1.0, -1.0)
    return {
        "pole": np.stack([sign.chance(0.6) * sign.uniform(0.04, 0.11), sign.uniform(0.15, 0.75)], axis=1),
        "neighbour": (sign.chance(0.3) * (1 + 3 * sign.uniform())).astype(np.int64),
        "neighbour_y": below * sign.uniform(2.02, 2.2),
    }


def _lighting(sign: Table, image: Table) -> dict[str, np.ndarray]:
    exposure = np.exp(np.clip(sign.normal(0.6) - 0.25, -1.4, 0.5) + image.normal(0.16))
    cast, own = sign.normal(0.07), sign.normal(0.04)
    light = exposure[:, None] * np.stack([np.exp(cast), np.exp(own), np.exp(-cast)], axis=1)
    backlit = sign.chance(0.28)
    behind = np.exp(sign.normal(0.3) + 0.35 * backlit)[:, None]
    hue = np.stack([np.exp(sign.normal(0.05)) for _ in range(3)], axis=1)
    softness = np.exp(sign.uniform(-3.5, 0.0))
    shadow = (sign.uniform(0, 2 * np.pi), sign.normal(0.3) + image.normal(0.06), softness)
    return {
        "light": light,
        "sign_light": 1 - backlit * sign.uniform(0.2, 0.6),
        "background_light": behind * hue,
        "contrast": sign.uniform(0.0, 0.6),
        "haze": np.stack([sign.chance(0.3) * sign.uniform(0.05, 0.35), sign.uniform(0.25, 0.8) * exposure], axis=1),
        "shadow": np.stack([*shadow, sign.chance(0.5) * sign.uniform(0.15, 0.6)], axis=1),
    }


def _lens(sign: Table, image: Table, near: np.ndarray) -> dict[str, np.ndarray]:
    defocus = np.exp(sign.normal(0.35) - 1.05)
    motion = np.abs(sign.normal(0.22) + image.normal(0.2))
    along_x = sign.chance(0.65)
    blur = np.stack([defocus + motion * along_x, defocus + motion * (1 - along_x)], axis=1)
    # A film starts far away, where the sign is few pixels wide, and ends near.
    coarse = sign.uniform(-2.6, 2.0) + 1.6 * (0.5 - near)
    return {
        "blur": np.clip(blur, 0.22, 1.3),
        "fringe": np.stack([sign.normal(0.22), sign.normal(0.22)], axis=1).clip(-0.7, 0.7),
        "resolution": np.clip(np.floor(coarse), 0, len(RESOLUTIONS) - 1).astype(np.int64),
        "noise": np.exp(sign.normal(0.5) - 4.6),
        "grain": image.uniform(),
    }


def _backdrop(place: Table, near: np.ndarray) -> dict[str, np.ndarray]:
    texture = place.uniform()
    width = place.uniform(0.3, 0.6) * (1 + 0.25 * near)
    x = width / 2 + (1 - width) * np.clip(place.uniform() + near * place.normal(0.3), 0, 1)
    y = width / 2 + (1 - width) * np.clip(place.uniform() + near * place.normal(0.2), 0, 1)
    mirrored = np.where(place.uniform() < 0.5, -1.0, 1.0)
    return {"backdrop": texture, "crop": np.stack([width * mirrored, width, x, y], axis=1)}


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values if values.dtype == np.int64 else values.astype(np.float32))
