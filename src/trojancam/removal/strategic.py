"""Strategic retraining (Dhonthi, Hahn and Hashemi, LNCS 14000, 2023): retraining on what excites compromised maps.

Their code is not public. What is built here follows their summary. Artificial Brain Stimulation names compromised feature maps
and recovers what excites them. Images of all classes with that on are retrained, for the most affected classes. That is done
again until no map is found.
"""

from collections import Counter
from dataclasses import replace

import torch

from trojancam.detection import abs as artificial_brain_stimulation
from trojancam.detection.detector import Job
from trojancam.detection.findings import Finding
from trojancam.errors import DataError
from trojancam.network.network import Network
from trojancam.progress import Progress, stages
from trojancam.removal.contract import RepairJob, single
from trojancam.removal.fine_tuning import stamping, tuned
from trojancam.removal.goal import Culprit, found_maps
from trojancam.removal.ladder import generator_of
from trojancam.removal.learner import Learner
from trojancam.removal.map_weights import scaling

CLASSES = 3  # the most affected ones: they are retrained
ROUNDS, EPOCHS, RATE = 4, 5, 0.01
STAMPED = 0.5  # the share of images that get a mask
SCANNED = 64  # images that stimulation is tried on


def most_affected(findings: list[Finding], count: int) -> list[Finding]:
    """The findings of the classes that most compromised maps belong to; of equal classes, the one found more strongly."""
    maps = Counter({finding.target_class: 0 for finding in findings})
    for finding in findings:
        maps[finding.target_class] += max(1, len(finding.feature_maps))
    chosen = [each for each, _ in maps.most_common(count)]
    return [finding for finding in findings if finding.target_class in chosen]


def strategically_retrained(job: RepairJob, progress: Progress) -> Network:
    """Rounds of a search for compromised maps and a retraining with what it recovered, until it finds none."""
    network, clean = job.suspect.network, job.suspect
    culprits = list(job.culprits)
    for number, stage in enumerate(stages(progress, [1] * ROUNDS)):
        looking, tuning = stages(stage, (60, 40))
        generator = generator_of(job, f"strategic {number}")
        findings = most_affected(compromised(job, network, number, looking), CLASSES)
        if not findings and number:
            break
        culprits += [Culprit.of(finding, clean.classes) for finding in findings]
        learner, changed = Learner(network), stamping(tuple(culprits), STAMPED)
        network = tuned(learner, clean, EPOCHS, RATE, generator, tuning, changed=changed)
    return network


def compromised(job: RepairJob, network: Network, seed: int, progress: Progress) -> list[Finding]:
    """What Artificial Brain Stimulation, as it is published, calls compromised in a network as it is now."""
    settings = artificial_brain_stimulation.ABSSettings()
    seen = replace(job.suspect.first(SCANNED), network=network)
    report = artificial_brain_stimulation.detect(Job(seen, job.seed + seed, progress=progress), settings)
    strong = [each for each in report.findings if each.score >= settings.backdoor]
    return [each for each in strong if each.trigger is not None and each.trigger.size > 0]


def reset_and_retrained(job: RepairJob, progress: Progress) -> Network:
    """The maps that were found begin anew, and they alone are trained.

    A kernel begins with numbers drawn as He et al. (2015) say, a bias and a shift with 0, a scale with 1.

    Raises:
        DataError: if no finding names feature maps with weights of their own.
    """
    network, generator = job.suspect.network, generator_of(job, "reset")
    begun = {layer: maps for layer, maps in found_maps(job.culprits).items() if scaling(network, layer)}
    if not begun:
        raise DataError(
            "no finding names feature maps, so there is nothing to reset; choose another method, such as ladder"
        )
    own, values, kept = network.parameters, {}, {}
    for layer, maps in begun.items():
        names = dict.fromkeys([f"{layer}.weight", *scaling(network, layer)])
        for name in names:
            values[name] = own[name].detach().clone()
            values[name][maps] = _begun(
                values[name][maps], generator, scale=name == next(iter(scaling(network, layer)))
            )
            kept[name] = maps
    learner = Learner(network.with_parameters(values), values)

    def hold() -> None:
        with torch.no_grad():
            for name, maps in kept.items():
                weight = learner.network.parameters[name]
                trained = weight[maps].clone()
                weight.copy_(own[name])
                weight[maps] = trained

    return tuned(learner, job.suspect, 4 * EPOCHS, RATE, generator, progress, after_step=hold)


def _begun(values: torch.Tensor, generator: torch.Generator, scale: bool) -> torch.Tensor:
    """New values of the rows of a parameter: of a kernel drawn at random, of a scale 1, of the rest 0."""
    if values.ndim > 1:
        bound = (6 / values[0].numel()) ** 0.5
        return torch.rand(values.shape, generator=generator).to(values).mul(2 * bound).sub(bound)
    return torch.ones_like(values) if scale else torch.zeros_like(values)


STRATEGIC = single(
    "Strategic retraining", "Dhonthi et al., LNCS 14000 (2023)", strategically_retrained,
    "Written from the published summary: there is no public code.",
)  # fmt: skip
RESET = single("Reset and retraining of the found maps", "new in TrojanCAM", reset_and_retrained)
