"""Fresh triggers: ones of a finding's kind that work against a network as it is now, looked for anew with a few steps.

A recovered trigger lies some pixels beside the true one. A network that has unlearned it alone still answers to the other; one
that has unlearned whatever can be found of its kind does not.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.attacks.families import image_family
from trojancam.attacks.family import ImageFamily, Parameters, along
from trojancam.attacks.frequency import Frequency
from trojancam.attacks.moving_patch import MovingPatch
from trojancam.attacks.patch import Patch
from trojancam.attacks.stripes import Stripes
from trojancam.attacks.trigger import Trigger
from trojancam.detection.smallest_changes.search import LEAST_TURN, MARGIN, MOMENTUM, TURN
from trojancam.network.batches import parts
from trojancam.network.margins import leads
from trojancam.network.network import Network
from trojancam.removal.stamping import Jitter
from trojancam.showing import Brief

SIDES = 4 / 32, 9 / 32  # of a window, as shares of the image's shorter side
NEAR = 5 / 32  # of the shorter side: how far a window's centre lies from the place at most
NOISE = 1.0  # the standard deviation of a mask's and a pattern's first values, before the sigmoid
BESIDE = 0.5  # the standard deviation of numbers that begin near the recovered ones, such as waves a picture
LARGER = 2.0  # times the size of a recovered change, at most
CLEAR = 2.0  # the mean of a mask's first values: most of the window is covered
BETAS = (0.9, 0.999)
TINY = 1e-12

Images = Float[Tensor, "n 3 h w"]
Classes = Int64[Tensor, " n"]


@dataclass(frozen=True)
class Wanted(Brief):
    """Images, and the class that a trigger is to send each one to."""

    images: Images
    targets: Classes


class Kind(Brief, ABC):
    """How triggers of a kind are looked for against a network, and drawn without one.

    `jitter` says how far a recovered trigger is varied, `exact` the same of one that was found to work where it is.
    """

    jitter: ClassVar = Jitter()
    exact: ClassVar = Jitter(shift=0, faintest=0.7, colour=0.05, noise=0.05)

    @abstractmethod
    def start(self, count: int, generator: torch.Generator) -> "Search":
        """Candidates to begin with, near the place of the finding where it has one."""

    @abstractmethod
    def random(self, generator: torch.Generator) -> Trigger:
        """A trigger that looks like one of this kind, and means nothing."""

    def found(
        self, network: Network, wanted: Sequence[Wanted], steps: int, rate: float, generator: torch.Generator
    ) -> list[Trigger]:
        """A trigger for each of these wishes, looked for side by side."""
        search = self.start(len(wanted), generator)
        search.run(network, wanted, steps, rate)
        return search.triggers()


class Search(ABC):
    """Candidates that are being improved."""

    @abstractmethod
    def run(self, network: Network, wanted: Sequence[Wanted], steps: int, rate: float, /) -> None:
        """Steps against a network, each candidate towards its own wish; at a rate, where there is one to choose."""

    @abstractmethod
    def triggers(self) -> list[Trigger]:
        """The candidates as they are."""

    @abstractmethod
    def renew(self, place: int, other: "Search") -> None:
        """Begin one candidate anew, with the first one of another search of the same kind."""


@dataclass(frozen=True)
class PatchKind(Kind):
    """Patches in square windows: three of four near a place (row, column), or all anywhere where there is none."""

    image_size: tuple[int, int]
    place: tuple[float, float] | None
    largest: float = 0.0  # pixels: the side of the recovered trigger

    def start(self, count: int, generator: torch.Generator) -> "Search":
        """Windows with a free mask and a free pattern."""
        return _Patches(torch.stack([self._window(each, generator) for each in range(count)]), generator)

    def random(self, generator: torch.Generator) -> Patch:
        """A window full of noise in colour, clear or in part transparent."""
        window = self._window(3, generator)
        pattern = torch.rand(3, *self.image_size, generator=generator)
        if torch.rand((), generator=generator) < 0.5:
            pattern = pattern[:, :1, :1].expand(3, *self.image_size).contiguous()
        return Patch(window.float(), pattern, 0.3 + 0.7 * float(torch.rand((), generator=generator)))

    def _window(self, number: int, generator: torch.Generator) -> Bool[Tensor, "h w"]:
        shorter = min(self.image_size)
        low = max(1, round(SIDES[0] * shorter))
        high = min(shorter, max(low, round(SIDES[1] * shorter), math.ceil(self.largest)))
        side = int(torch.randint(low, high + 1, (), generator=generator))
        shares = torch.rand(2, generator=generator).tolist()
        mask = torch.zeros(self.image_size, dtype=torch.bool)
        corner = []
        for axis, (share, extent) in enumerate(zip(shares, self.image_size, strict=True)):
            first = share * (extent - side)
            if self.place is not None and number % 4 != 3:
                first = self.place[axis] - (side - 1) / 2 + (2 * share - 1) * NEAR * shorter
            corner.append(min(max(0, round(first)), extent - side))
        mask[corner[0] : corner[0] + side, corner[1] : corner[1] + side] = True
        return mask


class _Patches(Search):
    """Masks and patterns in (0, 1), the sigmoid of free numbers; Adam turns as many images as it can."""

    def __init__(self, windows: Bool[Tensor, "c h w"], generator: torch.Generator) -> None:
        self.windows = windows
        self.values = NOISE * torch.randn(len(windows), 4, *windows.shape[1:], generator=generator)
        self.values[:, 0] += CLEAR

    def run(self, network: Network, wanted: Sequence[Wanted], steps: int, rate: float, /) -> None:
        values = self.values.to(network.device).requires_grad_()
        windows, adam = self.windows.to(network.device), torch.optim.Adam([values], rate, BETAS)
        fitting = max(1, network.rows(gradients=True) // max(len(each.images) for each in wanted))
        for _ in range(steps):
            gradient = torch.zeros_like(values)
            for part in parts(len(wanted), fitting):
                with torch.enable_grad():
                    chosen = values[part].detach().requires_grad_()
                    mask, pattern = _laid(chosen, windows[part])
                    images = torch.stack([each.images for each in wanted[part]])
                    given = images * (1 - mask[:, None]) + (mask * pattern)[:, None]
                    logits, _ = network.forward_with(network.inputs(given.flatten(0, 1)), ())
                    short = _falls_short(logits, torch.cat([each.targets for each in wanted[part]]))
                    (gradient[part],) = torch.autograd.grad(short * len(chosen), chosen)
            values.grad = gradient
            adam.step()
        self.values = values.detach().cpu()

    def renew(self, place: int, other: Search) -> None:
        assert isinstance(other, _Patches)
        self.values[place], self.windows[place] = other.values[0], other.windows[0]

    def triggers(self) -> list[Trigger]:
        masks, patterns = _laid(self.values, self.windows)
        return [Patch(mask[0], pattern, name="fresh") for mask, pattern in zip(masks, patterns, strict=True)]


def _laid(
    values: Float[Tensor, "c 4 h w"], windows: Bool[Tensor, "c h w"]
) -> tuple[Float[Tensor, "c 1 h w"], Float[Tensor, "c 3 h w"]]:
    squashed = values.sigmoid()
    return squashed[:, :1] * windows[:, None], squashed[:, 1:]


def _falls_short(logits: Float[Tensor, "n classes"], targets: Classes) -> Float[Tensor, ""]:
    """`mean relu(5 - (z_t - max of the others))`: an image that is turned clearly has no gradient, not even a tiny one."""
    return (MARGIN - leads(logits, targets.to(logits.device))).relu().mean()


@dataclass(frozen=True)
class ChangeKind(Kind):
    """Changes of the whole image of one family, as large as the recovered one or up to `larger` times as large.

    A recovered change is the smallest that works, and the true one may be larger.

    `near` are the recovered trigger's numbers that its size does not scale, such as the frequency of stripes: three of four
    candidates begin near them, the others anywhere.
    """

    jitter: ClassVar = Jitter(shift=1, faintest=0.6, colour=0.1, noise=0.02, strongest=1.8)
    exact: ClassVar = Jitter(shift=0, faintest=0.8, colour=0.05, noise=0.02)

    family: ImageFamily[Trigger]
    size: float
    near: Mapping[str, Tensor] = field(default_factory=dict)
    larger: float = LARGER

    def start(self, count: int, generator: torch.Generator) -> "Search":
        """Random members of the family."""
        sizes = self.size * (1 + (self.larger - 1) * torch.rand(count, generator=generator))
        found = self.family.random(count, self.size, generator)
        found = self.family.scaled(found, sizes / self.size)
        beside = torch.arange(count) % 4 != 3
        for name, value in self.near.items():
            found[name][beside] = value + BESIDE * torch.randn(found[name][beside].shape, generator=generator)
        return _Changes(self.family, sizes, self.family.project(found))

    def random(self, generator: torch.Generator) -> Trigger:
        """A random member of this size."""
        return self.family.member(self.family.random(1, self.size, generator))


class _Changes(Search):
    """Members of a family of one size; a gradient of length 1 turns their direction, as in the search for the smallest.

    Adam changes the numbers that the size does not scale.
    """

    def __init__(self, family: ImageFamily[Trigger], sizes: Float[Tensor, " c"], parameters: Parameters) -> None:
        self.family, self.sizes, self.parameters = family, sizes, parameters

    def run(self, network: Network, wanted: Sequence[Wanted], steps: int, rate: float, /) -> None:
        values = {name: each.to(network.device) for name, each in self.parameters.items()}
        wanted_sizes = self.sizes.to(network.device)
        scaled = [name for name in values if name in self.family.scales]
        momentum = {name: torch.zeros_like(values[name]) for name in scaled}
        free = {name: each.clone().requires_grad_() for name, each in values.items() if name not in momentum}
        adam = torch.optim.Adam(free.values(), rate, BETAS) if free else None
        for step in range(steps):
            turn = TURN * (1 + math.cos(math.pi * step / steps)) / 2 + LEAST_TURN
            gradients = self._gradients(network, wanted, values)
            for name in scaled:
                momentum[name] = MOMENTUM * momentum[name] + gradients[name]
                values[name] = values[name] - along(wanted_sizes * turn, values[name]) * momentum[name]
            if adam is not None:
                for name, each in free.items():
                    each.data.copy_(values[name])  # inside its bounds
                    each.grad = gradients[name]
                adam.step()
                values |= {name: each.detach().clone() for name, each in free.items()}
            sizes = self.family.size(values).detach() + TINY
            values = self.family.project(self.family.scaled(values, wanted_sizes / sizes))
        self.parameters = {name: each.detach().cpu() for name, each in values.items()}

    def renew(self, place: int, other: Search) -> None:
        assert isinstance(other, _Changes)
        self.sizes[place] = other.sizes[0]
        for name, values in self.parameters.items():
            values[place] = other.parameters[name][0]

    def _gradients(self, network: Network, wanted: Sequence[Wanted], values: Parameters) -> Parameters:
        found = {name: torch.zeros_like(each) for name, each in values.items()}
        for place, each in enumerate(wanted):
            with torch.enable_grad():
                one = {name: value[place : place + 1].detach().requires_grad_() for name, value in values.items()}
                changed = self.family.apply(each.images, one)[0]
                logits, _ = network.forward_with(network.inputs(changed), ())
                gradients = torch.autograd.grad(_falls_short(logits, each.targets), list(one.values()))
            own = dict(zip(one, gradients, strict=True))
            scaled = [own[name].square().sum() for name in self.family.scales]
            length = torch.stack(scaled).sum().sqrt() + TINY
            for name, gradient in own.items():
                found[name][place] = gradient[0] / length
        return found

    def triggers(self) -> list[Trigger]:
        count = len(next(iter(self.parameters.values())))
        return [self.family.member(self.parameters, place, "fresh") for place in range(count)]


def kind_of(trigger: Trigger, moves: bool = False, larger: float = LARGER) -> Kind:
    """How others of a trigger's kind are looked for; of a patch near its place, unless it moves; of a change up to so many times
    as large.

    Raises:
        UnknownNameError: if the trigger is of no family.
    """
    if isinstance(trigger, MovingPatch):
        return PatchKind(trigger.image_size, None, float(trigger.side))
    if isinstance(trigger, Patch):
        return PatchKind(trigger.image_size, None if moves else trigger.centre, math.sqrt(trigger.size))
    family = trigger.of_family() if isinstance(trigger, Frequency) else image_family(trigger.family, trigger.image_size)
    near: dict[str, Tensor] = {}
    if isinstance(trigger, Stripes):
        near = {"frequency": torch.tensor(trigger.frequency), "phase": torch.tensor(trigger.phase)}
    return ChangeKind(family, trigger.size, near, larger)
