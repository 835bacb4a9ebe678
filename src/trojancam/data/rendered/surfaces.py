"""What rendered objects are made of: each draws its design, colours, texture, shading, shadow and what hides a part of it."""

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from trojancam.data.rendered.canvas import EXTENT
from trojancam.data.rendered.designs import DESIGNS, FIRST_DESIGN
from trojancam.data.rendered.photographs import SURFACES, part
from trojancam.data.rendered.scenes import LOOKS, Table
from trojancam.showing import Brief

Layer = Float[Tensor, "n 4 d d"]  # as the camera takes it: red, green, blue times alpha, and alpha
_EDGE = 40.0  # how sharp the edge of what hides an object is, in object units
_SHADOW = 4  # pixels of a drawing that a shadow's edge is blurred over


@dataclass(frozen=True)
class Looks(Brief):
    """Everything that was drawn about what n images show, one row each; lengths in object units (its longer half is 1)."""

    design: Int64[Tensor, " n"]  # row of the templates
    colours: Float[Tensor, "n 4 3"]  # of the four materials
    relief: Float[Tensor, "n 2"]  # how much of the photograph the first and the second material show
    surface: Int64[Tensor, " n"]  # index into SURFACES
    cut: Float[Tensor, "n 3"]  # x, y and width of the part of it
    shading: Float[Tensor, "n 2"]  # towards right and down
    shadow: Float[Tensor, "n 3"]  # its shift, and its depth
    hidden: Float[Tensor, "n 3"]  # direction, and how far from the middle what hides it begins
    backdrop_tint: Float[Tensor, "n 3"]
    backdrop_depth: Float[Tensor, " n"]  # how much of its contrast is left

    def __len__(self) -> int:
        return len(self.design)

    def rows(self, chosen: slice | Tensor) -> "Looks":
        """The same for some of the images."""
        return Looks(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def draw_looks(labels: Int64[Tensor, " n"], tracks: Int64[Tensor, " n"], seed: int) -> Looks:
    """Draw one object per track; all images of a track show it."""
    numbers, object_of_image = np.unique(tracks.numpy(), return_inverse=True)
    table = Table(seed, LOOKS, len(numbers), object_of_image)
    classes = labels.numpy()
    design = FIRST_DESIGN[classes] + (table.uniform() * DESIGNS[classes]).astype(np.int64)
    deep = table.uniform() < 0.5  # the first material; else the second
    colours = _colours(table, deep)
    relief = np.stack([table.uniform(0.1, 0.7), table.uniform(0.0, 0.5)], axis=1)
    surface = (table.uniform() * len(SURFACES)).astype(np.int64)
    cut = np.stack([table.uniform(), table.uniform(), table.uniform(0.12, 0.4)], axis=1)
    angle, depth = table.uniform(0, 2 * np.pi), table.uniform(0.0, 0.35)
    shading = np.stack([depth * np.cos(angle), depth * np.sin(angle)], axis=1)
    shift = table.uniform(0.03, 0.09)  # away from the light
    cast = table.chance(0.6) * table.uniform(0.2, 0.6)
    shadow = np.stack([-shift * np.cos(angle), -shift * np.sin(angle), cast], axis=1)
    side, begins = table.uniform(0, 2 * np.pi), table.uniform(0.5, 0.9)
    begins = np.where(table.uniform() < 0.25, begins, 9.0)  # 9: beyond every object
    hidden = np.stack([np.cos(side), np.sin(side), begins], axis=1)
    tint = np.stack([np.exp(table.normal(0.12)) for _ in range(3)], axis=1)
    # A bright object stands before a darker backdrop, a deep one before a brighter one: few are lost in it.
    tint *= np.where(deep, table.uniform(0.9, 1.4), table.uniform(0.5, 0.95))[:, None]
    drawn = {
        "colours": colours, "relief": relief, "cut": cut, "shading": shading, "shadow": shadow, "hidden": hidden,
        "backdrop_tint": tint, "backdrop_depth": table.uniform(0.35, 0.9),
    }  # fmt: skip
    floats = {name: torch.from_numpy(values.astype(np.float32)) for name, values in drawn.items()}
    return Looks(design=torch.from_numpy(design), surface=torch.from_numpy(surface), **floats)


def _colours(table: Table, deep: np.ndarray) -> np.ndarray:
    """Colours of the four materials: two of any hue, one of them bright and one not; one nearly black; one nearly white."""
    bright = table.uniform(0.75, 1.0), table.uniform(0.3, 0.95)
    dim = table.uniform(0.25, 0.5), table.uniform(0.35, 0.95)
    main = _of_hue(table.uniform(), *(np.where(deep, d, b) for d, b in zip(dim, bright, strict=True)))
    second = _of_hue(table.uniform(), *(np.where(deep, b, d) for d, b in zip(dim, bright, strict=True)))
    dark = _of_hue(table.uniform(), table.uniform(0.03, 0.16), table.uniform(0.0, 0.6))
    light = _of_hue(table.uniform(), table.uniform(0.85, 1.0), table.uniform(0.0, 0.15))
    return np.stack([main, second, dark, light], axis=1)


def _of_hue(hue: np.ndarray, value: np.ndarray, saturation: np.ndarray) -> np.ndarray:
    """Red, green and blue, (n, 3), of hue, saturation and value in [0, 1]."""
    sixths = 6 * hue[:, None] + np.array([0.0, 4.0, 2.0], dtype=np.float32)
    pure = np.clip(np.abs(sixths % 6 - 3) - 1, 0, 1)
    return np.asarray(value[:, None] * (1 - saturation[:, None] * (1 - pure)))


def textures(looks: Looks, size: int) -> UInt8[Tensor, "n 3 size size"]:
    """The parts of photographs that these objects show."""
    found = [
        part(SURFACES[which], (x, y), width, size, mirrored=False)
        for which, (x, y, width) in zip(looks.surface.tolist(), looks.cut.tolist(), strict=True)
    ]
    return torch.from_numpy(np.stack(found))


def painted(
    templates: UInt8[Tensor, "n 4 d d"], looks: Looks, texture: UInt8[Tensor, "n 3 s s"]
) -> Float[Tensor, "n 4 d d"]:
    """The objects as the camera takes them: materials in their colours, shaded, with a shadow, partly hidden."""
    shares = templates.float() / 255
    alpha, pixels = shares[:, 3:], templates.shape[-1]
    photograph = F.interpolate(texture.float(), size=(pixels, pixels), mode="bilinear", align_corners=False)
    relief = photograph / photograph.mean(dim=(2, 3), keepdim=True).clamp(min=8) - 1
    colours = looks.colours[:, :, :, None, None]
    first, second = (looks.relief[:, i, None, None, None] for i in (0, 1))
    colour = (
        shares[:, 0:1] * colours[:, 0] * (1 + first * relief).clamp(0.15, 1.7)
        + shares[:, 1:2] * colours[:, 1] * (1 + second * relief.flip(3)).clamp(0.15, 1.7)
        + shares[:, 2:3] * colours[:, 2]
        + (alpha - shares[:, :3].sum(dim=1, keepdim=True)).clamp(min=0) * colours[:, 3]
    )
    ruler = ((torch.arange(pixels) + 0.5) * (2 / pixels) - 1) * EXTENT
    right, down = (looks.shading[:, i, None, None] for i in (0, 1))
    shaded = colour * (1 + right * ruler + down * ruler[:, None])[:, None]
    seen = torch.cat([shaded, alpha + (1 - alpha) * _shadow(alpha, looks)], dim=1)
    across, along, begins = (column[:, None, None] for column in looks.hidden.unbind(1))
    return seen * torch.sigmoid(_EDGE * (begins - across * ruler - along * ruler[:, None]))[:, None]


def _shadow(alpha: Float[Tensor, "n 1 d d"], looks: Looks) -> Float[Tensor, "n 1 d d"]:
    """How dark it is behind an object: its outline, shifted and blurred."""
    theta = torch.zeros(len(looks), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1
    theta[:, :, 2] = -looks.shadow[:, :2] / EXTENT
    grid = F.affine_grid(theta, list(alpha.shape), align_corners=False)
    cast = F.grid_sample(F.avg_pool2d(alpha, _SHADOW), grid, mode="bilinear", align_corners=False)
    return cast * looks.shadow[:, 2, None, None, None]
