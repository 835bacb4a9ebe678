"""Learner: a copy of a network whose weights are being changed, and the small steps that all repairs share."""

import math
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.errors import TrojanCamError
from trojancam.network.network import Network
from trojancam.showing import Brief

SHIFT = 2  # pixels, at most, by which an image is moved
LIGHT = 0.25  # the share by which brightness and contrast change, at most
TURN = 15.0  # degrees, at most
SCALE, OFF, TINT = 0.2, 0.06, 0.2  # shares of the size, of the side and of each colour, at most
MOMENTUM, CLIP = 0.9, 5.0

Images = Float[Tensor, "n 3 h w"]


class Learner(Brief):
    """A network of its own, a copy of another, of which some parameters can be changed; running statistics stay as they are.

    `network` sees every change at once. `learned` gives a network apart, which no further step changes.
    """

    def __init__(self, network: Network, names: Iterable[str] | None = None) -> None:
        with torch.inference_mode(False):
            self.network = network.with_parameters(network.parameters)
        self.chosen = tuple(network.parameters if names is None else names)
        own = self.network.parameters
        self.weights = list({id(own[name]): own[name] for name in self.chosen}.values())
        for weight in self.weights:
            weight.requires_grad_(True)

    def logits(self, images: Images) -> Float[Tensor, "n classes"]:
        """The logits of images in [0, 1]; gradients flow to the weights, and to the images."""
        return self.network.forward_with(self.network.inputs(images), ())[0]

    def learned(self) -> Network:
        """The network as it is now."""
        own = self.network.parameters
        return self.network.with_parameters({name: own[name] for name in self.chosen})


class Descent:
    """Stochastic gradient descent with momentum, its steps clipped, at a rate that falls to 0 over so many steps."""

    def __init__(self, learner: Learner, rate: float, steps: int, decay: float = 0.0) -> None:
        self.learner, self.rate, self.steps, self.done = learner, rate, steps, 0
        self._sgd = torch.optim.SGD(learner.weights, rate, MOMENTUM, weight_decay=decay)

    def step(self, loss: Tensor) -> None:
        """One step down this loss.

        Raises:
            TrojanCamError: if the loss is no longer finite.
        """
        self._sgd.param_groups[0]["lr"] = self.rate * (1 - self.done / self.steps)
        descend(self._sgd, loss, CLIP)
        self.done += 1


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, clip: float | None = None) -> None:
    """One step of an optimiser down this loss; `clip` is the greatest length of the gradient of all weights together.

    Raises:
        TrojanCamError: if the loss is no longer finite.
    """
    check_finite(loss)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if clip is not None:
        weights = [weight for group in optimiser.param_groups for weight in group["params"]]
        torch.nn.utils.clip_grad_norm_(weights, clip)
    optimiser.step()


def check_finite(loss: Tensor) -> None:
    """Refuse to go on where nothing can be learned any more.

    Raises:
        TrojanCamError: if the loss is no longer finite.
    """
    if not math.isfinite(float(loss.detach())):
        raise TrojanCamError(
            "the loss of the repair is no longer finite; this network cannot be repaired by this method"
        )


def batches(count: int, size: int, generator: torch.Generator) -> Iterator[Int64[Tensor, " b"]]:
    """Batches of the numbers from 0 to `count`, shuffled anew each time they are through, without an end.

    Raises:
        TrojanCamError: if there is nothing to draw from.
    """
    if count == 0:
        raise TrojanCamError(
            "no image is of a class that the trigger turns; give images of the classes that the finding names"
        )
    left = torch.empty(0, dtype=torch.int64)
    while True:
        while len(left) < size:
            left = torch.cat([left, torch.randperm(count, generator=generator)])
        yield left[:size]
        left = left[size:]


def varied(images: Images, generator: torch.Generator, shift: int = SHIFT, light: float = LIGHT) -> Images:
    """Each image moved by up to some pixels, its edge repeated, and its brightness and contrast changed a little."""
    n, _, height, width = images.shape
    padded = F.pad(images, (shift,) * 4, mode="replicate")
    corners = torch.randint(0, 2 * shift + 1, (n, 2), generator=generator).tolist()
    moved = [
        image[:, row : row + height, column : column + width]
        for image, (row, column) in zip(padded, corners, strict=True)
    ]
    contrast, brightness = (1 + light * (2 * torch.rand(n, 1, 1, 1, generator=generator) - 1) for _ in range(2))
    found = torch.stack(moved)
    mean = found.mean((1, 2, 3), keepdim=True)
    return ((found - mean) * contrast.to(found) + mean * brightness.to(found)).clamp(0, 1)


def varied_widely(images: Images, generator: torch.Generator) -> Images:
    """As `varied`; besides, each image is turned, scaled, moved further, and its colours are changed a little.

    With the original network as teacher, no image needs to look like a real one.
    """
    n, (height, width) = len(images), images.shape[2:]
    images = varied(images, generator, shift=1)
    angle = math.radians(TURN) * _between(n, 1, generator)[:, 0]
    scale, move = 1 + SCALE * _between(n, 2, generator), 2 * OFF * _between(n, 2, generator)
    rows = torch.stack([angle.cos() * scale[:, 0], -angle.sin() * scale[:, 1] * height / width, move[:, 0]], 1)
    columns = torch.stack([angle.sin() * scale[:, 0] * width / height, angle.cos() * scale[:, 1], move[:, 1]], 1)
    grid = F.affine_grid(torch.stack([rows, columns], 1).to(images), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return (moved * (1 + TINT * _between(n, 3, generator))[:, :, None, None].to(images)).clamp(0, 1)


def _between(n: int, count: int, generator: torch.Generator) -> Float[Tensor, "n count"]:
    """Numbers between -1 and 1."""
    return 2 * torch.rand(n, count, generator=generator) - 1
