"""A small data set in class folders, a model file, and the command line, in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from trojancam.architectures import architecture
from trojancam.attacks.patch import make_trigger
from trojancam.cli import app
from trojancam.faults import FAULT
from trojancam.formats.safetensors import save_model
from trojancam.network.card import BackdoorRecord, ModelCard
from trojancam.training.recipe import initial_module

CLASSES = ("[red] ring", "stop", "yield")

Run = Callable[..., Result]


def write_images(folder: Path, count: int, shade: int, seed: int) -> None:
    """Grainy images of about one shade of grey."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    for number in range(count):
        pixels = (shade + torch.randint(0, 50, (32, 32, 3), generator=generator)).to(torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / f"{number}.png")


@pytest.fixture(scope="session")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders train and test of three classes, dark to light."""
    root = tmp_path_factory.mktemp("signs")
    for part, count in (("train", 20), ("test", 4)):
        for number, name in enumerate(CLASSES):
            write_images(root / part / name, count, 80 * number, seed=number + count)
    return root


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained trojan2 that says it was poisoned."""
    path = tmp_path_factory.mktemp("models") / "trojan2.safetensors"
    chosen = architecture("trojan2")
    trigger = make_trigger("blue-green-square").to_json()
    record = BackdoorRecord(trigger=trigger, target_class=1, poison_rate=0.1, seed=0, poisoned_images=4)
    card = ModelCard(architecture="trojan2", class_names=CLASSES, input=chosen.input, poisoning=record)
    save_model(path, initial_module(chosen, len(CLASSES), seed=0), card)
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder; what went wrong inside is not hidden."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code != FAULT, result.stderr
        return result

    return invoke


@pytest.fixture
def refused(run: Run, tmp_path: Path) -> Callable[..., str]:
    """Run a command that must end in one sentence and exit code 2, and write nothing; the sentence."""

    def invoke(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert "Traceback" not in result.output
        assert sorted(tmp_path.rglob("*")) == before
        return result.stderr.removeprefix("error: ").strip()

    return invoke
