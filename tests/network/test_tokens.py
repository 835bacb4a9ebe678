"""Tokens: feature maps of transformers against hooks on their blocks, and where in the image their cells lie."""

import pytest
import torch
from tests.nets import CLASSES, SIZE, TransformerBlock, images, methods_for, network
from tests.peers import quiet, timm_models, torchvision_models
from torch import Tensor, nn

from trojancam.attribution import METHODS, attribute, grad_cam
from trojancam.network.network import Network
from trojancam.network.placement import laid_over, stretched
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.opening.open import load
from trojancam.stimulation import Stimulation, stimulate


def test_maps_and_gradients_of_tokens_equal_hooks() -> None:
    module, net = network("transformer")
    kept: dict[str, Tensor] = {}

    def keep(path: str):  # type: ignore[no-untyped-def]
        return lambda _, __, out: (out.retain_grad(), kept.update({path: out}))[0]

    wanted = ("blocks.0.attn", "blocks.0.mlp", "blocks.0")
    handles = [module.get_submodule(path).register_forward_hook(keep(path)) for path in wanted]
    inputs = images(3)
    module(net.input.normalise(inputs).requires_grad_())[:, 1].sum().backward()
    for handle in handles:
        handle.remove()
    recording = record(net, inputs, logit(1), wanted)
    for path in wanted:
        for found, tokens in (
            (recording.layers[path].activations, kept[path].detach()),
            (recording.layers[path].gradients, kept[path].grad),
        ):
            assert tokens is not None
            expected = tokens[:, 1:13].transpose(1, 2).reshape(3, 6, 3, 4)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        assert recording.layers[path].gradients.abs().max() > 0


def test_the_last_block_of_a_network_that_reads_its_class_token_is_no_layer() -> None:
    """Its patches can no longer matter: all heat maps of it would be blank."""
    assert [name for name in network("transformer")[1].layers if name.startswith("blocks.1")] == []


@pytest.mark.parametrize("name", ["transformer", "pointwise"])
def test_a_network_with_token_maps_computes_what_it_did(name: str) -> None:
    module, net = network(name)
    inputs = images(5)
    with torch.no_grad():
        expected = module(net.input.normalise(inputs))
    torch.testing.assert_close(net(inputs), expected, rtol=1e-5, atol=1e-6)


def test_a_saved_network_has_the_same_layers_and_the_same_fingerprint(tmp_path) -> None:  # type: ignore[no-untyped-def]
    _, net = network("transformer")
    again = load(net.save(tmp_path / "transformer.pt2"))
    assert [(layer.name, layer.size, layer.placement) for layer in again.layers.values()] == [
        (layer.name, layer.size, layer.placement) for layer in net.layers.values()
    ]
    torch.testing.assert_close(again(images(3)), net(images(3)), rtol=0, atol=0)
    assert load(again.save(tmp_path / "again.pt2")).fingerprint == again.fingerprint


def test_a_stimulated_token_map_is_edited_in_its_cells_alone() -> None:
    _, net = network("transformer")
    edit = Stimulation("blocks.0", 2, value=9.0, window=(0, 1, 2, 2))
    found = stimulate(net, images(3), edit, 1, gradient="straight-through")
    before = record(net, images(3), logit(1))
    changed = (found.after.layers["blocks.0"].activations - before.layers["blocks.0"].activations).abs().amax((0, 1))
    assert (changed > 0).tolist() == [[False, True, True, False]] * 2 + [[False] * 4]
    assert not torch.allclose(found.after.logits, before.logits)


@pytest.mark.parametrize("name", ["transformer", "pointwise"])
def test_every_method_explains_every_token_layer(name: str) -> None:
    _, net = network(name)
    for method, layers in attribute(net, images(2), methods_for(net), 1).items():
        assert list(layers) == (list(net.layers) if METHODS[method].per_layer else ["input"])
        assert all(attribution.heatmap().isfinite().all() for attribution in layers.values())


class DensePatches(nn.Module):
    """Patches of 3x3 pixels by a reshape and a dense layer, without any convolution, and a class token."""

    def __init__(self, order: tuple[int, ...] = (0, 2, 4, 1, 3, 5)) -> None:
        super().__init__()
        self.order = order
        self.embed, self.token = nn.Linear(27, 6), nn.Parameter(torch.randn(1, 1, 6))
        self.blocks = nn.Sequential(TransformerBlock(6), TransformerBlock(6))
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[0]
        x = x.reshape(n, 3, 4, 3, 4, 3).permute(self.order).reshape(n, 16, 27)
        x = self.blocks(torch.cat([self.token.expand(n, -1, -1), self.embed(x)], 1))
        return self.head(x[:, 0])


def test_patches_without_a_convolution_are_known_by_their_number() -> None:
    torch.manual_seed(0)
    net = Network.from_module(DensePatches(), SIZE)
    assert list(net.layers) == ["blocks.0.attn", "blocks.0.mlp", "blocks.0"]
    assert net.layer("blocks.0").placement == stretched((4, 4), SIZE)
    assert strongest_cell(net, "blocks.0", SIZE) == (1, 2)


def test_patches_that_do_not_lie_row_by_row_are_no_layer() -> None:
    """Column by column: their number alone would say the same."""
    torch.manual_seed(0)
    assert list(Network.from_module(DensePatches((0, 4, 2, 1, 3, 5)), SIZE).layers) == ["pixels"]


def strongest_cell(net: Network, layer: str, size: tuple[int, int]) -> tuple[int, int]:
    """In which of 4x4 parts of the image a layer changes most when the pixels in row 1, column 2 of these change."""
    height, width = size[0] // 4, size[1] // 4
    before = images(4, size=size)
    after = before.clone()
    after[:, :, height : 2 * height, 2 * width : 3 * width] = images(4, 2, (height, width))
    one, other = (record(net, each, logit(1), layer).layers[layer].activations for each in (before, after))
    change = laid_over((one - other).abs().sum((0, 1))[None, None], net.layer(layer).placement, size, smooth=False)[
        0, 0
    ]
    parts = change[: 4 * height, : 4 * width].reshape(4, height, 4, width).sum((1, 3))
    place = int(parts.argmax())
    return place // 4, place % 4


def timm_vit(**changed: object) -> tuple[nn.Module, int]:
    transformer = timm_models().vision_transformer.VisionTransformer
    return transformer(img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=2, num_classes=5, **changed), 32


def timm_registers() -> tuple[nn.Module, int]:
    return timm_vit(reg_tokens=2, global_pool="avg", init_values=0.1)


def timm_deit() -> tuple[nn.Module, int]:
    distilled = timm_models().deit.VisionTransformerDistilled
    return distilled(img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=2, num_classes=5), 32


def timm_swin() -> tuple[nn.Module, int]:
    build = timm_models().swin_transformer.SwinTransformer
    return build(
        img_size=64, patch_size=4, embed_dim=16, depths=(2, 2), num_heads=(2, 2), window_size=4, num_classes=5
    ), 64


def timm_convnext() -> tuple[nn.Module, int]:
    return timm_models().convnext.ConvNeXt(num_classes=5, depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)), 64


def timm_mixer() -> tuple[nn.Module, int]:
    return timm_models().mlp_mixer.MlpMixer(img_size=32, patch_size=8, embed_dim=24, num_blocks=2, num_classes=5), 32


def vit() -> tuple[nn.Module, int]:
    return torchvision_models().VisionTransformer(32, 8, 3, 2, 24, 48, num_classes=5), 32


def swin() -> tuple[nn.Module, int]:
    return torchvision_models().SwinTransformer([4, 4], 16, [2, 2], [2, 2], [4, 4], num_classes=5), 64


def convnext() -> tuple[nn.Module, int]:
    block = torchvision_models().convnext.CNBlockConfig
    return torchvision_models().ConvNeXt([block(8, 16, 1), block(16, None, 1)], num_classes=5), 64


def maxvit() -> tuple[nn.Module, int]:
    """Its blocks add up windows side by side, whose cells do not lie row by row: these are no layers, its convolutions are."""
    return torchvision_models().MaxVit((64, 64), 8, 4, [8, 16], [1, 1], 8, 0.0, num_classes=5), 64


@pytest.mark.parametrize(
    ("build", "stream", "layers"),
    [
        (vit, "encoder.layers.encoder_layer_0", 7),
        (swin, "features.1.1", 13),
        (convnext, "features.1.0", 10),
        (maxvit, "stem.1.0", 14),
        (timm_vit, "blocks.0", 7),
        (timm_registers, "blocks.2", 10),
        (timm_deit, "blocks.0", 7),
        (timm_swin, "layers.0.blocks.1", 13),
        (timm_convnext, "stages.1.blocks.0", 20),
        (timm_mixer, "stem.proj", 7),
    ],
)
def test_transformers_as_torchvision_and_timm_build_them(build, stream: str, layers: int) -> None:  # type: ignore[no-untyped-def]
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        module, extent = build()
    for parameter in module.parameters():  # heads are made of zeros, and nothing would reach the logits
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    size = (extent, extent)
    net = Network.from_module(module.eval(), size)
    inputs = images(3, size=size)
    with torch.no_grad():
        torch.testing.assert_close(net(inputs), module(inputs), rtol=1e-4, atol=1e-5)
    assert len(net.layers) == layers
    assert strongest_cell(net, stream, size) == (1, 2)
    maps = grad_cam(record(net, inputs, logit(1)))
    assert all(each.contributions.abs().sum() > 0 for each in maps.values())
    cut = net.cut(stream)
    values = cut.before(inputs)
    torch.testing.assert_close(cut.after(values[0], values[1:])[0], net(inputs), rtol=1e-4, atol=1e-5)
