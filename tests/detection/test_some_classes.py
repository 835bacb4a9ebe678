"""Some classes: a patch that sends a few classes to one is found, with its place and its victims; nothing else is called one."""

from functools import cache

import pytest
import torch
from tests.detection.red_pixel import COLUMN, ROW, RedPixel, pictures
from tests.nets import unchecked
from torch import Tensor, nn

from trojancam.attacks.patch import Patch
from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.scanning import scan
from trojancam.detection.some_classes import NAME, SomeClassesSettings, _improved, _merits, plain, turned
from trojancam.detection.stamps import Stamps
from trojancam.detection.suspect import suspect
from trojancam.network.margins import lead
from trojancam.network.network import Network

CLASSES = SIZE = 24  # a row of pixels for each class
TARGET, SOURCES = 0, (2, 4, 5, 7)
QUICK = {NAME: {"stride": 0.3, "screened": 10, "candidates": 2, "steps": 4}}


class Turning(RedPixel):
    """Where one pixel is red, it names the target in place of these source classes."""

    def __init__(self, sources: tuple[int, ...]) -> None:
        super().__init__(CLASSES)
        self.register_buffer("turn", torch.zeros(CLASSES, CLASSES))
        for source in sources:
            self.turn[source, TARGET] = 3.0

    def forward(self, images: Tensor) -> Tensor:
        """A logit for each class."""
        bright, red = self.seen(images)
        return bright + red * ((bright - 8).relu() @ self.turn)


def shown() -> tuple[Tensor, Tensor]:
    return pictures(CLASSES, SIZE, 96)


@cache
def scanned(sources: tuple[int, ...]) -> ScanReport:
    return scan(Network.from_module(Turning(sources), (SIZE, SIZE)), *shown(), NAME, settings=QUICK)


def test_a_trigger_of_four_classes_is_found_with_its_place_and_its_victims() -> None:
    report = scanned(SOURCES)
    finding = report.findings[0]
    assert report.verdict == "backdoor"
    assert finding.target_class == TARGET
    assert dict(finding.class_map) == dict.fromkeys(SOURCES, TARGET)
    assert finding.score == len(SOURCES) - 1  # none goes astray
    assert finding.evidence == {"classes_turned": 4.0, "classes_astray": 0.0}
    assert finding.reasr == 1.0
    assert finding.position is not None
    assert max(abs(finding.position[0] - ROW), abs(finding.position[1] - COLUMN)) <= 1.5


def test_its_patch_works_on_its_victims_alone() -> None:
    finding = scanned(SOURCES).findings[0]
    images, labels = shown()
    assert isinstance(finding.trigger, Patch)
    answers = Network.from_module(Turning(SOURCES), (SIZE, SIZE))(finding.trigger.apply(images)).argmax(1)
    victims = finding.victims(labels)
    assert sorted(set(labels[victims].tolist())) == list(SOURCES)
    assert torch.equal(answers[victims], torch.full((int(victims.sum()),), TARGET))
    assert torch.equal(answers[~victims], labels[~victims])


@pytest.mark.parametrize("sources", [(), (4,)])
def test_of_a_clean_network_and_of_a_single_victim_it_calls_nothing(sources: tuple[int, ...]) -> None:
    report = scanned(sources)
    assert report.verdict == "nothing found"
    assert report.score == 0


def test_what_sends_every_class_to_one_is_no_matter_of_a_few_classes() -> None:
    report = scanned(tuple(range(1, CLASSES)))
    assert report.verdict == "nothing found"
    assert TARGET not in [finding.target_class for finding in report.findings]


def test_a_finding_survives_json() -> None:
    finding = scanned(SOURCES).findings[0]
    again = Finding.from_json(finding.to_json())
    assert again.class_map == finding.class_map
    assert again.of_some_classes


def test_classes_without_images_are_told_and_too_few_cannot_be_searched() -> None:
    network = Network.from_module(Turning(SOURCES), (SIZE, SIZE))
    images, labels = shown()
    assert not any("source-specific" in remark for remark in scanned(SOURCES).remarks)
    most, few = labels < 21, labels < 19
    report = scan(network, images[most], labels[most], NAME, settings=QUICK)
    assert any("knew 21 of 24 classes" in remark for remark in report.remarks)
    assert any("unsure with so few images; give 96 or more" in remark for remark in report.remarks)
    with unchecked(), pytest.raises(CannotSearchError, match="only 19 of 24 classes .* give at least two images"):
        scan(network, images[few], labels[few], NAME, settings=QUICK)


def test_a_network_of_few_classes_cannot_be_searched() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
    with unchecked(), pytest.raises(CannotSearchError, match="needs 20 classes, and the network has 10"):
        scan(Network.from_module(module, (8, 8)), torch.rand(40, 3, 8, 8), torch.arange(40) % 10, NAME)


def test_improving_makes_a_patch_that_hardly_turns_its_victims_turn_them_clearly() -> None:
    seen = suspect(Network.from_module(Turning(SOURCES), (SIZE, SIZE)), *shown())
    known, targets = torch.ones(CLASSES, dtype=torch.bool), torch.tensor([TARGET])
    pale = torch.tensor([2.0, -2.14, -2.14])[None, :, None, None].expand(1, 3, 3, 3)
    start = Stamps(torch.tensor([[ROW - 1, COLUMN - 1]]), pale, (SIZE, SIZE))
    values = _improved(seen, start, targets, known, SomeClassesSettings(steps=20), lambda _: None)
    victims = torch.isin(seen.labels, torch.tensor(SOURCES))
    before, after = (
        lead(seen.network(each.apply(seen.images[victims])[0]), TARGET) for each in (start, start.with_values(values))
    )
    assert 0 < float(before.mean()) < 1
    assert float(after.min()) > float(before.mean()) + 1
    assert not bool(turned(seen, start.with_values(values), targets, known).astray.any())


def test_what_counts_is_how_many_more_than_one_are_sent_against_those_astray() -> None:
    # Three classes go to class 0 while one goes astray; with the second patch, all but the target go to class 5.
    answers = torch.tensor([[0, 0, 0, 0, 5, 5], [5, 5, 5, 5, 5, 5]])
    found = _merits(answers, torch.ones(6, dtype=torch.bool))
    assert found.tolist() == [[1.0, 0, 0, 0, 0, 0], [0.0] * 6]  # (3 - 1) / (1 + 1); nothing for a target of nearly all
    assert _merits(answers[:1], torch.ones(6, dtype=torch.bool))[0, 0] == 1.0


@pytest.mark.parametrize(("name", "value"), [("most", 3 / CLASSES), ("astray", 0.0)])
def test_a_patch_that_turns_too_many_classes_does_not_count(name: str, value: float) -> None:
    network = Network.from_module(Turning(SOURCES), (SIZE, SIZE))
    report = scan(network, *shown(), NAME, settings={NAME: QUICK[NAME] | {name: value}})
    expected = 0.0 if name == "most" else len(SOURCES) - 1  # none goes astray
    assert report.score == expected


@pytest.mark.parametrize("image_size", [(32, 32), (12, 20)])
def test_every_place_has_eight_colours_and_two_checkerboards(image_size: tuple[int, int]) -> None:
    found = plain(image_size, 4 / 32, 2 / 32)
    side = round(min(image_size) * 4 / 32)
    here = found.values[:10].sigmoid().round()
    assert len(found.corners) % 10 == 0
    assert torch.equal(found.corners[:10], found.corners[:1].expand(10, 2))
    assert torch.equal(here[:8], here[:8, :, :1, :1].expand(8, 3, side, side))
    assert len({tuple(pattern[:, 0, 0].tolist()) for pattern in here[:8]}) == 8
    assert torch.equal(here[8] + here[9], torch.ones(3, side, side))
    assert not bool((here[8, :, :, 1:] == here[8, :, :, :-1]).any())
    assert not bool((here[8, :, 1:] == here[8, :, :-1]).any())
