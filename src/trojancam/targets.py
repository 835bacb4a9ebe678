"""Targets: what a heat map explains, a score for each image computed from the logits.

Logits are the default. The gradient of a probability vanishes where the network is sure, and with it the heat map.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.errors import DataError, UnknownNameError

Logits = Float[Tensor, "n classes"]
Scores = Float[Tensor, " n"]
ClassChoice = int | Int64[Tensor, " n"] | None


@dataclass(frozen=True)
class Target:
    """A score of the logits: `target(logits)` is one number for each image; `name` says which, for people."""

    name: str
    score: Callable[[Logits], Scores]

    def __call__(self, logits: Logits) -> Scores:
        """The score of each image."""
        return self.score(logits)


def logit(target_class: ClassChoice = None) -> Target:
    """The logit `y^c` of a class: one for all images, one for each, or (None) the class predicted for each.

    Raises (when it is applied):
        UnknownNameError: if the network has no such class.
        DataError: if there are not as many classes as images.

    >>> logit(1)(torch.tensor([[1.0, 5.0], [2.0, 0.0]]))
    tensor([5., 0.])
    >>> logit()(torch.tensor([[1.0, 5.0], [2.0, 0.0]]))
    tensor([5., 2.])
    """
    return Target(_named("logit of", target_class), lambda logits: _picked(logits, target_class))


def probability(target_class: ClassChoice = None) -> Target:
    """The softmax probability of a class; on a confident network its gradient is close to zero.

    >>> probability(0)(torch.zeros(1, 4))
    tensor([0.2500])
    """
    return Target(_named("probability of", target_class), lambda logits: _picked(logits.softmax(1), target_class))


def logit_difference(target_class: ClassChoice, other_class: int | Int64[Tensor, " n"]) -> Target:
    """The logit of one class less that of another: what speaks for the first and against the second.

    >>> logit_difference(1, 0)(torch.tensor([[1.0, 5.0]]))
    tensor([4.])
    """
    name = f"{_named('logit of', target_class)} less {_named('that of', other_class)}"
    return Target(name, lambda logits: _picked(logits, target_class) - _picked(logits, other_class))


def _named(what: str, target_class: ClassChoice) -> str:
    if target_class is None:
        return f"{what} the predicted class"
    return f"{what} class {target_class}" if isinstance(target_class, int) else f"{what} each image's class"


def _picked(scores: Logits, target_class: ClassChoice) -> Scores:
    """Each image's score of its class."""
    classes = scores.argmax(1) if target_class is None else torch.as_tensor(target_class)
    if classes.ndim and len(classes) != len(scores):
        raise DataError(
            f"a target for {len(classes)} images cannot be taken of {len(scores)}; give one class for each image"
        )
    classes = classes.to(torch.int64).expand(len(scores))
    if len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < scores.shape[1]:
        raise UnknownNameError(
            f"the network has classes 0 to {scores.shape[1] - 1}; a target of {_extremes(classes)} is none of them"
        )
    return scores.gather(1, classes[:, None])[:, 0]


def _extremes(classes: Tensor) -> str:
    low, high = int(classes.min()), int(classes.max())
    return str(low) if low == high else f"{low} to {high}"
