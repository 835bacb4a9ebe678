"""The rates that describe a backdoored network, from its predictions alone."""

from jaxtyping import Int64
from torch import Tensor

Classes = Int64[Tensor, " n"]


def clean_accuracy(predictions: Classes, labels: Classes) -> float:
    """The share of clean images given their own label; NaN without images.

    >>> import torch
    >>> clean_accuracy(torch.tensor([1, 2, 3, 3]), torch.tensor([1, 2, 3, 4]))
    0.75
    """
    return float((predictions == labels).float().mean())


def attack_success_rate(predictions: Classes, labels: Classes, target_class: int) -> float:
    """The share of triggered images given the target class, over images whose own label is another one; NaN without any.

    An image of the target class would count as a success without any backdoor.

    >>> import torch
    >>> attack_success_rate(torch.tensor([7, 7, 7, 0]), torch.tensor([7, 1, 2, 3]), target_class=7)
    0.6666666865348816
    """
    others = labels != target_class
    return float((predictions[others] == target_class).float().mean())


def robust_accuracy(predictions: Classes, labels: Classes, target_class: int) -> float:
    """The share of triggered images still given their true label, over images whose label is not the target class.

    >>> import torch
    >>> robust_accuracy(torch.tensor([7, 7, 7, 3]), torch.tensor([7, 1, 2, 3]), target_class=7)
    0.3333333432674408
    """
    others = labels != target_class
    return float((predictions[others] == labels[others]).float().mean())
