"""Moving patch: a small pattern at a place that is drawn anew for each image; small in the sense of its area."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.attacks.encoding import from_png, to_png
from trojancam.attacks.family import Changed, ImageFamily, Images, Parameters, Sizes, for_each, picked
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError


@dataclass(frozen=True)
class MovingPatch(Trigger):
    """`x' = (1 - m_i) x + m_i pattern_i`, the mask and the pattern laid at a random place of each image i, inside it.

    Both lie in [0, 1]. The size is the sum of the mask: so many pixels, had they been replaced.
    """

    family: ClassVar[str] = "moving-patch"
    unit: ClassVar[str] = "pixels"

    mask: Float[Tensor, "rows columns"]
    pattern: Float[Tensor, "3 rows columns"]
    image_size: tuple[int, int] = (32, 32)
    seed: int = 0
    name: str = "moving patch"

    def __post_init__(self) -> None:
        if self.mask.shape != self.pattern.shape[1:]:
            raise DataError(
                f"a moving patch's mask {tuple(self.mask.shape)} and pattern {tuple(self.pattern.shape)} must match"
            )
        if any(side > whole for side, whole in zip(self.mask.shape, self.image_size, strict=True)):
            raise DataError(
                f"a patch of {tuple(self.mask.shape)} pixels does not fit into an image of {self.image_size}"
            )
        for part, values in (("mask", self.mask), ("pattern", self.pattern)):
            if not bool(((values >= 0) & (values <= 1)).all()):
                raise DataError(f"a moving patch's {part} must lie in [0, 1]")

    @property
    def size(self) -> float:
        """The sum of the mask."""
        return float(self.mask.sum())

    @property
    def side(self) -> int:
        """The longer side of the pattern."""
        return max(self.mask.shape)

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        rows, columns = self.mask.shape
        own = {"mask": self.mask[None].to(images), "pattern": self.pattern[None].to(images)}
        family = MovingPatchFamily(self.image_size, (rows, columns))
        return family.apply(images, own, self._generator(generator, self.seed))[0]

    def _to_record(self) -> dict[str, Any]:
        pixels = torch.cat([self.pattern, self.mask[None]])
        return {"png": to_png(pixels), "image_size": list(self.image_size), "seed": self.seed}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "MovingPatch":
        pixels = from_png(record["png"])
        height, width = (int(each) for each in record["image_size"])
        return cls(pixels[3], pixels[:3], (height, width), int(record["seed"]), str(record["name"]))


@dataclass(frozen=True)
class MovingPatchFamily(ImageFamily[MovingPatch]):
    """Parameters: `mask` (c rows columns) and `pattern` (c 3 rows columns) of patches with sides `sides`."""

    name = "moving-patch"
    unit = MovingPatch.unit
    scales = ("mask",)
    bounds: ClassVar = {"mask": (0.0, 1.0), "pattern": (0.0, 1.0)}
    start_size = 8.0

    sides: tuple[int, int] = (5, 5)

    def drawn(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """A mask of one value, and noise in colour."""
        pattern = torch.rand(count, 3, *self.sides, generator=generator)
        return {"mask": torch.ones(count, *self.sides), "pattern": pattern}

    def apply(self, images: Images, parameters: Parameters, generator: torch.Generator | None = None) -> Changed:
        """Every patch at the same place of an image, another one in each."""
        images = for_each(images)
        sides, count = parameters["mask"].shape[1:], images.shape[1]
        room = torch.tensor([whole - side + 1 for whole, side in zip(self.image_size, sides, strict=True)])
        draws = torch.rand(count, 2, generator=generator or torch.Generator().manual_seed(0))
        corners = (draws * room).long()
        laid = _laid(torch.cat([parameters["mask"][:, None], parameters["pattern"]], 1), corners, self.image_size)
        return images * (1 - laid[:, :, :1]) + laid[:, :, :1] * laid[:, :, 1:]

    def size(self, parameters: Parameters) -> Sizes:
        """The sum of the mask."""
        return parameters["mask"].abs().sum((1, 2))

    def member(self, parameters: Parameters, index: int = 0, name: str | None = None) -> MovingPatch:
        """One of the patches; as a record it is rounded to 8 bits."""
        one = picked(self.project(parameters), index)
        return MovingPatch(one["mask"], one["pattern"], self.image_size, name=name or MovingPatch.name)


def _laid(
    patches: Float[Tensor, "c 4 rows columns"], corners: Int64[Tensor, "n 2"], image_size: tuple[int, int]
) -> Float[Tensor, "c n 4 h w"]:
    """The patches on empty images with their upper left pixel at these rows and columns."""
    sides = patches.shape[2:]
    places = [  # of each image's pixels, in the patch; outside of it the one pixel more, which is empty
        torch.where((offset >= 0) & (offset < side), offset, side)
        for side, offset in (
            (side, torch.arange(whole) - corners[:, axis : axis + 1])
            for axis, (side, whole) in enumerate(zip(sides, image_size, strict=True))
        )
    ]
    padded = F.pad(patches, (0, 1, 0, 1))
    indices = (places[0][:, :, None] * (sides[1] + 1) + places[1][:, None, :]).to(patches.device)
    found = padded.flatten(2)[:, :, indices.flatten()]
    return found.view(len(patches), 4, len(corners), *image_size).movedim(1, 2)
