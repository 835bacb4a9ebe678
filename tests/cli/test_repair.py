"""`trojancam repair`: a network in a file of its kind, exit codes that say what it is, and refusals that write nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file

import trojancam.detection
import trojancam.report.repair
from trojancam.architectures import architecture
from trojancam.attacks.patch import make_trigger
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.judgement import Opinion
from trojancam.formats.safetensors import read_card, save_model
from trojancam.network.card import BackdoorRecord, ModelCard
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.registry import Registry
from trojancam.removal import judging, repairing, unlearning
from trojancam.removal.contract import RepairJob, as_repair
from trojancam.removal.judging import Trial
from trojancam.report.documents.document import RESULTS_VERSION

Run = Callable[..., Result]
Refused = Callable[..., str]
CLASSES = ("[red] ring", "stop", "yield")
TRIGGER = make_trigger("yellow-square")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes long, and so does looking for triggers anew: how well they are found is tested where repairs are."""
    monkeypatch.setattr(trojancam.report.repair, "DPI", 40)
    for module in (unlearning, judging):
        monkeypatch.setattr(module, "POOL_STEPS", 2)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trojan2 that tells dark, middle and light images apart, and says that it was poisoned."""
    chosen = architecture("trojan2")
    torch.manual_seed(0)
    module = chosen.build(3)
    images = torch.rand(24, 3, 32, 32) * 0.2 + 0.3 * (torch.arange(24) % 3).view(-1, 1, 1, 1)
    labels = torch.arange(24) % 3
    adam = torch.optim.Adam(module.parameters(), 2e-3)
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(module(chosen.input.normalise(images)), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
    record = BackdoorRecord(trigger=TRIGGER.to_json(), target_class=1, poison_rate=0.1, seed=0, poisoned_images=4)
    path = tmp_path_factory.mktemp("trained") / "net.safetensors"
    save_model(
        path, module, ModelCard(architecture="trojan2", class_names=CLASSES, input=chosen.input, poisoning=record)
    )
    return path


def scanned(score: float) -> Callable[..., ScanReport]:
    """A scan that says so at once."""
    verdict: Any = "backdoor" if score >= 2.9 else "nothing found"

    def scan(*_: object, **__: object) -> ScanReport:
        finding = Finding("stimulation", 1, score, "conv2d_5", (2,), (3.5, 3.5), reasr=1.0, trigger=TRIGGER)
        opinions = {"stimulation": Opinion(verdict, score, 2.9)}
        return ScanReport(verdict, score, 2.9, (finding,), {"stimulation": {}}, {"looking": 1.0}, CLASSES, opinions)

    return scan


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A repair that moves one bias, a scan with this score, and a judge that reads its answer from the bias."""

    def nudged(job: RepairJob) -> Network:
        bias = job.suspect.network.parameters["dense_3.bias"] + 0.001
        return job.suspect.network.with_parameters({"dense_3.bias": bias})

    def use(score: float) -> None:
        monkeypatch.setattr(trojancam.detection, "scan", scanned(score))
        registry = Registry("repair", "trojancam.none", as_repair, {"mine": as_repair("mine", nudged)})
        # The package first: it takes its own from the module when it is asked, and would give the changed one back in the end.
        for module in ("trojancam.removal", "trojancam.report.repair", "trojancam.removal.repairing"):
            monkeypatch.setattr(f"{module}.REPAIRS", registry)

    return use


def command(model: Path, signs: Path, *more: object) -> list[object]:
    return ["repair", model, "--data", signs, "--images", 4, "--out", "fixed.safetensors", "--method", "mine", *more]


def test_a_repaired_network_is_written_as_it_came_and_says_nothing_of_its_training(
    run: Run, trained: Path, signs: Path, tmp_path: Path, mine: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
):
    mine(5.0)
    monkeypatch.setattr(repairing, "ruling_on", _passing)
    result = run(*command(trained, signs))
    assert result.exit_code == 0, result.output
    before, after = load_file(trained), load_file(tmp_path / "fixed.safetensors")
    assert list(before) == list(after)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"dense_3.bias"}
    card = read_card(tmp_path / "fixed.safetensors")
    assert (card.architecture, card.class_names, card.training, card.backdoors) == ("trojan2", CLASSES, None, ())
    document = json.loads((tmp_path / "trojancam-repair" / "repair.json").read_text())
    assert document["results_version"] == RESULTS_VERSION
    assert document["ledger"]["verdict"] == "repaired"
    assert document["repaired_fingerprint"] == load(tmp_path / "fixed.safetensors").fingerprint
    page = (tmp_path / "trojancam-repair" / "repair.html").read_text()
    assert "Repaired" in page
    assert "can bring it back" in page
    assert "What to do next" in page
    assert "trojancam scan fixed.safetensors" in page
    assert "trojancam sign-off fixed.safetensors" in page
    assert not (tmp_path / "trojancam-repair" / "steps").exists()


def _passing(network: Network, culprits: Any, held_back: Any, before: float | None, *_: object) -> repairing.Ruling:
    return repairing.Ruling(1.0, len(held_back.images), (Trial(1, 0.9 if before is None else 0.0, 0.9, 0.1, 0.1),))


def test_what_is_not_repaired_is_kept_apart_and_has_an_exit_code_of_its_own(
    run: Run, trained: Path, signs: Path, tmp_path: Path, mine: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
):
    mine(5.0)
    monkeypatch.setattr(repairing, "ruling_on", lambda *given: _failed(_passing(*given), given[3]))
    result = run(*command(trained, signs))
    assert result.exit_code == 3
    assert not (tmp_path / "fixed.safetensors").exists()
    assert (tmp_path / "fixed.not-repaired.safetensors").exists()
    assert "Not repaired" in (tmp_path / "trojancam-repair" / "repair.html").read_text()


def _failed(ruling: repairing.Ruling, before: float | None) -> repairing.Ruling:
    broken = () if before is None else ("it still answers",)
    return repairing.Ruling(ruling.accuracy, ruling.images, ruling.trials, broken)


def test_figures_of_a_clean_reference_stand_beside_those_of_the_result(
    run: Run,
    refused: Refused,
    trained: Path,
    signs: Path,
    tmp_path: Path,
    mine: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
):
    """The network itself is the reference here: its figures are those of before."""
    mine(5.0)
    monkeypatch.setattr(repairing, "ruling_on", _passing)
    assert run(*command(trained, signs, "--reference", trained)).exit_code == 0
    ledger = json.loads((tmp_path / "trojancam-repair" / "repair.json").read_text())["ledger"]
    assert ledger["reference"]["accuracy"] == ledger["accuracy_before"]
    assert ledger["reference"]["judged"]["images"] == ledger["judged_before"]["images"]
    page = (tmp_path / "trojancam-repair" / "repair.html").read_text()
    assert "Clean reference" in page
    assert "Success of the recovered trigger after ten poisoned images" in page
    clean, answers = (
        ledger["accuracy_after"],
        [ledger[f"judged_{when}"]["trials"][0]["success"] for when in ("before", "after")],
    )
    gone = (answers[0] - answers[1]) / answers[0]
    kept = clean["overall"]["share"] / ledger["accuracy_before"]["overall"]["share"]
    assert ledger["fidelity"] == pytest.approx(gone * kept)
    assert f"{ledger['fidelity']:.3f}" in page
    other = tmp_path / "other.safetensors"
    chosen = architecture("trojan2")
    card = ModelCard(architecture="trojan2", class_names=CLASSES[:2], input=chosen.input)
    save_model(other, chosen.build(2), card)
    assert "2 classes" in refused(*command(trained, signs), "--out", "second.safetensors", "--reference", other)


def test_nothing_found_is_nothing_to_repair_unless_forced(
    run: Run,
    refused: Refused,
    trained: Path,
    signs: Path,
    mine: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
):
    mine(1.0)
    monkeypatch.setattr(repairing, "ruling_on", _passing)
    assert refused(*command(trained, signs)) == (
        "the scan found nothing in this network that would have to be removed, and a repair costs accuracy; do it all the same "
        "with --force"
    )
    assert run(*command(trained, signs, "--force")).exit_code == 0


def test_bad_input_is_refused_in_one_sentence(
    refused: Refused, trained: Path, model: Path, signs: Path, tmp_path: Path, mine: Callable[[float], None]
):
    mine(5.0)
    assert "names only 33% of the images as their labels say" in refused(*command(model, signs))
    sentence = refused(*command(trained, signs), "--out", "fixed.keras")
    assert sentence.endswith(
        "cannot be written back as .keras; call the file fixed.pt2, or end its name in .onnx or .safetensors"
    )
    assert refused(*command(trained, signs), "--method", "lader").startswith("unknown repair 'lader'")
    other = tmp_path / "scan.json"
    other.write_text("{}")
    assert "is not what 'trojancam scan' writes" in refused(*command(trained, signs), "--scan", other)
    there = tmp_path / "there.safetensors"
    there.write_text("")
    assert "exists already" in refused(*command(trained, signs), "--out", there)


def test_a_repair_of_the_graph_is_refused_where_the_file_holds_weights_alone(
    refused: Refused, trained: Path, signs: Path
):
    assert refused(*command(trained, signs), "--method", "mm-bm").startswith(
        "this repair bounds activations, and fixed.safetensors would hold weights alone; call the file fixed.pt2 or "
    )
