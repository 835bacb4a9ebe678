"""A tiny package of somebody else's: an importable folder beside its `dist-info`, as an installer leaves it."""

import os
from collections.abc import Mapping
from pathlib import Path

CODE = '''
from dataclasses import dataclass
from typing import ClassVar

from trojancam.attacks.attack import DataAttack
from trojancam.attacks.patch import make_trigger
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.defences import Reference, Scores, Seen
from trojancam.detection import Finding, Job, ScanReport, Settings, concluded


def mean_cam(activations, gradients):
    """Weights: the mean gradient, as Grad-CAM has them."""
    return gradients.mean((2, 3))


@dataclass(frozen=True, kw_only=True)
class BiasSettings(Settings):
    """The least scores, and a class."""

    target_class: int = 0
    backdoor: float = 2.0
    inconclusive: float = 1.0


def bias_scan(job: Job, settings: BiasSettings = BiasSettings()) -> ScanReport:
    """A class is suspected of its mean logit."""
    logits = job.journal.step("bias/logits", lambda: {"logits": job.suspect.network(job.suspect.images)})["logits"]
    score = float(logits[:, settings.target_class].mean().abs())
    return concluded(job, "bias", [Finding("anything", settings.target_class, score)], settings)


def brightness(reference: Reference):
    """How far the mean of all pixels is from that of clean images."""
    usual = reference.images.mean()
    return lambda seen: Scores((seen.images.mean((1, 2, 3)) - usual).abs())


class Corner(DataAttack):
    """A square in the upper left corner."""

    name: ClassVar[str] = "corner"
    source: ClassVar[str] = "nowhere"
    summary: ClassVar[str] = "a corner"

    side: int = 2

    def poisoning(self, goal: Goal) -> Poisoning:
        """What it does to a training set."""
        trigger = make_trigger("yellow-square", goal.image_size, self.side, (0, 0))
        return Poisoning(trigger, goal.target_class, self.rate(goal), goal.seed, sources=goal.sources)
'''
ENTRIES = {
    "trojancam.methods": {"mean-cam": "tiny_plug_in:mean_cam"},
    "trojancam.detectors": {"bias": "tiny_plug_in:bias_scan"},
    "trojancam.defences": {"brightness": "tiny_plug_in:brightness"},
    "trojancam.attacks": {"corner": "tiny_plug_in:Corner"},
}


def write_plug_in(
    folder: Path, entries: Mapping[str, Mapping[str, str]] = ENTRIES, code: str = CODE, name: str = "tiny_plug_in"
) -> None:
    """A package of one module, and what its installation says of it."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    information = folder / f"{name}-1.2.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in of.items()) for group, of in entries.items()
    ]
    (information / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def environment(*folders: Path) -> dict[str, str]:
    """What a process has to be given so that it finds the packages in these folders."""
    searched = [str(folder) for folder in folders] + os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, searched))}
