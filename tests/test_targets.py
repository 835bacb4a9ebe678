"""Targets: scores computed by hand, their gradients, and refusals."""

import math

import pytest
import torch

from nets import unchecked
from trojancam.errors import DataError, UnknownNameError
from trojancam.targets import Target, logit, logit_difference, probability

LOGITS = torch.tensor([[1.0, 5.0, 0.0], [2.0, -1.0, 2.5]])


def gradient(target: Target, logits: torch.Tensor) -> torch.Tensor:
    leaf = logits.clone().requires_grad_()
    (grad,) = torch.autograd.grad(target(leaf).sum(), leaf)
    return grad


@pytest.mark.parametrize(
    ("target", "scores", "name"),
    [
        (logit(0), [1.0, 2.0], "logit of class 0"),
        (logit(torch.tensor([1, 0])), [5.0, 2.0], "logit of each image's class"),
        (logit(), [5.0, 2.5], "logit of the predicted class"),
        (logit_difference(1, 0), [4.0, -3.0], "logit of class 1 less that of class 0"),
        (logit_difference(None, 2), [5.0, 0.0], "logit of the predicted class less that of class 2"),
    ],
)  # fmt: skip
def test_score_and_name(target: Target, scores: list[float], name: str) -> None:
    assert target(LOGITS).tolist() == scores
    assert target.name == name


def test_probability_is_the_softmax_in_double_precision() -> None:
    shares = [[math.exp(value) for value in row] for row in LOGITS.tolist()]
    expected = [shares[0][1] / sum(shares[0]), shares[1][1] / sum(shares[1])]
    assert probability(1)(LOGITS).tolist() == pytest.approx(expected, rel=1e-6)
    assert probability()(LOGITS).tolist() == pytest.approx([max(row) / sum(row) for row in shares], rel=1e-6)


def test_gradients_are_those_of_the_formulas() -> None:
    assert gradient(logit(1), LOGITS).tolist() == [[0, 1, 0], [0, 1, 0]]
    assert gradient(logit_difference(1, 0), LOGITS).tolist() == [[-1, 1, 0], [-1, 1, 0]]
    p = LOGITS.double().softmax(1)
    expected = -p[:, 1:2] * p
    expected[:, 1] += p[:, 1]
    torch.testing.assert_close(gradient(probability(1), LOGITS).double(), expected, atol=1e-7, rtol=1e-5)


def test_the_predicted_class_is_one_class_even_where_logits_tie() -> None:
    assert gradient(logit(), torch.zeros(2, 3)).tolist() == [[1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("target_class", [3, -1, torch.tensor([0, 3])])
@pytest.mark.parametrize("make", [logit, probability, lambda chosen: logit_difference(0, chosen)])
def test_a_class_that_is_not_there_is_refused(make, target_class) -> None:
    with pytest.raises(UnknownNameError, match="the network has classes 0 to 2"):
        make(target_class)(LOGITS)


def test_a_choice_for_another_number_of_images_is_refused() -> None:
    with pytest.raises(DataError, match="a target for 3 images cannot be taken of 2"), unchecked():
        logit(torch.tensor([0, 1, 2]))(LOGITS)


def test_any_function_of_the_logits_is_a_target() -> None:
    total = Target("sum of all logits", lambda logits: logits.sum(1))
    assert total(LOGITS).tolist() == [6.0, 3.5]
