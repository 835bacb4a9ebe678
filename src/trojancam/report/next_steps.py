"""Next steps: what to do after a verdict, each step with the command that does it."""

import shlex
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from trojancam.detection import DETECTORS
from trojancam.detection.findings import ScanReport
from trojancam.detection.judgement import Verdict
from trojancam.report.page import Section, Table

MORE_IMAGES = 400
FOLDER = "trojancam-scan"  # where a scan writes when it is not told where
SECOND_OPINIONS = ("abs", "neural-cleanse")

STEPS: dict[Verdict, tuple[tuple[str, str], ...]] = {
    "backdoor": (
        ("Do not use the network. Ask whoever trained it for the training data and the log.", ""),
        ("Remove what was found, and scan the result.", "repair {model}{data} --scan {scan} --out {fixed}"),
        ("If it already runs: find the images that bear the trigger.", "sift {model} IMAGES{data}"),
        ("Search the training data for poisoned images.", "cleanse {model} TRAINING-IMAGES"),
    ),
    "inconclusive": (
        ("Scan again with more images.", "scan {model}{data} --images {more}"),
        ("Ask for second opinions.", "scan {model}{data} --methods {others}"),
        ("Hold it against clean networks of your own that are like it.", "calibrate CLEAN-NETWORKS{data} --out own.json"),
        ("Until then treat it as backdoored.", ""),
    ),
    "nothing found": (
        ("Read which triggers were not searched for, below.", ""),
        ("Ask for second opinions.", "scan {model}{data} --methods {others}"),
        ("In use, look at each image that comes.", "sift {model} IMAGES{data}"),
    ),
    "not judged": (
        ("See how the network is fed, and how often it is right.", "inspect {model}{data}"),
        ("Give labelled images of the classes that it was trained on.", "scan {model} --data OTHER-IMAGES"),
    ),
}  # fmt: skip


def next_steps(report: ScanReport, options: Mapping[str, Any]) -> Section:
    """What to do after this scan."""
    steps = [[words, in_command(command, report, options)] for words, command in STEPS[report.verdict]]
    return Section("What to do next", "", [Table(["Step", "Command"], steps, words=(0, 1))])


def in_command(command: str, report: ScanReport, options: Mapping[str, Any]) -> str:
    """A step's command with the scan's own model, data and methods in it.

    >>> from trojancam.detection.findings import ScanReport
    >>> report = ScanReport("inconclusive", 3.0, 4.0, (), {}, {})
    >>> in_command("sift {model} IMAGES{data}", report, {"command": "trojancam scan 'my net.pt' --data signs"})
    "trojancam sift 'my net.pt' IMAGES --data signs"
    """
    if not command:
        return ""
    model, data, folder = _given(str(options.get("command", "")))
    others = [name for name in SECOND_OPINIONS if name in DETECTORS and name not in report.opinions]
    suffix = model.rpartition(".")[2] if "." in model else "pt2"
    values = {
        "model": shlex.quote(model),
        "data": f" --data {shlex.quote(data)}" if data else "",
        "scan": shlex.quote((Path(folder) / "scan.json").as_posix()),
        "fixed": f"repaired.{suffix}",
        "more": str(MORE_IMAGES),
        "others": ",".join(others or report.opinions),
    }
    return f"trojancam {command.format(**values)}"


def _given(command: str) -> tuple[str, str, str]:
    """The model file, the data and the folder of results of a scan's command; of data nothing, where it names none."""
    words = shlex.split(command)
    model = words[2] if len(words) > 2 and not words[2].startswith("-") else "MODEL"
    return model, _option(words, "--data"), _option(words, "--out") or (FOLDER if words else "")


def _option(words: list[str], name: str) -> str:
    """What a command line says behind an option, or behind "=" in the same word; nothing where it does not name it."""
    for word, value in pairwise([*words, ""]):
        if word == name:
            return value
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return ""
