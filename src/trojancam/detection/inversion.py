"""Trigger inversion: which small change to an image sends every image to a class; many searches side by side.

A trigger `x' = x (1 - m) + m p` is looked for by gradient, with `m = tanh(w)/2 + 1/2` inside an allowed region and 0
outside, and p made likewise. What is minimised, over images of other classes than the target t, is

    CE(f(x'), t) + lambda |m|_1 - c mean(A^k(x')) / max(A)

where the last term is there for a search that names feature maps k to excite (ABS, Liu et al., CCS 2019). How hard lambda
presses on the mask follows from success, for each search by itself (Neural Cleanse, Wang et al., S&P 2019).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Gt, Interval
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.detection.effort import cells_of
from trojancam.detection.settings import Count, NotNegative, Positive, Share
from trojancam.detection.success import reasr
from trojancam.detection.suspect import Suspect
from trojancam.errors import DataError, unknown_name
from trojancam.kept import Kept, Values
from trojancam.network.draws import Draws
from trojancam.progress import Progress, silent
from trojancam.showing import Brief

Decay = Annotated[float, Interval(ge=0, lt=1)]  # of a moving average
Factor = Annotated[float, Gt(1)]

EDGE = 0.999  # searches start inside of (-1, 1), where tanh can be inverted


@dataclass(frozen=True)
class Candidate(Brief):
    """What to look for: a trigger that sends images to `target_class`, inside `region` (None: anywhere in the image).

    With `layer` and `feature_maps`, these maps are excited on the way.
    """

    target_class: int
    region: Bool[Tensor, "h w"] | None = None
    layer: str | None = None
    feature_maps: tuple[int, ...] = ()


@dataclass(frozen=True)
class Inversion:
    """What was found for a candidate: the trigger, its success rate on the images it was made on, and after how many rounds.

    One that was not among the `keep` best after its trial is `given_up`: its trigger is not what there was to find.
    """

    candidate: Candidate
    trigger: Patch
    success: float
    rounds: int
    given_up: bool = False

    @property
    def mask_l1(self) -> float:
        """The size of the mask, in whole pixels."""
        return float(self.trigger.weight.sum())

    @property
    def position(self) -> tuple[float, float] | None:
        """The centre of the trigger's mask, in pixels; None if it is empty.

        >>> from trojancam.attacks.patch import square
        >>> Inversion(Candidate(0), square(2, 4, 7), success=1.0, rounds=1).position
        (4.5, 7.5)
        """
        return self.trigger.centre


@dataclass(frozen=True)
class InversionSettings:
    """How to look: at most `rounds` rounds of `steps` steps of Adam, each on `batch` images.

    Lambda is `first_penalty` until `patience` rounds in a row had a `success` rate or more, if that is 0, and `penalty`
    then. It is multiplied by `up` after `patience` such rounds, divided by `down` after as many others. A mask of more
    than `largest` pixels, if told, counts as a success, so that lambda grows until the mask is small enough. A search that has
    succeeded ends once lambda went both ways and no smaller mask came for `stop_after` rounds. After `trial` rounds only the
    `keep` best go on, if told so: what is easiest for the network is seen early. `excitation` is the weight c of feature
    maps to excite.
    """

    rounds: Count = 30
    steps: Count = 4
    batch: Count = 16
    learning_rate: Positive = 0.2
    betas: tuple[Decay, Decay] = (0.5, 0.9)
    success: Share = 0.99
    first_penalty: NotNegative = 1e-2
    penalty: NotNegative = 1e-2
    patience: Count = 2
    up: Factor = 2.0
    down: Factor = 2.0**1.5
    largest: Positive | None = None
    stop_after: Count = 10
    trial: Count = 5
    keep: Count | None = None
    excitation: NotNegative = 1.0

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """How many numbers masks and patterns have along each side: one for each pixel."""
        return image_size


@dataclass(frozen=True)
class CoarseInversionSettings(InversionSettings):
    """How to look with few steps: masks and patterns have one number for each of at most `cells` along each side.

    Sizes count cells, too. So lambda presses on a mask as it does in an image of as many pixels.
    """

    cells: Count = 32

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """How many numbers masks and patterns have along each side: one for each cell."""
        return cells_of(image_size, self.cells)


def invert(
    suspect: Suspect,
    candidates: Sequence[Candidate],
    settings: InversionSettings = InversionSettings(),
    seed: int = 0,
    progress: Progress = silent,
) -> list[Inversion]:
    """A trigger for each candidate, looked for side by side on the suspect's images of other classes than its target.

    Of the triggers that a search has after its rounds, the best is kept: with a mask that is small enough, then with the
    success rate asked for and the smallest mask, else with the highest rate. The seed draws where searches start and the
    order of the images, alike for all, so that what is found for a candidate does not depend on the others.

    Raises:
        UnknownNameError: if a target class, layer or feature map does not exist.
        DataError: if a region is empty or of another size than the images, or every image is of a target class.

    >>> from torch import nn
    >>> from trojancam.network.network import Network
    >>> from trojancam.detection.suspect import suspect
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 2)), (8, 8))
    >>> clean = suspect(network, torch.rand(8, 3, 8, 8), torch.tensor([0, 1] * 4))
    >>> found = invert(clean, [Candidate(0), Candidate(1)], InversionSettings(rounds=2))
    >>> [inversion.trigger.image_size for inversion in found]
    [(8, 8), (8, 8)]
    """
    for candidate in candidates:
        _check(suspect, candidate)
    if not candidates:
        return []
    with torch.inference_mode(False):  # its tensors could take no part in a gradient
        searches = _Searches(suspect, candidates, settings, seed)
        for done in range(settings.rounds):
            if done == settings.trial and settings.keep is not None:
                searches.give_up_all_but(settings.keep)
            active = [index for index, state in enumerate(searches.states) if not state.finished]
            if not active:
                break
            searches.round(active)
            progress(done + 1, settings.rounds, f"looking for triggers: {len(active)}")
        return searches.found()


def invert_once(
    journal: Kept,
    step: str,
    suspect: Suspect,
    candidates: Sequence[Candidate],
    settings: InversionSettings = InversionSettings(),
    seed: int = 0,
    progress: Progress = silent,
) -> list[Inversion]:
    """As `invert`, as a step of a journal: read from it where it was done before."""
    if not candidates:
        return []

    def work() -> Values:
        found = invert(suspect, candidates, settings, seed, progress)
        return {
            "masks": torch.stack([inversion.trigger.weight for inversion in found]),
            "patterns": torch.stack([inversion.trigger.pattern for inversion in found]),
            "success": torch.tensor([inversion.success for inversion in found], dtype=torch.float64, device="cpu"),
            "rounds": torch.tensor([inversion.rounds for inversion in found], device="cpu"),
            "given_up": torch.tensor([inversion.given_up for inversion in found], device="cpu"),
        }

    kept = journal.step(step, work)
    rest = zip(*(kept[name].tolist() for name in ("success", "rounds", "given_up")), strict=True)
    return [
        Inversion(candidate, _trigger(candidate, mask, pattern), *numbers)
        for candidate, mask, pattern, numbers in zip(candidates, kept["masks"], kept["patterns"], rest, strict=True)
    ]


class Penalty:
    """The lambda of one search: it rises while the trigger succeeds and falls while it does not (S&P 2019)."""

    def __init__(self, settings: InversionSettings) -> None:
        self.settings = settings
        self.value = settings.first_penalty
        self.went_up = self.went_down = False
        self._waited = self._successes = self._failures = 0

    def update(self, succeeded: bool) -> None:
        """Take note of one more round."""
        patience = self.settings.patience
        self._waited = self._waited + 1 if succeeded and self.value == 0 else 0
        if self._waited >= patience:
            self.value = self.settings.penalty
            self._successes = self._failures = 0
            self.went_up = self.went_down = False
        self._successes = self._successes + 1 if succeeded else 0
        self._failures = 0 if succeeded else self._failures + 1
        if self._successes >= patience:
            self._successes, self.went_up = 0, True
            self.value *= self.settings.up
        elif self._failures >= patience:
            self._failures, self.went_down = 0, True
            self.value /= self.settings.down


class _State:
    """How far one search is: its lambda, and the best it had after any round."""

    def __init__(self, settings: InversionSettings, start: Float[Tensor, "4 h w"]) -> None:
        self.settings, self.best = settings, start
        self.penalty = Penalty(settings)
        self.merit = -float("inf")
        self.given_up = False
        self.rounds = self._without_progress = 0

    def update(self, success: float, size: float, values: Float[Tensor, "4 h w"]) -> None:
        """Take note of one more round: its success rate, and the size of the mask in the pixels or cells of its grid."""
        self.rounds += 1
        too_large = self.settings.largest is not None and size > self.settings.largest
        succeeded = success >= self.settings.success
        self.penalty.update(succeeded or too_large)
        share = size / values[0].numel()
        # one number for what is better: below 0 too large a mask, from 0 a failure, from 1 a success, by its size
        merit = -share if too_large else 2 - share if succeeded else success
        self._without_progress = 0 if merit > self.merit else self._without_progress + 1
        if merit > self.merit:
            self.merit, self.best = merit, values

    @property
    def finished(self) -> bool:
        """Whether going on is of no use."""
        tried = self.penalty.went_up and self.penalty.went_down
        settled = tried and self.merit >= 1 and self._without_progress >= self.settings.stop_after
        return settled or self.given_up


class _Searches:
    """All searches of one call: the values that their masks and patterns are made of, and what they share."""

    def __init__(
        self, suspect: Suspect, candidates: Sequence[Candidate], settings: InversionSettings, seed: int
    ) -> None:
        self.suspect, self.candidates, self.settings = suspect, candidates, settings
        self.device = suspect.network.device
        draws = Draws(seed, self.device)
        order = draws.permutation(len(suspect.images))
        self.size = suspect.network.input.size
        start = (draws.uniform(4, *settings.grid(self.size)) * 2 - 1).clamp(-EDGE, EDGE).atanh()
        whole = torch.ones_like(start[0], dtype=torch.bool)
        self.orders = [order[suspect.others(candidate.target_class)[order]] for candidate in candidates]
        self.targets = torch.tensor([candidate.target_class for candidate in candidates], device=self.device)
        regions = [whole if c.region is None else _in_cells(c.region.to(self.device), start[0]) for c in candidates]
        self.regions = torch.stack(regions)
        self.layers = tuple(dict.fromkeys(c.layer for c in candidates if c.layer is not None))
        self.largest = _largest(suspect, self.layers)
        self.values = start.repeat(len(candidates), 1, 1, 1)
        self.adam = torch.optim.Adam([self.values], settings.learning_rate, settings.betas)
        self.states = [_State(settings, start) for _ in candidates]
        self.steps = 0

    def round(self, active: Sequence[int]) -> None:
        """Some steps of the active searches, and what they reached.

        The triggers judged are those that the last step saw: the next ones may be too small already to succeed.
        """
        successes = torch.zeros(len(self.states), device=self.device)
        rows = self.suspect.network.rows(gradients=True)
        groups = torch.tensor(active, device=self.device).split(max(1, rows // self.settings.batch))
        for _ in range(self.settings.steps):
            seen = self.values.clone()
            self.values.grad = torch.zeros_like(self.values)
            for group in groups:
                self.values.grad[group], success = self._gradient(group)
                successes[group] += success / self.settings.steps
            self.adam.step()
            self.steps += 1
        sizes = _mask_and_pattern(seen, self.regions)[0].sum((1, 2, 3))
        for index in active:
            self.states[index].update(float(successes[index]), float(sizes[index]), seen[index])

    def give_up_all_but(self, count: int) -> None:
        """Go on with the best ones only."""
        ranked = sorted(self.states, key=lambda state: state.merit, reverse=True)
        for state in ranked[count:]:
            state.given_up = True

    def found(self) -> list[Inversion]:
        """The best trigger of each search, and its success rate on all the images."""
        values = torch.stack([state.best for state in self.states])
        masks, patterns = (_enlarged(each, self.size) for each in _mask_and_pattern(values, self.regions))
        found = []
        for candidate, state, mask, pattern in zip(self.candidates, self.states, masks, patterns, strict=True):
            trigger = _trigger(candidate, mask[0].cpu(), pattern.cpu())
            clean, target = self.suspect, candidate.target_class
            success = reasr(clean.network, trigger, clean.images, clean.labels, target)
            found.append(Inversion(candidate, trigger, success, state.rounds, state.given_up))
        return found

    def _gradient(self, group: Int64[Tensor, " g"]) -> tuple[Float[Tensor, "g 4 h w"], Float[Tensor, " g"]]:
        """How the loss of some searches changes with their values, and their success rates in this step."""
        network, batch = self.suspect.network, self.settings.batch
        targets = self.targets[group].repeat_interleave(batch)
        values_of = [self.states[index].penalty.value for index in group.tolist()]
        penalties = torch.tensor(values_of, device=self.device)
        with torch.enable_grad():
            values = self.values[group].requires_grad_()
            mask, pattern = _mask_and_pattern(values, self.regions[group])
            laid, laid_pattern = _enlarged(mask, self.size), _enlarged(pattern, self.size)
            stamped = self._images(group) * (1 - laid[:, None]) + (laid * laid_pattern)[:, None]
            logits, activations = network.forward_with(network.inputs(stamped.flatten(0, 1)), self.layers)
            loss = F.cross_entropy(logits, targets, reduction="sum") / batch + penalties @ mask.sum((1, 2, 3))
            if self.layers:
                loss = loss - self.settings.excitation * self._excitement(group, activations)
            (gradient,) = torch.autograd.grad(loss, values)
        return gradient, (logits.argmax(1) == targets).float().view(-1, batch).mean(1)

    def _images(self, group: Int64[Tensor, " g"]) -> Float[Tensor, "g b 3 h w"]:
        """This step's images of each search: the next ones in its order, which begins anew when it is through."""
        places = self.steps * self.settings.batch + torch.arange(self.settings.batch, device=self.device)
        orders = [self.orders[index] for index in group.tolist()]
        return self.suspect.images[torch.stack([order[places % len(order)] for order in orders])]

    def _excitement(
        self, group: Int64[Tensor, " g"], activations: Sequence[Float[Tensor, "_ _ _ _"]]
    ) -> Float[Tensor, ""]:
        """How strongly the maps to excite answer, in shares of their layer's largest clean activation, summed."""
        per_search = [values.unflatten(0, (len(group), -1)) for values in activations]
        of_layer = dict(zip(self.layers, per_search, strict=True))
        shares = [
            of_layer[candidate.layer][place, :, list(candidate.feature_maps)].mean() / self.largest[candidate.layer]
            for place, candidate in enumerate(self.candidates[index] for index in group.tolist())
            if candidate.layer is not None
        ]
        return torch.stack(shares).sum() if shares else torch.zeros((), device=self.device)


def _trigger(candidate: Candidate, mask: Float[Tensor, "h w"], pattern: Float[Tensor, "3 h w"]) -> Patch:
    return Patch(mask, pattern, name=f"recovered, class {candidate.target_class}")


def _mask_and_pattern(
    values: Float[Tensor, "c 4 h w"], regions: Bool[Tensor, "c h w"]
) -> tuple[Float[Tensor, "c 1 h w"], Float[Tensor, "c 3 h w"]]:
    """Both in [0, 1], the mask 0 outside of the region."""
    squashed = values.tanh() / 2 + 0.5
    return squashed[:, :1] * regions[:, None], squashed[:, 1:]


def _in_cells(region: Bool[Tensor, "h w"], values: Float[Tensor, "rows columns"]) -> Bool[Tensor, "rows columns"]:
    """The cells of a grid that hold a pixel of a region; the region itself, where cells are pixels."""
    if region.shape == values.shape:
        return region
    return F.adaptive_max_pool2d(region[None].float(), values.shape)[0] > 0


def _enlarged(values: Float[Tensor, "c k rows columns"], size: tuple[int, int]) -> Float[Tensor, "c k h w"]:
    """The values of cells at each of their pixels; themselves, where cells are pixels."""
    return values if values.shape[2:] == size else F.interpolate(values, size, mode="nearest")


def _largest(suspect: Suspect, layers: Sequence[str]) -> dict[str, float]:
    """The largest activation of each layer over the clean images; 1 for a layer that is silent."""
    largest = dict.fromkeys(layers, 0.0)
    with torch.no_grad():
        for images in suspect.images.split(suspect.network.rows()) if layers else ():
            _, activations = suspect.network.forward_with(suspect.network.inputs(images), layers)
            for name, values in zip(layers, activations, strict=True):
                largest[name] = max(largest[name], float(values.abs().max()))
    return {name: value or 1.0 for name, value in largest.items()}


def _check(suspect: Suspect, candidate: Candidate) -> None:
    target, region, size = candidate.target_class, candidate.region, suspect.network.input.size
    if not 0 <= target < suspect.classes:
        raise unknown_name("class", target, [f"0 to {suspect.classes - 1}"])
    if not bool(suspect.others(target).any()):
        raise DataError(f"all images are of class {target}, so none could be sent to it; add images of other classes")
    if region is not None and (tuple(region.shape) != size or not bool(region.any())):
        raise DataError(
            f"a region must hold at least one pixel of an image of {size}, but this one is of {tuple(region.shape)} "
            f"and holds {int(region.sum())}"
        )
    if (candidate.layer is None) != (not candidate.feature_maps):
        raise DataError("feature maps are excited in a layer: give both a layer and feature maps of it, or neither")
    for index in candidate.feature_maps:
        suspect.network.feature_map(str(candidate.layer), index)
