"""Networks that name the class whose rows are bright, and look for red at one pixel, for backdoors of several classes."""

import torch
from torch import Tensor, nn

ROW, COLUMN = 8, 2  # of the pixel that a backdoor looks at


class RedPixel(nn.Module):
    """Two feature maps: brightness, and what is red. Each class has as many rows of the image, and its own are bright."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.convolution = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.convolution.weight.copy_(torch.tensor([[1 / 3] * 3, [2.0, -1.0, -1.0]])[:, :, None, None])
            self.convolution.bias.copy_(torch.tensor([0.0, -0.8]))

    def seen(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """How bright each class's rows are, and how red the pixel is."""
        maps = self.convolution(images).relu()
        rows = maps.shape[2] // self.classes
        bright = maps[:, 0, :, 6:].mean(2).unflatten(1, (self.classes, rows)).mean(2) * 20
        return bright, maps[:, 1, ROW, COLUMN][:, None]


def pictures(classes: int, size: int, count: int) -> tuple[Tensor, Tensor]:
    """Grey noise, the rows of one class brighter; the classes take turns."""
    labels, rows = torch.arange(count) % classes, size // classes
    images = 0.2 + 0.1 * torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, rows * label : rows * (label + 1)] += 0.3
    return images, labels
