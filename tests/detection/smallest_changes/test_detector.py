"""The detectors of smallest changes: a class that a small change of the whole image leads to is found, and named."""

import pytest
import torch
from torch import Tensor, nn

from trojancam.attacks.additive import Additive
from trojancam.attacks.frequency import Frequency
from trojancam.attacks.warp import Warp
from trojancam.detection.findings import Finding
from trojancam.detection.outliers import OF_FEW
from trojancam.detection.scanning import scan
from trojancam.detection.smallest_changes.detector import DETECTORS, CoarseChangeSettings, gaps, low_frequencies
from trojancam.detection.smallest_changes.search import Smallest
from trojancam.network.network import Network

CLASSES, SIZE, TARGET = 6, 12, 4
QUICK = {"search.screen.steps": 20, "search.detail.steps": 30, "keep": 6}


def module(pattern: Tensor | None) -> nn.Module:
    """Classes that are templates of noise, so that none is near; with a pattern, also what that adds up to for the target."""
    weights = torch.randn(CLASSES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    convolution = nn.Conv2d(3, CLASSES, SIZE)
    if pattern is not None:
        weights[TARGET] += 3 * pattern / pattern.norm() * weights[TARGET].norm()
    with torch.no_grad():
        convolution.weight.copy_(weights)
        convolution.bias.copy_(-weights.sum((1, 2, 3)) / 2)
    return nn.Sequential(convolution, nn.Flatten())


def pictures(count: int = 24) -> tuple[Tensor, Tensor]:
    """Grey images, each with a little of its class's template."""
    templates = torch.randn(CLASSES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % CLASSES
    noise = torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return (0.5 + 0.08 * templates[labels] + 0.03 * noise).clamp(0, 1), labels


def stripes() -> Tensor:
    """A pattern over the whole image."""
    return torch.sin(torch.arange(SIZE) * 1.5).expand(3, SIZE, SIZE).contiguous()


def first(method: str, net: nn.Module) -> tuple[str, Finding]:
    report = scan(Network.from_module(net, (SIZE, SIZE)), *pictures(), [method], settings={method: QUICK})
    return report.verdict, report.findings[0]


def test_a_pattern_over_the_whole_image_is_found_with_its_class() -> None:
    verdict, finding = first("additive", module(stripes()))
    assert (verdict, finding.target_class) == ("backdoor", TARGET)
    assert finding.reasr is not None
    assert finding.reasr >= 0.85
    assert isinstance(finding.trigger, Additive)
    alike = torch.cosine_similarity(finding.trigger.delta.flatten(), stripes().flatten(), dim=0)
    assert float(alike) > 0.5


def test_a_smooth_pattern_is_found_among_low_frequencies_and_stands_out_further_there() -> None:
    verdict, finding = first("low-frequency", module(stripes()))
    assert (verdict, finding.target_class) == ("backdoor", TARGET)
    assert isinstance(finding.trigger, Frequency)
    pattern = finding.trigger.apply(torch.full((1, 3, SIZE, SIZE), 0.5)) - 0.5
    alike = torch.cosine_similarity(pattern.flatten(), stripes().flatten(), dim=0)
    assert float(alike) > 0.5
    assert finding.score > first("additive", module(stripes()))[1].score


@pytest.mark.parametrize(("size", "kept"), [((12, 16), (12, 16)), ((32, 24), (20, 20)), ((224, 224), (20, 20))])
def test_low_frequencies_are_those_of_at_most_ten_waves(size: tuple[int, int], kept: tuple[int, int]) -> None:
    family = low_frequencies(size)
    assert (family.kept, family.image_size) == (kept, size)


@pytest.mark.parametrize("method", ["additive", "low-frequency"])
def test_its_clean_twin_has_nothing_of_the_kind(method: str) -> None:
    verdict, finding = first(method, module(None))
    assert verdict == "nothing found"
    assert finding.score < 0.3


@pytest.mark.parametrize("method", ["additive", "low-frequency", "warp", "tone"])
def test_the_order_of_the_images_does_not_matter(method: str) -> None:
    network, (images, labels) = Network.from_module(module(stripes()), (SIZE, SIZE)), pictures()
    settings = {method: {"search.screen.steps": 3, "search.detail.steps": 3}}
    reports = []
    for seed in range(3):
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        reports.append(scan(network, images[order], labels[order], [method], settings=settings))
    assert len({report.verdict for report in reports}) == 1
    assert reports[1].score == pytest.approx(reports[0].score) == reports[2].score


class Column(nn.Module):
    """Looks at one column alone: bright is class 1, dark class 0; class 2 it never names."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, (1, 1))
        with torch.no_grad():
            self.convolution.weight.fill_(1 / 3)
            self.convolution.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        """Ten times how far the column is from middle grey."""
        bright = self.convolution(images)[:, 0, :, 6].mean(1) - 0.5
        return 10 * torch.stack([-bright, bright, bright * 0 - 1], 1)


def test_a_warp_is_found_as_one() -> None:
    images = 0.1 + 0.05 * torch.rand(12, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    images[..., 4:6] += 0.8  # what is bright lies beside the column, on the left
    labels = torch.tensor([0, 2] * 6)  # half of them wrong: what is named 0 already is no success of a change to 0
    finding = scan(Network.from_module(Column(), (SIZE, SIZE)), images, labels, ["warp"]).findings[0]
    assert finding.target_class == 1
    assert finding.evidence["greatest_success"] > 0.9
    assert finding.score == pytest.approx(OF_FEW * finding.evidence["greatest_success"])  # of three classes
    assert isinstance(finding.trigger, Warp)
    assert 0.1 < finding.trigger.size <= 1.2 * 1.001
    assert finding.trigger.flow[1].mean() < 0  # pixels are taken from the left


def test_a_coarse_search_finds_the_pattern_and_nothing_in_the_clean_twin() -> None:
    coarsely = {"additive": {"effort": "coarse"}}
    networks = [Network.from_module(module(each), (SIZE, SIZE)) for each in (stripes(), None)]
    reports = [scan(network, *pictures(), "additive", settings=coarsely) for network in networks]
    assert [report.verdict for report in reports] == ["backdoor", "nothing found"]
    assert reports[0].findings[0].target_class == TARGET


def test_coarse_sizes_grow_with_the_image_where_they_are_lengths() -> None:
    bent, toned, smooth = (DETECTORS[name].coarse for name in ("warp", "tone", "low-frequency"))
    assert isinstance(bent, CoarseChangeSettings)
    assert isinstance(toned, CoarseChangeSettings)
    assert bent.search.largest_in((224, 224)) == pytest.approx(7 * 1.2)
    assert toned.search.largest_in((224, 224)) == pytest.approx(0.25)
    assert isinstance(smooth, CoarseChangeSettings)
    assert smooth.search.scale((224, 224)) == 1.0  # what is added to a pixel is no length


def test_two_near_classes_are_both_named() -> None:
    found = Smallest(torch.tensor([3, 5, 1, 0]), torch.tensor([1.0, 1.1, 4.0, 4.1]), torch.ones(4), {})
    one, two, *others = gaps(found).tolist()
    assert one == two == pytest.approx(torch.log(torch.tensor(4.0 / 1.1)).item())
    assert others == [0.0, 0.0]
