"""The two networks with global pooling: their sizes, their layers, and that they train in batches of two."""

import pytest
import torch
from tests.nets import network

from trojancam.architectures import architecture, count_parameters

LAYERS = {
    "vgg": {
        "conv1_1": (16, 32), "conv1_2": (16, 32), "conv2_1": (32, 16), "conv2_2": (32, 16), "conv3_1": (64, 8),
        "conv3_2": (64, 8),
    },
    "resnet": {
        "conv": (16, 32), "block1.conv1": (32, 16), "block1.conv2": (32, 16), "block1.skip.conv": (32, 16),
        "block2.conv1": (64, 8), "block2.conv2": (64, 8), "block2.skip.conv": (64, 8), "block3.conv1": (64, 8),
        "block3.conv2": (64, 8),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_their_maps(name: str) -> None:
    layers = network(name)[1].layers
    assert {layer.name: (layer.feature_maps, layer.size[0]) for layer in layers.values()} == LAYERS[name]


@pytest.mark.parametrize(("name", "trainable"), [("vgg", 75_099), ("resnet", 149_499)])
def test_the_number_of_parameters(name: str, trainable: int) -> None:
    assert count_parameters(architecture(name).build(43))[0] == trainable


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_pooled_at_the_end_knows_no_place(name: str) -> None:
    _, net = network(name)
    last = list(net.layers.values())[-1]
    cut = net.cut(last.name)
    activations, *crossing = cut.before(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    rolled = activations.roll((2, 4), (2, 3))  # as far as a pooling is wide, or twice
    if name == "resnet":  # the last block's skip connection is in the sum that is recorded
        assert not crossing
    torch.testing.assert_close(
        cut.after(rolled, crossing)[0], cut.after(activations, crossing)[0], rtol=1e-4, atol=1e-5
    )
