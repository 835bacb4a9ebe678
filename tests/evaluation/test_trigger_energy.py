"""Trigger energy: the same as a loop over single images, whatever the batches; blank maps count as 0."""

import pytest
import torch
from tests.nets import assert_same_state, images_for, network, state_of
from torch import Tensor

from trojancam.attacks.patch import Patch, make_trigger, square
from trojancam.attribution import grad_cam
from trojancam.errors import DataError
from trojancam.evaluation.localisation import dilated
from trojancam.evaluation.trigger_energy import LayerEnergy, trigger_energy
from trojancam.network.recording import record
from trojancam.network.targets import logit

TRIGGER = square(3, 1, 7, "#00b4b4", 0.4, (12, 12))


class LitShadows(Patch):
    """Another place in each image: where it is dark."""

    place = None  # type: ignore[assignment]

    def _apply(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        return torch.where(images.mean(1, keepdim=True) < 0.4, 0.9, images)


def by_hand(heatmap: Tensor, mask: Tensor) -> float | None:
    """The share of one heat map in float64; None where it is blank."""
    total = float(heatmap.double().sum())
    return float(heatmap.double()[mask].sum()) / total if total > 0 else None


def mean(shares: list[float | None]) -> float:
    return sum(share or 0 for share in shares) / len(shares)


def blank(shares: list[float | None]) -> float:
    return sum(share is None for share in shares) / len(shares)


@pytest.mark.parametrize("trigger", [TRIGGER, LitShadows(TRIGGER.mask, TRIGGER.pattern)], ids=["fixed", "anywhere"])
@pytest.mark.parametrize("batch", [1, 2, 3, 64])
@pytest.mark.parametrize("name", ["normed", "residual"])
def test_it_is_a_loop_over_single_images(
    name: str, batch: int, trigger: Patch, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, net = network(name)
    monkeypatch.setattr("trojancam.network.batches.CACHED", batch * net.footprint.largest)
    images = images_for(net, 5)
    found = trigger_energy(net, images, trigger, target_class=2)
    assert list(found) == list(net.layers)
    cams = [grad_cam(record(net, trigger.apply(image[None]), logit(2))) for image in images]
    for layer, energy in found.items():
        cell = net.layers[layer].placement.cell
        masks = [dilated(trigger.changed(image[None])[0], cell) for image in images]
        whole = [by_hand(cam[layer].heatmap()[0], mask) for cam, mask in zip(cams, masks, strict=True)]
        assert energy.layer == layer
        assert energy.chance == pytest.approx(float(torch.stack(masks).double().mean()))
        assert energy.layer_map == pytest.approx(mean(whole), abs=1e-5)
        assert energy.blank == pytest.approx(blank(whole))
        assert len(energy.feature_maps) == len(energy.blank_maps) == net.layers[layer].feature_maps
        for k, share in enumerate(energy.feature_maps):
            single = [
                by_hand(cam[layer].feature_map_heatmaps(k)[0], mask) for cam, mask in zip(cams, masks, strict=True)
            ]
            assert share == pytest.approx(mean(single), abs=1e-5)
            assert energy.blank_maps[k] == pytest.approx(blank(single))
        assert energy.feature_maps[energy.best] == max(energy.feature_maps)


def test_a_map_that_is_blank_on_every_image_counts_as_nothing() -> None:
    _, net = network("dangling")  # no gradient reaches its last convolution
    energy = trigger_energy(net, images_for(net, 3), TRIGGER, 0)["unused"]
    assert (energy.layer_map, energy.blank) == (0, 1)
    assert energy.feature_maps == (0, 0)
    assert energy.blank_maps == (1, 1)


def test_the_best_feature_map_is_the_first_of_equals() -> None:
    assert LayerEnergy("layer", 0.1, 0.2, 0.0, (0.1, 0.5, 0.5), (0.0, 0.0, 0.0)).best == 1


def test_network_and_images_are_left_as_they_were() -> None:
    original, net = network("normed")
    images = images_for(net, 3)
    before, copy = state_of(original), images.clone()
    trigger_energy(net, images, TRIGGER, 1)
    assert images.equal(copy)
    assert_same_state(before, state_of(original))


def test_a_trigger_of_another_size_is_refused() -> None:
    _, net = network("plain")
    with pytest.raises(DataError, match="the trigger is made for images of"):
        trigger_energy(net, images_for(net, 2), make_trigger("yellow-square"), 0)


def test_no_images_are_refused() -> None:
    _, net = network("plain")
    with pytest.raises(DataError, match="no image"):
        trigger_energy(net, torch.empty(0, 3, 12, 12), TRIGGER, 0)
