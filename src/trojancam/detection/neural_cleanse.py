"""Neural Cleanse (Wang et al., S&P 2019): the class that a much smaller trigger leads to than to all others.

For every class the smallest mask is looked for with which a trigger sends (nearly) all images to it. Without a backdoor these
masks are of similar sizes; a backdoor is a shortcut, and its mask an outlier.
"""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.detection.detector import Job, concluded
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.inversion import Candidate, Inversion, InversionSettings, invert_once
from trojancam.detection.outliers import outlyingness
from trojancam.detection.settings import Count, Settings
from trojancam.detection.success import reasr
from trojancam.detection.suspect import Suspect, halves
from trojancam.progress import stages

NAME = "neural-cleanse"


def _as_in_the_paper() -> InversionSettings:
    return InversionSettings(
        rounds=150, batch=32, learning_rate=0.1, first_penalty=0.0, penalty=1e-3, patience=5, stop_after=25
    )


@dataclass(frozen=True)
class NeuralCleanseSettings(Settings):
    """How Neural Cleanse looks and judges: the paper's settings, but for the number of images and rounds.

    The authors' code draws 1,000 images for each of at most 1,000 rounds, in batches of 32. Here a round is one pass over the
    images there are (`inversion.steps` follows from their number), and there are at most 150: lambda, the learning rate, the
    rates asked for and how long no progress is waited for (25 rounds) are the paper's. `at_once` classes are one step,
    which is kept. Only the number of `findings` with the smallest masks are told of.
    """

    derived: ClassVar[tuple[str, ...]] = ("inversion.steps",)

    inversion: InversionSettings = field(default_factory=_as_in_the_paper)
    at_once: Count = 8
    findings: Count = 5
    backdoor: float = 2.0
    inconclusive: float = 1.5


def detect(job: Job, settings: NeuralCleanseSettings = NeuralCleanseSettings()) -> ScanReport:
    """Look for the smallest trigger to every class, and judge by the outlier: the score is the greatest anomaly index.

    `|L1_t - median| / (1.4826 MAD)` of the classes' mask sizes, in pixels, where the mask is smaller than the median (S&P
    2019). One half of the images serves to invert, the other half to measure the success rate of what was found.

    Raises:
        DataError: if all images of the first half are of one class.
    """
    ours, held_out = halves(job.suspect)
    settings = replace(settings, inversion=_one_pass_a_round(settings.inversion, len(ours.images)))
    inversions = _of_every_class(job, ours, settings)
    sizes = torch.tensor([inversion.mask_l1 for inversion in inversions], dtype=torch.float64, device="cpu")
    smallness = outlyingness(-sizes)
    order = smallness.argsort(descending=True, stable=True)[: settings.findings].tolist()
    findings = [
        _finding(inversions[number], float(smallness[number]), sizes, held_out)
        for number in order
        if smallness[number] > 0
    ]
    return concluded(job, NAME, findings, settings)


def cost(suspect: Suspect, settings: NeuralCleanseSettings) -> int:
    """About how many images the detector runs through the network."""
    return 3 * suspect.classes * settings.inversion.rounds * len(suspect.images) // 2


def _one_pass_a_round(settings: InversionSettings, images: int) -> InversionSettings:
    return replace(settings, steps=math.ceil(images / settings.batch))


def _of_every_class(job: Job, ours: Suspect, settings: NeuralCleanseSettings) -> list[Inversion]:
    """The smallest trigger to each class, some classes at a time."""
    found: list[Inversion] = []
    groups = torch.arange(ours.classes, device="cpu").split(settings.at_once)
    shares = [settings.inversion.rounds] * len(groups)
    for group, progress in zip(groups, stages(job.progress, shares), strict=True):
        candidates = [Candidate(target) for target in group.tolist()]
        step = f"{NAME}/classes {candidates[0].target_class} to {candidates[-1].target_class}"
        found += invert_once(job.journal, step, ours, candidates, settings.inversion, job.seed, progress)
    return found


def _finding(inversion: Inversion, index: float, sizes: Float[Tensor, " classes"], held_out: Suspect) -> Finding:
    target = inversion.candidate.target_class
    return Finding(
        detector=NAME,
        target_class=target,
        score=index,
        position=inversion.position,
        reasr=reasr(held_out.network, inversion.trigger, held_out.images, held_out.labels, target),
        trigger=inversion.trigger,
        evidence={
            "mask_l1": inversion.mask_l1,
            "median_mask_l1": float(sizes.quantile(0.5)),
            "success": inversion.success,
        },
    )
