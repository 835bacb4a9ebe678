"""One-to-one: a patch that sends each class to another of its own is found, its place and its map; its clean twin has none."""

import pytest
import torch
from tests.detection.red_pixel import COLUMN, ROW, RedPixel, pictures
from tests.nets import unchecked
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.findings import Finding
from trojancam.detection.one_to_one import NAME, stamps
from trojancam.detection.outliers import OF_FEW
from trojancam.detection.scanning import scan
from trojancam.network.network import Network

CLASSES, SIZE = 6, 12
QUICK = {NAME: {"side": 0.2, "stride": 0.15, "screen": 8, "detail": 16}}


class Shifting(RedPixel):
    """With a backdoor, where one pixel is red, it names the next class."""

    def __init__(self, trojaned: bool) -> None:
        super().__init__(CLASSES)
        self.trojaned = float(trojaned)

    def forward(self, images: Tensor) -> Tensor:
        """Six logits."""
        bright, red = self.seen(images)
        return bright + 3 * self.trojaned * red * bright.roll(1, 1)


def shown() -> tuple[Tensor, Tensor]:
    return pictures(CLASSES, SIZE, 48)


def first(trojaned: bool) -> tuple[str, Finding]:
    report = scan(Network.from_module(Shifting(trojaned), (SIZE, SIZE)), *shown(), [NAME], settings=QUICK)
    return report.verdict, report.findings[0]


def test_a_shift_of_all_classes_is_found_with_its_place_and_its_map() -> None:
    verdict, finding = first(trojaned=True)
    assert verdict == "backdoor"
    assert finding.reasr is not None
    assert finding.reasr > 0.9
    assert finding.score == pytest.approx(OF_FEW * finding.reasr)  # of six classes
    assert dict(finding.class_map) == {label: (label + 1) % CLASSES for label in range(CLASSES)}
    assert finding.position is not None
    assert max(abs(finding.position[0] - ROW), abs(finding.position[1] - COLUMN)) <= 1.5
    images, labels = shown()
    assert isinstance(finding.trigger, Patch)
    sent = Network.from_module(Shifting(True), (SIZE, SIZE))(finding.trigger.apply(images)).argmax(1)
    assert float((sent == (labels + 1) % CLASSES).float().mean()) > 0.9


def test_a_coarse_search_finds_the_shift_and_nothing_in_the_clean_twin() -> None:
    coarsely = {NAME: {"effort": "coarse", "side": 2 / SIZE, "stride": 2 / SIZE}}
    networks = [Network.from_module(Shifting(trojaned), (SIZE, SIZE)) for trojaned in (True, False)]
    reports = [scan(network, *shown(), NAME, settings=coarsely) for network in networks]
    assert [report.verdict for report in reports] == ["backdoor", "nothing found"]
    assert dict(reports[0].findings[0].class_map) == {label: (label + 1) % CLASSES for label in range(CLASSES)}


def test_its_clean_twin_has_no_such_patch() -> None:
    verdict, finding = first(trojaned=False)
    assert verdict == "nothing found"
    assert finding.score < 0.3


def test_a_finding_survives_json() -> None:
    _, finding = first(trojaned=True)
    again = Finding.from_json(finding.to_json())
    assert again.class_map == finding.class_map
    assert again.position == finding.position


def test_too_few_classes_cannot_be_searched_and_it_says_what_to_add() -> None:
    network = Network.from_module(Shifting(True), (SIZE, SIZE))
    images, labels = shown()
    two = labels < 2
    with (
        unchecked(),
        pytest.raises(CannotSearchError, match="only 2 of 6 classes .* give at least two images of each class"),
    ):
        scan(network, images[two], labels[two], [NAME], settings=QUICK)


@pytest.mark.parametrize("image_size", [(32, 32), (12, 20), (224, 224)])
def test_stamps_cover_the_image_and_change_nothing_else(image_size: tuple[int, int]) -> None:
    found = stamps(image_size, 6 / 32, 4 / 32, torch.Generator().manual_seed(0))
    masks, patterns = found.laid_out()
    side = round(min(image_size) * 6 / 32)
    assert torch.equal(masks.sum((1, 2, 3)), torch.full((len(masks),), float(side * side)))
    covered = masks.amax(0)[0] > 0
    step = round(min(image_size) * 4 / 32)
    assert bool(covered[: image_size[0] - step + 1, : image_size[1] - step + 1].all())
    images = torch.rand(2, 3, *image_size)
    stamped = found.picked(torch.tensor([0])).apply(images)[0]
    outside = masks[0].expand_as(images) == 0
    assert torch.equal(stamped[outside], images[outside])
    assert torch.allclose(stamped[:, :, :side, :side], patterns[0][None, :, :side, :side])
