"""The input filter against its formula in plain loops, and what it refuses."""

import statistics

import pytest
import torch
from tests.defences.planted import network, recovered, triggered
from tests.detection.planted import TARGET, pictures
from tests.nets import unchecked
from torch import nn

from trojancam.attacks.patch import square
from trojancam.defences import Guard, Reference, Seen, input_filter
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.judgement import Opinion
from trojancam.errors import DataError, ModelError
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.tasks.sift import recovered as recovered_by
from trojancam.tasks.sift import sift

CLEAN = pictures(42)[0]


def fired(images: torch.Tensor) -> list[list[float]]:
    """The neurons of the last layer, image by image."""
    layer = list(network().layers)[-1]
    return [image.flatten().tolist() for image in record(network(), images).layers[layer].activations.double()]


def score_by_hand(images: torch.Tensor) -> list[float]:
    """Neural Cleanse's: the mean activation of the neurons that the trigger raises most, in deviations from clean images."""
    clean, stamped = fired(CLEAN), fired(recovered().apply(CLEAN))
    raised = [sum(b[k] - a[k] for a, b in zip(clean, stamped, strict=True)) for k in range(len(clean[0]))]
    best = sorted(range(len(raised)), key=lambda k: -raised[k])[: max(1, round(0.01 * len(raised)))]
    means = [statistics.fmean(each[k] for k in best) for each in clean]
    mean, deviation = statistics.fmean(means), statistics.stdev(means) or 1e-12
    return [(statistics.fmean(each[k] for k in best) - mean) / deviation for each in fired(images)]


def test_the_score_is_neural_cleanses() -> None:
    images = torch.cat([triggered(4), pictures(4, seed=8)[0]])
    test = input_filter.learn(Reference(network(), CLEAN, triggers=(recovered(),)))
    found = test(Seen(network(), images)).values
    assert found.tolist() == pytest.approx(score_by_hand(images), rel=1e-3, abs=1e-3)
    assert float(found[:4].min()) > float(found[4:].max())


def test_of_several_triggers_the_one_that_fits_best_counts() -> None:
    elsewhere = square(3, 0, 0, "white", image_size=(12, 12))
    images = triggered(4)
    alone, both, other = (
        input_filter.learn(Reference(network(), CLEAN, triggers=triggers))(Seen(network(), images)).values
        for triggers in ((recovered(),), (elsewhere, recovered()), (elsewhere,))
    )
    torch.testing.assert_close(both, alone.maximum(other))


def test_without_a_trigger_it_is_refused_and_without_feature_maps_it_looks_at_pixels() -> None:
    with pytest.raises(ModelError, match="needs a trigger that a scan recovered from this network; give .* as scan="):
        sift(network(), triggered(2), CLEAN, "input-filter", false_alarms=0.1)
    flat = Network.from_module(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), (8, 8))
    assert list(flat.layers) == ["pixels"]  # which are what it looks at, for want of others
    trigger = square(2, 0, 0, "red", image_size=(8, 8))
    test = input_filter.learn(Reference(flat, torch.rand(20, 3, 8, 8) / 2, triggers=(trigger,)))
    images = torch.rand(5, 3, 8, 8) / 2
    assert float(test(Seen(flat, trigger.apply(images))).values.min()) > float(test(Seen(flat, images)).values.max())


def report(score: float, trigger: object) -> ScanReport:
    finding = Finding("stimulation", TARGET, score, trigger=trigger)  # type: ignore[arg-type]
    names = tuple(f"class {number}" for number in range(4))
    opinions = {"stimulation": Opinion("backdoor", score, 4.0)}
    return ScanReport("backdoor", score, 4.0, (finding,), {"stimulation": {"inconclusive": 2.9}}, {}, names, opinions)


def test_triggers_are_those_that_a_scan_recovered() -> None:
    (trigger,) = recovered_by(report(9.0, recovered()))
    assert torch.equal(trigger.apply(CLEAN), recovered().apply(CLEAN))
    found = sift(network(), triggered(6), CLEAN, "input-filter", scan=report(9.0, recovered()), false_alarms=0.06)
    assert float(found.suspicious.float().mean()) >= 0.9
    other = sift(network(), triggered(2), CLEAN, "strip", scan=report(0.1, recovered()), false_alarms=0.1)
    assert list(other.methods) == ["strip"]  # which asks for no trigger
    for nothing in (report(0.1, recovered()), report(9.0, None)):
        with pytest.raises(DataError, match="the scan recovered no trigger of a backdoor"):
            sift(network(), triggered(2), CLEAN, "input-filter", scan=nothing, false_alarms=0.06)
    guard = Guard(network(), CLEAN, "input-filter", triggers=[recovered()], false_alarms=0.06)
    assert float(guard(triggered(6)).suspicious.float().mean()) >= 0.9
    with unchecked(), pytest.raises(DataError, match="is the ScanReport that trojancam.scan gives, not a str"):
        recovered_by("scan.json")  # type: ignore[arg-type]
