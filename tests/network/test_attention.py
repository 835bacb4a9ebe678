"""The weights of attention where the graph can be asked for them, and heads as feature maps, against the module's own sums."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tests.nets import CLASSES, SIZE, Transformer, images, network
from tests.peers import quiet, timm_models, torchvision_models
from torch import Tensor, nn

from trojancam.attribution import attribute, grad_cam
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.opening.open import load
from trojancam.stimulation import Stimulation, stimulate

PATCHES = slice(1, 13)  # of 14 tokens


def weights_of(module: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Of each block, `n heads queries keys` in 64 bits, from what its dense layer gives."""
    kept: list[Tensor] = []
    module = copy.deepcopy(module).double()
    for block in module.blocks:
        block.attn.qkv.register_forward_hook(lambda _, __, out: kept.append(out.detach()))
    module(inputs.double())
    found = []
    for out in kept:
        queries, keys, _ = out.unflatten(-1, (3, 2, 3)).permute(2, 0, 3, 1, 4)
        found.append((torch.einsum("nhqd,nhkd->nhqk", queries, keys) / 3**0.5).softmax(-1))
    return found


def test_weights_are_those_of_the_softmax_inside_and_logits_stay() -> None:
    module, net = network("transformer")
    inputs = net.inputs(images(3))
    logits, weights, streams = net.attention(inputs)
    for found, expected in zip(weights, weights_of(module, inputs), strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(logits, net(images(3)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(net.attention.logits_of(streams[-1]), logits, rtol=1e-5, atol=1e-6)
    assert net.attention.one_stream


class WrittenOut(nn.Module):
    """Attention as a product, a bias and a softmax of its own, with dropout on the way."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj, self.drop = nn.Linear(width, 3 * width), nn.Linear(width, width), nn.Dropout(0.1)
        self.bias = nn.Parameter(torch.randn(2, 14, 14))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, x.shape[-1] // 2)).permute(2, 0, 3, 1, 4)
        weights = self.drop((q @ k.transpose(-2, -1) / 3**0.5 + self.bias).softmax(dim=-1))
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class Biased(nn.Module):
    """The same in one operation, the bias as its mask."""

    def __init__(self, twin: WrittenOut) -> None:
        super().__init__()
        self.qkv, self.proj, self.bias = twin.qkv, twin.proj, twin.bias

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, x.shape[-1] // 2)).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(q, k, v, self.bias, scale=3**-0.5)
        return self.proj(found.transpose(1, 2).flatten(2))


def test_a_softmax_and_one_operation_with_a_bias_are_the_same_attention() -> None:
    torch.manual_seed(4)
    module = Transformer().eval()
    for block in module.blocks:
        block.attn = WrittenOut(6)
    apart = Network.from_module(module.eval(), SIZE)
    for block in module.blocks:
        block.attn = Biased(block.attn)
    whole = Network.from_module(module.eval(), SIZE)
    (_, one, _), (_, other, _) = (net.attention(net.inputs(images(2))) for net in (apart, whole))
    assert len(one) == len(other) == 2
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_head_is_what_the_mean_query_takes_from_each_patch() -> None:
    module, net = network("transformer")
    heads = net.with_heads()
    assert [name for name in heads.layers if name not in net.layers] == ["blocks.0.attn.heads", "blocks.1.attn.heads"]
    inputs = images(3)
    for found, expected in zip(
        (record(heads, inputs, 1).layers[f"blocks.{number}.attn.heads"] for number in range(2)),
        weights_of(module, net.inputs(inputs)),
        strict=True,
    ):
        assert found.placement == net.layer("blocks.0").placement
        maps = expected.mean(2)[..., PATCHES].unflatten(-1, (3, 4))
        torch.testing.assert_close(found.activations.double(), maps, rtol=1e-5, atol=1e-6)
        assert found.gradients.abs().max() > 0
    torch.testing.assert_close(heads(inputs), net(inputs), rtol=1e-5, atol=1e-6)
    assert heads.with_heads() is heads
    assert heads.fingerprint == net.fingerprint


def test_contributions_of_a_head_are_its_attention_times_its_gradient() -> None:
    """`m dy/dm` of the means is the sum over the queries of `p dy/dp`."""
    _, net = network("transformer")
    inputs = net.inputs(images(2)).requires_grad_()
    logits, weights, _ = net.attention(inputs)
    gradients = torch.autograd.grad(logits[:, 1].sum(), weights)
    found = attribute(net.with_heads(), images(2), ["hirescam"], logit(1))["hirescam"]
    for number, (values, slopes) in enumerate(zip(weights, gradients, strict=True)):
        expected = (values * slopes).sum(2)[..., PATCHES].unflatten(-1, (3, 4)).detach()
        contributions = found[f"blocks.{number}.attn.heads"].contributions
        torch.testing.assert_close(contributions, expected, rtol=1e-4, atol=1e-7)


def test_an_edited_head_gives_no_query_anything_of_a_patch() -> None:
    module, net = network("transformer")
    inputs = images(3)
    edit = Stimulation("blocks.0.attn.heads", 1, "zero", window=(1, 2, 1, 1))
    found = stimulate(net.with_heads(), inputs, edit, 1)

    changed = copy.deepcopy(module)

    def forward(x: Tensor) -> Tensor:
        attn = changed.blocks[0].attn
        q, k, v = attn.qkv(x).unflatten(-1, (3, 2, 3)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / 3**0.5).softmax(-1)
        weights[:, 1, :, 1 + 1 * 4 + 2] = 0
        return attn.proj((weights @ v).transpose(1, 2).flatten(2))

    changed.blocks[0].attn.forward = forward
    with torch.no_grad():
        expected = changed(net.inputs(inputs))
    torch.testing.assert_close(found.after.logits, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found.before.logits, expected)


def test_a_whole_token_is_all_maps_in_one_cell() -> None:
    """Setting it to zero is what setting the residual stream to zero there gives."""
    module, net = network("transformer")
    inputs = images(3)
    found = stimulate(net, inputs, Stimulation("blocks.0", "all", "zero", window=(2, 3, 1, 1)), 1)

    def without(_: nn.Module, __: object, out: Tensor) -> Tensor:
        out = out.clone()
        out[:, 1 + 2 * 4 + 3] = 0
        return out

    handle = module.blocks[0].register_forward_hook(without)
    with torch.no_grad():
        expected = module(net.inputs(inputs))
    handle.remove()
    torch.testing.assert_close(found.after.logits, expected, rtol=1e-4, atol=1e-5)


def test_heads_stay_when_the_network_is_changed_or_moved_and_are_not_in_its_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    _, net = network("transformer")
    heads = net.with_heads()
    weight = next(iter(heads.parameters.items()))
    for other in (heads.with_parameters(dict([weight])), heads.without_card(), heads.with_class_names(list("abcd"))):
        assert list(other.layers) == list(heads.layers)
    assert list(load(heads.save(tmp_path / "net.pt2")).layers) == list(net.layers)


def test_new_parameters_leave_the_layers_as_they_are() -> None:
    _, net = network("transformer")
    assert list(net.with_parameters(dict(list(net.parameters.items())[:1])).layers) == list(net.layers)


@pytest.mark.parametrize("name", ["plain", "pointwise"])
def test_a_network_without_attention_has_no_heads(name: str) -> None:
    _, net = network(name)
    assert net.with_heads() is net
    assert not net.attention.blocks
    assert not net.attention.one_stream


def test_torchvision_and_timm_build_networks_whose_attention_is_found() -> None:
    with quiet():
        made, sizes = timm_models().create_model, {"img_size": 64, "num_classes": CLASSES}
        vit = made("vit_tiny_patch16_224", depth=2, embed_dim=24, **sizes)
        other = torchvision_models().VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=CLASSES)
    tiny = Network.from_module(vit.eval(), (64, 64))
    assert [block.name for block in tiny.attention.blocks] == ["blocks.0.attn.heads", "blocks.1.attn.heads"]
    assert [block.heads for block in Network.from_module(other.eval(), (32, 32)).attention.blocks] == [2, 2]
    found = grad_cam(record(tiny.with_heads(), images(1, size=(64, 64)), 0, ["blocks.0.attn.heads"]))
    assert found["blocks.0.attn.heads"].contributions.shape == (1, 3, 4, 4)


def test_attention_within_windows_is_no_stream_of_blocks() -> None:
    """Nor where the last of them are as large as what is left of the image."""
    with quiet():
        swin = timm_models().create_model(
            "swin_tiny_patch4_window7_224", img_size=56, num_classes=CLASSES, depths=(1, 1), embed_dim=8, num_heads=(1, 2)
        )  # fmt: skip
    net = Network.from_module(swin.eval(), (56, 56))
    assert len(net.attention.blocks) == 1
    assert not net.attention.one_stream
