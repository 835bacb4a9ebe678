"""No detector sees a trigger, a mask or a target, wherever a data set or a model file hides one; and cheating shows."""

import gc
import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from tests.detection.planted import COLUMNS, FIND_PATCHES, OF_FEW_CLASSES, ROWS, TARGET, module, pictures
from torch import Tensor

from trojancam.attacks.patch import square
from trojancam.attacks.poisoning import Poisoning
from trojancam.attacks.trigger import Trigger
from trojancam.data.image_set import ImageSet
from trojancam.detection import DETECTORS, scan, scanning
from trojancam.detection.detector import Job, as_detector
from trojancam.detection.findings import ScanReport
from trojancam.detection.suspect import Suspect
from trojancam.network.card import BackdoorRecord, ModelCard, TrainingRecord
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.registry import Registry

SECRETS = (ModelCard, BackdoorRecord, TrainingRecord, Trigger, Poisoning, ImageSet)
TRIGGER = square(3, ROWS.start, COLUMNS.start, "magenta", image_size=(12, 12))
peeked: list[str] = []  # what somebody has looked at that is none of their business


def trap(name: str) -> property:
    """An attribute that gives the secret away, and remembers that it did."""

    def read(_: object) -> Any:
        peeked.append(name)
        return {"trigger": TRIGGER, "mask": TRIGGER.mask, "target": TARGET, "poisoning": None}[name]

    return property(read)


class TrappedTensor(torch.Tensor):
    trigger, mask, target, poisoning = trap("trigger"), trap("mask"), trap("target"), trap("poisoning")


@dataclass(frozen=True)
class TrappedSet(ImageSet):
    def take(self, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        images, labels = super().take(count, seed)
        return trapped(images), trapped(labels)

    trigger, mask, target = trap("trigger"), trap("mask"), trap("target")


class TrappedCard(ModelCard):
    def __getattribute__(self, name: str) -> Any:
        if name in ("poisoning", "training"):
            peeked.append(name)
        return super().__getattribute__(name)


def trapped(values: Tensor) -> Tensor:
    """The tensor with the secret hidden in its class and in its attributes."""
    hiding = values.as_subclass(TrappedTensor)
    hiding.secret = TRIGGER  # type: ignore[attr-defined]
    return hiding


@pytest.fixture(autouse=True)
def _nothing_read_yet() -> None:
    peeked.clear()


def data() -> tuple[Tensor, Tensor]:
    images, labels = pictures(18)
    names = tuple(str(number) for number in range(9))
    return TrappedSet((images * 255).to(torch.uint8), labels, names).take(18)


def network() -> Network:
    """The network with the planted backdoor, and a card that tells of it."""
    specification = InputSpecification(size=(12, 12))
    record = BackdoorRecord(trigger=TRIGGER.to_json(), target_class=TARGET, poison_rate=0.1, seed=0, poisoned_images=9)
    names = tuple(str(number) for number in range(9))
    card = TrappedCard(architecture="by hand", class_names=names, input=specification, poisoning=record)
    peeked.clear()
    return Network.from_module(module(trojaned=True), (12, 12), class_names=names, card=card)


def reachable(root: object) -> Iterator[object]:
    """Everything that can be got at from an object, without the code of the libraries."""
    left, seen = [root], {id(root)}
    while left:
        found = left.pop()
        yield found
        if isinstance(found, types.FunctionType):
            parts = [cell.cell_contents for cell in found.__closure__ or ()]
        else:
            parts = [*gc.get_referents(found), *getattr(found, "__dict__", {}).values()]
        for part in parts:
            if id(part) not in seen and not isinstance(part, type | types.ModuleType | types.BuiltinFunctionType):
                seen.add(id(part))
                left.append(part)


def secrets_in(job: Job) -> list[str]:
    """What a detector could find out from its job that it must not know."""
    found = [type(each).__name__ for each in reachable(job) if isinstance(each, (*SECRETS, TrappedTensor))]
    tensors = (job.suspect.images, job.suspect.labels)
    return found + [name for tensor in tensors for name in vars(tensor)]


@pytest.mark.parametrize("method", DETECTORS)
def test_no_detector_reads_what_is_hidden(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = []

    def spy(job: Job, settings: Any) -> ScanReport:
        jobs.append(job)
        return DETECTORS[method].detect(job, settings)

    spying = Registry("scan method", "trojancam.none", as_detector, {method: replace(DETECTORS[method], detect=spy)})
    monkeypatch.setattr(scanning, "DETECTORS", spying)
    settings = {name: each for name, each in OF_FEW_CLASSES.items() if name == method}
    report = scan(network(), *data(), [method], settings=settings)
    if method in FIND_PATCHES:
        assert report.findings[0].target_class == TARGET  # it found it without being told
    assert peeked == []
    assert secrets_in(jobs[0]) == []


def cheat(job: Job) -> ScanReport:
    """A detector that looks wherever it might be told."""
    for tensor in (job.suspect.images, job.suspect.labels):
        for name in ("trigger", "mask", "target"):
            getattr(tensor, name, None)
    card = job.suspect.network.card
    told = card is not None and card.poisoning is not None
    return ScanReport("backdoor" if told else "nothing found", float(told), 1.0, (), {}, {})


def test_a_cheating_detector_gets_nothing_from_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    cheating = Registry("scan method", "trojancam.none", as_detector, {"cheat": as_detector("cheat", cheat)})
    monkeypatch.setattr(scanning, "DETECTORS", cheating)
    assert scan(network(), *data(), ["cheat"]).verdict == "nothing found"
    assert peeked == []


def test_the_same_checks_catch_it_where_something_is_left() -> None:
    images, labels = data()
    leaky = Job(Suspect(network(), images, labels))
    assert {"TrappedCard", "BackdoorRecord", "TrappedTensor", "Patch", "secret"} <= set(secrets_in(leaky))
    assert cheat(leaky).verdict == "backdoor"
    assert peeked == [*["trigger", "mask", "target"] * 2, "poisoning"]


def test_a_secret_in_a_closure_is_found() -> None:
    job = Job(Suspect(network().without_card(), *pictures(18)))
    assert secrets_in(job) == []
    hidden = TRIGGER
    assert secrets_in(replace(job, progress=lambda done, total, note="", /: hidden.apply)) == ["Patch"]  # type: ignore[arg-type,return-value]
