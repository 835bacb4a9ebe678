"""The detector of the smallest stripes: sinusoids of many frequencies and phases are tried one by one.

No gradient leads from one frequency to another, so that the search for other changes misses stripes. There are few enough to try
them all. A network with stripes as a backdoor answers to far fainter ones than any other class takes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.attacks.family import Parameters
from trojancam.attacks.stripes import StripesFamily
from trojancam.detection.detector import Detector, Job, concluded
from trojancam.detection.findings import ScanReport
from trojancam.detection.settings import Count, Positive, Settings, Share
from trojancam.detection.smallest_changes.detector import found_among, gaps, near, once
from trojancam.detection.smallest_changes.search import (
    MARGIN,
    Smallest,
    changed_logits,
    first_reaching,
    movable,
    reachable,
    shares_sent,
)
from trojancam.detection.suspect import Suspect, halves
from trojancam.network.batches import parts
from trojancam.progress import counting

NAME = "stripes"
PHASES = 4
FINER = (-0.5, 0.0, 0.5)  # waves, down and across: a frequency between those that were tried
AMPLITUDES = (0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.085, 0.1, 0.12, 0.14, 0.17, 0.2, 0.25, 0.3, 0.4, 0.5)


@dataclass(frozen=True, kw_only=True)
class StripesSettings(Settings):
    """How the detector of stripes looks and judges.

    Grey stripes of up to `waves` a picture, and of the amplitude `faint` and twice that, are laid on `images`. The `keep` classes
    that they push the most are looked at. Of each, the amplitude is measured that sends the share `success` of the held-out
    images there.
    """

    images: Count = 16
    waves: Count = 11
    faint: Positive = 0.06
    keep: Count = 12
    success: Share = 0.8
    findings: Count = 3

    @property
    def amplitudes(self) -> tuple[float, ...]:
        """Those at which the stripes found are tried."""
        return AMPLITUDES

    @property
    def screened_at(self) -> tuple[float, ...]:
        """Those at which all stripes are tried."""
        return self.faint, 2 * self.faint


@dataclass(frozen=True, kw_only=True)
class CoarseStripesSettings(StripesSettings):
    """How the detector of stripes looks where runs are dear: at one amplitude, `2 faint`, and at every other one afterwards."""

    coarse: ClassVar[bool] = True

    images: Count = 3
    waves: Count = 7
    faint: Positive = 0.1
    keep: Count = 4

    @property
    def amplitudes(self) -> tuple[float, ...]:
        """Those at which the stripes found are tried."""
        return AMPLITUDES[::2]

    @property
    def screened_at(self) -> tuple[float, ...]:
        """That at which all stripes are tried."""
        return (2 * self.faint,)


def detect(job: Job, settings: StripesSettings) -> ScanReport:
    """The smallest stripes that lead to each class; the score is the gap to the next classes, as of other smallest changes.

    Raises:
        CannotSearchError: if no image of a half could be sent to another class.
    """
    ours, held_out = halves(job.suspect)
    family = StripesFamily(ours.network.input.size)
    advance = counting(job.progress, cost(ours, settings), "smallest stripes")
    found = once(job, NAME, lambda: smallest_stripes(ours, held_out, family, settings, advance))
    findings = found_among(NAME, family, found, gaps(found), held_out, settings.findings)
    where = f"grey stripes of up to {settings.waves} waves a picture to {near(found, ours)}"
    return concluded(job, NAME, findings, settings, where)


def cost(suspect: Suspect, settings: StripesSettings) -> int:
    """How many images the search runs."""
    kept = min(settings.keep, suspect.classes)
    finer = kept * len(FINER) ** 2 * PHASES
    laid = (
        len(settings.screened_at)
        * min(settings.images, len(suspect.images))
        * (len(_frequencies(settings.waves)) * PHASES + finer)
    )
    return laid + kept * len(settings.amplitudes) * len(suspect.images)


def smallest_stripes(
    suspect: Suspect,
    held_out: Suspect,
    family: StripesFamily,
    settings: StripesSettings,
    advance: Callable[[int], None] = lambda _: None,
) -> Smallest:
    """The smallest grey stripes to each class that is near: chosen on some images, measured on others.

    Stripes are ranked by the mean lead `min(max(z_c - max of the others, -5), 5)` that they give a class over the images of other
    classes, added up over two amplitudes. The best frequency of a class is then made finer by half a wave down and across.

    Raises:
        CannotSearchError: if no image of a half could be sent to another class.
    """
    few = suspect.first(settings.images)
    able, able_held_out = movable(few), movable(held_out)
    targets = reachable(able, able_held_out)
    first = _stripes(_frequencies(settings.waves), few.images.device)
    pushed = _pushed(few, able, family, first, settings.screened_at, advance)[:, targets]
    nearest = pushed.amax(0).argsort(descending=True, stable=True)[: settings.keep]
    targets, best = targets[nearest], pushed[:, nearest].argmax(0)
    finer = _finer(first["frequency"][best], few.images.device)
    again = _pushed(few, able, family, finer, settings.screened_at, advance)[:, targets]
    own = again.unflatten(0, (len(targets), -1)).diagonal(dim1=0, dim2=2)  # each class among its own candidates
    chosen = own.argmax(0) + torch.arange(len(targets), device=own.device) * own.shape[0]
    parameters = {name: values[chosen] for name, values in finer.items()}
    amplitudes = torch.tensor(settings.amplitudes, device=few.images.device)
    sizes, successes = [], []
    for place, target in enumerate(targets.tolist()):
        one = {name: values[place : place + 1] for name, values in parameters.items()}
        images = held_out.images[able_held_out[target]]
        shares = shares_sent(held_out.network, images, target, family, one, amplitudes)
        sizes.append(first_reaching(amplitudes, shares, settings.success))
        successes.append(shares.max())
        advance(len(amplitudes) * len(images))
    size = torch.stack(sizes)
    parameters["amplitude"] = size.clamp(max=settings.amplitudes[-1])[:, None].expand(-1, 3)
    order = size.argsort(stable=True)
    found = {name: values[order] for name, values in parameters.items()}
    return Smallest(targets[order], size[order], torch.stack(successes)[order], found)


def _frequencies(waves: int) -> Float[Tensor, "k 2"]:
    """Down and across: all whole numbers up to so many waves, each direction once."""
    every = range(-waves, waves + 1)
    pairs = [(down, across) for down in range(waves + 1) for across in every if down > 0 or across > 0]
    return torch.tensor([pair for pair in pairs if math.hypot(*pair) <= waves], dtype=torch.float32, device="cpu")


def _stripes(frequencies: Float[Tensor, "k 2"], device: torch.device) -> Parameters:
    """Stripes of these frequencies, each in all phases; their amplitude is 1."""
    count = len(frequencies)
    phases = torch.arange(PHASES, device=device) * (2 * math.pi / PHASES)
    return {
        "amplitude": torch.ones(count * PHASES, 3, device=device),
        "frequency": frequencies.to(device).repeat_interleave(PHASES, 0),
        "phase": phases.repeat(count),
    }


def _finer(frequencies: Float[Tensor, "c 2"], device: torch.device) -> Parameters:
    """For each frequency those half a wave around it, in all phases."""
    steps = torch.cartesian_prod(*[torch.tensor(FINER, device=device)] * 2)
    return _stripes((frequencies[:, None] + steps).flatten(0, 1), device)


def _pushed(
    few: Suspect,
    able: Bool[Tensor, "classes n"],
    family: StripesFamily,
    stripes: Parameters,
    amplitudes: Sequence[float],
    advance: Callable[[int], None],
) -> Float[Tensor, "k classes"]:
    """How far stripes push images to each class: the mean lead over those that could be sent there, at all amplitudes."""
    network, count = few.network, len(few.images)
    counted = able.T.float() / able.sum(1).clamp(min=1)  # n x classes
    found = []
    for part in parts(len(stripes["phase"]), max(1, network.rows() // count)):
        laid = {name: values[part] for name, values in stripes.items()}
        pushed = torch.zeros(len(laid["phase"]), able.shape[0], device=few.images.device)
        for amplitude in amplitudes:
            with torch.no_grad():
                logits = changed_logits(network, family, few.images, family.scaled(laid, amplitude))
            pushed += (_leads(logits).clamp(-MARGIN, MARGIN) * counted).sum(1)
            advance(len(pushed) * count)
        found.append(pushed)
    return torch.cat(found)


def _leads(logits: Float[Tensor, "*m classes"]) -> Float[Tensor, "*m classes"]:
    """By how much each class's logit is above the greatest of the others."""
    best, top = logits.topk(2)
    others = best[..., :1].expand_as(logits).scatter(-1, top[..., :1], best[..., 1:])
    return logits - others


DETECTORS = {
    NAME: Detector(
        "Smallest stripes",
        "new in TrojanCAM",
        detect,
        StripesSettings(backdoor=1.25, inconclusive=0.9),
        ("stripes",),
        cost=cost,
        coarse=CoarseStripesSettings(backdoor=0.9, inconclusive=0.6),
    )
}
"""The detector, by name."""
