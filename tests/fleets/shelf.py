"""A shelf of tiny models for tests: good, broken and hostile ones, and what a table says without its times."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tests.formats.hostile_cases import CASES
from torch import nn

from trojancam.fleets.table import Row

ROOT = Path(__file__).parents[2]
HOSTILE = (
    "PyTorch weights: code in a legacy .pt",
    "PyTorch weights: code after the weights",
    "PyTorch weights: a zip bomb of packed pickles",
    "Exported programs: code in a pt2's size",
    "safetensors: a header nested deeply",
)
TIMES = ("seconds", "megabytes")


def good(path: Path, seed: int) -> Path:
    """An exported program, another one for each seed."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 6 * 6, 2)).eval()
    images = torch.zeros(2, 3, 8, 8, device="cpu")
    torch.export.save(torch.export.export(net, (images,)), path)
    return path


def broken(folder: Path, whole: Path) -> list[Path]:
    """An empty file, text, and half a model."""
    files = [folder / "empty.onnx", folder / "text.pt", folder / "half.pt2"]
    contents = [b"", b"I am no model.", whole.read_bytes()[: whole.stat().st_size // 2]]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return files


def hostile(folder: Path, canary: Path, keys: Sequence[str] = HOSTILE) -> list[Path]:
    """Files that would write the canary, or fill the memory."""
    found = []
    for number, key in enumerate(keys):
        own = folder / f"hostile-{number}"
        own.mkdir()
        path = CASES[key].write(own, canary)
        found.append(folder / f"hostile-{number}{path.suffix}")
        shutil.move(path, found[-1])
        shutil.rmtree(own)
    return found


def weights(path: Path) -> Path:
    """Weights alone."""
    torch.save({"weight": torch.zeros(2, 2, device="cpu")}, path)
    return path


def timeless(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What a table says, but for how long it took and how much memory."""
    return [{name: value for name, value in row.plain().items() if name not in TIMES} for row in rows]
