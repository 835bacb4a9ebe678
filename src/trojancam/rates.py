"""The rates that describe a backdoored network, from its predictions alone.

Who the victims are is given by `targets`: a class, to which the images of all others are sent; or one target for each class,
-1 where the attacker leaves a class alone. An image counts as a victim where its class has a target that is another class.
"""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

Classes = Int64[Tensor, " n"]
Targets = int | Int64[Tensor, " classes"]


def clean_accuracy(predictions: Classes, labels: Classes) -> float:
    """The share of clean images given their own label; NaN without images.

    >>> import torch
    >>> clean_accuracy(torch.tensor([1, 2, 3, 3]), torch.tensor([1, 2, 3, 4]))
    0.75
    """
    return float((predictions == labels.to(predictions.device)).float().mean())


def attack_success_rate(predictions: Classes, labels: Classes, targets: Targets) -> float:
    """The share of triggered images of victims given exactly their target; NaN without any.

    An image of the target class would count as a success without any backdoor, so it is no victim. All to all, an image
    counts where it is given its own class's target; source-specific, only images of the source classes count.

    >>> import torch
    >>> attack_success_rate(torch.tensor([7, 7, 7, 0]), torch.tensor([7, 1, 2, 3]), 7)
    0.6666666865348816
    >>> attack_success_rate(torch.tensor([1, 2, 2]), torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0]))
    0.6666666865348816
    """
    wanted, victims = _wanted(labels.to(predictions.device), targets)
    return float((predictions == wanted)[victims].float().mean())


def robust_accuracy(predictions: Classes, labels: Classes, targets: Targets) -> float:
    """The share of triggered images of victims still given their true label; NaN without any.

    >>> import torch
    >>> robust_accuracy(torch.tensor([7, 7, 7, 3]), torch.tensor([7, 1, 2, 3]), 7)
    0.3333333432674408
    """
    labels = labels.to(predictions.device)
    _, victims = _wanted(labels, targets)
    return float((predictions == labels)[victims].float().mean())


def leak_rate(predictions: Classes, labels: Classes, targets: Targets) -> float:
    """The share of triggered images that the attacker leaves alone, and that are given a target all the same; NaN without any.

    Images of a target's own class are left out. Low where a backdoor is selective: it answers to its source classes only.

    >>> import torch
    >>> leak_rate(torch.tensor([2, 2, 0, 2]), torch.tensor([1, 0, 0, 2]), torch.tensor([-1, 2, -1]))
    0.5
    """
    if isinstance(targets, int):
        return float("nan")  # nobody is left alone
    labels = labels.to(predictions.device)
    _, victims = _wanted(labels, targets)
    named = targets[targets >= 0].to(predictions.device)
    bystanders = ~victims & ~torch.isin(labels, named)
    return float(torch.isin(predictions, named)[bystanders].float().mean())


def _wanted(labels: Classes, targets: Targets) -> tuple[Classes, Bool[Tensor, " n"]]:
    """Each image's target, and whether it is a victim."""
    wanted = torch.full_like(labels, targets) if isinstance(targets, int) else targets.to(labels.device)[labels]
    return wanted, (wanted >= 0) & (wanted != labels)
