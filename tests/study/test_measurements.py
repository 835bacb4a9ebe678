"""Numbers over several trainings: means, intervals on both levels, and verdicts."""

import pytest
import torch

from trojancam.errors import DataError
from trojancam_study.measurements import Measurement, above, all_of, measured


def test_the_mean_is_that_of_the_trainings_whatever_their_size() -> None:
    found = measured("share", [torch.tensor([0.0, 1.0]), torch.tensor([0.2, torch.nan, 0.2, 0.2])])
    assert found.mean == pytest.approx(0.35)
    assert found.by_seed == pytest.approx((0.5, 0.2))
    assert (found.count, found.unit) == (5, "images")


def test_one_training_has_the_interval_of_its_images() -> None:
    values = torch.rand(400, generator=torch.Generator().manual_seed(0))
    found = measured("share", [values])
    error = float(values.std() / 20)
    assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.2 * error)


def test_trainings_that_differ_widen_it_though_images_do_not() -> None:
    found = measured("share", [torch.full((50,), value) for value in (0.1, 0.2, 0.9)])
    # one training is drawn three times over in one draw of 27, more often than the tail of 2.5 %: it cannot go further
    assert (found.low, found.high) == pytest.approx((0.1, 0.9))


def test_the_same_images_are_drawn_for_all_trainings() -> None:
    values = torch.rand(300, generator=torch.Generator().manual_seed(0))
    alone, thrice = (measured("share", [values] * count) for count in (1, 3))
    # three trainings that agree image by image say no more than one
    assert thrice.high - thrice.low == pytest.approx(alone.high - alone.low, rel=0.1)


def test_a_training_without_a_value_is_refused() -> None:
    with pytest.raises(DataError, match="share has no value"):
        measured("share", [torch.tensor([0.5]), torch.tensor([torch.nan])])


@pytest.mark.parametrize(
    ("low", "high", "chance", "verdict"),
    [
        (0.2, 0.3, 0.1, "agrees"),
        (0.05, 0.3, 0.1, "cannot tell"),
        (0.01, 0.05, 0.1, "disagrees"),
        (0.1, 0.2, None, "agrees"),
    ],
)
def test_a_verdict_needs_an_interval_clear_of_chance(
    low: float, high: float, chance: float | None, verdict: str
) -> None:
    assert above(Measurement("share", (low + high) / 2, low, high, chance, (0.1,), 10)) == verdict


def test_a_claim_of_several_parts_is_as_strong_as_its_weakest() -> None:
    assert all_of("agrees", "agrees") == "agrees"
    assert all_of("agrees", "cannot tell") == "cannot tell"
    assert all_of("cannot tell", "disagrees") == "disagrees"
