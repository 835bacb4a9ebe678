"""Targets: scores computed by hand, their gradients, and refusals."""

import math

import pytest
import torch
from tests.nets import unchecked

from trojancam.errors import DataError, ModelError, UnknownNameError
from trojancam.network.targets import Target, custom, finer, logit, logit_difference, probability

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


def test_custom_is_a_named_function() -> None:
    margin = custom("margin of class 1", lambda logits: logits[:, 1] - logits[:, 0])
    assert margin.name == "margin of class 1"
    assert margin(LOGITS).tolist() == [4.0, -3.0]
    assert gradient(margin, LOGITS).tolist() == [[-1, 1, 0], [-1, 1, 0]]
    assert not margin.saturated(margin(LOGITS)).any()


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda logits: logits, r"gives torch.float32 of shape \(2, 3\) for 2 images"),
        (lambda logits: logits.sum(), r"gives torch.float32 of shape \(\) for 2 images"),
        (lambda logits: logits[:1, 0], r"gives torch.float32 of shape \(1,\) for 2 images"),
        (lambda logits: logits.argmax(1), r"gives torch.int64 of shape \(2,\) for 2 images"),
        (lambda logits: float(logits.sum()), "gives float for 2 images; it must give one float for each image"),
        (lambda logits: logits[:, 0] / 0, "gives inf for image 0; its scores must be finite"),
        (lambda logits: (logits[:, 1]).sqrt(), "gives nan for image 1; its scores must be finite"),
    ],
)
def test_a_function_that_gives_no_score_for_each_image_is_refused(function, problem) -> None:
    with pytest.raises(DataError, match=f"the target 'odd' {problem}"):
        custom("odd", function)(LOGITS)


def test_logits_that_are_not_finite_are_the_networks_fault() -> None:
    logits = LOGITS.clone()
    logits[1, 2] = torch.nan
    with pytest.raises(ModelError, match="the network's logits of image 1 are not finite; look for NaN"):
        logit(2)(logits)
    assert logit(0)(logits).tolist() == [1.0, 2.0], "another class may still be explained"


def test_a_single_class_has_no_probability_worth_explaining() -> None:
    with pytest.raises(DataError, match="the network has a single class, whose probability is always 1"):
        probability()(torch.zeros(2, 1))
    assert logit()(torch.zeros(2, 1)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("target", [logit(), probability(), logit_difference(None, 0)])
def test_a_settled_target_keeps_to_the_class_that_was_predicted(target) -> None:
    settled = target.settled(LOGITS)  # classes 1 and 2
    changed = LOGITS.flip(1)
    picked = changed.softmax(1) if target.bounds else changed
    expected = picked[[0, 1], [1, 2]]
    if "less" in target.name:
        expected = expected - changed[:, 0]
    torch.testing.assert_close(settled(changed), expected)
    assert settled.name == target.name
    assert settled.bounds == target.bounds


def test_a_target_of_a_class_is_settled_from_the_start() -> None:
    for target in (logit(1), probability(1), logit_difference(1, 0), custom("sum", lambda logits: logits.sum(1))):
        assert target.settled(LOGITS) is target


def test_only_a_probability_saturates() -> None:
    chances = torch.tensor([0.0, 1e-7, 1e-3, 0.5, 1 - 1e-3, 1 - 1e-7, 1.0])
    assert probability(0).saturated(chances).tolist() == [True, True, False, False, False, True, True]
    assert not logit(0).saturated(chances).any()


@pytest.mark.parametrize(
    "target",
    [
        logit(1), logit(), logit(torch.tensor([2, 0, 1])), probability(torch.tensor([2, 0, 1])),
        logit_difference(torch.tensor([2, 0, 1]), 1), logit_difference(0, torch.tensor([2, 1, 1])),
        custom("own", lambda logits: (logits * torch.tensor([[1.0, 2, 3], [0, 1, 0], [-1, 0, 5]])).sum(1)),
    ],
)  # fmt: skip
def test_the_score_of_some_images_of_a_batch_in_any_order_and_number(target: Target) -> None:
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    images = torch.tensor([2, 0, 0, 2, 1, 2])
    torch.testing.assert_close(target.of(images, 3)(logits[images]), target(logits)[images])
    own = target.of(images, 3)
    assert (own.name, own.bounds) == (target.name, target.bounds)
    rows = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    one_by_one = [target.of(images[row : row + 1], 3)(rows[row : row + 1])[0] for row in range(6)]
    torch.testing.assert_close(own(rows), torch.stack(one_by_one))


def test_the_gradient_of_some_images_scores_goes_to_their_rows_alone() -> None:
    images = torch.tensor([1, 1, 0])
    own = custom("own", lambda logits: (logits * torch.tensor([[1.0, 2, 3], [4, 5, 6]])).sum(1)).of(images, 2)
    assert gradient(own, torch.zeros(3, 3)).tolist() == [[4, 5, 6], [4, 5, 6], [1, 2, 3]]


def test_a_settled_score_keeps_its_name() -> None:
    assert logit().settled(LOGITS).name == "logit of the predicted class"
    assert logit().of(torch.tensor([1]), 2).settled(LOGITS[1:])(torch.tensor([[9.0, 0.0, 1.0]])).tolist() == [1.0]


def test_a_finer_score_is_what_tells_a_class_from_those_most_like_it() -> None:
    logits = torch.tensor([[1.0, 5.0, 4.5, -2.0, 3.0], [2.0, -1.0, 2.5, 0.0, 9.0]])
    # class 1 is most like 2 and 4, class 4 most like 2 and 0; the classes are given in the second call
    torch.testing.assert_close(finer(others=2)(logits), torch.tensor([5 - (4.5 + 3) / 2, 9 - (2.5 + 2) / 2]))
    torch.testing.assert_close(
        finer(torch.tensor([1, 0]), 0.5, 1)(logits), torch.tensor([5 - 0.5 * 4.5, 2 - 0.5 * 2.5])
    )
    assert gradient(finer(others=2), logits).tolist() == [[0, 1, -0.5, 0, -0.5], [-0.5, 0, -0.5, 0, 1]]
    assert finer(others=9)(logits[:1]).item() == pytest.approx(5 - (1 + 4.5 - 2 + 3) / 4)


def test_a_finer_score_keeps_to_the_classes_that_it_was_settled_on() -> None:
    logits = torch.tensor([[1.0, 5.0, 4.5, -2.0], [2.0, -1.0, 2.5, 9.0]])
    target = finer(others=1)
    settled = target.settled(logits)
    assert settled.name == target.name == "logit of the predicted class less those of the classes most like it"
    changed = logits.flip(1)
    torch.testing.assert_close(settled(changed), torch.tensor([4.5 - 5.0, 2.0 - (-1.0)]))
    some = torch.tensor([1, 1, 0])
    torch.testing.assert_close(settled.of(some, 2)(changed[some]), settled(changed)[some])
    torch.testing.assert_close(target.of(some, 2)(logits[some]), target(logits)[some])


def test_a_finer_score_of_a_single_class_is_refused() -> None:
    with pytest.raises(DataError, match="a single class, which no other is like"):
        finer(0)(torch.zeros(2, 1))
