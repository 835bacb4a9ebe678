"""Search: for each class the smallest change of one family that sends images of other classes there, all classes at once.

The direction of a change and its size are found apart: a normalised gradient turns the direction, and the size shrinks while the
change succeeds and grows while it does not. So one recipe serves families whose numbers are pixels, pixel widths or colours.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.attacks.family import ImageFamily, Images, Parameters, along
from trojancam.attacks.trigger import Trigger
from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.effort import scale_of
from trojancam.detection.settings import Count, Positive, Share
from trojancam.detection.suspect import Suspect
from trojancam.errors import DataError
from trojancam.network.batches import parts
from trojancam.network.draws import Draws
from trojancam.network.margins import leads
from trojancam.network.network import Network
from trojancam.showing import Brief

TURN, LEAST_TURN = 0.35, 0.02  # of the size is a step, at first and at the end
MOMENTUM = 0.6
MARGIN = 5.0  # a logit that leads by more is not pushed further
SCALES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 2.0, 2.5)  # at which what was found is tried
RANKED_AT = (0.7, 1.0, 1.4)  # the scales at which classes are ranked
TINY = 1e-12


@dataclass(frozen=True)
class Phase:
    """So many `steps` on `batch` images of each class; the size shrinks by the share `growth` at this `success`, else grows."""

    steps: Count
    batch: Count
    success: Share
    growth: Positive


@dataclass(frozen=True)
class SearchSettings:
    """How the smallest changes are looked for: a `screen` of all classes, then the `keep` nearest ones in `detail`.

    A change succeeds that sends the share `success` of the held-out images to its class. `largest` bounds its size.
    """

    screen: Phase = field(default_factory=lambda: Phase(30, 8, 0.8, 0.08))
    detail: Phase = field(default_factory=lambda: Phase(60, 24, 0.95, 0.04))
    keep: Count = 14
    success: Share = 0.9
    largest: Positive | None = None

    @property
    def scales(self) -> tuple[float, ...]:
        """The scales at which what was found is tried."""
        return SCALES

    def ranking(self, suspect: Suspect) -> Suspect:
        """The images on which classes are ranked after the screen."""
        return suspect

    def scale(self, _: tuple[int, int], /) -> float:
        """How many times as large as told sizes are in images of a size: here they are as told."""
        return 1.0

    def largest_in(self, image_size: tuple[int, int]) -> float | None:
        """The bound of sizes in images of this size."""
        return None if self.largest is None else self.largest * self.scale(image_size)


@dataclass(frozen=True)
class CoarseSearchSettings(SearchSettings):
    """How the smallest changes are looked for with few runs of the network.

    Classes are ranked after the screen on `ranked_on` images, and every other scale is tried. Sizes are those of images of 32
    pixels and grow with the image, unless the family counts colours (`grows`).
    """

    screen: Phase = field(default_factory=lambda: Phase(10, 4, 0.8, 0.12))
    detail: Phase = field(default_factory=lambda: Phase(14, 8, 0.95, 0.08))
    keep: Count = 4
    ranked_on: Count = 8
    grows: bool = True

    @property
    def scales(self) -> tuple[float, ...]:
        """The scales at which what was found is tried."""
        return SCALES[::2]

    def ranking(self, suspect: Suspect) -> Suspect:
        """The images on which classes are ranked after the screen."""
        return suspect.first(self.ranked_on)

    def scale(self, image_size: tuple[int, int], /) -> float:
        """How many times as large as told sizes are in images of this size."""
        return scale_of(image_size) if self.grows else 1.0


@dataclass(frozen=True)
class Smallest(Brief):
    """The smallest change found for each of some classes, the nearest class first.

    `sizes` are those at which it sends the share asked for of held-out images to its class, interpolated between scales; where
    none does, more than the largest that was tried, by the share that is missing. `successes` are the greatest shares at any
    size that was tried. `parameters` are the family's, of these sizes as far as they were tried.
    """

    targets: Int64[Tensor, " c"]
    sizes: Float[Tensor, " c"]
    successes: Float[Tensor, " c"]
    parameters: Parameters


def smallest_changes(
    suspect: Suspect,
    held_out: Suspect,
    family: ImageFamily[Trigger],
    settings: SearchSettings,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Smallest:
    """The smallest change of a family to each class that is near, made on some images and measured on others.

    With theta the numbers of a change and |theta| its size: theta <- theta - rho step m, m <- 0.6 m + g / |g|, where g is the
    gradient of `mean relu(5 - (z_c - max of the others))`; rho <- rho (1 - growth) where the batch succeeds, else
    rho (1 + growth); theta is rescaled to the size rho. `advance` is told of images run forth and back.

    Classes are left out that no image could be sent to: all are of them, or named so without any change.

    Raises:
        CannotSearchError: if all classes are left out.
        DataError: if the family has numbers that its size does not scale.
    """
    able, able_held_out = movable(suspect), movable(held_out)
    targets = reachable(able, able_held_out)
    search = _Search(suspect, able, targets, family, settings, seed, advance)
    search.run(settings.screen)
    ranking = settings.ranking(suspect)
    tried = search.measured(ranking, able[:, : len(ranking.images)], RANKED_AT, settings.screen.success)[0]
    search.keep(tried.argsort()[: settings.keep])
    search.run(settings.detail)
    sizes, successes = search.measured(held_out, able_held_out, settings.scales, settings.success)
    order = sizes.argsort(stable=True)
    allowed = sizes.clamp(max=search.largest).minimum(search.sizes() * settings.scales[-1])
    found = family.scaled(search.parameters, allowed / search.sizes())
    return Smallest(
        search.targets[order], sizes[order], successes[order], {name: values[order] for name, values in found.items()}
    )


def cost(suspect: Suspect, settings: SearchSettings) -> int:
    """How many images a search runs, one forth and back counting three."""
    kept = min(settings.keep, suspect.classes)
    there = settings.screen.steps * settings.screen.batch * suspect.classes
    back = settings.detail.steps * settings.detail.batch * kept
    tried = len(settings.ranking(suspect).images) * len(RANKED_AT) * suspect.classes
    tried += len(suspect.images) * len(settings.scales) * kept
    return 3 * (there + back) + tried


class _Search:
    """Where the search of each class stands: its change, its momentum, its size, and its order of the images."""

    def __init__(
        self,
        suspect: Suspect,
        able: Bool[Tensor, "classes n"],
        targets: Int64[Tensor, " c"],
        family: ImageFamily[Trigger],
        settings: SearchSettings,
        seed: int,
        advance: Callable[[int], None],
    ) -> None:
        self.suspect, self.family, self.settings, self.advance = suspect, family, settings, advance
        generator, device = torch.Generator(device="cpu").manual_seed(seed), suspect.network.device
        draws = Draws(seed, device)
        self.targets = targets.to(device)
        scale = settings.scale(family.image_size)
        self.parameters = family.scaled(family.start(len(targets), generator, device), scale)
        if set(self.parameters) != set(family.scales):
            raise DataError(
                f"a change of the family {family.name} cannot be searched by its size: it has other numbers too"
            )
        self.momentum = {name: torch.zeros_like(values) for name, values in self.parameters.items()}
        self.radius = self.sizes()
        self.parameters = family.scaled(self.parameters, 0.05)  # so that the first gradients give the direction
        orders = torch.stack([draws.permutation(len(suspect.images)) for _ in targets])
        self.orders = [order[able[target][order]] for order, target in zip(orders, targets.tolist(), strict=True)]
        self.largest = settings.largest_in(family.image_size) or math.inf
        self.place = 0

    def sizes(self) -> Float[Tensor, " c"]:
        """How large the changes are."""
        return self.family.size(self.parameters).detach()

    def keep(self, places: Int64[Tensor, " k"]) -> None:
        """Go on with these classes only, at the sizes they have."""
        self.targets = self.targets[places]
        self.parameters = {name: values[places] for name, values in self.parameters.items()}
        self.momentum = {name: values[places] for name, values in self.momentum.items()}
        self.orders = [self.orders[place] for place in places.tolist()]
        self.radius = self.sizes()

    def run(self, phase: Phase) -> None:
        """The steps of a phase."""
        for step in range(phase.steps):
            gradient, succeeded = self._gradient(self._batch(phase.batch))
            turn = TURN * (1 + math.cos(math.pi * step / phase.steps)) / 2 + LEAST_TURN
            for name, values in self.parameters.items():
                self.momentum[name] = MOMENTUM * self.momentum[name] + gradient[name]
                self.parameters[name] = values - along(self.radius * turn, values) * self.momentum[name]
            grows = torch.where(succeeded >= phase.success, 1 - phase.growth, 1 + phase.growth)
            self.radius = (self.radius * grows).clamp(max=self.largest)
            self.parameters = self.family.project(
                self.family.scaled(self.parameters, self.radius / (self.sizes() + TINY))
            )

    def _batch(self, count: int) -> Int64[Tensor, "c b"]:
        """The next images of each class's order, which begins anew when it is through."""
        places = self.place + torch.arange(count, device=self.targets.device)
        self.place += count
        return torch.stack([order[places % len(order)] for order in self.orders])

    def _gradient(self, chosen: Int64[Tensor, "c b"]) -> tuple[Parameters, Float[Tensor, " c"]]:
        """The gradient of each class's loss, of length 1, and the share of its images that its change sends there now."""
        network = self.suspect.network
        succeeded = torch.zeros(len(chosen), device=chosen.device)
        found = {name: torch.zeros_like(values) for name, values in self.parameters.items()}
        fitting = network.rows(gradients=True)
        for part in parts(len(chosen), max(1, fitting // chosen.shape[1])):
            with torch.enable_grad():
                values = {name: each[part].detach().requires_grad_() for name, each in self.parameters.items()}
                logits = changed_logits(network, self.family, self.suspect.images[chosen[part]], values)
                wanted = self.targets[part, None].expand(logits.shape[:2])
                ahead = leads(logits, wanted)
                loss = (MARGIN - ahead).relu().mean(1).sum()
                gradients = torch.autograd.grad(loss, list(values.values()))
            succeeded[part] = (ahead > 0).float().mean(1)
            for name, gradient in zip(values, gradients, strict=True):
                found[name][part] = gradient
            self.advance(3 * ahead.numel())
        length = torch.stack([values.flatten(1).square().sum(1) for values in found.values()]).sum(0).sqrt() + TINY
        return {name: values / along(length, values) for name, values in found.items()}, succeeded

    def measured(
        self, held_out: Suspect, able: Bool[Tensor, "classes n"], scales: Sequence[float], success: float
    ) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
        """The size at which each change succeeds on these images, and its success at the greatest size allowed."""
        sizes, successes = torch.zeros_like(self.radius), torch.zeros_like(self.radius)
        for place, size in enumerate(self.sizes()):
            tried = torch.tensor(
                [scale for scale in scales if scale * size <= self.largest * (1 + 1e-3)] or [1.0], device=size.device
            )
            images = held_out.images[able[self.targets[place]]]
            if not len(images):  # of the few images that rank: the class goes on, for others may be sent there
                sizes[place] = size
                continue
            shares = self._shares(images, place, tried)
            sizes[place] = first_reaching(tried * size, shares, success)
            successes[place] = shares.max()
        return sizes, successes

    def _shares(self, images: Float[Tensor, "n 3 h w"], place: int, scales: Float[Tensor, " s"]) -> Float[Tensor, " s"]:
        """The share of images that go to a class, with its change at several scales."""
        one = {name: values[place : place + 1] for name, values in self.parameters.items()}
        found = shares_sent(self.suspect.network, images, int(self.targets[place]), self.family, one, scales)
        self.advance(len(scales) * len(images))
        return found


def shares_sent(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    target: int,
    family: ImageFamily[Trigger],
    one: Parameters,
    scales: Float[Tensor, " s"],
) -> Float[Tensor, " s"]:
    """The share of images that one change sends to a class, at each of several scales."""
    every = {name: values.expand(len(scales), *values.shape[1:]) for name, values in one.items()}
    scaled, hits = family.scaled(every, scales), torch.zeros(len(scales), device=images.device)
    for part in parts(len(images), max(1, network.rows() // len(scales))):
        with torch.no_grad():
            hits += (changed_logits(network, family, images[part], scaled).argmax(-1) == target).sum(1)
    return hits / len(images)


def changed_logits(
    network: Network, family: ImageFamily[Trigger], images: Images, parameters: Parameters
) -> Float[Tensor, "c n classes"]:
    """The logits of images, or of each change's own ones, with every change made to them; gradients flow."""
    changed = family.apply(images, parameters)
    logits, _ = network.forward_with(network.inputs(changed.flatten(0, 1)), ())
    answers: Tensor = logits.unflatten(0, changed.shape[:2])
    return answers


def movable(suspect: Suspect) -> Bool[Tensor, "classes n"]:
    """Which images a change could send to each class: those of another one that are not named so without it."""
    named = suspect.network(suspect.images).argmax(1)
    classes = torch.arange(suspect.classes, device=named.device)[:, None]
    return (suspect.labels != classes) & (named != classes)


def reachable(*able: Bool[Tensor, "classes _"]) -> Int64[Tensor, " c"]:
    """The classes to which an image of each half could be sent.

    Raises:
        CannotSearchError: if there is none.
    """
    targets = torch.stack([each.any(1) for each in able]).all(0).nonzero()[:, 0]
    if not len(targets):
        raise CannotSearchError(
            "no image could be sent to another class: each half of the images needs some that the network does not name "
            "alike; add images of other classes"
        )
    return targets


def first_reaching(sizes: Float[Tensor, " s"], shares: Float[Tensor, " s"], success: float) -> Float[Tensor, ""]:
    """The smallest size at which the share is reached, interpolated; if none does, more than the largest, by what is missing.

    >>> first_reaching(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.1, 0.8, 1.0]), 0.9)
    tensor(2.5000)
    """
    reaching = (shares >= success).nonzero()
    if not len(reaching):
        return sizes[-1] * (1 + success - shares.max())
    place = int(reaching[0])
    if place == 0:
        return sizes[0]
    low, high = shares[place - 1], shares[place]
    return sizes[place - 1] + (success - low) / (high - low) * (sizes[place] - sizes[place - 1])
