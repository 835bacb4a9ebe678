"""Goal: what a trigger does to classes; Culprit: a finding, with all that is needed to make it and its like succeed or fail."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.detection.findings import Finding
from trojancam.detection.suspect import Suspect
from trojancam.network.network import Network
from trojancam.rates import attack_success_rate, robust_accuracy
from trojancam.removal.fresh import LARGER, Kind, kind_of
from trojancam.showing import Brief

BEYOND = 1.1  # times the size of a change that most classes need, is what a true trigger may have
LEAST_LARGER, MOST_LARGER = 1.5, 2.25  # times the size of a recovered change


@dataclass(frozen=True)
class Goal(Brief):
    """The class to which each class is sent; one that is left alone is sent to itself."""

    targets: Int64[Tensor, " classes"]

    def wanted(self, labels: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
        """Where images of these classes are sent."""
        return self.targets.to(labels.device)[labels]

    def victims(self, labels: Int64[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Which images are sent to another class than their own."""
        return self.wanted(labels) != labels


def to_one(target_class: int, classes: int) -> Goal:
    """All classes to one."""
    return Goal(torch.full((classes,), target_class))


def goal_of(finding: Finding, classes: int) -> Goal:
    """What a finding says that its trigger does.

    >>> goal_of(Finding("by hand", 1, 1.0, class_map=((0, 2), (2, 1))), 3).targets.tolist()
    [2, 1, 1]
    """
    if not finding.class_map:
        return to_one(finding.target_class, classes)
    targets = torch.arange(classes)
    for source, target in finding.class_map:
        targets[source] = target
    return Goal(targets)


def controls(goal: Goal, count: int, generator: torch.Generator) -> list[Goal]:
    """Other goals of the same form, for comparison: other target classes, of a few sources for the same sources; of a map of
    several targets, the same one turned on.

    >>> sorted(control.targets.tolist() for control in controls(to_one(0, 3), 5, torch.Generator()))
    [[1, 1, 1], [2, 2, 2]]
    >>> [control.targets.tolist() for control in controls(Goal(torch.tensor([0, 0, 2])), 5, torch.Generator())]
    [[0, 2, 2]]
    """
    classes, named = len(goal.targets), goal.targets.unique()
    if len(named) == 1:
        others = torch.randperm(classes, generator=generator).tolist()
        return [to_one(each, classes) for each in others if each != int(named)][:count]
    sent = (goal.targets != torch.arange(classes)).nonzero()[:, 0]
    if len(goal.targets[sent].unique()) == 1:
        taken = {*sent.tolist(), int(goal.targets[sent[0]])}
        others = [each for each in torch.randperm(classes, generator=generator).tolist() if each not in taken][:count]
        return [Goal(torch.arange(classes).index_fill(0, sent, each)) for each in others]
    found = []
    for turn in range(1, min(count, len(sent) - 1) + 1):
        targets = torch.arange(classes)
        targets[sent] = goal.targets[sent].roll(turn)
        found.append(Goal(targets))
    return found


@dataclass(frozen=True)
class Culprit(Brief):
    """A finding that is to be removed: its recovered trigger, what that does, and how others of its kind are looked for."""

    finding: Finding
    trigger: Trigger
    goal: Goal
    kind: Kind
    pool: tuple[Trigger, ...] = field(default=())

    @classmethod
    def of(cls, finding: Finding, classes: int) -> "Culprit":
        """The culprit of a finding that has a trigger.

        Raises:
            UnknownNameError: if the trigger is of no family, so that no others like it can be looked for.
        """
        assert finding.trigger is not None
        kind = kind_of(finding.trigger, finding.moves is True, _larger(finding))
        return cls(finding, finding.trigger, goal_of(finding, classes), kind)


def _larger(finding: Finding) -> float:
    """How many times as large as a recovered change others are: as large as those to most classes, and a little more.

    What other classes need tells how large a change may be before it turns images in a clean network, too.
    """
    size, usual = (finding.evidence.get(name, 0.0) for name in ("size", "median_size"))
    return min(max(LEAST_LARGER, BEYOND * usual / size), MOST_LARGER) if size and usual else LARGER


def found_maps(culprits: Iterable[Culprit]) -> dict[str, list[int]]:
    """The feature maps that findings name, in order, by layer."""
    found: dict[str, set[int]] = {}
    for finding in (each.finding for each in culprits):
        if finding.layer is not None and finding.feature_maps:
            found.setdefault(finding.layer, set()).update(finding.feature_maps)
    return {layer: sorted(maps) for layer, maps in found.items()}


@dataclass(frozen=True)
class Answer(Brief):
    """How a network answers to triggered images of victims: its success rate, and its robust accuracy."""

    success: float
    robust: float


def answer(network: Network, trigger: Trigger, clean: Suspect, goal: Goal) -> Answer:
    """How a network answers to a trigger on clean images; NaN without a victim."""
    victims = goal.victims(clean.labels)
    if not bool(victims.any()):
        return Answer(math.nan, math.nan)
    labels = clean.labels[victims]
    predictions = network(trigger.apply(clean.images[victims])).argmax(1).to(labels.device)
    targets = goal.targets.to(labels.device)
    return Answer(attack_success_rate(predictions, labels, targets), robust_accuracy(predictions, labels, targets))
