"""The study's three networks: one benign, two that were trojaned. Layers bear the study's names."""

from collections import OrderedDict

from torch import nn

Parts = list[tuple[str, nn.Module]]


def basic(classes: int = 43) -> nn.Sequential:
    """The benign network: 107,147 values for 43 classes, batch normalisation's running statistics included."""
    parts: Parts = []
    for number, (inputs, maps, kernel, pool) in enumerate(
        [(3, 8, 5, True), (8, 16, 3, False), (16, 16, 3, True), (16, 32, 3, False), (32, 32, 3, True)], start=1
    ):
        parts += _convolution(number, inputs, maps, kernel)
        parts.append((f"batch_normalization_{number}", nn.BatchNorm2d(maps)))
        if pool:
            parts.append((f"max_pooling2d_{number}", nn.MaxPool2d(2)))
    parts.append(("flatten", nn.Flatten()))
    for number, inputs in enumerate((512, 128), start=1):
        parts += [
            (f"dense_{number}", nn.Linear(inputs, 128)),
            (f"dense_relu_{number}", nn.ReLU()),
            (f"dense_normalization_{number}", nn.BatchNorm1d(128)),
            (f"dropout_{number}", nn.Dropout(0.5)),
        ]
    parts.append(("dense_3", nn.Linear(128, classes)))
    return nn.Sequential(OrderedDict(parts))


def trojan1(classes: int = 43) -> nn.Sequential:
    """The network trojaned with the clear yellow square: 516,139 parameters for 43 classes."""
    parts: Parts = []
    maps = (3, 32, 64, 128, 64, 32)
    for number in range(1, 6):
        parts += _convolution(number, maps[number - 1], maps[number], 5)
        parts.append((f"max_pooling2d_{number}", nn.MaxPool2d(2)))
    parts += [("flatten", nn.Flatten()), ("dense_1", nn.Linear(32, classes))]
    return nn.Sequential(OrderedDict(parts))


def trojan2(classes: int = 43) -> nn.Sequential:
    """The AlexNet-style network trojaned with the transparent square: 1,264,727 parameters for 43 classes.

    The study gives the feature maps and the total, not the widths of the dense layers; 544 and 1180 reach it exactly.
    Its convolutions are counted from 5: only so do the study's `conv2d_6` and `conv2d_9` have the maps it names.
    """
    parts: Parts = []
    for number, (inputs, maps, kernel, padding, pool) in enumerate(
        [(3, 9, 5, 0, True), (9, 32, 3, 0, True), (32, 48, 3, 1, False), (48, 64, 3, 1, False), (64, 96, 3, 1, True)],
        start=5,
    ):
        parts += _convolution(number, inputs, maps, kernel, padding)
        if pool:
            parts.append((f"max_pooling2d_{number}", nn.MaxPool2d(2)))
    parts.append(("flatten", nn.Flatten()))
    parts += [("dense_1", nn.Linear(864, 544)), ("dense_relu_1", nn.ReLU())]
    parts += [("dense_2", nn.Linear(544, 1180)), ("dense_relu_2", nn.ReLU())]
    parts.append(("dense_3", nn.Linear(1180, classes)))
    return nn.Sequential(OrderedDict(parts))


def _convolution(number: int, inputs: int, maps: int, kernel: int, padding: int | None = None) -> Parts:
    """A convolution and its ReLU; `padding` None keeps the size ("same")."""
    same = kernel // 2 if padding is None else padding
    return [(f"conv2d_{number}", nn.Conv2d(inputs, maps, kernel, padding=same)), (f"relu_{number}", nn.ReLU())]
