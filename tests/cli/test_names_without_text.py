"""Names of files that are no UTF-8, as old archives have them: every command takes them, and writes them escaped."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.cli.conftest import write_images

import trojancam.report.scan_pictures
from trojancam.architectures import architecture
from trojancam.data import load_dataset
from trojancam.formats.safetensors import read_card, save_model
from trojancam.network.card import ModelCard
from trojancam.training.recipe import initial_module

Run = Callable[..., Result]
LATIN = os.fsdecode(b"\xe9toile")  # a name in Latin-1: no UTF-8
SHOWN = "\\xe9toile"
FAST = ("--methods", "neural-cleanse", "--set", "neural-cleanse.inversion.rounds=2", "--images", "6")


@pytest.fixture(scope="session")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders train and test of three classes, one class and all images of which have such a name."""
    root = tmp_path_factory.mktemp("named") / LATIN
    for part, count in (("train", 4), ("test", 2)):
        for number, name in enumerate((LATIN, "stop", "yield")):
            write_images(root / part / name, count, 80 * number, seed=number)
            for image in (root / part / name).iterdir():
                image.rename(image.with_name(f"{LATIN}{image.name}"))
    return root


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A model file of such a name, for these classes."""
    path, chosen = tmp_path / f"{LATIN}.safetensors", architecture("trojan2")
    card = ModelCard(architecture="trojan2", class_names=("stop", "yield", SHOWN), input=chosen.input)
    save_model(path, initial_module(chosen, 3, seed=0), card)
    return path


def texts(folder: Path) -> str:
    """All that was written as text; each file is UTF-8, and the JSON is what every reader takes."""
    found = ""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".html", ".json", ".md", ".csv", ".txt"):
            found += path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            json.dumps(json.loads(path.read_text(encoding="utf-8")), ensure_ascii=False).encode()
    return found


def commands(file: Path, named: Path) -> dict[str, tuple[Any, ...]]:
    image = next((named / "test" / LATIN).iterdir())
    return {
        "inspect": ("inspect", file, "--data", named),
        "explain": ("explain", file, image),
        "stimulate": ("stimulate", file, "--layer", "conv2d_6", "--maps", "0", "--data", named, "--images", "2"),
        "compare": ("compare", file, "--data", named, "--n", "3", "--methods", "grad-cam", "--layers", "conv2d_6"),
        "scan": ("scan", file, "--data", named, *FAST),
    }


@pytest.mark.parametrize("name", ["inspect", "explain", "stimulate", "compare", "scan"])
def test_every_command_takes_such_names(
    name: str, run: Run, file: Path, named: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trojancam.report.scan_pictures, "DPI", 40)
    out = () if name == "inspect" else ("--out", Path(f"{LATIN}-out"))
    result = run(*commands(file, named)[name], *out)
    assert result.exit_code in ((0, 1, 3) if name == "scan" else (0, 2) if name == "inspect" else (0,)), result.output
    assert result.exit_code != 2 or "preprocessing" in result.output
    assert SHOWN in result.output
    if out:
        assert SHOWN in texts(tmp_path / out[1])


def test_inspect_says_them_as_json(run: Run, file: Path) -> None:
    result = run("inspect", file, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["file"].endswith(f"{SHOWN}.safetensors")


def test_training_keeps_them_in_the_model_card(run: Run, named: Path, tmp_path: Path) -> None:
    out = f"{LATIN}.safetensors"
    arguments = ("train", "trojan2", "--data", named, "--epochs", "1", "--no-augment", "--out", out)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert SHOWN in result.output
    card = read_card(tmp_path / out)
    assert card.class_names == ("stop", "yield", SHOWN)
    assert card.training is not None
    assert card.training.data.encode()


def test_a_data_set_shows_them(named: Path) -> None:
    data = load_dataset(named)
    assert data.test.class_names == ("stop", "yield", SHOWN)
    assert all(name.startswith(f"{folder}/{SHOWN}") for name in data.test.names for folder in [name.split("/")[0]])
    (named / "test" / "stop" / f"{LATIN}.png").write_bytes(b"no image")
    try:
        assert any(SHOWN in line for line in load_dataset(named).skipped)
    finally:
        (named / "test" / "stop" / f"{LATIN}.png").unlink()


def test_missing_files_and_the_words_of_the_system(refused: Callable[..., str], model: Path) -> None:
    assert f"{SHOWN}.pt" in refused("inspect", f"{LATIN}.pt")
    assert f"{SHOWN}.png" in refused("explain", model, f"{LATIN}.png", "--out", "out")


def test_the_real_process_takes_the_bytes(file: Path, named: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "trojancam",
        *map(str, commands(file, named)["explain"]),
        "--out",
        f"{LATIN}-o",
    ]
    done = subprocess.run([os.fsencode(word) for word in command], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert SHOWN in done.stdout.decode()
    assert SHOWN in texts(tmp_path / f"{LATIN}-o")
