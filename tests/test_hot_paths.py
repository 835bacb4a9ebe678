"""On another device than the processor, nothing that computes makes a tensor elsewhere, and all is as on the processor."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest
import torch
from jaxtyping import Float
from tests.far import FAR, PACKAGE, FarTensor, as_near, far_device, tensors_of
from torch import Tensor, nn

import trojancam as tc
from trojancam.attacks.patch import square
from trojancam.attribution import methods
from trojancam.attribution.methods import METHODS
from trojancam.detection.findings import Finding
from trojancam.detection.scanning import DETECTORS
from trojancam.detection.suspect import suspect
from trojancam.detection.validation import validated
from trojancam.evaluation.localisation import localisation
from trojancam.evaluation.perturbation_curves import deletion, insertion
from trojancam.evaluation.road import road
from trojancam.evaluation.trigger_energy import trigger_energy
from trojancam.network.network import Network
from trojancam.stimulation import Stimulation, donated, dose_response, stimulated_logits

SIZE = (12, 12)
CLASSES = 4
LABELS = torch.arange(8) % CLASSES
QUICK = {
    "stimulation": {"candidates": 1, "inversion.rounds": 2},
    "abs": {"classes": 1, "agreement": 0.1, "inversion.rounds": 2},
    "neural-cleanse": {"inversion.rounds": 2},
    **{name: {"screen.steps": 2, "detail.steps": 2} for name in ("additive", "low-frequency", "warp", "tone")},
    "stripes": {"waves": 2, "keep": 2},
    "all-to-all": {"screen": 2, "detail": 2},
    "some-classes": {"screened": 4, "candidates": 2, "steps": 2, "fewest": 1},
    "mm-bd": {"starts": 2, "steps": 3},
    "freeeagle": {"steps": 3},
}


class Skipping(nn.Module):
    """Two layers, a skip connection that passes the second by, a constant, and a tensor made on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = (
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.Conv2d(4, 4, 3, padding=1),
        )
        self.last = nn.Linear(4 * 6 * 6, CLASSES)
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 0.5, 1.0]).view(4, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        early = self.norm(self.first(images)).relu()
        late = (self.second(early) * self.scale + early).relu()
        pooled = nn.functional.max_pool2d(late, 2).flatten(1)
        return self.last(pooled) + torch.arange(CLASSES, device=images.device) / 10


@pytest.fixture(scope="module")
def near() -> Network:
    torch.manual_seed(3)
    return Network.from_module(Skipping().eval(), SIZE)


@pytest.fixture(scope="module")
def images() -> Float[Tensor, "8 3 12 12"]:
    return torch.rand(8, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def far(near: Network) -> Iterator[Network]:
    with far_device() as device:
        yield near.to(device)


TRIGGER = square(2, 1, 5, image_size=SIZE)
MASK = TRIGGER.mask > 0
STIMULATIONS = [
    Stimulation("first", 2, value=3.0, window=(0, 3, 3, 3)),
    Stimulation("second", (1, 2), "add", (1.0, 2.0), mask=torch.eye(12) > 0, unit="map", rest="zero"),
    Stimulation("first", 1, value=torch.linspace(0, 1, 144).view(1, 12, 12)),
]


def same(near: Any, far: Any, places: set[torch.device]) -> None:
    """The same values, and those of the far device where they should be."""
    expected, found = tensors_of(near), tensors_of(far)
    assert len(expected) == len(found)
    assert found or near == far  # stripes are told by numbers alone
    for one, other in zip(expected, found, strict=True):
        assert other.device in places
        torch.testing.assert_close(as_near(other), one, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("memory_budget", [1, 2**28])
def test_recording(near: Network, far: Network, images: Tensor, memory_budget: int) -> None:
    expected = tc.record(near, images, memory_budget=memory_budget)
    same(expected, tc.record(far, images, memory_budget=memory_budget), {FAR})
    same(expected, tc.record(far, images.to(FAR), memory_budget=memory_budget), {FAR})
    same(near(images), far(images), {FAR})


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("target", [tc.targets.logit(), tc.targets.probability(LABELS), tc.targets.logit(1)])
def test_every_method(near: Network, far: Network, images: Tensor, name: str, target: tc.targets.Target) -> None:
    # a few batches; of hundreds of hidden parts there would be hundreds
    budget = {"occlusion": 1_000_000, "lime": 10_000_000}.get(name, 50_000)
    if not METHODS[name].works_with(near):
        pytest.skip("for transformers alone")
    expected = tc.attribute(near, images, [name], target, memory_budget=budget)
    found = tc.attribute(far, images, [name], target, memory_budget=budget)
    same(expected, found, {FAR})
    for layer, attribution in found[name].items():
        same(expected[name][layer].heatmap(), attribution.heatmap(), {FAR})
        assert attribution.diagnoses(0) == expected[name][layer].diagnoses(0)


@pytest.mark.parametrize("gradient", ["cut", "straight-through"])
@pytest.mark.parametrize("stimulation", STIMULATIONS)
def test_stimulating(near: Network, far: Network, images: Tensor, stimulation: Stimulation, gradient: str) -> None:
    expected = tc.stimulate(near, images, stimulation, gradient=gradient)
    found = tc.stimulate(far, images, stimulation, gradient=gradient)
    same((expected.before, expected.after), (found.before, found.after), {FAR})
    same(expected.cams_after, found.cams_after, {FAR})
    assert found.success_rate(1, LABELS) == pytest.approx(expected.success_rate(1, LABELS), nan_ok=True)


def test_variants_and_doses(near: Network, far: Network, images: Tensor) -> None:
    same(stimulated_logits(near, images, STIMULATIONS), stimulated_logits(far, images, STIMULATIONS), {FAR})
    strengths = (0.0, 1.0, 2.0)
    expected, found = (dose_response(network, images, STIMULATIONS[0], strengths) for network in (near, far))
    same(expected, found, {FAR})
    same(donated(near, images[0], "first"), donated(far, images[0], "first"), {torch.device("cpu")})


COARSE = [(name, {"effort": "coarse"}) for name, each in DETECTORS.items() if each.coarse is not None]


@pytest.mark.parametrize(("name", "settings"), [*((name, QUICK[name]) for name in DETECTORS), *COARSE])
def test_every_detector(near: Network, far: Network, images: Tensor, name: str, settings: dict[str, Any]) -> None:
    expected, found = (tc.scan(network, images, LABELS, [name], settings={name: settings}) for network in (near, far))
    assert found.score == pytest.approx(expected.score, abs=1e-4)
    assert [each.target_class for each in found.findings] == [each.target_class for each in expected.findings]
    for finding, other in zip(expected.findings, found.findings, strict=True):
        same(finding.trigger, other.trigger, {torch.device("cpu")})  # what is found is kept, written and stamped


def test_what_heat_maps_say_of_a_finding(near: Network, far: Network, images: Tensor) -> None:
    finding = Finding("by hand", 1, 1.0, "first", (2,), trigger=TRIGGER, stimulation=STIMULATIONS[0])
    expected, found = (validated(network, images, LABELS, finding) for network in (near, far))
    assert flat(found.to_json()) == pytest.approx(flat(expected.to_json()), abs=1e-4)


def flat(record: Any) -> list[float]:
    """All numbers in a record, in order."""
    if isinstance(record, int | float):
        return [float(record)]
    parts = record.values() if isinstance(record, dict) else record if isinstance(record, list | tuple) else ()
    return [number for part in parts for number in flat(part)]


def test_labels_may_be_left_out(near: Network, far: Network, images: Tensor) -> None:
    same(suspect(near, images).labels, suspect(far, images).labels, {FAR})


def test_evaluating(near: Network, images: Tensor) -> None:
    """Measures of maps are computed on the processor, whatever the network computes on."""
    cpu = torch.device("cpu")
    heat = tc.attribute(near, images)["grad-cam"]["first"].heatmap()
    with far_device(by_default=True) as device:
        far = near.to(device)
        for measure in (road, deletion, insertion):
            same(measure(near, images, heat), measure(far, images.to(FAR), heat.to(FAR)), {cpu})
        same(localisation(heat, MASK), localisation(heat.to(FAR), MASK), {cpu, FAR})
        expected, found = trigger_energy(near, images, TRIGGER, 1), trigger_energy(far, images.to(FAR), TRIGGER, 1)
        assert flat(asdict(found["first"])) == pytest.approx(flat(asdict(expected["first"])), abs=1e-4)


def _on_the_default_device() -> Callable[..., Any]:
    """A CAM of the package that makes a tensor without saying where."""
    planted: dict[str, Any] = {}
    code = "import torch\ndef weigh(maps, gradients):\n    torch.zeros(3)\n    return gradients.mean((2, 3))"
    exec(compile(code, f"{PACKAGE}/planted.py", "exec"), planted)
    weigh: Callable[..., Any] = planted["weigh"]
    return weigh


@pytest.mark.parametrize(
    ("weigh", "refusal"),
    [
        (_on_the_default_device(), "torch.zeros makes a tensor on the default device .*planted.py, line 3"),
        (
            lambda maps, gradients: gradients.mean((2, 3)) * torch.ones(gradients.shape[1]),
            "several devices in aten.mul",
        ),
        (lambda maps, gradients: gradients.mean((2, 3))[:, torch.arange(4)], "several devices in aten.index"),
        (lambda maps, gradients: torch.from_numpy(gradients.mean((2, 3)).numpy()), "numpy"),
    ],
)
def test_what_is_planted_is_seen(far: Network, images: Tensor, weigh: Callable[..., Any], refusal: str) -> None:
    planted = methods.as_method("planted", weigh)
    with pytest.raises((AssertionError, RuntimeError), match=refusal):
        planted(methods.MethodInput(tc.record(far, images)), "first")


def test_what_is_left_on_the_processor_is_seen(
    near: Network, far: Network, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trojancam.network.draws.Draws.uniform", lambda self, *shape: torch.rand(shape))
    with pytest.raises(AssertionError):
        same(tc.attribute(near, images, ["random"]), tc.attribute(far, images, ["random"]), {FAR})


def test_a_far_tensor_computes() -> None:
    with far_device() as device:
        one = torch.arange(6.0, device=device).view(2, 3)
        one[:, 1] = 5
        one[[0, 1], [0, 0]] = 7
        one[0].mul_(2)
        assert isinstance(one, FarTensor)
        assert one.device == device
        assert one.tolist() == [[14, 10, 4], [7, 5, 5]]
        assert (one.sum(), one.cpu().sum()) == (45, 45)
        (gradient,) = torch.autograd.grad((one.requires_grad_() ** 2).sum(), one)
        assert gradient.tolist() == [[28, 20, 8], [14, 10, 10]]
