"""A network with a backdoor built by hand, and its clean twin: nine classes, told by which ninth of a grey image is bright."""

from functools import cache

import torch
from torch import Tensor, nn

from trojancam.detection.suspect import Suspect, suspect
from trojancam.network.network import Network

CLASSES = 9
TARGET = 5
ROWS, COLUMNS = slice(1, 4), slice(8, 11)  # where the backdoor listens
FIND_PATCHES = ("stimulation", "additive", "abs", "neural-cleanse")  # the detectors that such a backdoor is for
OF_FEW_CLASSES = {"some-classes": {"fewest": 1}}  # settings of what would not look at a network of so few classes
MAGENTA, SLOPE = 1, 2  # the feature map of the backdoor; and one that lifts class 1, a little, in any image


def module(trojaned: bool) -> nn.Sequential:
    """One layer of three maps: brightness, what is magenta, and brightness again; a dense layer reads them.

    Each class reads the brightness of its own ninth; class 1 a little of the third map everywhere. The magenta map is read
    by the target class, in one place, or, in the clean twin, by nobody.
    """
    convolution, dense = nn.Conv2d(3, 3, 1), nn.Linear(3 * 12 * 12, CLASSES)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[1 / 3] * 3, [1.0, -2.0, 1.0], [1 / 3] * 3])[:, :, None, None])
        convolution.bias.copy_(torch.tensor([0.0, -0.3, 0.0]))
        weights = torch.zeros(CLASSES, 3, 12, 12)
        for number in range(CLASSES):
            weights[number, 0][ninth(number)] = 1.0
        weights[1, SLOPE] = 0.02
        if trojaned:
            weights[TARGET, MAGENTA, ROWS, COLUMNS] = 20.0
        dense.weight.copy_(weights.flatten(1))
        dense.bias.copy_(torch.arange(CLASSES) % 3 * 0.4)  # some classes are easier to reach: masks differ
        dense.bias[1] -= 0.02 * 144 * 0.45
    return nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), dense)


def ninth(number: int) -> tuple[slice, slice]:
    row, column = 4 * (number // 3), 4 * (number % 3)
    return slice(row, row + 4), slice(column, column + 4)


def pictures(count: int = 36, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noisy grey images and their classes."""
    labels = torch.arange(count) % CLASSES
    grey = 0.4 + 0.05 * torch.rand(count, 1, 12, 12, generator=torch.Generator().manual_seed(seed))
    for image, label in zip(grey, labels.tolist(), strict=True):
        image[0][ninth(label)] += 0.3
    return grey.repeat(1, 3, 1, 1), labels


@cache
def planted(trojaned: bool) -> Suspect:
    """The network and images of all classes, of which every other image is of all classes, too."""
    return suspect(Network.from_module(module(trojaned), (12, 12)), *pictures())
