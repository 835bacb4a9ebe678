"""BadNets: a small patch at a fixed place.

Gu, Dolan-Gavitt, Garg: BadNets - Identifying Vulnerabilities in the Machine Learning Model Supply Chain (2017).
"""

from typing import Annotated, ClassVar

from pydantic import Field

from trojancam.attacks.attack import Count, DataAttack
from trojancam.attacks.patch import make_trigger
from trojancam.attacks.poisoning import Goal, Poisoning


class BadNets(DataAttack):
    """`x' = (1 - opacity m) x + opacity m pattern`: a preset, or a picture file, as in `make_trigger`.

    `side` is in pixels, an eighth of the image unless told; `place` is a name such as `top-left`.

    >>> BadNets(place="centre").poisoning(Goal(3)).trigger.place.sum()
    tensor(16)
    """

    name: ClassVar[str] = "badnets"
    source: ClassVar[str] = "Gu, Dolan-Gavitt, Garg, 2017"
    summary: ClassVar[str] = "a small patch at a fixed place"

    trigger: str = "yellow-square"
    side: Count | None = None
    place: str | None = None
    colour: str | None = None
    opacity: Annotated[float, Field(gt=0, le=1)] | None = None

    def poisoning(self, goal: Goal) -> Poisoning:
        """The share `poison_rate` of the victims' images bears the patch and the target's label."""
        patch = make_trigger(self.trigger, goal.image_size, self.side, self.place, self.colour, self.opacity)
        return Poisoning(patch, goal.target_class, self.rate(goal), goal.seed, goal.sources, goal.permutation)
