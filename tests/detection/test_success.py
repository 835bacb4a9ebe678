"""Success rates: counted by hand on hand-built networks, and never on images of the target class."""

import math

import pytest
import torch
from tests.detection.planted import COLUMNS, MAGENTA, ROWS, TARGET, pictures, planted
from tests.nets import images_for, network
from torch import Tensor

from trojancam.attacks.patch import Patch, square
from trojancam.detection.success import ablation_asr, reasr, stimulation_asr
from trojancam.errors import DataError, UnknownNameError
from trojancam.network.network import Network
from trojancam.stimulation import Stimulation

PATCH = square(3, 1, 8, "magenta", image_size=(12, 12))


def counted(net: Network, images: Tensor, labels: Tensor, target: int) -> float:
    """The rate, image by image."""
    given = [
        int(net(image[None])[0].argmax()) == target
        for image, label in zip(images, labels.tolist(), strict=True)
        if label != target
    ]
    return sum(given) / len(given)


def test_reasr_is_the_share_of_other_classes_images_that_the_trigger_sends_to_the_target() -> None:
    _, net = network("plain")
    images = images_for(net, 70)
    labels = torch.arange(70) % 4
    trigger = Patch(torch.full((12, 12), 0.5), torch.rand(3, 12, 12))
    for target in range(4):
        expected = counted(net, trigger.apply(images), labels, target)
        assert reasr(net, trigger, images, labels, target) == pytest.approx(expected)


def test_the_planted_trigger_succeeds_and_leaves_the_clean_twin_alone() -> None:
    for trojaned, rate in ((True, 1.0), (False, 0.0)):
        clean = planted(trojaned)
        assert reasr(clean.network, PATCH, clean.images, clean.labels, TARGET) == rate


def test_images_of_the_target_class_alone_say_nothing() -> None:
    clean = planted(True)
    ours = clean.labels == TARGET
    images, labels = clean.images[ours], clean.labels[ours]
    assert math.isnan(reasr(clean.network, PATCH, images, labels, TARGET))
    assert math.isnan(stimulation_asr(clean.network, images, labels, TARGET, Stimulation("0")))
    assert math.isnan(ablation_asr(clean.network, PATCH, images, labels, TARGET, "0", (0,)))


def test_stimulation_runs_on_from_the_edited_layer() -> None:
    _, net = network("residual")
    images, labels = images_for(net, 70), torch.arange(70) % 4
    cut = net.cut("2.conv1")
    activations, *crossing = cut.before(images)
    activations[:, 2] *= 3
    with torch.no_grad():
        predictions = cut.after(activations, crossing)[0].argmax(1)
    for target in range(4):
        expected = float((predictions == target)[labels != target].float().mean())
        stimulation = Stimulation("2.conv1", 2, "scale", 3.0)
        assert stimulation_asr(net, images, labels, target, stimulation) == pytest.approx(expected)


def test_an_attack_that_passes_through_one_map_dies_with_it_and_not_with_another() -> None:
    clean = planted(True)
    for maps, rate in (((MAGENTA,), 0.0), ((0,), 1.0), ((0, MAGENTA), 0.0)):
        given = ablation_asr(clean.network, PATCH, clean.images, clean.labels, TARGET, "0", maps)
        assert given == rate, f"feature maps {maps} held at their clean mean"


def test_maps_are_held_at_their_mean_over_the_other_classes_images() -> None:
    module, net = network("plain")
    images, labels, target = images_for(net, 70), torch.arange(70) % 4, 2
    others = labels != target
    with torch.no_grad():
        clean, stamped = (torch.relu(module.first(batch[others])).double() for batch in (images, PATCH.apply(images)))
        stamped[:, [1, 3]] = clean[:, [1, 3]].mean(0)
        deep = torch.relu(module.second(torch.nn.functional.max_pool2d(stamped.float(), 2)))
        expected = float((module.linear(deep.flatten(1)).argmax(1) == target).float().mean())
    assert ablation_asr(net, PATCH, images, labels, target, "first", (1, 3)) == pytest.approx(expected)


def test_images_go_through_a_few_at_a_time_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    _, net = network("plain")
    images, labels = images_for(net, 30), torch.arange(30) % 4
    whole = reasr(net, PATCH, images, labels, 1)
    monkeypatch.setattr("trojancam.network.batches.CACHED", 1)
    assert net.footprint.rows() == 1
    assert reasr(net, PATCH, images, labels, 1) == whole


def test_what_does_not_fit_is_refused() -> None:
    clean = planted(True)
    images, labels = pictures()
    with pytest.raises(DataError, match=r"made for images of \(8, 8\)"):
        reasr(clean.network, square(2, 0, 0, image_size=(8, 8)), images, labels, 0)
    with pytest.raises(UnknownNameError, match="layer '0' has no feature map 3"):
        ablation_asr(clean.network, PATCH, images, labels, 0, "0", (3,))
    with pytest.raises(UnknownNameError, match="unknown layer 'conv'"):
        stimulation_asr(clean.network, images, labels, 0, Stimulation("conv"))


def test_the_planted_place_is_where_the_patch_is() -> None:
    assert PATCH.place[ROWS, COLUMNS].all()
    assert int(PATCH.place.sum()) == 9
