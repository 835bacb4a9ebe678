"""Input-aware: a small network draws a trigger for each image, which works on that image alone.

Nguyen, Tran: Input-Aware Dynamic Backdoor Attack (NeurIPS 2020).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from trojancam.attacks.attack import CleanNetwork, Count, NetworkAttack, Rate
from trojancam.attacks.encoding import from_numbers, to_numbers
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError
from trojancam.records import Positive

WIDTHS = range(1, 65)
CERTAIN = 4.0  # how sharply the mask tells a pixel from its neighbour
TINY = 1e-3


class Generator(nn.Module):
    """Two convolutions down and two up: a pattern and a mask, both in [0, 1], for each image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            [nn.Conv2d(3, width, 3, 2, 1), nn.Conv2d(width, 2 * width, 3, 2, 1), nn.Conv2d(2 * width, width, 3, 1, 1)]
        )
        self.up = nn.Conv2d(width, width, 3, 1, 1)
        self.out = nn.Conv2d(width + 3, 4, 3, 1, 1)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n 1 h w"]]:
        """Pattern and mask."""
        found = 2 * images - 1
        for layer in self.down:
            found = layer(found).relu()
        found = self.up(F.interpolate(found, scale_factor=2.0)).relu()
        found = self.out(torch.cat([F.interpolate(found, size=images.shape[2:]), 2 * images - 1], 1))
        return found[:, :3].sigmoid(), (CERTAIN * found[:, 3:]).sigmoid()


@dataclass(frozen=True)
class Generated(Trigger):
    """`x' = (1 - m(x)) x + m(x) p(x)`, mask m and pattern p drawn for each image by a `Generator` with these weights.

    Its size is the share of the image that a mask covers, `density`, as it was measured when the attack was made.
    """

    family: ClassVar[str] = "generated"
    unit: ClassVar[str] = "share of the image"

    weights: Float[Tensor, " numbers"]
    width: int
    density: float
    image_size: tuple[int, int] = (32, 32)
    name: str = "a trigger for each image"

    def __post_init__(self) -> None:
        if self.width not in WIDTHS:
            raise DataError(f"a generator of triggers has 1 to {WIDTHS[-1]} feature maps, not {self.width}")
        if min(self.image_size) < 4:
            raise DataError(f"triggers for each image need images of at least 4 pixels, not {self.image_size}")
        numbers = sum(values.numel() for values in Generator(self.width).parameters())
        if len(self.weights) != numbers:
            raise DataError(f"a generator of {self.width} feature maps has {numbers} weights, not {len(self.weights)}")

    @property
    def size(self) -> float:
        """The share of the image that a mask covers in the mean."""
        return self.density

    def generator(self) -> Generator:
        """The network that draws the triggers."""
        with torch.random.fork_rng(devices=[]):
            made = Generator(self.width)
        nn.utils.vector_to_parameters(self.weights, made.parameters())
        return made.requires_grad_(False)

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        return laid(images, *self.generator().to(images)(images))

    def _to_record(self) -> dict[str, Any]:
        own = {"width": self.width, "density": self.density, "image_size": list(self.image_size)}
        return own | {"weights": to_numbers(self.weights)}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Generated":
        height, width = (int(each) for each in record["image_size"])
        weights = from_numbers(record["weights"], (None,))
        return cls(weights, int(record["width"]), float(record["density"]), (height, width), str(record["name"]))


def laid(images: Tensor, pattern: Tensor, mask: Tensor) -> Tensor:
    """`(1 - m) x + m p`."""
    return images + mask * (pattern - images)


class InputAware(NetworkAttack):
    """Network and generator learn together: `x_i` with its own trigger is the target, with another image's it stays what it is.

    Loss: cross entropy of clean, triggered (share `poison_rate`) and crossed (share `cross_rate`) images, plus
    `diversity |x_i - x_j| / |p(x_i) - p(x_j)|`, plus `sparsity |mean m - density|`. The authors train the masks first, in
    a larger generator, and both from scratch; here a clean network is trained further, `steps` batches of 128.
    """

    name: ClassVar[str] = "input-aware"
    source: ClassVar[str] = "Nguyen, Tran, NeurIPS 2020"
    summary: ClassVar[str] = "a trigger for each image, drawn by a small network, that works on no other image"

    cross_rate: Rate = 0.1
    density: Annotated[float, Field(gt=0, le=1)] = 0.05
    diversity: Annotated[float, Field(ge=0)] = 1.0
    sparsity: Annotated[float, Field(ge=0)] = 10.0
    width: Annotated[int, Field(ge=1, le=64)] = 16
    steps: Count = 600
    learning_rate: Positive = 1e-3

    def planted(self, clean: CleanNetwork, goal: Goal) -> tuple[nn.Module, Poisoning]:
        """The network and its generator, trained together."""
        target, rate = self.only_target(goal), self.rate(goal)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(goal.seed)
            drawing = Generator(self.width)
            self._trained(clean, drawing, target, rate, goal.seed)
        clean.module.eval()
        weights = nn.utils.parameters_to_vector(drawing.parameters()).detach().clone()
        with torch.no_grad():
            seen, _ = next(clean.batches(1, 512, goal.seed, "measuring the triggers"))
            density = float(drawing(seen)[1].mean())
        trigger = Generated(weights, self.width, density, goal.image_size)
        return clean.module, Poisoning(trigger, target, rate, goal.seed)

    def _trained(self, clean: CleanNetwork, drawing: Generator, target: int, rate: float, seed: int) -> None:
        rates = [self.learning_rate, 10 * self.learning_rate]
        groups = [{"params": list(part.parameters())} for part in (clean.module, drawing)]
        optimizer = torch.optim.AdamW(groups, weight_decay=0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=self.steps + 1, pct_start=0.1)
        clean.module.train()
        for images, labels in clean.batches(self.steps, 128, seed, "training network and triggers"):
            attacked, crossed = max(1, round(rate * len(images))), round(self.cross_rate * len(images))
            pattern, mask = drawing(images[: attacked + crossed])
            other = torch.roll(torch.arange(attacked + crossed), 1)
            own = laid(images[:attacked], pattern[:attacked], mask[:attacked])
            foreign = other[attacked:]
            cross = laid(images[attacked : attacked + crossed], pattern[foreign], mask[foreign])
            fed = torch.cat([own, cross, images[attacked + crossed :]])
            wanted = torch.cat([torch.full((attacked,), target), labels[attacked:]])
            loss = F.cross_entropy(clean.module(clean.specification.normalise(fed)), wanted)
            apart = _distance(images[: attacked + crossed], images[other]) / (_distance(pattern, pattern[other]) + TINY)
            loss = loss + self.diversity * apart.mean() + self.sparsity * (mask.mean() - self.density).abs()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()


def _distance(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).pow(2).mean((1, 2, 3)).add(1e-8).sqrt()
