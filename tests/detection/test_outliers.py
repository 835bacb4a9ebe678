"""Outlyingness against numbers worked out by hand, and what it must not depend on."""

import pytest
import torch

from trojancam.detection.outliers import CONSISTENCY, OF_FEW, leads_of, outlyingness, share_counted


def test_it_is_the_distance_from_the_median_in_robust_standard_deviations() -> None:
    values = torch.tensor([1.0, 2.0, 4.0, 8.0, 100.0])  # median 4; deviations 3, 2, 0, 4, 96, their median 3
    expected = torch.tensor([-3.0, -2.0, 0.0, 4.0, 96.0]) / (1.4826 * 3)
    torch.testing.assert_close(outlyingness(values), expected)


def test_of_an_even_number_the_middle_two_count_alike() -> None:
    values = torch.tensor([0.0, 1.0, 3.0, 10.0])  # median 2; deviations 2, 1, 1, 8, their median 1.5
    torch.testing.assert_close(outlyingness(values), torch.tensor([-2.0, -1.0, 1.0, 8.0]) / (1.4826 * 1.5))


def test_an_outlier_does_not_stretch_its_own_measure() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    farther = torch.tensor([1.0, 2.0, 3.0, 4.0, 5e6])
    torch.testing.assert_close(outlyingness(farther)[:4], outlyingness(values)[:4])


def test_neither_the_unit_nor_the_origin_matters() -> None:
    values = torch.rand(15, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(outlyingness(3 * values - 7), outlyingness(values))
    torch.testing.assert_close(outlyingness(-values), -outlyingness(values))


def test_of_a_normal_distribution_it_is_the_standard_deviation() -> None:
    places = (torch.arange(100_001, dtype=torch.float64) + 0.5) / 100_001
    quantiles = torch.special.ndtri(places)
    assert float(outlyingness(5 + 2 * quantiles)[-1]) == pytest.approx(float(quantiles[-1]), rel=1e-3)
    assert (
        pytest.approx(1 / float(torch.special.ndtri(torch.tensor(0.75, dtype=torch.float64))), rel=1e-4) == CONSISTENCY
    )


def test_where_most_values_are_equal_they_are_no_outliers_and_others_are_far_out() -> None:
    found = outlyingness(torch.tensor([2.0, 2.0, 2.0, 2.0, 3.0]))
    assert found[:4].tolist() == [0.0] * 4
    assert float(found[4]) > 1e6


@pytest.mark.parametrize(
    ("ratios", "count", "expected"),
    [
        ([4.0, 2.0, 8.0], 4, [4.0, 2.0, 1.0, 1.0]),
        ([1.1, 3.0], 3, [3.0, 3.0, 1.0]),
        ([5.0], 2, [5.0, 1.0]),
        ([], 1, [1.0]),
    ],
)
def test_the_first_two_lead_what_follows_them(ratios: list[float], count: int, expected: list[float]) -> None:
    found = leads_of(torch.tensor(ratios, dtype=torch.float64), count)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64).log())


def test_a_share_of_few_classes_counts_for_less() -> None:
    assert [share_counted(0.6, classes) for classes in (43, 20, 19, 2)] == [0.6, 0.6, 0.6 * OF_FEW, 0.6 * OF_FEW]
