"""Reliability: Krippendorff's alpha against his own worked examples and against pairs counted one by one."""

import itertools
import math

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.nets import unchecked
from torch import Tensor

from trojancam.errors import DataError, UnknownNameError
from trojancam.evaluation.reliability import correlations, inter_rater, krippendorff_alpha, reliability
from trojancam.evaluation.statistics import spearman

_ = math.nan
# Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), sections A, B and D
TWO_BINARY = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
TWO_NOMINAL = [[1, 1, 2, 2, 4, 3, 3, 3, 5, 4, 4, 1], [2, 1, 2, 2, 2, 3, 3, 3, 5, 4, 4, 4]]
FOUR_WITH_MISSING = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]


def tensor(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    ("ratings", "level", "published"),
    [
        (TWO_BINARY, "nominal", 0.095),
        (TWO_NOMINAL, "nominal", 0.692),
        (FOUR_WITH_MISSING, "nominal", 0.743),
        (FOUR_WITH_MISSING, "ordinal", 0.815),
        (FOUR_WITH_MISSING, "interval", 0.849),
    ],
)
def test_alpha_is_that_of_krippendorffs_worked_examples(
    ratings: list[list[float]], level: str, published: float
) -> None:
    assert round(krippendorff_alpha(tensor(ratings), level), 3) == published  # type: ignore[arg-type]
    assert by_pairs(ratings, level) == pytest.approx(published, abs=5e-4)


def by_pairs(ratings: list[list[float]], level: str) -> float:
    """Alpha from its meaning: the mean squared difference of pairs within units over that of pairs of any two ratings."""
    units = [[rating for rating in unit if not math.isnan(rating)] for unit in zip(*ratings, strict=True)]
    units = [unit for unit in units if len(unit) > 1]
    everything = [rating for unit in units for rating in unit]

    def squared(c: float, k: float) -> float:
        if level == "nominal":
            return float(c != k)
        if level == "interval":
            return (c - k) ** 2
        low, high = min(c, k), max(c, k)
        between = sum(low <= rating <= high for rating in everything)
        return 0 if c == k else (between - (everything.count(c) + everything.count(k)) / 2) ** 2

    def mean(pairs: list[tuple[float, float]]) -> float:
        return sum(squared(c, k) for c, k in pairs) / len(pairs)

    within = sum(len(unit) * mean(list(itertools.permutations(unit, 2))) for unit in units) / max(len(everything), 1)
    overall = mean(list(itertools.permutations(everything, 2))) if len(everything) > 1 else 0
    return 1 - within / overall if overall else math.nan


RATING = st.one_of(st.just(math.nan), st.sampled_from([1.0, 1.5, 2.0, 4.0]))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(RATING, min_size=4, max_size=4), min_size=1, max_size=4),
    st.sampled_from(["nominal", "ordinal", "interval"]),
)
def test_alpha_is_that_of_pairs_counted_one_by_one(ratings: list[list[float]], level: str) -> None:
    found = krippendorff_alpha(tensor(ratings), level)  # type: ignore[arg-type]
    assert found == pytest.approx(by_pairs(ratings, level), abs=1e-9, nan_ok=True)


def test_alpha_at_its_extremes() -> None:
    assert krippendorff_alpha(tensor([[1, 2, 3], [1, 2, 3]])) == 1
    assert krippendorff_alpha(tensor([[1, 2], [2, 1]])) < 0
    chance = torch.randint(5, (50, 200), generator=torch.Generator().manual_seed(0)).double()
    assert krippendorff_alpha(chance, "interval") == pytest.approx(0, abs=0.01)
    assert math.isnan(krippendorff_alpha(tensor([[2, 2], [2, 2]])))  # nothing varies
    assert math.isnan(krippendorff_alpha(tensor([[1, _], [_, 2]])))  # nothing is paired
    with unchecked(), pytest.raises(UnknownNameError, match="did you mean 'ordinal'"):
        krippendorff_alpha(tensor([[1, 2]]), "ordnial")  # type: ignore[arg-type]


def test_images_that_agree_on_the_ranking_agree_whatever_the_size_of_the_scores() -> None:
    size = torch.tensor([1.0, 10.0, 100.0])
    assert inter_rater({"c": 3 * size, "a": size, "b": 2 * size}).alpha == 1
    assert str(inter_rater({"a": size, "b": 2 * size})).startswith("reliable (alpha 1.00)")


def test_images_are_raters_and_methods_are_what_they_rank() -> None:
    # ranks (not sorting orders, which 2, 3, 1 tells apart) of a, b, c by three images, ties shared
    scores = {
        "a": torch.tensor([0.2, 0.5, 0.9]),
        "b": torch.tensor([0.3, 0.7, 0.9]),
        "c": torch.tensor([0.1, 0.8, 0.4]),
    }
    ranks = [[2, 3, 1], [1, 2, 3], [2.5, 2.5, 1]]
    assert inter_rater(scores).alpha == pytest.approx(by_pairs(ranks, "ordinal"))


def test_rankings_by_chance_are_unreliable() -> None:
    noise = torch.rand(5, 400, generator=torch.Generator().manual_seed(0))
    found = inter_rater(dict(zip("abcde", noise, strict=True)))
    assert found.alpha == pytest.approx(0, abs=0.02)
    assert str(found).startswith("unreliable")


def test_an_image_that_does_not_rank_all_methods_is_left_out() -> None:
    a, b = torch.tensor([1.0, 2.0, _, 4.0]), torch.tensor([2.0, 3.0, 4.0, 5.0])
    found = inter_rater({"a": a, "b": b, "blank": torch.full((4,), _)})
    assert (found.alpha, found.images, found.dropped) == (1.0, 3, 1)
    nothing = inter_rater({"a": torch.full((4,), _), "b": torch.full((4,), _)})
    assert str(nothing) == "undefined: fewer than two images rank all methods"
    assert (nothing.images, nothing.dropped) == (0, 4)
    assert str(inter_rater({"a": b, "b": b})) == "undefined: no image tells the methods apart"


def test_correlations_are_scipys_pair_by_pair() -> None:
    rows = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    rows[0, :5], rows[1, 3:8] = _, math.inf
    found = correlations({"a": rows[0], "b": rows[1], "c": rows[2], "constant": torch.ones(40)})
    assert found.images[:3, :3].tolist() == [[35, 32, 35], [32, 35, 35], [35, 35, 40]]
    expected = scipy.stats.spearmanr(rows[0, 8:], rows[1, 8:]).statistic
    assert found.matrix[0, 1].item() == found.matrix[1, 0].item() == pytest.approx(expected)
    assert found.matrix[3].isnan().all()
    assert found.matrix.diagonal()[:3].tolist() == [1.0] * 3
    assert found.mean == pytest.approx(float(found.matrix[:3, :3][[0, 0, 1], [1, 2, 2]].mean()))
    assert math.isnan(correlations({"a": torch.ones(4), "b": torch.ones(4)}).mean)


def test_the_three_measures_of_a_table() -> None:
    a, b = torch.rand(2, 30, generator=torch.Generator().manual_seed(0))
    scores = {"ROAD": {"x": a, "y": b}, "deletion": {"x": -a, "y": 2 * b}}
    found = reliability(scores, lower_is_better=["deletion"])
    assert found.between_images["ROAD"] == inter_rater(scores["ROAD"])
    assert list(found.between_methods) == ["ROAD", "deletion"]
    assert found.between_methods["ROAD"].matrix[0, 1].item() == spearman(a, b).item()
    assert found.between_metrics["x"].names == ("ROAD", "deletion")
    assert found.between_metrics["x"].mean == 1  # a deletion score that is low where ROAD is high agrees
    assert found.between_metrics["y"].mean == -1


def test_bad_tables_are_named() -> None:
    one = torch.rand(5)
    with pytest.raises(UnknownNameError, match="unknown metric 'raod'"):
        reliability({"road": {"a": one, "b": one}}, lower_is_better=["raod"])
    for methods in ({"a": one}, {}):
        with pytest.raises(DataError, match="two or more methods"):
            reliability({"road": methods})
    with pytest.raises(DataError, match="the same two or more methods"):
        reliability({"road": {"a": one, "b": one}, "energy": {"a": one, "c": one}})
    with pytest.raises(DataError, match="at least one metric"):
        reliability({})
    with unchecked(), pytest.raises(DataError, match="but there are 4, 5"):
        reliability({"road": {"a": one, "b": one[1:]}})
    with pytest.raises(DataError, match="but there are 1"):
        reliability({"road": {"a": one[:1], "b": one[:1]}})
