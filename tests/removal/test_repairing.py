"""The ladder removes a backdoor that it was not told of; it stops at the first pass, survives a kill, and refuses bad input."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.removal.trojaned import TRUE, clean, clean_share, finding, network, seen, true_success

from trojancam.attacks.patch import square
from trojancam.detection.findings import Finding
from trojancam.errors import DataError, TrojanCamError, UnknownNameError
from trojancam.network.network import Network
from trojancam.progress import Progress
from trojancam.registry import Registry
from trojancam.removal import repairing
from trojancam.removal.contract import Repair, RepairJob, Rung, as_repair
from trojancam.removal.repairing import REPAIRS, culprits_of, remove, split


def registered(monkeypatch: pytest.MonkeyPatch, **repairs: Repair) -> None:
    monkeypatch.setattr(repairing, "REPAIRS", Registry("repair", "trojancam.none", as_repair, repairs))


def test_the_ladder_removes_a_backdoor_whose_trigger_it_does_not_know():
    before = network()
    assert true_success(before) == 1
    outcome = remove(before, *clean(), [finding()])
    assert outcome.repaired
    assert outcome.best is not None
    assert true_success(outcome.best.network) <= 0.05
    assert clean_share(outcome.best.network) >= clean_share(before) - 0.02
    assert true_success(before) == 1  # what was given stays as it was
    assert outcome.before.trials[0].success == 1
    assert outcome.best.ruling.trials[0].success <= 0.05


def _rung(name: str, work: Callable[[RepairJob], Network]) -> Callable[[RepairJob], Rung]:
    def given(job: RepairJob) -> Rung:
        def run(_: Progress) -> Network:
            done.append(name)
            return work(job)

        return Rung(name, name, run)

    return given


def test_progress_never_goes_back_and_gives_the_judge_its_share(monkeypatch: pytest.MonkeyPatch):
    """Judging takes about as long as the work: a step of progress for minutes of it would make the time left jump."""
    registered(monkeypatch, mine=by(("same", unchanged), ("deaf", deaf), ("never", blind)))
    told: list[tuple[int, int, str]] = []
    remove(network(), *clean(), [finding()], "mine", progress=lambda *step: told.append(step))
    counts = [count for count, _, _ in told]
    assert counts == sorted(counts)
    assert {total for _, total, _ in told} == {370}
    assert [(count, note) for count, _, note in told] == [
        (0, "looking for triggers to judge by"),
        (70, "the network as it is was judged"),
        (130, "judging: same"),
        (170, "same: not enough"),
        (230, "judging: deaf"),
        (270, "deaf: passed"),
        (370, "repaired"),
    ]


done: list[str] = []


def deaf(job: RepairJob) -> Network:
    """The network that does not hear the trigger: what reads the magenta map is 0."""
    weight = job.suspect.network.parameters["3.weight"].clone()
    weight.view(9, 3, 12, 12)[:, 1] = 0
    return job.suspect.network.with_parameters({"3.weight": weight})


def unchanged(job: RepairJob) -> Network:
    return job.suspect.network


def blind(job: RepairJob) -> Network:
    """A network that hears nothing at all: the backdoor is gone, and so is everything else."""
    return job.suspect.network.with_parameters({"3.weight": torch.zeros(9, 432)})


def by(*works: tuple[str, Callable[[RepairJob], Network]]) -> Repair:
    made = [_rung(*work) for work in works]
    return Repair("by hand", "nowhere", lambda job: [rung(job) for rung in made])


def test_the_first_try_that_passes_is_the_last(monkeypatch: pytest.MonkeyPatch):
    done.clear()
    registered(monkeypatch, mine=by(("same", unchanged), ("deaf", deaf), ("never", blind)))
    outcome = remove(network(), *clean(), [finding()], "mine")
    assert done == ["same", "deaf"]
    assert [each.ruling.passed for each in outcome.tries] == [False, True]
    assert outcome.repaired
    assert outcome.best is outcome.tries[1]


def test_a_network_that_keeps_its_backdoor_or_loses_its_accuracy_is_not_called_repaired(
    monkeypatch: pytest.MonkeyPatch,
):
    registered(monkeypatch, mine=by(("blind", blind), ("same", unchanged)))
    outcome = remove(network(), *clean(), [finding()], "mine")
    assert not outcome.repaired
    assert outcome.best is not None
    assert outcome.best.rung == "same"  # the best within the budget
    assert any("clean accuracy" in rule for rule in outcome.tries[0].ruling.broken)
    assert any("recovered trigger" in rule for rule in outcome.tries[1].ruling.broken)
    registered(monkeypatch, mine=by(("blind", blind)))
    assert remove(network(), *clean(), [finding()], "mine").best is None


def test_the_judge_is_not_content_with_the_recovered_trigger(monkeypatch: pytest.MonkeyPatch):
    """A repair that is deaf to the recovered place alone: the true trigger, beside it, works on, and fresh triggers tell."""

    def deaf_there(job: RepairJob) -> Network:
        weight = job.suspect.network.parameters["3.weight"].clone()
        weight.view(9, 3, 12, 12)[:, 1, 1:4, 8:9] = 0
        return job.suspect.network.with_parameters({"3.weight": weight})

    beside = finding(
        square(3, 1, 6, "magenta", image_size=(12, 12))
    )  # it touches one column of what the network listens to
    registered(monkeypatch, mine=by(("there", deaf_there)))
    outcome = remove(network(), *clean(), [beside], "mine")
    ruling = outcome.tries[0].ruling
    assert ruling.trials[0].success <= 0.05
    assert true_success(outcome.tries[0].network) == 1
    assert not ruling.passed
    assert ruling.trials[0].relatives > 0.5  # triggers that the judge recovered before the repair tell, too
    assert {rule.split(" of class")[0] for rule in ruling.broken} <= {"fresh triggers", "a relative of the triggers"}


def test_a_killed_repair_goes_on_to_the_same_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done.clear()
    registered(monkeypatch, mine=by(("same", unchanged), ("deaf", deaf)))
    whole = remove(network(), *clean(), [finding()], "mine")
    remove(network(), *clean(), [finding()], "mine", journal=tmp_path)
    for each in tmp_path.glob("deaf*"):
        each.unlink()  # killed while it was at the second try
    done.clear()
    again = remove(network(), *clean(), [finding()], "mine", journal=tmp_path)
    assert done == ["deaf"]
    assert again.best is not None
    assert whole.best is not None
    assert again.best.network.fingerprint == whole.best.network.fingerprint
    done.clear()
    remove(network(), *clean(), [finding()], "mine", journal=tmp_path, seed=1)
    assert done == ["same", "deaf"]  # another run takes nothing over


def test_of_each_class_one_image_is_held_back_and_one_at_least_stays():
    ours, judges, places = split(seen())
    assert sorted(judges.labels.unique().tolist()) == sorted(ours.labels.unique().tolist()) == list(range(9))
    assert len(judges.images) == 20
    assert len(ours.images) + len(judges.images) == 54
    torch.testing.assert_close(seen().images[places], judges.images)


def test_labels_that_do_not_fit_are_refused():
    images, labels = clean()
    with pytest.raises(DataError, match="the network names only 0% of the images as their labels say"):
        remove(network(), images, labels.roll(1), [finding()])
    chosen = (labels != 3) | (torch.arange(54) == 3)
    with pytest.raises(DataError, match="there is only one image of the class 'class 3'; give at least two"):
        remove(network(), images[chosen], labels[chosen], [finding()])


def test_findings_without_a_trigger_and_unknown_methods_are_refused():
    with pytest.raises(DataError, match="no finding has a recovered trigger"):
        remove(network(), *clean(), [Finding("by hand", 5, 9.0)])
    with pytest.raises(UnknownNameError, match="unknown repair 'lader' \\(did you mean 'ladder'"):
        remove(network(), *clean(), [finding()], "lader")


def test_at_most_five_findings_are_removed():
    many = [finding(TRUE) for _ in range(7)]
    assert len(culprits_of(many, 9)) == 5


def test_a_function_becomes_a_repair_and_anything_else_is_refused():
    made = as_repair("mine", deaf)
    assert [rung.name for rung in made.rungs(RepairJob(seen(), culprits_of([finding()], 9)))] == ["once"]
    with pytest.raises(TrojanCamError, match="must be a Repair, or a function"):
        as_repair("mine", lambda job, settings: job.suspect.network)  # type: ignore[arg-type,return-value]
    assert REPAIRS.origin("ladder") == "trojancam"
