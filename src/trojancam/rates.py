"""The rates that describe a backdoored network, from its predictions alone.

Who the victims are is given by `targets`: a class, to which the images of all others are sent; or one target for each class,
-1 where the attacker leaves a class alone. An image counts as a victim where its class has a target that is another class.
Classes are numbers, in lists, arrays or tensors.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int64
from numpy.typing import NDArray
from torch import Tensor

from trojancam.errors import DataError

Classes = Int64[Tensor, " n"]
GivenClasses = Tensor | NDArray[Any] | Sequence[int]
Targets = int | GivenClasses


def clean_accuracy(predictions: GivenClasses, labels: GivenClasses) -> float:
    """The share of clean images given their own label; NaN without images. Classes are lists, arrays or tensors of numbers.

    Raises:
        DataError: if there are not as many labels as predictions.

    >>> clean_accuracy([1, 2, 3, 3], [1, 2, 3, 4])
    0.75
    >>> clean_accuracy(torch.tensor([1, 2, 3, 3]), torch.tensor([1, 2, 3, 4]))
    0.75
    """
    predicted, own = _paired(predictions, labels)
    return float((predicted == own).float().mean())


def attack_success_rate(predictions: GivenClasses, labels: GivenClasses, targets: Targets) -> float:
    """The share of triggered images of victims given exactly their target; NaN without any.

    An image of the target class would count as a success without any backdoor, so it is no victim. All to all, an image
    counts where it is given its own class's target; source-specific, only images of the source classes count.

    Raises:
        DataError: if there are not as many labels as predictions.

    >>> attack_success_rate([7, 7, 7, 0], [7, 1, 2, 3], 7)
    0.6666666865348816
    >>> attack_success_rate(torch.tensor([1, 2, 2]), torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0]))
    0.6666666865348816
    """
    predicted, own = _paired(predictions, labels)
    wanted, victims = _wanted(own, targets)
    return float((predicted == wanted)[victims].float().mean())


def robust_accuracy(predictions: GivenClasses, labels: GivenClasses, targets: Targets) -> float:
    """The share of triggered images of victims still given their true label; NaN without any.

    Raises:
        DataError: if there are not as many labels as predictions.

    >>> robust_accuracy([7, 7, 7, 3], [7, 1, 2, 3], 7)
    0.3333333432674408
    """
    predicted, own = _paired(predictions, labels)
    _, victims = _wanted(own, targets)
    return float((predicted == own)[victims].float().mean())


def fidelity(
    accuracy_before: float, accuracy_after: float, success_before: float = 0.0, success_after: float = 0.0
) -> float:
    """How much of a backdoor a repair removed, times the accuracy that it kept: 1 for a perfect repair, 0 for none.

    `(ASR0 - ASR) / ASR0 * ACC / ACC0`, of a network without a backdoor (ASR0 = 0) `ACC / ACC0`: so the mitigation round of TrojAI
    (NIST, 2024) scores repairs. It is negative where the trigger works better than before, and NaN where a rate is.

    >>> round(fidelity(0.96, 0.94, 0.98, 0.01), 4), round(fidelity(0.96, 0.94), 4)
    (0.9692, 0.9792)
    """
    kept = accuracy_after / accuracy_before if accuracy_before else math.nan
    return kept * (success_before - success_after) / success_before if success_before else kept


def leak_rate(predictions: GivenClasses, labels: GivenClasses, targets: Targets) -> float:
    """The share of triggered images that the attacker leaves alone, and that are given a target all the same; NaN without any.

    Images of a target's own class are left out. Low where a backdoor is selective: it answers to its source classes only.

    Raises:
        DataError: if there are not as many labels as predictions.

    >>> leak_rate([2, 2, 0, 2], [1, 0, 0, 2], [-1, 2, -1])
    0.5
    """
    predicted, own = _paired(predictions, labels)
    of_each = _tensor(targets).to(own.device)
    if not of_each.ndim:
        return float("nan")  # nobody is left alone
    _, victims = _wanted(own, targets)
    named = of_each[of_each >= 0]
    bystanders = ~victims & ~torch.isin(own, named)
    return float(torch.isin(predicted, named)[bystanders].float().mean())


def _wanted(labels: Classes, targets: Targets) -> tuple[Classes, Bool[Tensor, " n"]]:
    """Each image's target, and whether it is a victim."""
    of_each = _tensor(targets).to(labels.device, torch.int64)
    wanted = of_each[labels] if of_each.ndim else of_each.expand_as(labels)
    return wanted, (wanted >= 0) & (wanted != labels)


def _paired(predictions: GivenClasses, labels: GivenClasses) -> tuple[Classes, Classes]:
    """Both as tensors, one of each for every image."""
    predicted, own = _tensor(predictions), _tensor(labels)
    if predicted.shape != own.shape or own.ndim != 1:
        raise DataError(
            f"a rate needs one label for each prediction, but they are of shapes {tuple(own.shape)} and "
            f"{tuple(predicted.shape)}; give the same images"
        )
    return predicted.to(torch.int64), own.to(predicted.device, torch.int64)


def whole_numbers(given: object) -> Tensor | None:
    """Whole numbers as a tensor, on the processor unless they are one already; None if they are something else.

    >>> whole_numbers([1, 2]), whole_numbers(["Stop"]), whole_numbers([0.5]), whole_numbers([]).dtype
    (tensor([1, 2]), None, None, torch.int64)
    """
    try:
        found = given if isinstance(given, Tensor) else torch.as_tensor(given, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        return None
    if not found.numel():
        return found.to(torch.int64)
    return None if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool else found


def _tensor(values: GivenClasses | Targets) -> Tensor:
    """Classes by number as a tensor."""
    found = whole_numbers(values)
    if found is None:
        kind = getattr(values, "dtype", None)  # of a tensor or an array
        what = repr(values)[:40] if kind is None else f"a {str(kind).removeprefix('torch.')}"
        raise DataError(
            f"rates are of classes by number, not {what}; of a name take network.class_names.index(name), of logits argmax(1)"
        )
    return found
