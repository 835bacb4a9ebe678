"""Targets: what a heat map explains, a score for each image computed from the logits.

Logits are the default. The gradient of a probability vanishes where the network is sure, and with it the heat map.
Any other function of the logits is a target too: `custom("margin", lambda logits: logits[:, 3] - logits.logsumexp(1))`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.errors import DataError, ModelError, UnknownNameError

Logits = Float[Tensor, "n classes"]
Scores = Float[Tensor, " n"]
ClassChoice = int | Int64[Tensor, " n"] | None


VANISHED = 1e-6  # p (1 - p) below this: what float32 leaves of a probability's gradient is mostly rounding


@dataclass(frozen=True)
class Target:
    """A score of the logits: `target(logits)` is one number for each image; `name` says which, for people.

    `bounds` are those of the score where it has any: close to them its gradient vanishes. `settle` gives the same score
    of the classes that some logits predict, where the score is that of the predicted class.
    """

    name: str
    score: Callable[[Logits], Scores]
    bounds: tuple[float, float] | None = None
    settle: "Callable[[Logits], Target] | None" = None

    def __call__(self, logits: Logits) -> Scores:
        """The score of each image.

        Raises:
            DataError: if the function gives anything but one finite number for each image.
            ModelError: if it cannot, for the logits are not finite.
        """
        scores = self.score(logits)
        _check_scores(self.name, scores, logits)
        return scores

    def settled(self, logits: Logits) -> "Target":
        """The same score with its classes chosen once and for all: those that these logits predict.

        An image that is edited may be predicted another class; what is explained must not change with it.

        >>> logit().settled(torch.tensor([[1.0, 5.0]]))(torch.tensor([[3.0, 2.0]]))
        tensor([2.])
        """
        return self if self.settle is None else self.settle(logits)

    def saturated(self, scores: Scores) -> Bool[Tensor, " n"]:
        """Where a score with bounds is so close to one of them that its gradient has all but vanished.

        >>> probability(0).saturated(torch.tensor([0.5, 1.0]))
        tensor([False,  True])
        """
        if self.bounds is None:
            return torch.zeros(len(scores), dtype=torch.bool)
        low, high = self.bounds
        share = (scores.double() - low) / (high - low)
        return share * (1 - share) < VANISHED


def custom(name: str, function: Callable[[Logits], Scores]) -> Target:
    """Any function of the logits `n classes` that gives one finite score for each image, `n`.

    It must treat every image by itself, and be differentiable for the methods that follow gradients. Methods that edit
    images or activations apply it to the new logits.

    Raises (when it is applied):
        DataError: if the function gives anything else.

    >>> custom("margin of class 1", lambda logits: logits[:, 1] - logits.logsumexp(1))(torch.zeros(1, 2))
    tensor([-0.6931])
    """
    return Target(name, function)


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
    return _of_class(_named("logit of", target_class), target_class, _picked)


def probability(target_class: ClassChoice = None) -> Target:
    """The softmax probability of a class; on a confident network its gradient is close to zero.

    Raises (when it is applied):
        DataError: if the network has a single class, or there are not as many classes as images.
        UnknownNameError: if the network has no such class.

    >>> probability(0)(torch.zeros(1, 4))
    tensor([0.2500])
    """
    return _of_class(_named("probability of", target_class), target_class, _probability, bounds=(0.0, 1.0))


def logit_difference(target_class: ClassChoice, other_class: int | Int64[Tensor, " n"]) -> Target:
    """The logit of one class less that of another: what speaks for the first and against the second.

    Raises (when it is applied):
        UnknownNameError: if the network has no such class.
        DataError: if there are not as many classes as images.

    >>> logit_difference(1, 0)(torch.tensor([[1.0, 5.0]]))
    tensor([4.])
    """
    name = f"{_named('logit of', target_class)} less {_named('that of', other_class)}"
    return _of_class(
        name, target_class, lambda logits, classes: _picked(logits, classes) - _picked(logits, other_class)
    )


def _of_class(
    name: str,
    target_class: ClassChoice,
    score: Callable[[Logits, ClassChoice], Scores],
    bounds: tuple[float, float] | None = None,
) -> Target:
    """A score of a class, which is to be settled if it is that of the predicted class."""

    def of(classes: ClassChoice, settle: Callable[[Logits], Target] | None = None) -> Target:
        return Target(name, lambda logits: score(logits, classes), bounds, settle)

    return of(target_class, (lambda logits: of(logits.argmax(1))) if target_class is None else None)


def _probability(logits: Logits, classes: ClassChoice) -> Scores:
    if logits.shape[1] == 1:
        raise DataError("the network has a single class, whose probability is always 1; explain its logit instead")
    return _picked(logits.softmax(1), classes)


def _check_scores(name: str, scores: object, logits: Logits) -> None:
    if not isinstance(scores, Tensor) or scores.shape != logits.shape[:1] or not scores.is_floating_point():
        gives = (
            f"{scores.dtype} of shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        )
        raise DataError(
            f"the target {name!r} gives {gives} for {len(logits)} images; it must give one float for each image"
        )
    scores = scores.detach()
    finite = scores.isfinite()
    if not bool(finite.all()):
        index = int(finite.logical_not().nonzero()[0])
        if not bool(logits[index].isfinite().all()):
            raise ModelError(
                f"the network's logits of image {index} are not finite; look for NaN or infinity in its weights"
            )
        raise DataError(
            f"the target {name!r} gives {float(scores[index])} for image {index}; its scores must be finite"
        )


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
