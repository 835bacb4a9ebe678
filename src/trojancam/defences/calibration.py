"""Calibration: from scores to p-values and thresholds, by clean images that the defence did not learn from.

Conformal (Vovk et al., "Algorithmic Learning in a Random World", 2005; Bates et al., "Testing for outliers with conformal
p-values", 2023): a clean image is as likely to have any rank among clean images as any other. No distribution is assumed.
"""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from trojancam.errors import DataError
from trojancam.evaluation.statistics import conformal_p_values
from trojancam.showing import Brief


@dataclass(frozen=True)
class Calibration(Brief):
    """The scores of n clean images, in rising order.

    `p = (1 + #{clean scores >= score}) / (n + 1)`: among clean images, at most a share p has a p-value of p or less.
    """

    scores: Float[Tensor, " n"]

    @classmethod
    def of(cls, scores: Float[Tensor, " n"]) -> "Calibration":
        """The calibration by the scores of clean images, in any order.

        >>> import torch
        >>> Calibration.of(torch.tensor([3.0, 1.0, 2.0])).p_values(torch.tensor([2.5, 0.0]))
        tensor([0.5000, 1.0000], dtype=torch.float64)
        """
        return cls(scores.double().sort().values)

    def p_values(self, scores: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
        """The p-value of each score; that of a score that is not a number is 1."""
        return conformal_p_values(scores, self.scores)

    def threshold(self, false_alarms: float) -> float:
        """The score above which an image is suspicious: exactly then its p-value is at most `false_alarms`.

        Raises:
            DataError: if it is no rate, or there are too few clean images to tell.
        """
        check_rate(false_alarms)
        allowed = _allowed(false_alarms, len(self.scores))
        if not allowed:
            raise DataError(
                f"a threshold at {false_alarms:g} false alarms needs {fewest(false_alarms)} clean images, but there are "
                f"{len(self.scores)}; give more, or allow more false alarms"
            )
        return float(self.scores[-allowed])


def fewest(false_alarms: float) -> int:
    """How many clean images a threshold at this rate of false alarms needs.

    >>> fewest(0.01), fewest(0.05)
    (99, 19)
    """
    return math.ceil(1 / false_alarms - 1e-9) - 1


def check_rate(false_alarms: float) -> None:
    """Refuse what is no rate.

    Raises:
        DataError: if it does not lie between 0 and 1.
    """
    if not 0 < false_alarms < 1:
        raise DataError(f"the rate of false alarms must lie between 0 and 1, not at {false_alarms:g}; 0.01 is usual")


def _allowed(false_alarms: float, clean: int) -> int:
    """How many of the clean scores may lie at the threshold or above it."""
    return math.floor(false_alarms * (clean + 1) + 1e-9)
