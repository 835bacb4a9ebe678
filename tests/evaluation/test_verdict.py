"""Verdicts: the winner where there is one, the tied group where there is none, and how often chance makes a winner."""

import pytest
import torch
from tests.nets import unchecked
from torch import Tensor

from trojancam.errors import DataError
from trojancam.evaluation.statistics import holm, paired_difference, sign_flip_p_values
from trojancam.evaluation.verdict import winner


def noise(seed: int, images: int = 60) -> Tensor:
    return torch.randn(images, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_clear_winner_and_its_rivals_nearest_first() -> None:
    hardness = 10 * noise(9)
    scores = {"far": hardness + noise(1), "best": hardness + noise(2) + 4, "near": hardness + noise(3) + 2}
    verdict = winner(scores)
    assert (verdict.best, verdict.winner, verdict.tied) == ("best", "best", ("best",))
    assert [rival.method for rival in verdict.rivals] == ["near", "far"]
    alone, behind = paired_difference(scores["best"], scores["near"]), verdict.rivals[0].behind
    assert (behind.mean, behind.low, behind.high) == pytest.approx((alone.mean, alone.low, alone.high))
    assert str(verdict).startswith("best wins: it is significantly better than every other method")
    assert "60 images)" in str(verdict)


def test_p_values_are_adjusted_by_holm() -> None:
    scores = {"a": noise(1) + 0.5, "b": noise(2) + 0.2, "c": noise(3), "d": noise(4) + 0.3}
    verdict = winner(scores)
    names = [rival.method for rival in verdict.rivals]
    raw = sign_flip_p_values(torch.stack([scores[verdict.best] - scores[name] for name in names]))
    assert [rival.p_value for rival in verdict.rivals] == holm(raw).tolist()
    assert verdict.tied == (verdict.best, *(r.method for r in verdict.rivals if r.p_value > 0.05))


def test_a_tie_names_the_group() -> None:
    one = noise(1)
    verdict = winner({"Grad-CAM": one + 1, "HiResCAM": one + 1, "random": one - 1})
    assert verdict.winner is None
    assert verdict.tied == ("Grad-CAM", "HiResCAM")
    assert "no method wins: Grad-CAM has the best mean, but HiResCAM is not significantly worse" in str(verdict)
    three = winner({"a": one, "b": one, "c": one})
    assert three.tied == ("a", "b", "c")
    assert "but b, c are not" in str(three)


def test_lower_may_be_better() -> None:
    scores = {"a": noise(1), "b": noise(2) - 3}
    down, turned = winner(scores, higher_is_better=False), winner({name: -values for name, values in scores.items()})
    assert down == turned
    assert down.winner == "b"
    assert down.rivals[0].behind.mean > 0


def test_images_that_are_undefined_for_one_count_for_none() -> None:
    a, b = noise(1) + 5, noise(2)
    a[:10], b[5:20] = torch.nan, torch.inf
    verdict = winner({"a": a, "blank": torch.full((60,), torch.nan), "b": b})
    assert (verdict.images, verdict.dropped, verdict.undefined) == (40, 20, ("blank",))
    assert verdict.rivals[0].behind.mean == pytest.approx(float((a - b)[20:].mean()))
    assert "40 images, 20 left out as undefined" in str(verdict)


def test_two_images_never_make_a_winner() -> None:
    assert winner({"a": torch.tensor([9.0, 9.5]), "b": torch.tensor([1.0, 1.0])}).winner is None


def test_chance_rarely_makes_a_winner() -> None:
    trials = 200
    won = sum(
        winner({name: noise(10 * trial + i, 20) for i, name in enumerate("ab")}, draws=499).winner is not None
        for trial in range(trials)
    )
    assert won <= 0.05 * trials + 3 * (0.05 * 0.95 * trials) ** 0.5


def test_bad_input_is_named() -> None:
    one = noise(1)
    with pytest.raises(DataError, match="at least two methods with scores, but there is 1; no finite score: b"):
        winner({"a": one, "b": torch.full((60,), torch.nan)})
    with pytest.raises(DataError, match="there is none"):
        winner({})
    with unchecked(), pytest.raises(DataError, match="the numbers of scores differ: a 60, b 59"):
        winner({"a": one, "b": one[1:]})
    apart = torch.where(torch.arange(60) < 59, torch.nan, one)
    with pytest.raises(DataError, match="the number is 1; the fewest are those of b, 1:"):
        winner({"a": one, "b": apart})
    with pytest.raises(DataError, match="the number is 1;"):
        winner({"a": one[:1], "b": one[1:2]})
