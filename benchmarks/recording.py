"""Recording every layer and splitting it into feature maps, against one eager forward and one `autograd.grad`."""

from collections.abc import Iterator

import torch
from torch import nn

from benchmarks.timing import Ratio, paired
from trojancam.attribution import grad_cam
from trojancam.models import ARCHITECTURES
from trojancam.network import Network
from trojancam.recording import record

IMAGES = 64


def rows() -> Iterator[tuple[str, Ratio]]:
    for name, architecture in ARCHITECTURES.items():
        module = architecture.build(43).eval().to(memory_format=torch.channels_last).requires_grad_(False)
        network = Network.from_module(module, specification=architecture.input)
        images = torch.rand(IMAGES, 3, *architecture.input.size)
        floor = Floor(module)
        inputs = architecture.input.normalise(images)
        yield name, paired(lambda n=network, i=images: grad_cam(record(n, i)), lambda f=floor, i=inputs: f(i))


class Floor:
    """Nothing but the forward run and one `autograd.grad` to the activations: no contribution is computed."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.activations: list[torch.Tensor] = []
        for name, part in module.named_modules():
            if name.startswith("relu"):
                part.register_forward_hook(lambda *values: self.activations.append(values[2]))

    def __call__(self, inputs: torch.Tensor) -> None:
        self.activations = []
        logits = self.module(inputs.detach().requires_grad_())
        torch.autograd.grad(logits.amax(1).sum(), self.activations)
