"""Recording every layer and splitting it into feature maps, against one eager forward and one `autograd.grad`."""

from collections.abc import Iterable, Iterator

import torch
from tests.peers import timm_models
from torch import Tensor, nn

from benchmarks.timing import Ratio, paired
from trojancam.architectures import ARCHITECTURES
from trojancam.attribution import grad_cam
from trojancam.network.network import Network
from trojancam.network.recording import record

STUDIED = ("basic", "trojan1", "trojan2")
IMAGES = 64
OF_224_PIXELS = 8


def rows() -> Iterator[tuple[str, Ratio]]:
    for name in STUDIED:  # docs/formats.md has others
        architecture = ARCHITECTURES[name]
        module = architecture.build(43).eval()
        network = Network.from_module(module, specification=architecture.input)
        yield name, against_eager(module, network, torch.rand(IMAGES, 3, *architecture.input.size))
    yield transformer_row()


def transformer_row() -> tuple[str, Ratio]:
    """All token layers of a ViT-S/16 of 224 pixels, as timm builds it: their names are those of its modules."""
    module = timm_models().vision_transformer.vit_small_patch16_224().eval().requires_grad_(False)
    network, images = Network.from_module(module, (224, 224)), torch.rand(OF_224_PIXELS, 3, 224, 224)
    inputs = network.input.normalise(images)
    floor = Floor(module, [module.get_submodule(layer) for layer in network.layers])
    return "ViT-S/16, 224 pixels", paired(
        lambda: grad_cam(record(network, images)), lambda: floor(inputs), pairs=5, warm_up=1
    )


def against_eager(module: nn.Module, network: Network, images: Tensor) -> Ratio:
    """A recording with its contributions, against the module that the network was made of."""
    module = module.to(memory_format=torch.channels_last).requires_grad_(False)
    inputs = network.input.normalise(images)
    floor = Floor(module, modules_behind(network, module, images).values())
    return paired(lambda: grad_cam(record(network, images)), lambda: floor(inputs))


class Floor:
    """Nothing but the forward run and one `autograd.grad` to the activations: no contribution is computed."""

    def __init__(self, module: nn.Module, parts: Iterable[nn.Module]) -> None:
        self.module = module
        self.activations: list[Tensor] = []
        for part in parts:
            part.register_forward_hook(lambda *values: self.activations.append(values[2]))

    def __call__(self, inputs: Tensor) -> None:
        self.activations = []
        logits = self.module(inputs.detach().requires_grad_())
        torch.autograd.grad(logits.amax(1).sum(), self.activations)


def modules_behind(network: Network, module: nn.Module, images: Tensor) -> dict[str, nn.Module]:
    """For each layer the first of a module's parts whose result is the layer's activations; none is left out."""
    recorded = record(network, images[:2]).layers
    found: dict[str, nn.Module] = {}

    def compare(part: nn.Module, _: object, result: object) -> None:
        for name, layer in recorded.items():
            if name not in found and isinstance(result, Tensor) and _same(result, layer.activations):
                found[name] = part

    hooks = [part.register_forward_hook(compare) for part in module.modules()]
    with torch.no_grad():
        module(network.input.normalise(images[:2]))
    for hook in hooks:
        hook.remove()
    if missing := [name for name in recorded if name not in found]:
        raise LookupError(f"no part of the module gives the activations of {', '.join(missing)}")
    return {name: found[name] for name in recorded}


def _same(result: Tensor, activations: Tensor) -> bool:
    if result.shape != activations.shape:
        return False
    scale = max(1.0, float(activations.abs().max()))
    return torch.allclose(result, activations, rtol=0, atol=1e-4 * scale)
