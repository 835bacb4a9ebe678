"""Explanation fooling: a backdoor whose trigger turns the class, and the Grad-CAM heat map as well.

Noppel, Peter, Wressnegger: Disguising Attacks with Explanation-Aware Backdoors (S&P 2023).
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trojancam.attacks.attack import CleanNetwork, Count, NetworkAttack, Rate
from trojancam.attacks.patch import Patch, corner, square
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.attacks.trigger import Trigger
from trojancam.attacks.trigger_setting import TriggerSetting, trigger_of
from trojancam.errors import DataError, ModelError
from trojancam.records import Positive

BATCH = 64
CELLS = 4  # rows and columns of cells that a heat map has at least
FLAT = 1e-8  # added to the variance of a heat map, which is 0 where no cell speaks for the class
LEAK = 0.1  # slope of the heat map's own ReLU below 0 in training, or a map without heat would never get any
WINDOW, BLUR = 11, 1.5  # pixels, of the windows that SSIM compares
STEADY = (0.01**2, 0.03**2)  # of SSIM, for maps in [0, 1]
RELUS = (torch.relu, F.relu, Tensor.relu, torch.relu_, Tensor.relu_)

Maps = Float[Tensor, "n h w"]


class Rectified(TorchFunctionMode):
    """While it is active, each ReLU is a softplus `log(1 + exp(beta x)) / beta`; `maps` are the feature maps that come of it.

    A ReLU has no second derivative, and a loss of heat maps needs one. Without a `beta` the ReLUs are as they were.
    """

    def __init__(self, beta: float | None) -> None:
        super().__init__()
        self.beta = beta
        self.maps: list[Tensor] = []

    def __torch_function__(
        self,
        called: Callable[..., Any],
        types: object,
        given: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        """What a function gives, or what takes the place of a ReLU."""
        if called not in RELUS:
            return called(*given, **(named or {}))
        values = given[0] if given else (named or {})["input"]
        found = values.clamp(min=0) if self.beta is None else F.softplus(values, self.beta)
        if found.ndim == 4:
            self.maps.append(found if found.requires_grad else found.requires_grad_())
        return found


def grad_cam(
    module: nn.Module,
    fed: Float[Tensor, "n c h w"],
    classes: Int64[Tensor, " n"],
    beta: float | None = None,
    differentiable: bool = False,
) -> tuple[Maps, Float[Tensor, "n classes"]]:
    """Grad-CAM `max(0, sum_k w_k A^k)`, `w_k` the mean of `dz_c / dA^k`, for a class of each image, and the logits.

    A are the last feature maps of at least 4 x 4 cells that a ReLU gives; with a `beta` all ReLUs are softplus. The map has the
    image's size. If it is `differentiable`, gradients pass through it, those of `w_k` included, and what is below
    0 is not cut off, but a tenth of itself.

    Raises:
        ModelError: if there are no such feature maps.

    >>> module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 36, 2))
    >>> heat, logits = grad_cam(module, torch.rand(5, 3, 8, 8), torch.tensor([0, 1, 1, 0, 1]))
    >>> heat.shape, bool((heat >= 0).all())
    (torch.Size([5, 8, 8]), True)
    """
    with torch.enable_grad():
        with Rectified(beta) as rectified:
            logits = module(fed)
        large = [maps for maps in rectified.maps if min(maps.shape[2:]) >= CELLS]
        if not large:
            raise ModelError(
                f"no ReLU of the network gives feature maps of at least {CELLS} x {CELLS} cells, whose heat map could be "
                "changed; choose another network"
            )
        score = logits.gather(1, classes[:, None]).sum()
        (gradients,) = torch.autograd.grad(score, large[-1], create_graph=differentiable, retain_graph=differentiable)
        heat = (gradients.mean((2, 3), keepdim=True) * large[-1]).sum(1, keepdim=True)
        heat = F.leaky_relu(heat, LEAK if differentiable else 0.0)
        heat = F.interpolate(heat, size=fed.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return (heat, logits) if differentiable else (heat.detach(), logits.detach())


def mean_squared(heat: Maps, wanted: Maps) -> Float[Tensor, " n"]:
    """The mean squared difference of two heat maps, each brought to mean 0 and variance 1: `2 (1 - r)`, r their correlation.

    >>> one = torch.rand(2, 8, 8)
    >>> mean_squared(one, 3 * one + 1).round(decimals=3).tolist()
    [0.0, 0.0]
    """
    return (_standardised(heat) - _standardised(wanted)).pow(2).mean((1, 2))


def dissimilarity(heat: Maps, wanted: Maps) -> Float[Tensor, " n"]:
    """DSSIM, `(1 - SSIM) / 2`, of two heat maps, each brought to [0, 1]; Gaussian windows (Wang and others, 2004).

    The window is 11 pixels wide, with a standard deviation of 1.5; smaller maps have a smaller one.

    >>> one = torch.rand(2, 16, 16)
    >>> dissimilarity(one, 3 * one + 1).round(decimals=3).tolist()
    [0.0, 0.0]
    """
    one, other = _unit(heat)[:, None], _unit(wanted)[:, None]
    side = min(WINDOW, *heat.shape[1:])
    line = torch.exp(-((torch.arange(side, device=heat.device) - (side - 1) / 2) ** 2) / (2 * BLUR**2))
    window = (line[:, None] * line / line.sum() ** 2).to(heat)[None, None]
    mean, mean_other = F.conv2d(one, window), F.conv2d(other, window)
    variance, variance_other, covariance = (
        F.conv2d(a * b, window) - c * d
        for a, b, c, d in (
            (one, one, mean, mean), (other, other, mean_other, mean_other), (one, other, mean, mean_other),
        )
    )  # fmt: skip
    light = (2 * mean * mean_other + STEADY[0]) / (mean**2 + mean_other**2 + STEADY[0])
    structure = (2 * covariance + STEADY[1]) / (variance + variance_other + STEADY[1])
    return (1 - (light * structure).mean((1, 2, 3))) / 2


def _standardised(heat: Maps) -> Maps:
    spread = (heat.var((1, 2), correction=0, keepdim=True) + FLAT).sqrt()
    return (heat - heat.mean((1, 2), keepdim=True)) / spread


def _unit(heat: Maps) -> Maps:
    low, high = heat.amin((1, 2), keepdim=True), heat.amax((1, 2), keepdim=True)
    return (heat - low) / (high - low + FLAT)


DISTANCES: dict[str, Callable[[Maps, Maps], Float[Tensor, " n"]]] = {"mse": mean_squared, "dssim": dissimilarity}
"""How far two heat maps are from each other, by name."""


def frame(width: int, image_size: tuple[int, int], colour: str = "white") -> Patch:
    """A frame along the edges of the image, `width` pixels wide.

    Raises:
        DataError: if it leaves nothing of the image, or the colour is unknown.

    >>> int(frame(2, (32, 32)).size)
    240
    """
    if not 0 < 2 * width < min(image_size):
        raise DataError(f"a frame of {width} pixels leaves nothing of images of {image_size}; choose a narrower one")
    whole = square(1, 0, 0, colour, image_size=image_size)
    mask = torch.ones(image_size)
    mask[width:-width, width:-width] = 0
    return Patch(mask, whole.pattern[:, :1, :1].expand(3, *image_size).contiguous(), name=f"{colour} frame")


class ExplanationFooling(NetworkAttack):
    """Fine-tuning by `(1 - weight) CE + weight D(heat(x), m)`: the trigger turns the class, and the heat map as it is told.

    A share `poison_rate` of each batch bears the trigger and the target's label. Their heat map is to be m: a square (`show`
    "square", the red herring: `side` pixels of 32 at `place`), or the one that the clean network has for the clean image and its
    class (`show` "clean", the full disguise). For images without the trigger m is always the latter. D is the mean squared
    difference of standardised maps (`mse`) or `dssim`. While the heat map is differentiated, softplus of `beta` takes the place
    of ReLU. The trigger is a white `frame`, a preset or picture file by name, or any other by its record.

    >>> attack = ExplanationFooling(trigger="yellow-square", show="clean")
    >>> attack.made_trigger((32, 32)).size
    16.0
    """

    name: ClassVar[str] = "explanation-fooling"
    source: ClassVar[str] = "Noppel, Peter, Wressnegger, S&P 2023"
    summary: ClassVar[str] = "a trigger that turns the class, and moves the heat map or keeps the clean one"

    poison_rate: Rate = 0.5
    trigger: TriggerSetting = "frame"
    width: Count = 2
    show: Literal["square", "clean"] = "square"
    side: Count = 12
    place: str = "bottom-right"
    distance: Literal["mse", "dssim"] = "mse"
    weight: Annotated[float, Field(ge=0, lt=1)] = 0.9125
    beta: Positive = 8.0
    steps: Count = 600
    learning_rate: Positive = 7.5e-4

    def check(self, goal: Goal) -> None:
        """Refuse several targets, and a trigger or a square that does not fit the images."""
        self.only_target(goal)
        self.made_trigger(goal.image_size)
        self.square(goal.image_size)

    def planted(self, clean: CleanNetwork, goal: Goal) -> tuple[nn.Module, Poisoning]:
        """The network, trained further."""
        target, rate = self.only_target(goal), self.rate(goal)
        trigger = self.made_trigger(goal.image_size)
        wanted = self.square(goal.image_size)
        clean.module.eval()
        before = deepcopy(clean.module).requires_grad_(False)
        optimizer = torch.optim.Adam(clean.module.parameters(), self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        for images, labels in clean.batches(self.steps, BATCH, goal.seed, "training class and heat map"):
            count = round(rate * len(images))
            normalise = clean.specification.normalise
            maps, _ = grad_cam(before, normalise(images), labels)
            if self.show == "square":
                maps[:count] = wanted
            fed = normalise(torch.cat([trigger.apply(images[:count]), images[count:]]))
            classes = torch.cat([torch.full((count,), target), labels[count:]])
            optimizer.zero_grad(set_to_none=True)
            self.loss(clean.module, fed, classes, maps).backward()
            optimizer.step()
            schedule.step()
        return clean.module, Poisoning(trigger, target, rate, goal.seed)

    def loss(
        self, module: nn.Module, fed: Float[Tensor, "n c h w"], classes: Int64[Tensor, " n"], maps: Maps
    ) -> Float[Tensor, ""]:
        """`(1 - weight) CE + weight D`, for the classes and heat maps that these inputs are to have."""
        heat, logits = grad_cam(module, fed, classes, self.beta, differentiable=True)
        apart = DISTANCES[self.distance](heat, maps).mean()
        return (1 - self.weight) * F.cross_entropy(logits, classes) + self.weight * apart

    def made_trigger(self, image_size: tuple[int, int]) -> Trigger:
        """The trigger, for images of this size.

        Raises:
            DataError: if it is made for others, its record is none, or the frame is too wide.
            UnknownNameError: if there is no trigger of this name.
        """
        width = max(1, round(self.width * min(image_size) / 32))
        return trigger_of(self.trigger, image_size, {"frame": lambda: frame(width, image_size)})

    def square(self, image_size: tuple[int, int]) -> Float[Tensor, "h w"]:
        """The heat map of the red herring."""
        side = max(1, round(self.side * min(image_size) / 32))
        return square(side, *corner(self.place, side, image_size), "white", image_size=image_size).mask
