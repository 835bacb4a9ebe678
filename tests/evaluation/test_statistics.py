"""Statistics: intervals that cover as often as they say, pairing, Holm by hand, p-values by enumeration, Spearman by SciPy."""

import itertools
import math
from typing import Literal

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.nets import unchecked
from torch import Tensor

from trojancam.errors import DataError
from trojancam.evaluation import statistics
from trojancam.evaluation.statistics import (
    bootstrap_mean,
    bootstrap_means,
    holm,
    midranks,
    paired_difference,
    share_interval,
    sign_flip_p_values,
    spearman,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_two_images_by_hand() -> None:
    # means of two drawn with replacement from 0 and 1: 0, 1/2, 1/2, 1, so both tails of 2.5 % are the extremes
    interval = bootstrap_mean(torch.tensor([0.0, 1.0]))
    assert (interval.mean, interval.low, interval.high) == (0.5, 0.0, 1.0)
    narrow = bootstrap_mean(torch.tensor([0.0, 1.0]), level=0.4)
    assert (narrow.low, narrow.high) == (0.5, 0.5)


def test_the_interval_is_that_of_the_enumerated_bootstrap_distribution() -> None:
    values = torch.tensor([0.0, 1.0, 5.0, 2.0, 11.0])
    means = [sum(drawn) / 5 for drawn in itertools.product(values.tolist(), repeat=5)]
    low, high = np.quantile(means, [0.025, 0.975])
    interval = bootstrap_mean(values, draws=100_000)
    assert interval.low == pytest.approx(low, abs=0.21)  # one step of a mean is 0.2
    assert interval.high == pytest.approx(high, abs=0.21)


def test_the_interval_matches_scipy_percentile_bootstrap() -> None:
    values = normal(60).exp()
    expected = scipy.stats.bootstrap((values.numpy(),), np.mean, method="percentile", n_resamples=20_000, rng=1)
    interval = bootstrap_mean(values, draws=20_000)
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert interval.low == pytest.approx(expected.confidence_interval.low, abs=0.03 * width)
    assert interval.high == pytest.approx(expected.confidence_interval.high, abs=0.03 * width)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_cover_the_true_mean_as_often_as_they_say(level: float) -> None:
    intervals = bootstrap_means(normal(2000, 50) + 3, level=level, draws=2000)
    covered = sum(interval.low <= 3 <= interval.high for interval in intervals) / 2000
    # 50 images: the percentile interval is short by about 1 %; 3 standard errors of 2000 trials are 0.027 and 0.015
    assert level - 0.04 < covered < level + 0.025


def test_rows_share_their_draws_and_equal_single_calls() -> None:
    rows = normal(3, 40)
    rows[1, :7] = torch.nan
    together = bootstrap_means(rows, draws=500, seed=3)
    for row, interval in zip(rows, together, strict=True):
        alone = bootstrap_mean(row, draws=500, seed=3)
        assert (alone.low, alone.high) == pytest.approx((interval.low, interval.high))  # but for rounding
        assert (alone.mean, alone.images, alone.dropped) == (interval.mean, interval.images, interval.dropped)
    shifted = bootstrap_means(torch.stack([rows[0], rows[0] + 1]), draws=500)
    assert shifted[1].low - shifted[0].low == pytest.approx(1, abs=1e-12)


def test_the_seed_decides_and_global_randomness_does_not() -> None:
    values = normal(30)
    torch.manual_seed(1)
    first, state = bootstrap_mean(values, draws=300), torch.get_rng_state()
    torch.manual_seed(2)
    assert bootstrap_mean(values, draws=300) == first
    assert bootstrap_mean(values, draws=300, seed=1) != first
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())


def test_more_values_than_fit_at_once_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "VALUES_AT_ONCE", 70)
    rows = list(statistics._counts(30, 5, seed=0))
    assert [len(part) for part in rows] == [2, 2, 1]
    assert all((part.sum(1) == 30).all() for part in rows)
    assert bootstrap_mean(normal(30), draws=50).images == 30


def test_pairing_narrows_the_interval_where_images_are_hard_for_both() -> None:
    hardness = 5 * normal(80, seed=1)
    a, b = hardness + normal(80, seed=2) + 1, hardness + normal(80, seed=3)
    paired = paired_difference(a, b)
    apart = [bootstrap_mean(a), bootstrap_mean(b)]
    assert paired.mean == pytest.approx(apart[0].mean - apart[1].mean)
    assert paired.high - paired.low < 0.4 * min(interval.high - interval.low for interval in apart)
    assert paired.low > 0
    backwards = paired_difference(b, a)
    assert (backwards.low, backwards.high) == pytest.approx((-paired.high, -paired.low))


def test_undefined_images_are_dropped_pairwise_and_counted() -> None:
    a = torch.tensor([1.0, torch.nan, 3.0, 4.0, torch.inf])
    b = torch.tensor([0.0, 1.0, torch.nan, 2.0, 1.0])
    interval = paired_difference(a, b)
    assert (interval.mean, interval.images, interval.dropped) == (1.5, 2, 3)
    assert bootstrap_mean(a).mean == pytest.approx(8 / 3)


def test_a_row_without_values_does_not_spoil_the_table() -> None:
    empty, single, full = bootstrap_means(torch.tensor([[torch.nan] * 3, [torch.nan, 2.0, torch.nan], [1.0, 2.0, 3.0]]))
    assert math.isnan(empty.mean)
    assert (empty.images, empty.dropped) == (0, 3)
    assert single.mean == 2
    assert math.isnan(single.low)
    assert math.isnan(single.high)
    assert full.low < 2 < full.high


@pytest.mark.parametrize("values", [[1.0], [], [torch.nan, torch.nan], [torch.nan, 1.0, torch.inf]])
def test_fewer_than_two_values_are_refused(values: list[float]) -> None:
    with pytest.raises(DataError, match="at least two images"):
        bootstrap_mean(torch.tensor(values))


def test_nonsense_is_refused() -> None:
    with unchecked(), pytest.raises(DataError, match="there are 3 and 2 values"):
        paired_difference(torch.zeros(3), torch.zeros(2))
    with pytest.raises(DataError, match="between 0 and 1"):
        bootstrap_mean(torch.zeros(3), level=95.0)
    with pytest.raises(DataError, match="at least one draw"):
        bootstrap_mean(torch.zeros(3), draws=0)


def test_holm_by_hand() -> None:
    # in order .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04, and never below the one before
    adjusted = holm(torch.tensor([0.01, 0.04, 0.03, 0.005], dtype=torch.float64))
    assert adjusted.tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(torch.tensor([0.7, 0.6])).tolist() == [1.0, 1.0]
    assert holm(torch.tensor([0.2])).tolist() == pytest.approx([0.2])


def test_p_values_are_those_of_all_signs() -> None:
    differences = torch.tensor([[1.0, 2.0, 3.0, 5.0, 7.0, -1.5, 0.5], [1.0, -2.0, 3.0, 1.0, 2.0, -1.5, 0.5]])
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=7)))
    expected = ((differences @ signs.T).abs() >= differences.sum(1, keepdim=True).abs() - 1e-6).double().mean(1)
    found = sign_flip_p_values(differences, draws=50_000)
    assert found.tolist() == pytest.approx(expected.tolist(), abs=0.01)


def test_p_values_are_close_to_those_of_a_t_test_on_many_images() -> None:
    differences = normal(6, 200) + torch.linspace(0, 0.2, 6, dtype=torch.float64)[:, None]
    expected = scipy.stats.ttest_1samp(differences.numpy(), 0, axis=1).pvalue
    assert sign_flip_p_values(differences).tolist() == pytest.approx(expected.tolist(), abs=0.02)


@pytest.mark.parametrize("images", [5, 30])
def test_p_values_below_5_percent_are_no_more_than_5_percent_where_nothing_differs(images: int) -> None:
    p_values = sign_flip_p_values(normal(2000, images), draws=999)
    assert float((p_values <= 0.05).double().mean()) < 0.05 + 0.015  # three standard errors


def test_no_difference_at_all_has_p_value_1_and_two_images_prove_nothing() -> None:
    assert sign_flip_p_values(torch.zeros(1, 10)).item() == 1
    assert sign_flip_p_values(torch.tensor([[5.0, 6.0]])).item() > 0.4


VALUES = st.lists(st.integers(-3, 3), min_size=3, max_size=20)


@settings(deadline=None, max_examples=60)
@given(VALUES, st.data())
def test_ranks_and_spearman_are_scipys_ties_included(values: list[int], data: st.DataObject) -> None:
    others = data.draw(st.lists(st.integers(-3, 3), min_size=len(values), max_size=len(values)))
    a, b = torch.tensor(values, dtype=torch.float32), torch.tensor(others, dtype=torch.float32)
    assert midranks(a).tolist() == scipy.stats.rankdata(values).tolist()
    if len(set(values)) == 1 or len(set(others)) == 1:
        assert spearman(a, b).isnan()
    else:
        assert spearman(a, b).item() == pytest.approx(scipy.stats.spearmanr(values, others).statistic, abs=1e-12)


def test_spearman_of_many_rows_and_where_it_is_undefined() -> None:
    a, b = normal(4, 3, 30), normal(4, 3, 30, seed=1)
    a[0, 0, 5], b[1, 1] = torch.nan, 2.0
    found = spearman(a, b)
    assert found.shape == (4, 3)
    assert found[0, 0].isnan()
    assert found[1, 1].isnan()
    assert found[2, 2].item() == pytest.approx(scipy.stats.spearmanr(a[2, 2], b[2, 2]).statistic)
    assert spearman(a[3], a[3]).tolist() == [1.0] * 3
    assert spearman(a[3], -a[3].exp()).tolist() == [-1.0] * 3
    assert spearman(torch.zeros(2, 0), torch.zeros(2, 0)).isnan().all()
    assert spearman(torch.ones(1), torch.ones(1)).isnan()
    with unchecked(), pytest.raises(DataError, match="cannot be correlated"):
        spearman(a, b[0])


@pytest.mark.parametrize("method", ["exact", "wilson"])
@pytest.mark.parametrize(("hits", "trials"), [(0, 1), (1, 1), (0, 30), (7, 30), (30, 30), (999, 1000), (2500, 5000)])
def test_intervals_of_shares_are_those_of_scipy(hits: int, trials: int, method: Literal["exact", "wilson"]) -> None:
    theirs = scipy.stats.binomtest(hits, trials).proportion_ci(0.9, method)
    assert share_interval(hits, trials, method, 0.9) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize(("hits", "trials"), [(0, 12), (3, 12), (12, 12), (97, 100)])
def test_the_interval_holds_what_the_binomial_distribution_leaves(hits: int, trials: int) -> None:
    low, high = share_interval(hits, trials)
    if hits > 0:
        assert scipy.stats.binom.sf(hits - 1, trials, low) == pytest.approx(0.025)
    if hits < trials:
        assert scipy.stats.binom.cdf(hits, trials, high) == pytest.approx(0.025)
