"""A package that adds a method, a detector, a defence and an attack: all lists have them, and they keep every contract."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import CLASSES, write_images
from tests.plug_in import environment, write_plug_in

from trojancam.architectures import architecture
from trojancam.attacks.patch import Patch
from trojancam.formats.safetensors import read_card, save_model
from trojancam.network.card import ModelCard
from trojancam.training.recipe import initial_module

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "packages"
    write_plug_in(folder)
    return folder


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file and labelled images."""
    root = tmp_path_factory.mktemp("material")
    for part in ("train", "test"):
        for number, name in enumerate(CLASSES):
            write_images(root / "signs" / part / name, 4, 80 * number, seed=number)
    chosen = architecture("basic")
    card = ModelCard(architecture="basic", class_names=CLASSES, input=chosen.input)
    save_model(root / "model.safetensors", initial_module(chosen, len(CLASSES), seed=0).eval(), card)
    return root


def run(packages: Path, folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment(packages), capture_output=True, text=True, check=False)


def test_they_are_listed(packages: Path, tmp_path: Path) -> None:
    done = run(packages, tmp_path, "trojancam", "methods")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("tiny_plug_in 1.2") == 4
    assert {"mean-cam", "bias", "brightness", "corner", "grad-cam", "stimulation", "wanet"} <= set(
        done.stdout.replace("│", " ").split()
    )


def test_the_method_is_compared(packages: Path, material: Path, tmp_path: Path) -> None:
    options = ("--data", material / "signs", "--n", 6, "--layers", "conv2d_1", "--methods", "mean-cam,grad-cam")
    done = run(packages, tmp_path, "trojancam", "compare", material / "model.safetensors", *options, "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert results["settings"]["methods"] == ["mean-cam", "grad-cam"]
    for metric in ("road", "insertion", "deletion"):  # it is Grad-CAM under another name
        scores = results["over_layers"][metric]
        assert scores["mean-cam"] == scores["grad-cam"]
    assert "mean-cam" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_the_detector_scans_as_it_is_set(packages: Path, material: Path, tmp_path: Path) -> None:
    options = ("--data", material / "signs", "--images", 8, "--methods", "bias", "--out", "out")
    sets = ("--set", "bias.target_class=2", "--set", "bias.backdoor=1000")
    done = run(packages, tmp_path, "trojancam", "scan", material / "model.safetensors", *options, *sets)
    assert (done.returncode, done.stderr) in ((0, ""), (3, ""))
    results = json.loads((tmp_path / "out" / "scan.json").read_text(encoding="utf-8"))
    assert results["settings"]["bias"]["target_class"] == 2
    assert results["findings"][0]["detector"] == "bias"
    assert results["findings"][0]["target_class"] == 2
    assert "--set bias.target_class=2 --set bias.backdoor=1000" in results["options"]["command"]
    refused = run(
        packages, tmp_path, "trojancam", "scan", material / "model.safetensors", *options, "--set", "bias.x=1"
    )
    assert refused.returncode == 2
    assert refused.stderr == ("error: unknown setting of bias 'x'; known: backdoor, inconclusive, target_class\n")


def test_the_attack_is_planted_as_it_is_set(packages: Path, material: Path, tmp_path: Path) -> None:
    options = ("--data", material / "signs", "--attack", "corner", "--target", 1, "--set", "side=3", "--epochs", 1)
    done = run(packages, tmp_path, "trojancam", "train", "basic", *options, "--out", "m.safetensors")
    assert (done.returncode, done.stderr) == (0, "")
    card = read_card(tmp_path / "m.safetensors")
    assert card.poisoning is not None
    trigger = card.poisoning.trigger
    assert Patch.from_json(trigger).place.nonzero().amax(0).tolist() == [2, 2]  # three pixels by three


def test_they_keep_the_contracts_of_all(packages: Path) -> None:
    tests = [
        "tests/attribution/test_attributing.py::test_every_method_explains_every_layer_of_every_network",
        "tests/attribution/test_properties_of_methods.py::test_permuting_images_permutes_the_maps",
        "tests/detection/test_scanning.py::test_every_detector_keeps_the_contract",
        "tests/detection/test_secrecy.py::test_no_detector_reads_what_is_hidden",
        "tests/defences/test_sieve.py::test_every_defence_keeps_the_contract",
        "tests/defences/test_secrecy.py::test_no_defence_reads_what_is_hidden",
        "tests/attacks/test_attack.py::test_each_attack_says_what_it_is",
    ]
    done = run(
        packages, ROOT, "pytest", "-v", *tests, "-k", "mean-cam-residual or permuting or bias or brightness or corner"
    )
    assert done.returncode == 0, done.stdout
    assert "[mean-cam-residual] PASSED" in done.stdout
    assert done.stdout.count("[bias] PASSED") == 2
    assert done.stdout.count("[brightness] PASSED") == 2
    assert "[corner] PASSED" in done.stdout


def test_one_that_cannot_be_imported_ends_no_command(tmp_path: Path) -> None:
    write_plug_in(
        tmp_path / "packages", {"trojancam.methods": {"broken": "broken_plug_in:cam"}}, "1 / 0\n", "broken_plug_in"
    )
    done = run(tmp_path / "packages", tmp_path, "trojancam", "methods")
    assert done.returncode == 0
    assert done.stderr == (
        "warning: the attribution method 'broken' of broken_plug_in 1.2 is left out (ZeroDivisionError: division by zero); "
        "update or uninstall it\n"
    )
    assert "grad-cam" in done.stdout
