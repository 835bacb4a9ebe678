"""p-values hold what they promise, a threshold is the same decision, and too few images are refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trojancam.defences.calibration import Calibration, check_rate, fewest
from trojancam.errors import DataError


@given(
    st.lists(st.integers(-5, 5), min_size=9, max_size=40),
    st.lists(st.integers(-6, 6), min_size=1, max_size=8),
    st.sampled_from([0.1, 0.2, 0.5]),
)
@settings(max_examples=60, deadline=None)
def test_a_score_is_above_the_threshold_exactly_if_its_p_value_is_small(clean, scores, rate):
    calibration, found = Calibration.of(torch.tensor(clean).float()), torch.tensor(scores).float()
    counted = [(1 + sum(each >= score for each in clean)) / (len(clean) + 1) for score in scores]
    assert calibration.p_values(found).tolist() == pytest.approx(counted)
    above = found.double() > calibration.threshold(rate)
    assert above.tolist() == [p <= rate + 1e-12 for p in counted]


def test_clean_images_are_called_suspicious_as_seldom_as_is_said():
    draws = torch.rand(400, 120, generator=torch.Generator().manual_seed(0))
    alarms = [float((row[99:].double() > Calibration.of(row[:99]).threshold(0.05)).double().mean()) for row in draws]
    assert sum(alarms) / len(alarms) == pytest.approx(0.05, abs=0.01)


def test_what_is_no_number_is_not_suspicious_and_infinity_is():
    calibration = Calibration.of(torch.arange(9.0))
    assert calibration.p_values(torch.tensor([math.nan, math.inf, -math.inf])).tolist() == pytest.approx(
        [1.0, 0.1, 1.0]
    )


@pytest.mark.parametrize("rate", [0.3, 0.1, 0.05, 0.01])
def test_the_fewest_images_are_enough_and_one_less_is_not(rate):
    enough = torch.arange(float(fewest(rate)))
    assert Calibration.of(enough).threshold(rate) == enough.max()
    with pytest.raises(DataError, match=f"needs {len(enough)} clean images, but there are {len(enough) - 1}"):
        Calibration.of(enough[1:]).threshold(rate)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0])
def test_a_rate_lies_between_0_and_1(rate):
    with pytest.raises(DataError, match="between 0 and 1"):
        check_rate(rate)
