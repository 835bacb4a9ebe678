"""SCALE-UP: the class of a triggered image stays when its pixels are multiplied (Guo et al., ICLR 2023).

With clean images at hand: the share of multiples that keep the class, by class, in standard deviations of clean images.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.defences.defence import Reference, Scores, Seen, Test, answers

FACTORS = (3, 5, 7, 9, 11)


def learn(reference: Reference, factors: tuple[int, ...] = FACTORS) -> Test:
    """The test with the mean and the deviation of clean images of each class; `(SPC(x) - mean_c) / std_c`.

    A class with fewer than two clean images, or without any deviation among them, has the mean and the deviation of all.
    """
    shares = torch.cat([consistency(seen, factors) for seen in reference.seen()])
    means, deviations = by_class(shares, reference.logits.argmax(1), reference.logits.shape[1])

    def test(seen: Seen) -> Scores:
        return Scores((consistency(seen, factors) - means[seen.classes]) / deviations[seen.classes])

    return test


def consistency(seen: Seen, factors: tuple[int, ...] = FACTORS) -> Float[Tensor, " n"]:
    """The scaled prediction consistency, `SPC(x) = (1/m) sum_n [argmax f(min(n x, 1)) = argmax f(x)]`."""
    kept = [
        answers(seen.network, (seen.images * factor).clamp_(max=1)).cpu().argmax(1) == seen.classes
        for factor in factors
    ]
    return torch.stack(kept).float().mean(0)


def by_class(
    values: Float[Tensor, " n"], classes: Int64[Tensor, " n"], count: int
) -> tuple[Float[Tensor, " classes"], Float[Tensor, " classes"]]:
    """Mean and deviation of each class; of all images where a class says nothing.

    >>> by_class(torch.tensor([0.0, 1.0, 0.5]), torch.tensor([0, 0, 1]), 2)
    (tensor([0.5000, 0.5000]), tensor([0.7071, 0.5000]))
    """
    overall = float(values.std()) if len(values) > 1 else 0.0
    means, deviations = values.mean().repeat(count), torch.full((count,), overall or 1.0)
    for number in classes.unique().tolist():
        own = values[classes == number]
        if len(own) > 1 and float(own.std()) > 0:
            means[number], deviations[number] = own.mean(), own.std()
    return means, deviations
