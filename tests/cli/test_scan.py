"""`trojancam scan`: the report is the library's, survives a kill, and its exit code tells the verdict."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from junitparser import JUnitXml

import trojancam.detection
import trojancam.opening.images
import trojancam.report.scan_pictures
from trojancam.cli.scan import EXIT_CODES, STEPS
from trojancam.data import Dataset, ImageSet, load_dataset
from trojancam.detection import ScanReport, scan
from trojancam.network.card import ModelCard
from trojancam.opening.open import load

Run = Callable[..., Result]
Refused = Callable[..., str]
IMAGES = 8
BRIEF = {"candidates": 2, "inversion.rounds": 5}  # of stimulation: what is recovered is tested where the detectors are
SET = [word for name, value in BRIEF.items() for word in ("--set", f"stimulation.{name}={value}")]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trojancam.report.scan_pictures, "DPI", 40)  # drawing takes long


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is asked of model cards."""
    names: list[str] = []
    plain = ModelCard.__getattribute__

    def ask(card: ModelCard, name: str) -> Any:
        names.append(name)
        return plain(card, name)

    monkeypatch.setattr(ModelCard, "__getattribute__", ask)
    return names


def options(model: Path, signs: Path) -> list[str]:
    return ["scan", str(model), "--data", str(signs), "--images", str(IMAGES), "--out", "out", "--seed", "1",
            "--methods", "stimulation", *SET]  # fmt: skip


def results(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "scan.json").read_text())
    return document


def without_times(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "timing"}


def stub(verdict: Any) -> Callable[..., ScanReport]:
    """A scan that says so at once."""
    return lambda *_, **__: ScanReport(verdict, 1.0, 2.0, (), {}, {"looking": 1.0}, ("a", "b", "c"))


def test_a_killed_scan_goes_on_to_the_same_report(
    run: Run, model: Path, signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    program = [sys.executable, "-c", "from trojancam.cli import app; app()", *options(model, signs)]
    started = subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.DEVNULL)
    steps, deadline = tmp_path / "out" / STEPS, time.monotonic() + 120
    while not list(steps.glob("[!.]*.kept")) and time.monotonic() < deadline:
        assert started.poll() is None
        time.sleep(0.005)
    started.kill()
    assert started.wait() == -signal.SIGKILL
    assert not list((tmp_path / "out").glob("scan.*"))
    (step,) = steps.glob("[!.]*.kept")
    assert step.stem.endswith("conv2d_5")

    resumed = run(*options(model, signs))
    assert "stimulating conv2d_5" not in resumed.stdout
    assert "stimulating conv2d_6" in resumed.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["scan.html", "scan.json"]

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    undisturbed = run(*options(model, signs))
    assert "stimulating conv2d_5" in undisturbed.stdout
    document = results(elsewhere / "out")
    assert without_times(results(tmp_path / "out")) == without_times(document)
    assert undisturbed.exit_code == resumed.exit_code == EXIT_CODES[document["verdict"]]
    assert not {"poisoning", "training"} & set(asked)

    network = load(model)
    images, labels = load_dataset(signs, size=32).test.take(IMAGES, 1, spread=True)
    expected = json.loads(
        json.dumps(scan(network, images, labels, "stimulation", settings={"stimulation": BRIEF}, seed=1).to_json())
    )
    assert {name: document[name] for name in expected if name != "timing"} == without_times(expected)
    assert document["fingerprint"] == network.fingerprint
    assert document["options"]["model"] == "trojan2.safetensors"
    target = document["findings"][0]["target_class"]
    assert f"class {target}, {network.class_names[target]}" in undisturbed.stdout
    assert "scan.html" in undisturbed.stdout


@pytest.mark.parametrize(
    ("verdict", "code"), [("nothing found", 0), ("backdoor", 1), ("inconclusive", 3), ("not judged", 3)]
)
def test_the_exit_code_tells_the_verdict(
    run: Run, model: Path, signs: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, code: int
) -> None:
    monkeypatch.setattr(trojancam.detection, "scan", stub(verdict))
    result = run(*options(model, signs))
    assert (result.exit_code, result.stderr) == (code, "")
    assert results(Path("out"))["verdict"] == verdict
    assert re.search(r"the scan takes about \d+ (s|min) on this machine.*--budget \d+s looks for less", result.stdout)


def test_an_interruption_says_how_to_go_on(run: Run, model: Path, signs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trojancam.detection, "scan", interrupted)
    result = run(*options(model, signs))
    assert result.exit_code == 130
    assert "finished steps are kept in out; run the same command again to resume" in result.stderr


def test_slips_of_the_pen(refused: Refused, model: Path, signs: Path, tmp_path: Path) -> None:
    arguments = options(model, signs)
    assert "did you mean 'abs'" in refused(*arguments, "--methods", "stimulation,abc")
    assert "no method in ' ,'" in refused(*arguments, "--methods", " ,")
    assert "nowhere" in refused("scan", model, "--data", tmp_path / "nowhere")
    assert "no.safetensors" in refused("scan", tmp_path / "no.safetensors")
    (tmp_path / "taken").write_text("in the way")
    assert "cannot write to the folder taken" in refused(*arguments, "--out", "taken")


def test_classes_must_be_those_of_the_network(
    refused: Refused, model: Path, signs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    four = ImageSet(torch.zeros(5, 3, 32, 32, dtype=torch.uint8), torch.zeros(5, dtype=torch.int64), tuple("abcd"))
    monkeypatch.setattr(
        trojancam.opening.images, "load_dataset", lambda *_, **__: Dataset(four, four, "images of four classes")
    )
    told = refused(*options(model, signs))
    assert told.startswith("the network tells 3 classes apart, but the data has 4 (images of four classes);")


@pytest.mark.parametrize("form", [("--format", "json"), ("--json", "-"), ("--json",)])
def test_one_object_is_all_of_standard_output(
    run: Run, model: Path, signs: Path, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    monkeypatch.setattr(trojancam.detection, "scan", stub("nothing found"))
    result = run(*options(model, signs), *form)
    assert json.loads(result.stdout) == results(Path("out"))
    assert "NOTHING FOUND" in result.stderr
    assert len(results(Path("out"))["options"]["images_sha256"]) == 64


def test_a_refusal_is_an_outcome_for_machines_too(run: Run, model: Path, signs: Path) -> None:
    result = run(*options(model, signs), "--methods", "abc", "--format", "junit")
    assert result.exit_code == 2
    (suite,) = JUnitXml.fromstring(result.stdout.encode())
    assert (suite.errors, suite.tests) == (1, 1)
    assert result.stderr.startswith("error: unknown")
    told = json.loads(run(*options(model, signs), "--methods", "abc", "--json").stdout)
    assert told["refused"] in result.stderr
