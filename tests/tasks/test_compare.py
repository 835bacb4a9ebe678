"""Comparing from Python: the words of the command, verdicts at hand, and a trigger that is stamped and sought."""

import torch
from tests.nets import images_for, network

import trojancam as tc
from trojancam.attacks.patch import square
from trojancam.evaluation.comparison import compare as scored


def test_it_is_the_comparison_of_stamped_images_with_the_trigger_s_place() -> None:
    net = network("plain")[1]
    trigger, images = square(4, 2, 2, "white", 0.5, (12, 12)), images_for(net, 6)
    found = tc.compare(net, images, ["grad-cam", "random"], layers="second", target="class 1", trigger=trigger)
    expected = scored(net, trigger.apply(images), ["grad-cam", "random"], ["second"], 1, trigger.place)
    assert found.summary.comparison.scores.keys() == expected.scores.keys()
    for metric, scores in expected.scores.items():
        for key, score in scores.items():
            torch.testing.assert_close(found.summary.comparison.scores[metric][key], score, equal_nan=True)
    assert found.randomised is None


def test_progress_goes_on_into_the_randomisation() -> None:
    net, calls = network("plain")[1], []
    found = tc.compare(
        net, images_for(net, 4), "grad-cam", randomise=True, progress=lambda *call: calls.append(call[:2])
    )
    assert list(found.randomised or ()) == ["grad-cam"]
    assert calls == sorted(calls)
    assert calls[-1][0] == calls[-1][1]
    assert len(repr(found)) < 400
