"""Clean accuracy: how often a network is right on the labelled images of a scan, and whether that is enough to judge it by.

A scan asks which class a network prefers against the others. A network that never learned its classes prefers some of them
anyway, so that what is found in it says nothing of a backdoor.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from scipy import special

from trojancam.detection.suspect import Suspect
from trojancam.evaluation.statistics import share_interval
from trojancam.records import Fraction, Written, derived
from trojancam.showing import Brief

MOST = 0.5  # a network that is judged may be right on most images
LUCK = 0.01  # at most, is how likely its right answers are for one that guesses


@dataclass(frozen=True)
class CleanAccuracy(Written, Brief):
    """How often the network is right on the labelled images, with the exact 95 % interval of Clopper and Pearson (1934)."""

    right: int
    images: int
    chance: Annotated[Fraction, Field(description="How often guessing is right.")]

    @property
    @derived
    def value(self) -> Fraction:
        """The share of images that are given their own class."""
        return self.right / self.images

    @property
    @derived
    def low(self) -> Fraction:
        """The lower end of the interval."""
        return share_interval(self.right, self.images)[0]

    @property
    @derived
    def high(self) -> Fraction:
        """The upper end of the interval."""
        return share_interval(self.right, self.images)[1]

    def problem(self) -> str:
        """Why a network of this accuracy is not judged, in a sentence; empty if it is.

        It is judged unless it is clearly (by the interval) wrong on most images, or no better than guessing: the chance of
        so many right answers by guessing is above 1 %.

        >>> CleanAccuracy(97, 100, 1 / 43).problem(), CleanAccuracy(30, 100, 1 / 43).problem()[:58]
        ('', 'The network is right on 30 of 100 clean images: it is wron')
        """
        told = f"The network is right on {self.right} of {self.images} clean images"
        if special.bdtrc(self.right - 1, self.images, self.chance) > LUCK:
            return f"{told}, which is not clearly better than guessing ({self.chance:.0%})."
        if self.high < MOST:
            return f"{told}: it is wrong on most, and what a scan finds in such a network says nothing of a backdoor."
        return ""

    def in_words(self) -> str:
        """The share and its interval.

        >>> CleanAccuracy(97, 100, 1 / 43).in_words()
        'right on 97 of 100 clean images (97 %, 95 % interval 91 to 99 %)'
        """
        ends = f"{100 * self.low:.0f} to {100 * self.high:.0f} %"
        return f"right on {self.right} of {self.images} clean images ({100 * self.value:.0f} %, 95 % interval {ends})"


def clean_accuracy(suspect: Suspect) -> CleanAccuracy:
    """The accuracy on a suspect's images.

    Guessing is right as often as the shares of labels and of answers let it be, `sum_c labels_c answers_c`, at least in one of
    as many cases as there are classes.
    """
    network = suspect.network
    answers = suspect.network(suspect.images).argmax(1)
    count = len(answers)
    shares = [
        values.bincount(minlength=len(network.class_names)).double() / count for values in (suspect.labels, answers)
    ]
    chance = max(1 / suspect.classes, float(shares[0] @ shares[1]))
    return CleanAccuracy(int((answers == suspect.labels).sum()), count, min(1.0, chance))
