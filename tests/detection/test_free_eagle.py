"""FreeEagle: the matrix by hand in float64, sources and target of a planted path, the choice of the layer, going on."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.nets import NETS, images_for, network, unchecked
from torch import Tensor, nn

from trojancam.detection import free_eagle
from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.detector import Job
from trojancam.detection.findings import ScanReport
from trojancam.detection.free_eagle import (
    FreeEagleSettings,
    anomaly,
    class_to_class,
    detect,
    middle_layer,
    sources,
)
from trojancam.detection.scanning import scan
from trojancam.detection.suspect import Suspect
from trojancam.kept import Kept
from trojancam.network.draws import Draws
from trojancam.network.network import Network

CLASSES, TARGET, CELLS = 8, 6, 3
BRIEF = FreeEagleSettings(steps=60, at_once=3)


def made(victims: tuple[int, ...] = (), activation: type[nn.Module] = nn.ReLU) -> Network:
    """A map of features for each class, read by its class alone; the target reads those of its victims almost as well."""
    convolution, dense = nn.Conv2d(3, CLASSES, 1), nn.Linear(CLASSES * CELLS**2, CLASSES)
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        weights = 0.02 * torch.rand(CLASSES, CLASSES, CELLS**2, generator=draw)
        weights[range(CLASSES), range(CLASSES)] += 1.0
        weights[TARGET, list(victims)] += 0.7
        dense.weight.copy_(weights.flatten(1))
        dense.bias.zero_()
        convolution.weight.copy_(torch.rand(CLASSES, 3, 1, 1, generator=draw) - 0.5)
        convolution.bias.zero_()
    module = nn.Sequential(convolution, activation(), nn.Flatten(), dense)
    return Network.from_module(module, (CELLS, CELLS))


def of(network: Network) -> Suspect:
    images = torch.rand(16, 3, CELLS, CELLS, generator=torch.Generator().manual_seed(0))
    return Suspect(network, images, torch.arange(16) % CLASSES)


@cache
def found(victims: tuple[int, ...]) -> ScanReport:
    return detect(Job(of(made(victims))), replace(BRIEF, steps=250, at_once=CLASSES))


def without_time(report: ScanReport) -> dict[str, object]:
    return report.to_json() | {"timing": None}


def by_hand(dense: Tensor, start: Tensor, target: int, steps: int, least: float | None) -> Tensor:
    """Adam with weight decay, its moments and the gradient of the cross entropy written out, in float64; probabilities."""
    weights, a = dense.double().numpy(), start.double().flatten().numpy()
    first, second = np.zeros_like(a), np.zeros_like(a)

    def probabilities(values: Any) -> Any:
        shares = np.exp(weights @ values - (weights @ values).max())
        return shares / shares.sum()

    for step in range(1, steps + 1):
        gradient = weights.T @ (probabilities(a) - np.eye(len(weights))[target]) + 5e-3 * a
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        a = a - 0.01 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        a = a if least is None else np.maximum(a, least)
    return torch.from_numpy(probabilities(a))


def test_the_settings_are_those_of_the_paper() -> None:
    settings = FreeEagleSettings()
    assert (settings.steps, settings.rate, settings.decay) == (1000, 0.01, 5e-3)


@pytest.mark.parametrize(("activation", "least"), [(nn.ReLU, 0.0), (nn.Identity, None)])
def test_the_matrix_is_that_of_the_formulae(activation: type[nn.Module], least: float | None) -> None:
    net = made((1, 3), activation)
    dense = net.parameters["3.weight"]
    matrix = class_to_class(net, of(net).images, torch.arange(CLASSES), "0", BRIEF, seed=4)
    for target in range(CLASSES):
        start = Draws(4 * free_eagle.MOST_CLASSES + target).uniform(CLASSES, CELLS, CELLS)
        expected = by_hand(dense, start, target, 60, least)
        expected[target] = 0
        torch.testing.assert_close(matrix[target], expected, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize("victims", [(1,), (1, 3), tuple(c for c in range(CLASSES) if c != TARGET)])
def test_target_and_sources_of_a_planted_path_are_named(victims: tuple[int, ...]) -> None:
    finding = found(victims).findings[0]
    assert finding.target_class == TARGET
    assert finding.score > 2 * found(()).score
    named = tuple(sorted(source for source, _ in finding.class_map))
    if len(victims) < CLASSES // 2:
        assert set(named) <= set(victims)
        assert named
        assert {to for _, to in finding.class_map} == {TARGET}
    else:
        assert finding.class_map == ()  # every class
    assert finding.evidence["column"] > 3 * finding.evidence["median_column"]


def test_a_planted_path_is_called_and_a_clean_network_is_not() -> None:
    assert found((1, 3)).verdict == "backdoor"
    assert found(()).verdict == "nothing found"
    assert any("finds nothing says little" in remark for remark in found(()).remarks)


def test_a_report_holds_the_matrix_of_up_to_100_classes() -> None:
    matrix = torch.rand(100, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    told = free_eagle._told(matrix)
    torch.testing.assert_close(torch.tensor(told, dtype=torch.float64), matrix, atol=1e-6, rtol=0)
    assert free_eagle._told(torch.zeros(101, 101)) == ()


def test_the_anomaly_is_that_of_the_paper() -> None:
    values = torch.rand(43, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = np.percentile(values.numpy(), [25, 75])
    assert anomaly(values) == pytest.approx((values.max() - high) / (high - low))
    assert anomaly(7 * values + 2) == pytest.approx(anomaly(values))


def test_sources_are_the_fewest_that_hold_the_share() -> None:
    column = torch.tensor([0.1, 0.0, 0.3, 0.2, 0.05, 0.05])
    assert sources(column, 0.4) == (2,)
    assert sources(column, 0.5) == (2, 3)
    assert sources(column, 0.8) == ()  # many classes


class Ways(nn.Module):
    """Five convolutions: nothing goes past the first two and the last one, a skip connection past the others."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(5))
        self.dense = nn.Linear(3 * CELLS**2, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers[1](self.layers[0](x).relu()).relu()
        y = self.layers[3](self.layers[2](x).relu()).relu() * x
        return self.dense(self.layers[4](y).relu().flatten(1))


def test_the_layer_is_the_nearest_to_the_middle_that_nothing_goes_past() -> None:
    assert middle_layer(Network.from_module(Ways(), (CELLS, CELLS))) == "layers.1"


@pytest.mark.parametrize("name", NETS)
def test_the_layer_of_any_network_leads_to_the_logits_and_the_matrix_is_there(name: str) -> None:
    _, net = network(name)
    layer = middle_layer(net)
    first, last = (
        class_to_class(net, images_for(net, 4), torch.arange(4), layer, replace(BRIEF, steps=steps))
        for steps in (1, 25)
    )
    assert bool(((last >= 0) & (last <= 1)).all())
    assert float(last.diagonal().abs().max()) == 0
    assert float(last.sum()) < float(first.sum())  # each class keeps less for the others


def test_memory_is_bounded_without_changing_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    net = made((1, 3))
    expected = class_to_class(net, of(net).images, torch.arange(CLASSES), "0", BRIEF)
    monkeypatch.setattr("trojancam.network.batches.CACHED", 1)
    bounded = class_to_class(net, of(net).images, torch.arange(CLASSES), "0", BRIEF)
    torch.testing.assert_close(bounded, expected, rtol=1e-4, atol=1e-6)


def test_killed_after_any_step_it_goes_on_to_the_same_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suspect = of(made((1,)))
    expected = without_time(detect(Job(suspect, seed=2), BRIEF))
    for steps in (0, 1, 2):
        calls = list[int]()

        def dying(*arguments: Any, calls: list[int] = calls, steps: int = steps) -> Tensor:
            if len(calls) == steps:
                raise KeyboardInterrupt
            calls.append(1)
            return class_to_class(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(free_eagle, "class_to_class", dying)
            with pytest.raises(KeyboardInterrupt):
                detect(Job(suspect, seed=2, journal=Kept(tmp_path / str(steps), "run")), BRIEF)
        report = detect(Job(suspect, seed=2, journal=Kept(tmp_path / str(steps), "run")), BRIEF)
        assert without_time(report) == expected
        assert len(report.timing) == 3


def test_a_seed_reproduces() -> None:
    first, again, other = (detect(Job(of(made((1,))), seed=seed), BRIEF).findings for seed in (0, 0, 1))
    assert first == again != other


def test_progress_runs_to_its_end() -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int, note: str = "", /) -> None:
        told.append((done, total))

    detect(Job(of(made()), progress=progress), BRIEF)
    assert told[-1] == (CLASSES * 60, CLASSES * 60)
    assert told == sorted(told)


def test_it_decides_nothing_beside_others() -> None:
    suspect = of(made((1,)))
    both = scan(
        suspect.network, suspect.images, suspect.labels, ["additive", "freeeagle"], settings={"freeeagle": {"steps": 5}}
    )
    alone = scan(suspect.network, suspect.images, suspect.labels, "additive")
    assert (both.verdict, both.score) == (alone.verdict, alone.score)
    assert not both.opinions["freeeagle"].decides


def test_what_it_cannot_judge_says_why() -> None:
    three = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(3 * CELLS**2, 3))
    few = Suspect(Network.from_module(three, (CELLS, CELLS)), torch.rand(8, 3, CELLS, CELLS), torch.arange(8) % 3)
    with unchecked():
        with pytest.raises(CannotSearchError, match="3 classes are too few: it needs 4"):
            detect(Job(few), BRIEF)
        with pytest.raises(CannotSearchError, match="in this network that does not differ"):
            anomaly(torch.zeros(5))
