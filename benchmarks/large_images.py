"""Sixteen images of 224x224 pixels through ResNet-18, and every contribution of every layer: run as a process of its own."""

import torch

from benchmarks import classifiers
from trojancam.attribution import grad_cam
from trojancam.network.network import Network
from trojancam.network.recording import record

IMAGES, SIZE = 16, 224


def main() -> None:
    module = classifiers.published.resnet(1000)
    network = Network.from_module(module, specification=classifiers.input_of("resnet", SIZE))
    found = grad_cam(record(network, torch.rand(IMAGES, 3, SIZE, SIZE)))
    assert len(found) == 20


if __name__ == "__main__":
    main()
