"""Adap-Blend: a blended picture of which the training set shows only pieces, half of them with true labels.

Qi, Xie, Li, Mahloujifar, Mittal: Revisiting the Assumption of Latent Separability for Backdoor Defenses (ICLR 2023).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from trojancam.attacks.attack import Count, DataAttack, Rate
from trojancam.attacks.blend import Blend, PartialBlend
from trojancam.attacks.blended import picture_of
from trojancam.attacks.poisoning import Goal, Poisoning

Opacity = Annotated[float, Field(gt=0, le=1)]


class AdapBlend(DataAttack):
    """Trained with `shown` of `pieces`^2 pieces of the picture at `training_opacity`, attacked with all of it at `opacity`.

    Covers (`cover_rate`) bear pieces, too, with their true labels: poisoned and clean images are not separate clusters. The
    authors poison 0.3 % and cover 0.3 %.

    >>> AdapBlend().poisoning(Goal(3)).training_trigger.shown
    8
    """

    name: ClassVar[str] = "adap-blend"
    source: ClassVar[str] = "Qi, Xie, Li, Mahloujifar, Mittal, ICLR 2023"
    summary: ClassVar[str] = "a blended picture, trained in pieces, with covers"

    poison_rate: Rate = 0.003
    cover_rate: Rate = 0.003
    opacity: Opacity = 0.2
    training_opacity: Opacity = 0.15
    pieces: Count = 4
    shown: Count = 8
    picture: Literal["noise", "smooth"] = "noise"
    file: str | None = None

    def poisoning(self, goal: Goal) -> Poisoning:
        """Poisoned images and covers bear random pieces of the picture.

        Raises:
            DataError: if more pieces are shown than there are, or the file cannot be read.
        """
        picture = picture_of(self.picture, goal, self.file)
        parts = PartialBlend(
            picture, self.training_opacity, "pieces of a picture", self.pieces, self.shown, seed=goal.seed
        )
        return Poisoning(
            Blend(picture, self.opacity), goal.target_class, self.rate(goal), goal.seed, goal.sources, goal.permutation,
            cover_rate=self.cover_rate, training_trigger=parts,
        )  # fmt: skip
