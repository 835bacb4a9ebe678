"""`trojancam inspect`: what a file holds, what it would run, how it is fed; and a scan of a file that is not ours."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.cli.conftest import Run

from trojancam.models import architecture


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A network of three classes as an exported program, with weights drawn at random."""
    torch.manual_seed(0)
    module = architecture("trojan2").build(3).eval()
    path = tmp_path / "theirs.pt2"
    shapes = ({0: torch.export.Dim("n")},)
    torch.export.save(torch.export.export(module, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=shapes), path)
    return path


def test_it_tells_what_a_file_holds(run: Run, program: Path) -> None:
    result = run("inspect", program)
    assert result.exit_code == 0
    for words in ("pt2", "SHA-256", "it would run nothing", "3 classes", "conv2d_9", "rgb of 32x32 pixels"):
        assert words in result.stdout


def test_it_names_what_a_pickle_would_run_and_runs_nothing(run: Run, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Hostile:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return Path.touch, (str(canary),)

    path = tmp_path / "hostile.pt"
    path.write_bytes(pickle.dumps({"weight": Hostile()}))
    result = run("inspect", path, "--architecture", "basic")
    assert result.exit_code == 2
    assert "loaded carelessly, it would run" in result.stdout
    assert "touch" in result.stdout or "getattr" in result.stdout
    assert not canary.exists()


def test_a_network_that_knows_nothing_is_not_scanned(refused: Callable[..., str], signs: Path, program: Path) -> None:
    assert "--preprocessing" in refused("scan", program, "--data", signs, "--images", "8")
    words = refused("scan", program, "--data", signs, "--preprocessing", "rgb-symmetrical")
    assert "unknown preprocessing 'rgb-symmetrical' (did you mean 'rgb-symmetric'?)" in words
    assert "leave it out" in refused("inspect", program, "--architecture", "basic")


def test_another_ones_file_is_scanned_as_it_is_fed(run: Run, signs: Path, program: Path, tmp_path: Path) -> None:
    result = run("scan", program, "--data", signs, "--images", "8", "--preprocessing", "rgb-quarter", "--out", "out")
    assert result.exit_code in (0, 1, 3)
    assert "--preprocessing rgb-quarter" in (tmp_path / "out" / "scan.html").read_text(encoding="utf-8")
