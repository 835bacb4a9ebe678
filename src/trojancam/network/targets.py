"""Targets: what a heat map explains, a score for each image computed from the logits.

Logits are the default. The gradient of a probability vanishes where the network is sure, and with it the heat map.
Any other function of the logits is a target too: `custom("margin", lambda logits: logits[:, 3] - logits.logsumexp(1))`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.errors import DataError, ModelError, TrojanCamError, UnknownNameError
from trojancam.rates import whole_numbers

Logits = Float[Tensor, "n classes"]
Scores = Float[Tensor, " n"]
ClassChoice = int | Int64[Tensor, " n"] | None


NUDGE = 1e-3  # of the largest logit: so little, and so much more than rounding, are logits moved to see whether a score moves
VANISHED = 1e-6  # p (1 - p) below this: what float32 leaves of a probability's gradient is mostly rounding


@dataclass(frozen=True)
class Target:
    """A score of the logits: `target(logits)` is one number for each image; `name` says which, for people.

    `bounds` are those of the score where it has any: close to them its gradient vanishes. `settle` gives the same score
    of the classes that some logits predict, where the score is that of the predicted class; `choose` gives that of some images
    of a batch, where the score may know something of each, such as its class. `images` are those that it was chosen for.
    """

    name: str
    score: Callable[[Logits], Scores]
    bounds: tuple[float, float] | None = None
    settle: "Callable[[Logits], Target] | None" = None
    choose: "Callable[[Int64[Tensor, ' m'], int], Target] | None" = None
    images: Int64[Tensor, " m"] | None = None

    def __repr__(self) -> str:
        return f"Target({self.name!r})"

    def __call__(self, logits: Logits) -> Scores:
        """The score of each image.

        Raises:
            DataError: if the function gives anything but one finite number for each image.
            ModelError: if it cannot, for the logits are not finite.
        """
        scores = self.score(logits)
        _check_shape(self.name, scores, logits)
        _check_finite(self.name, scores, logits, self.images)
        return scores

    def settled(self, logits: Logits) -> "Target":
        """The same score with its classes chosen once and for all: those that these logits predict.

        An image that is edited may be predicted another class; what is explained must not change with it.

        >>> logit().settled(torch.tensor([[1.0, 5.0]]))(torch.tensor([[3.0, 2.0]]))
        tensor([2.])
        """
        return self if self.settle is None else replace(self.settle(logits), name=self.name)

    def of(self, images: Int64[Tensor, " m"], count: int) -> "Target":
        """The same score of some images of a batch of `count`, each as often as it is named, in any order.

        Raises:
            DataError: if it is a score of another number of images.

        >>> logit(torch.tensor([1, 0])).of(torch.tensor([1, 1, 0]), 2)(torch.tensor([[1.0, 5.0]] * 3))
        tensor([1., 1., 5.])
        """
        if self.choose is not None:
            return replace(self.choose(images, count), name=self.name, images=images)
        return replace(self, score=lambda logits: _of_some(self, logits, images, count), images=images)

    def check_followed(self, scores: Scores, logits: Logits) -> None:
        """Refuse a score that moves with the logits while no gradient of it leads back to them: its maps would all be blank.

        Called only where there is no gradient.

        A score that is the same whatever the logits has no gradient, and is not refused.

        Raises:
            DataError: if it was computed without operations of PyTorch.
        """
        logits = logits.detach()
        steps = torch.arange(1, 1 + logits.numel(), device=logits.device).view(logits.shape)
        nudged = logits + NUDGE * logits.abs().max().clamp(min=NUDGE) * steps.to(logits).cos()
        with torch.no_grad():  # logits in another order move a score that only counts or ranks them
            moved = [self.score(each) for each in (nudged, logits.flip(-1), -logits)]
        if not all(torch.equal(each, scores.detach()) for each in moved):
            raise DataError(
                f"the target {self.name!r} has no gradient: it does not depend on the logits by operations of torch that have "
                "one; compute it without .detach(), .numpy(), .item(), torch.tensor() and argmax"
            )

    def saturated(self, scores: Scores) -> Bool[Tensor, " n"]:
        """Where a score with bounds is so close to one of them that its gradient has all but vanished.

        >>> probability(0).saturated(torch.tensor([0.5, 1.0]))
        tensor([False,  True])
        """
        if self.bounds is None:
            return torch.zeros_like(scores, dtype=torch.bool)
        low, high = self.bounds
        share = (scores.double() - low) / (high - low)
        return share * (1 - share) < VANISHED


def custom(name: str, function: Callable[[Logits], Scores]) -> Target:
    """Any function of the logits `n classes` that gives one finite score for each image, `n`.

    It must treat every image by itself, and be differentiable for the methods that follow gradients. Methods that edit
    images or activations apply it to the new logits.

    Raises (when it is applied):
        DataError: if the function gives anything else, raises an error of its own, or has no gradient where one is followed.

    >>> custom("margin of class 1", lambda logits: logits[:, 1] - logits.logsumexp(1))(torch.zeros(1, 2))
    tensor([-0.6931])
    """

    def score(logits: Logits) -> Any:
        try:
            return function(logits)
        except (TrojanCamError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a function of the user's own may raise
            raise DataError(
                f"the target {name!r} raised {type(error).__name__} ({_first_line(error)}); correct it: it is given logits, a "
                f"tensor of shape {tuple(logits.shape)}, and must return one float for each image"
            ) from error

    return Target(name, score)


def _choice(target_class: object) -> ClassChoice:
    """One class by number, or one for each image; None is the predicted one.

    Raises:
        DataError: if it is none: only a network knows the names of its classes.
    """
    if target_class is None:
        return None
    if isinstance(target_class, int | np.integer) and not isinstance(target_class, bool):
        return int(target_class)
    if isinstance(target_class, str):
        raise DataError(
            f"a score alone does not know what classes are called, so {target_class!r} is none; give its number, or the name "
            f"itself as target={target_class!r}, which is the logit of that class"
        )
    numbers = whole_numbers(target_class)
    if numbers is None or not numbers.numel():
        raise DataError("a score is of a class by its number, or of one number for each image; give whole numbers")
    return numbers


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
    target_class = _choice(target_class)
    return _of_classes(_named("logit of", target_class), (target_class,), _picked)


def probability(target_class: ClassChoice = None) -> Target:
    """The softmax probability of a class; on a confident network its gradient is close to zero.

    Raises (when it is applied):
        DataError: if the network has a single class, or there are not as many classes as images.
        UnknownNameError: if the network has no such class.

    >>> probability(0)(torch.zeros(1, 4))
    tensor([0.2500])
    """
    target_class = _choice(target_class)
    return _of_classes(_named("probability of", target_class), (target_class,), _probability, bounds=(0.0, 1.0))


def logit_difference(target_class: ClassChoice, other_class: int | Int64[Tensor, " n"]) -> Target:
    """The logit of one class less that of another: what speaks for the first and against the second.

    Raises (when it is applied):
        UnknownNameError: if the network has no such class.
        DataError: if there are not as many classes as images.

    >>> logit_difference(1, 0)(torch.tensor([[1.0, 5.0]]))
    tensor([4.])
    """
    classes = _choice(target_class), _choice(other_class)
    name = f"{_named('logit of', classes[0])} less {_named('that of', classes[1])}"
    return _of_classes(name, classes, _difference)


def finer(target_class: ClassChoice = None, strength: float = 1.0, others: int = 3) -> Target:
    """The logit of a class less the mean of the classes most like it: what tells it from these (Finer-CAM, arXiv 2501.11309).

    `y^c - strength * mean_d y^d`, where the d are the `others` classes with the logits nearest to `y^c` in the image as it was.

    Raises (when it is applied):
        UnknownNameError: if the network has no such class.
        DataError: if there are not as many classes as images, or the network has a single class.

    >>> finer(others=1)(torch.tensor([[5.0, 4.0, 0.0]]))
    tensor([1.])
    """
    target_class = _choice(target_class)
    name = f"{_named('logit of', target_class)} less those of the classes most like it"

    def score(logits: Logits) -> Scores:
        return settled(logits).score(logits)

    def settled(logits: Logits) -> Target:
        own = _picked(logits.detach(), target_class)
        if logits.shape[1] == 1:
            raise DataError("the network has a single class, which no other is like; explain its logit instead")
        away = (logits.detach() - own[:, None]).abs()
        classes = logits.argmax(1) if target_class is None else torch.as_tensor(target_class).expand(len(logits))
        away.scatter_(1, classes.to(logits.device)[:, None], torch.inf)
        like = away.topk(min(others, logits.shape[1] - 1), largest=False).indices
        return _finer(name, classes, like, strength)

    def chosen(images: Int64[Tensor, " m"], count: int) -> Target:
        return finer(_of_images(target_class, images, count), strength, others)

    return Target(name, score, None, settled, chosen)


def _finer(name: str, classes: Int64[Tensor, " n"], like: Int64[Tensor, "n d"], strength: float) -> Target:
    """The score of classes and of those like them, both settled."""

    def score(logits: Logits) -> Scores:
        _check_count(classes, len(logits))
        return _picked(logits, classes) - strength * logits.gather(1, like.to(logits.device)).mean(1)

    def chosen(images: Int64[Tensor, " m"], count: int) -> Target:
        _check_count(classes, count)
        return _finer(name, classes.to(images.device)[images], like.to(images.device)[images], strength)

    return Target(name, score, choose=chosen)


def _of_classes(
    name: str,
    classes: tuple[ClassChoice, ...],
    score: Callable[..., Scores],
    bounds: tuple[float, float] | None = None,
) -> Target:
    """A score of classes, of which the first is to be settled if it is the predicted one."""

    def settled(logits: Logits) -> Target:
        return _of_classes(name, (logits.argmax(1), *classes[1:]), score, bounds)

    def chosen(images: Int64[Tensor, " m"], count: int) -> Target:
        return _of_classes(name, tuple(_of_images(choice, images, count) for choice in classes), score, bounds)

    settle = settled if classes[0] is None else None
    return Target(name, lambda logits: score(logits, *classes), bounds, settle, chosen)


def _probability(logits: Logits, classes: ClassChoice) -> Scores:
    if logits.shape[1] == 1:
        raise DataError("the network has a single class, whose probability is always 1; explain its logit instead")
    return _picked(logits.softmax(1), classes)


def _difference(logits: Logits, classes: ClassChoice, others: ClassChoice) -> Scores:
    return _picked(logits, classes) - _picked(logits, others)


def _of_some(target: Target, logits: Logits, images: Int64[Tensor, " m"], count: int) -> Scores:
    """The scores of rows that are each of some image, from a function that is given whole batches of images.

    In each batch every image has one of its rows; where it has none left, another image's row stands in and does not count.
    """
    order = images.argsort(stable=True)
    first = torch.searchsorted(images[order], images[order])
    turn = torch.empty_like(order)
    turn[order] = torch.arange(len(order), device=order.device) - first  # how many rows before are of the same image
    batches = [(turn == number).nonzero()[:, 0] for number in range(int(turn.amax()) + 1)] if len(turn) else [order]
    scores = []
    for rows in batches:
        row_of_image = rows[:1].expand(count).clone()
        row_of_image[images[rows]] = rows
        found = target.score(logits[row_of_image])
        _check_shape(target.name, found, logits[row_of_image])
        scores.append(found[images[rows]])
    return torch.cat(scores)[torch.cat(batches).argsort()]


def _check_shape(name: str, scores: object, logits: Logits) -> None:
    if not isinstance(scores, Tensor) or scores.shape != logits.shape[:1] or not scores.is_floating_point():
        gives = (
            f"{scores.dtype} of shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        )
        raise DataError(
            f"the target {name!r} gives {gives} for {len(logits)} images; it must give one float for each image"
        )


def _check_finite(name: str, scores: Scores, logits: Logits, images: Int64[Tensor, " m"] | None) -> None:
    scores = scores.detach()
    finite = scores.isfinite()
    if not bool(finite.all()):
        row = int(finite.logical_not().nonzero()[0])
        image = row if images is None else int(images[row])
        if not bool(logits[row].isfinite().all()):
            raise ModelError(
                f"the network's logits of image {image} are not finite; look for NaN or infinity in its weights"
            )
        raise DataError(f"the target {name!r} gives {float(scores[row])} for image {image}; its scores must be finite")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "without words")


def _named(what: str, target_class: ClassChoice) -> str:
    if target_class is None:
        return f"{what} the predicted class"
    return f"{what} class {target_class}" if isinstance(target_class, int) else f"{what} each image's class"


def _picked(scores: Logits, target_class: ClassChoice) -> Scores:
    """Each image's score of its class."""
    if isinstance(target_class, int):
        _check_classes(target_class, target_class, scores.shape[1])
        return scores[:, target_class]
    classes = scores.argmax(1) if target_class is None else target_class.to(scores.device, torch.int64)
    _check_count(classes, len(scores))
    if len(scores):
        _check_classes(int(classes.amin()), int(classes.amax()), scores.shape[1])
    return scores.gather(1, classes.expand(len(scores))[:, None])[:, 0]


def _of_images(choice: ClassChoice, images: Int64[Tensor, " m"], count: int) -> int | Tensor | None:
    """The classes of some images of a batch."""
    if not isinstance(choice, Tensor) or not choice.ndim:
        return choice
    _check_count(choice, count)
    return choice.to(images.device)[images]


def _check_count(classes: Int64[Tensor, " *n"], count: int) -> None:
    if classes.ndim and len(classes) != count:
        raise DataError(f"a target for {len(classes)} images cannot be taken of {count}; give one class for each image")


def _check_classes(low: int, high: int, classes: int) -> None:
    if not 0 <= low <= high < classes:
        which = str(low) if low == high else f"{low} to {high}"
        raise UnknownNameError(f"the network has classes 0 to {classes - 1}; a target of {which} is none of them")
