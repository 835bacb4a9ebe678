"""SIG: a sinusoid added to all of the image, with or without a change of labels.

Barni, Kallas, Tondi: A New Backdoor Attack in CNNs by Training Set Corruption Without Label Poisoning (ICIP 2019).
"""

from typing import Annotated, ClassVar

from pydantic import Field

from trojancam.attacks.attack import DataAttack
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.attacks.stripes import Stripes
from trojancam.records import Positive


class Sig(DataAttack):
    """`x'(i, j) = clip(x + amplitude sin(2 pi frequency j / w))`, the same in all channels.

    The authors poison images of the target class alone and leave their labels: `clean_label`, with a higher `poison_rate`.

    >>> Sig(frequency=3).poisoning(Goal(3)).trigger.frequency
    (0.0, 3.0)
    """

    name: ClassVar[str] = "sig"
    source: ClassVar[str] = "Barni, Kallas, Tondi, ICIP 2019"
    summary: ClassVar[str] = "a sinusoid added to all of the image"

    amplitude: Annotated[float, Field(gt=0, le=1)] = 40 / 255
    frequency: Positive = 6.0
    clean_label: bool = False

    def poisoning(self, goal: Goal) -> Poisoning:
        """The share `poison_rate` of the victims' images, or with `clean_label` of the target's own, bears the stripes."""
        stripes = Stripes((self.amplitude,) * 3, (0.0, self.frequency), goal.image_size, name="SIG's stripes")
        return Poisoning(
            stripes, goal.target_class, self.rate(goal), goal.seed, goal.sources, goal.permutation, self.clean_label
        )
