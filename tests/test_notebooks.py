"""The notebooks of the documentation: short, and each runs as it is written, in a process and a folder of its own."""

import json
from pathlib import Path

import pytest
from tests.warm import Warm

from trojancam.attribution import read_stream

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))
LINES = 15  # of code: fewer than these


def code_of(notebook: Path) -> str:
    """The code of all cells, one after the other."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_there_is_one_for_each_way_in() -> None:
    assert [notebook.stem for notebook in NOTEBOOKS] == [
        "custom_target", "keras_file", "many_images", "own_cam", "own_detector", "scan_and_page",
    ]  # fmt: skip


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_it_is_short_and_holds_no_output(notebook: Path) -> None:
    assert len([line for line in code_of(notebook).splitlines() if line.strip()]) < LINES
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert all(cell["outputs"] == [] for cell in cells if cell["cell_type"] == "code")
    assert cells[0]["cell_type"] == "markdown"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_it_runs_and_gives_what_it_says(notebook: Path, python: Warm, tmp_path: Path) -> None:
    last = {
        "custom_target": "cams = tc.grad_cam(recording); print(recording.target, cams, sep='\\n')",
        "keras_file": "print(network.layers['first'].feature_maps, cams, cams['first'].heatmap().shape)",
        "many_images": "print(energies, energies['0'].shape)",
        "own_cam": "print(cams, cams['sign-cam'], cams['sign-cam']['conv2d_6'].target, sep='\\n')",
        "own_detector": "",
        "scan_and_page": "print(len(steps) > 0, steps[-1][0] == steps[-1][1])",
    }[notebook.stem]
    done = python.run(f"{code_of(notebook)}\n{last}", tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    match notebook.stem:
        case "custom_target":
            assert lines[0] == "lead_of_stop"
            assert lines[1].startswith("5 layers: conv2d_5, conv2d_6")
        case "keras_file":
            assert lines == ["12 1 layer: first torch.Size([8, 32, 32])"]
        case "many_images":
            assert lines == ["1 layer: 0 (10000, 8)"]
            assert read_stream(tmp_path / "energies.npz")[0]["images"] == 10_000
        case "own_cam":
            assert lines == ["2 methods: grad-cam, sign-cam", "1 layer: conv2d_6", "logit of class 14"]
        case "own_detector":
            assert len(lines) == 6
        case "scan_and_page":
            assert lines[-1] == "True True"
            assert (tmp_path / "scan" / "scan.html").stat().st_size > 10_000
