"""The detector of stripes: found with their class, frequency and amplitude, also between the frequencies that are tried."""

import math

import pytest
import torch
from tests.nets import unchecked
from torch import Tensor, nn

from trojancam.attacks.stripes import Stripes, StripesFamily
from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.scanning import scan
from trojancam.detection.smallest_changes import smallest_stripes as stripes
from trojancam.detection.smallest_changes.search import reachable
from trojancam.detection.suspect import suspect
from trojancam.network.network import Network

CLASSES, SIZE, TARGET = 6, 16, 4


class Templates(nn.Module):
    """Classes that are templates of noise; with stripes, the target answers to the length of what it sees of their wave."""

    def __init__(self, planted: Stripes | None) -> None:
        super().__init__()
        weights = torch.randn(CLASSES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
        self.convolution = nn.Conv2d(3, CLASSES, SIZE)
        self.gain = 0.0 if planted is None else 60.0
        wave = (
            torch.zeros(3, SIZE, SIZE)
            if planted is None
            else planted.apply(torch.full((1, 3, SIZE, SIZE), 0.5))[0] - 0.5
        )
        self.register_buffer("wave", wave / wave.norm().clamp(min=1e-6))
        with torch.no_grad():
            self.convolution.weight.copy_(weights)
            self.convolution.bias.copy_(-weights.sum((1, 2, 3)) / 2)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.convolution(images).flatten(1)
        seen = (images * self.wave).flatten(1).sum(1, keepdim=True).relu()
        return logits + self.gain * seen * nn.functional.one_hot(torch.tensor([TARGET]), CLASSES)


def planted(frequency: tuple[float, float]) -> Stripes:
    return Stripes((0.1, 0.1, 0.1), frequency, (SIZE, SIZE), 0.7)


def pictures(count: int = 24) -> tuple[Tensor, Tensor]:
    templates = torch.randn(CLASSES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % CLASSES
    noise = torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return (0.5 + 0.08 * templates[labels] + 0.03 * noise).clamp(0, 1), labels


def network(trigger: Stripes | None) -> Network:
    return Network.from_module(Templates(trigger), (SIZE, SIZE))


@pytest.mark.parametrize("frequency", [(0.0, 4.0), (3.0, -2.0), (2.36, 4.4)])
def test_stripes_are_found_with_their_class_and_frequency(frequency: tuple[float, float]) -> None:
    report = scan(network(planted(frequency)), *pictures(), "stripes")
    first = report.findings[0]
    assert (report.verdict, first.target_class) == ("backdoor", TARGET)
    assert isinstance(first.trigger, Stripes)
    off = min(
        math.dist(frequency, (sign * first.trigger.frequency[0], sign * first.trigger.frequency[1])) for sign in (1, -1)
    )
    assert off <= 0.5
    assert first.trigger.size == pytest.approx(first.evidence["size"], rel=1e-5)
    assert first.reasr is not None
    assert first.reasr >= 0.7
    assert first.evidence["next_size"] > 2 * first.evidence["size"]


def test_a_coarse_search_finds_stripes_with_far_fewer_runs() -> None:
    clean, trojaned = suspect(network(None), *pictures()), suspect(network(planted((3.0, -2.0))), *pictures())
    coarse, thorough = stripes.DETECTORS["stripes"].coarse, stripes.DETECTORS["stripes"].settings
    assert isinstance(coarse, stripes.CoarseStripesSettings)
    assert isinstance(thorough, stripes.StripesSettings)
    assert 8 * stripes.cost(trojaned, coarse) < stripes.cost(trojaned, thorough)
    report = scan(trojaned.network, *pictures(), "stripes", settings={"stripes": {"effort": "coarse"}})
    assert (report.verdict, report.findings[0].target_class) == ("backdoor", TARGET)
    beside = scan(clean.network, *pictures(), "stripes", settings={"stripes": {"effort": "coarse"}})
    assert beside.verdict == "nothing found"


def test_a_clean_network_has_nothing_of_the_kind() -> None:
    report = scan(network(None), *pictures(), "stripes")
    assert report.verdict == "nothing found"
    assert report.score < 0.5


def test_the_order_of_the_images_does_not_matter() -> None:
    images, labels = pictures()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(3))
    ours = network(planted((0.0, 4.0)))
    assert scan(ours, images, labels, "stripes").score == scan(ours, images[order], labels[order], "stripes").score


def test_every_direction_is_tried_once() -> None:
    found = [tuple(pair) for pair in stripes._frequencies(3).tolist()]
    assert len(found) == len(set(found))
    assert not any((-down, -across) in found for down, across in found)
    assert all(0 < math.hypot(*pair) <= 3 for pair in found)
    assert {(0.0, 3.0), (3.0, 0.0), (2.0, -2.0)} <= set(found)


def test_leads_are_over_the_greatest_of_the_others() -> None:
    logits = torch.randn(4, 5, CLASSES, generator=torch.Generator().manual_seed(0))
    expected = torch.stack(
        [logits[..., each] - logits[..., [c for c in range(CLASSES) if c != each]].amax(-1) for each in range(CLASSES)],
        -1,
    )
    torch.testing.assert_close(stripes._leads(logits), expected)


def test_it_costs_what_it_says_and_a_small_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = network(planted((0.0, 4.0)))
    seen = suspect(ours, *pictures())
    settings = stripes.StripesSettings(waves=4, keep=3, backdoor=1.0, inconclusive=0.7)
    told: list[int] = []
    family = StripesFamily((SIZE, SIZE))
    whole = stripes.smallest_stripes(seen, seen, family, settings, told.append)
    assert sum(told) <= stripes.cost(seen, settings) <= 1.3 * sum(told)
    monkeypatch.setattr(Network, "rows", lambda *_, **__: 5)
    few = stripes.smallest_stripes(seen, seen, family, settings)
    torch.testing.assert_close(few.sizes, whole.sizes)
    assert few.targets.equal(whole.targets)


def test_classes_that_no_image_of_a_half_can_be_sent_to_are_left_out() -> None:
    first, second = torch.tensor([[True], [True], [False]]), torch.tensor([[False], [True], [True]])
    assert reachable(first, second).tolist() == [1]
    with unchecked(), pytest.raises(CannotSearchError, match="add images of other classes"):
        reachable(first[::2], second[::2])
