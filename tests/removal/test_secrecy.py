"""No repair sees a trigger, a mask or a target, wherever a data set or a model file hides one."""

import pytest
import torch
from tests.detection.test_secrecy import SECRETS, TrappedTensor, data, network, peeked, reachable
from tests.removal.trojaned import finding
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.network.network import Network
from trojancam.registry import Registry
from trojancam.removal import repairing
from trojancam.removal.contract import RepairJob, as_repair
from trojancam.removal.repairing import REPAIRS, remove

RECOVERED = finding().trigger
jobs: list[RepairJob] = []


def twice(values: Tensor) -> Tensor:
    """Two of each image, with the secret still in the class of the tensor and in its attributes."""
    both = torch.cat([values, values])
    both.secret = RECOVERED  # type: ignore[attr-defined]
    return both


def secrets_in(job: RepairJob) -> list[str]:
    """What a repair could find out from its job that it must not know: triggers other than those recovered, cards, tensors."""
    known = [each.trigger for each in job.culprits]
    found = [each for each in reachable(job) if isinstance(each, (*SECRETS, TrappedTensor))]
    return [
        type(each).__name__ for each in found if not (isinstance(each, Trigger) and any(each is one for one in known))
    ]


def spy(job: RepairJob) -> Network:
    jobs.append(job)
    return job.suspect.network


def test_no_repair_can_reach_what_is_hidden(monkeypatch: pytest.MonkeyPatch):
    peeked.clear()
    jobs.clear()
    spying = Registry("repair", "trojancam.none", as_repair, {"spy": as_repair("spy", spy)})
    monkeypatch.setattr(repairing, "REPAIRS", spying)
    images, labels = data()
    outcome = remove(network(), twice(images), twice(labels), [finding()], "spy")
    assert peeked == []
    assert secrets_in(jobs[0]) == []
    assert outcome.best is None or outcome.best.network.card is None


def test_the_same_check_catches_a_card_that_is_left():
    peeked.clear()
    job = jobs[0]
    leaky = RepairJob(type(job.suspect)(network(), *data()), job.culprits)
    assert {"TrappedCard", "TrappedTensor"} <= set(secrets_in(leaky))
    assert "ladder" in REPAIRS
