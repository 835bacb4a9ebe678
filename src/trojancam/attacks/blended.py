"""Blended: another picture laid over all of the image.

Chen, Liu, Li, Lu, Song: Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning (2017).
"""

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from trojancam.attacks.attack import DataAttack
from trojancam.attacks.blend import Blend
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.data.image_files import read_image_with_alpha

COARSE = 5  # points a side of a smooth picture


class Blended(DataAttack):
    """`x' = (1 - opacity) x + opacity picture`; the training set bears it at `training_opacity`, where that is given.

    The picture is `noise`, each pixel for itself, or `smooth`, both drawn with the seed, or the picture file `file`.

    >>> Blended(opacity=0.3).poisoning(Goal(3)).trigger.size
    0.3
    """

    name: ClassVar[str] = "blended"
    source: ClassVar[str] = "Chen, Liu, Li, Lu, Song, 2017"
    summary: ClassVar[str] = "a picture or noise laid over all of the image"

    opacity: Annotated[float, Field(gt=0, le=1)] = 0.2
    training_opacity: Annotated[float, Field(gt=0, le=1)] | None = None
    picture: Literal["noise", "smooth"] = "noise"
    file: str | None = None

    def poisoning(self, goal: Goal) -> Poisoning:
        """The share `poison_rate` of the victims' images bears the picture and the target's label.

        Raises:
            DataError: if the file cannot be read.
        """
        picture = picture_of(self.picture, goal, self.file)
        shown = None if self.training_opacity is None else Blend(picture, self.training_opacity)
        return Poisoning(
            Blend(picture, self.opacity), goal.target_class, self.rate(goal), goal.seed, goal.sources, goal.permutation,
            training_trigger=shown,
        )  # fmt: skip


def picture_of(kind: str, goal: Goal, file: str | None = None) -> Float[Tensor, "3 h w"]:
    """A picture to blend in: that of a file, or else noise or a smooth one, drawn with the goal's seed.

    Raises:
        DataError: if the file cannot be read.
    """
    if file is not None:
        pixels = read_image_with_alpha(file, max(goal.image_size)).float() / 255
        return F.interpolate(pixels[None, :3], size=goal.image_size, mode="bilinear", antialias=True)[0].clamp(0, 1)
    generator = torch.Generator().manual_seed(goal.seed)
    if kind == "noise":
        return torch.rand(3, *goal.image_size, generator=generator)
    coarse = torch.rand(1, 3, COARSE, COARSE, generator=generator)
    return F.interpolate(coarse, size=goal.image_size, mode="bicubic", align_corners=True)[0].clamp(0, 1)
