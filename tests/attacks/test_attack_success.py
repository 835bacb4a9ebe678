"""Attack success in one call: what counting one image at a time gives, for triggers of the library and functions of images."""

import math
from typing import Any

import pytest
import torch
from tests.detection.planted import COLUMNS, ROWS, TARGET, module, pictures
from tests.nets import unchecked

import trojancam
from trojancam.attacks.attack_success import attack_success_rate
from trojancam.attacks.patch import square
from trojancam.errors import DataError, UnknownNameError
from trojancam.network.network import Network

TRIGGER = square(3, ROWS.start, COLUMNS.start, "magenta", image_size=(12, 12))


@pytest.fixture(scope="module")
def network() -> Network:
    return Network.from_module(module(trojaned=True), (12, 12), class_names=[f"kind {number}" for number in range(9)])


def test_the_rate_is_that_of_counting_image_by_image(network: Network) -> None:
    images, labels = pictures(30)
    faint = square(3, ROWS.start, COLUMNS.start, "magenta", opacity=0.4, image_size=(12, 12))
    for trigger, target in ((TRIGGER, TARGET), (TRIGGER, 0), (faint, TARGET)):
        others = [(image, label) for image, label in zip(images, labels.tolist(), strict=True) if label != target]
        sent = [int(network(trigger.apply(image[None])).argmax()) == target for image, _ in others]
        assert attack_success_rate(network, images, labels, trigger, target) == pytest.approx(sum(sent) / len(sent))
    assert attack_success_rate(network, images, labels, TRIGGER, TARGET) == 1


def test_images_labels_trigger_and_target_are_taken_as_people_have_them(network: Network) -> None:
    images, labels = pictures(30)
    rate = attack_success_rate(network, images, labels, TRIGGER, TARGET)
    given: Any = (images.mul(255).round().byte().permute(0, 2, 3, 1).numpy(), labels.tolist())
    assert trojancam.attack_success_rate(network, *given, TRIGGER.apply, f"kind {TARGET}") == rate


def test_without_an_image_of_another_class_there_is_no_rate(network: Network) -> None:
    images, _ = pictures(9)
    assert math.isnan(attack_success_rate(network, images, torch.full((9,), TARGET), TRIGGER, TARGET))


@pytest.mark.parametrize(
    ("mistake", "kind", "sentence"),
    [
        (
            {"trigger": "yellow-square"},
            DataError,
            "a trigger, or a function .*, not a str; make one, such as make_trigger",
        ),
        ({"trigger": square(3, 0, 0, image_size=(32, 32))}, DataError, r"made for images of \(32, 32\) pixels"),
        ({"target": 99}, UnknownNameError, "unknown class .99."),
        ({"labels": [1]}, DataError, "1 labels for 9 images"),
        ({"network": module(trojaned=True)}, DataError, "a Network is wanted here"),
    ],
)
def test_what_has_no_rate_is_refused(
    network: Network, mistake: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    images, labels = pictures(9)
    asked = {"network": network, "images": images, "labels": labels, "trigger": TRIGGER, "target": TARGET}
    with pytest.raises(kind, match=sentence), unchecked():
        attack_success_rate(**(asked | mistake))
