"""MM-BD: ascent and p-value by hand in float64, the planted backdoor and its clean twin, and going on after a kill."""

import math
from pathlib import Path

import pytest
import torch
from scipy import stats
from tests.detection.planted import CLASSES, TARGET, planted
from tests.nets import NETS, network, unchecked
from torch import Tensor, nn

from trojancam.detection import mm_bd
from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.detector import Job
from trojancam.detection.findings import ScanReport
from trojancam.detection.mm_bd import MaximumMarginSettings, detect, maximum_margins, p_value
from trojancam.detection.scanning import scan
from trojancam.detection.suspect import Suspect
from trojancam.kept import Kept
from trojancam.network.draws import Draws
from trojancam.network.network import Network

BRIEF = MaximumMarginSettings(starts=3, steps=20, at_once=4)


def without_time(report: ScanReport) -> dict[str, object]:
    return report.to_json() | {"timing": None}


def flat(weights: Tensor) -> Network:
    """Logits that are products of the pixels with these weights."""
    convolution = nn.Conv2d(3, len(weights), 4, bias=False)
    with torch.no_grad():
        convolution.weight.copy_(weights)
    return Network.from_module(nn.Sequential(convolution, nn.Flatten()), (4, 4))


def test_the_settings_are_those_of_the_paper() -> None:
    settings = MaximumMarginSettings()
    assert (settings.starts, settings.steps, settings.rate, settings.tolerance) == (30, 300, 0.01, 1e-5)
    assert 10**-settings.backdoor == pytest.approx(0.05)


@pytest.mark.parametrize("tolerance", [0.0, 0.02])
def test_margins_are_those_of_projected_ascent_step_by_step(tolerance: float) -> None:
    weights = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    settings = MaximumMarginSettings(starts=3, steps=40, rate=0.02, tolerance=tolerance)
    found, images = maximum_margins(flat(weights), torch.arange(5), settings, seed=2)
    double = weights.double().flatten(1)
    ended = []
    for target in range(5):
        x = Draws(2 * 5 + target).uniform(3, 3, 4, 4).double().flatten(1)
        last = math.inf
        for step in range(40):
            logits = x @ double.T
            others = logits.clone()
            others[:, target] = -math.inf
            runner_up = others.argmax(1)
            margins = logits[:, target] - others.max(1).values
            total = float(margins.sum())
            if step == 39 or (math.isfinite(last) and abs(last - total) / abs(last) < tolerance):
                break
            last = total
            x = (x + 0.02 * (double[target] - double[runner_up])).clamp(0, 1)
        ended.append(step)
        assert float(found[target]) == pytest.approx(float(margins.max()), rel=1e-4)
        torch.testing.assert_close(images[target].flatten().double(), x[margins.argmax()], atol=1e-5, rtol=0)
    assert (max(ended) == 39) == (tolerance == 0)


def test_the_greatest_margin_of_a_product_is_that_of_the_best_corner() -> None:
    """With two classes in play the margin is linear, and greatest where each pixel is 0 or 1."""
    weights = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    weights[2:] = 0
    weights[2:, 0, 0, 0] = -50  # never the runner-up unless that pixel is dark
    weights[:2, 0, 0, 0] = 0
    settings = MaximumMarginSettings(starts=4, steps=400, rate=0.05, tolerance=0.0)
    found, _ = maximum_margins(flat(weights), torch.tensor([0]), settings)
    difference = (weights[0] - weights[1]).double()
    assert float(found[0]) <= float(difference.clamp(min=0).sum()) + 1e-4
    assert float(found[0]) > 0.6 * float(difference.clamp(min=0).sum())


def test_the_p_value_is_that_of_the_greatest_of_so_many() -> None:
    """1 - F^K with F integrated numerically, the fit's likelihood no less than that of the moments."""
    drawn = torch.from_numpy(stats.gamma.rvs(4.0, 2.0, 1.5, size=42, random_state=5))
    shape, location, scale = stats.gamma.fit(drawn.numpy())
    moments = (float(drawn.var()) / 1.5, float(drawn.mean()))
    assert moments[0] > 0
    for greatest in (float(drawn.max()) + 0.1, 25.0, 40.0):
        grid = torch.linspace(greatest, greatest + 400, 2_000_001, dtype=torch.float64)
        density = torch.exp(
            (shape - 1) * torch.log((grid - location) / scale)
            - (grid - location) / scale
            - math.lgamma(shape)
            - math.log(scale)
        )
        tail = float(torch.trapezoid(density, grid))
        expected = 1 - (1 - tail) ** 43
        assert p_value(torch.cat([drawn, drawn.new_tensor([greatest])])) == pytest.approx(expected, rel=1e-4)


def test_the_order_of_classes_changes_no_p_value() -> None:
    margins = torch.rand(12, generator=torch.Generator().manual_seed(0)) + 1
    assert p_value(margins) == p_value(margins.flip(0))
    assert 0 < p_value(torch.cat([margins, torch.tensor([1e6])])) < 1e-100  # as small as it is, it is a number


def test_it_finds_the_planted_class_and_not_its_clean_twin() -> None:
    report, clean = (
        detect(Job(planted(trojaned)), MaximumMarginSettings(starts=4, steps=60)) for trojaned in (True, False)
    )
    assert report.verdict == "backdoor"
    assert report.findings[0].target_class == TARGET
    assert report.score == -math.log10(report.findings[0].evidence["p_of_margins"]) > 2
    assert report.findings[0].evidence["maximum_margin"] > 5 * report.findings[0].evidence["next_maximum_margin"]
    assert clean.verdict == "nothing found"
    assert report.remarks == (
        f"MM-BD holds one class against {CLASSES - 1} others: with fewer than 10 classes that is little.",
    )


def test_it_takes_nothing_from_the_images() -> None:
    whole = planted(True)
    other = Suspect(whole.network, torch.zeros_like(whole.images), whole.labels)
    assert detect(Job(whole), BRIEF).findings == detect(Job(other), BRIEF).findings


@pytest.mark.parametrize("name", NETS)
def test_any_network_is_ascended(name: str) -> None:
    _, net = network(name)
    margins, images = maximum_margins(net, torch.arange(4), BRIEF)
    logits = net(images)
    for target in range(4):
        others = logits[target][[other for other in range(4) if other != target]]
        assert float(margins[target]) == pytest.approx(float(logits[target, target] - others.max()), abs=1e-4)
    first, _ = maximum_margins(net, torch.arange(4), MaximumMarginSettings(starts=3, steps=1))
    assert bool((margins >= first - 1e-5).all())  # ascent does not descend


def test_memory_is_bounded_without_changing_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = detect(Job(planted(True)), BRIEF).findings[0].evidence
    monkeypatch.setattr("trojancam.network.batches.CACHED", 1)
    assert detect(Job(planted(True)), BRIEF).findings[0].evidence == pytest.approx(expected, rel=1e-4)


def test_killed_after_any_step_it_goes_on_to_the_same_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = without_time(detect(Job(planted(True), seed=2), BRIEF))
    for steps in (0, 1, 2):
        calls = list[int]()

        def dying(*arguments: object, calls: list[int] = calls, steps: int = steps) -> tuple[Tensor, Tensor]:
            if len(calls) == steps:
                raise KeyboardInterrupt
            calls.append(1)
            return maximum_margins(*arguments)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(mm_bd, "maximum_margins", dying)
            with pytest.raises(KeyboardInterrupt):
                detect(Job(planted(True), seed=2, journal=Kept(tmp_path / str(steps), "run")), BRIEF)
        report = detect(Job(planted(True), seed=2, journal=Kept(tmp_path / str(steps), "run")), BRIEF)
        assert without_time(report) == expected
        assert len(report.timing) == 3


def test_a_seed_reproduces() -> None:
    first, again, other = (detect(Job(planted(True), seed=seed), BRIEF).findings for seed in (0, 0, 1))
    assert first == again != other


def test_progress_runs_to_its_end() -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int, note: str = "", /) -> None:
        told.append((done, total))

    detect(Job(planted(True), progress=progress), MaximumMarginSettings(starts=3, steps=20, at_once=4, tolerance=1.0))
    total = mm_bd.cost(planted(True), BRIEF)
    assert told[-1] == (total, total)  # also of classes that were done early
    assert told == sorted(told)


def test_it_decides_nothing_beside_others() -> None:
    whole = planted(True)
    brief = {"mm-bd": {"starts": 2, "steps": 3}}
    both = scan(whole.network, whole.images, whole.labels, ["additive", "mm-bd"], settings=brief)
    alone = scan(whole.network, whole.images, whole.labels, "additive")
    assert (both.verdict, both.score) == (alone.verdict, alone.score)
    assert not both.opinions["mm-bd"].decides


def test_what_it_cannot_judge_says_why() -> None:
    same = Suspect(flat(torch.zeros(5, 3, 4, 4)), torch.rand(8, 3, 4, 4), torch.arange(8) % 5)
    few = Suspect(flat(torch.rand(3, 3, 4, 4)), torch.rand(8, 3, 4, 4), torch.arange(8) % 3)
    with unchecked():
        with pytest.raises(CannotSearchError, match="3 classes are too few: it needs 4"):
            detect(Job(few), BRIEF)
        with pytest.raises(CannotSearchError, match="those of this network do not differ"):
            detect(Job(same), BRIEF)
