"""The widget: moved by its sliders' values, without a browser or a kernel, it says and draws what the library does."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

import trojancam as tc
from trojancam.explore.widget import MapWidget, dimmed
from trojancam.figures.colour import ColourScale


@pytest.fixture
def shown(network, images):
    return MapWidget(network, images)


def said(network, logits):
    index = int(logits.argmax())
    return f"“{network.class_names[index]}” {float(logits.softmax(0)[index]):.0%}"


def pixels(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_it_begins_with_the_first_image_as_it_is(shown, network, images):
    assert (shown.last_image, shown.last_layer, shown.last_map) == (len(images) - 1, len(network.layers) - 1, 8)
    first = next(iter(network.layers))
    assert shown.words == f"{first}, feature map 0, as it is: {said(network, network(images[:1])[0])}"


def test_a_map_is_stimulated_at_its_strength(shown, network, images):
    shown.image, shown.layer, shown.feature_map, shown.strength = 3, 1, 5, 2.5
    peak = float(tc.record(network, images).layers["conv2d_6"].activations[:, 5].amax())
    before = network(images[3:4])[0]
    target = tc.logit(int(before.argmax()))
    found = tc.stimulate(network, images[3:4], tc.Stimulation("conv2d_6", 5, value=2.5 * peak), target)
    answer = f"{said(network, before)} → {said(network, found.after.logits[0])}"
    assert shown.words == f"conv2d_6, feature map 5, at 2.5 times its peak: {answer}"
    heat = found.cams_after["conv2d_6"].feature_map_heatmaps(5)[0]
    drawn = pixels(shown.picture)
    assert drawn.shape == (224, 448, 3)
    over = ColourScale.of(heat).over(heat, dimmed(images[3]))
    assert np.abs(drawn[::7, 224::7] / 255 - over).max() < 0.003
    assert np.abs(drawn[::7, :224:7] / 255 - images[3].permute(1, 2, 0).numpy()).max() < 0.003


def test_a_map_that_the_next_layer_lacks_gives_way_to_its_last(shown):
    shown.layer, shown.feature_map = 4, 90
    assert "feature map 90" in shown.words
    shown.layer = 0
    assert "feature map 8" in shown.words
    assert shown.last_map == 8


def test_images_that_do_not_fit_are_refused(network):
    with pytest.raises(tc.errors.DataError):
        MapWidget(network, torch.rand(2, 3, 5, 5))
