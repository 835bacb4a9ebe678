"""Next steps: what to do after a verdict, each step with the command that does it."""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from trojancam.detection import DEFAULT_METHODS, DETECTORS
from trojancam.detection.coverage import Victims
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.judgement import Verdict
from trojancam.report.page import Command, Section, Table

MORE_IMAGES = 400
OPINIONS = "Ask for second opinions. They can take longer than this scan did, and decide nothing."
SEARCHES = "Search for triggers that this scan did not look for."
MODEL, REPAIRED = "MODEL", "REPAIRED"  # stand for files whose names are not known
PLACEHOLDERS = (MODEL, REPAIRED, "METHOD", "IMAGES", "TRAINING-IMAGES")  # of the steps after a repair
PLACEHOLDER = re.compile(r"[A-Z]{2,}(?:-[A-Z]+)*")  # what a reader puts something in the place of
FOLDER = "trojancam-scan"  # where a scan writes when it is not told where
OPENED = ("--architecture", "--key", "--output")  # options that say how a file of this kind is opened
FED = ("--preprocessing", "--crop", "--size", "--class-names", "--device")  # and how the network in it is fed
USUAL = {"--device": "cpu"}  # what need not be said

STEPS: dict[Verdict, tuple[tuple[str, str], ...]] = {
    "backdoor": (
        ("Do not use the network. Ask whoever trained it for the training data and the log.", ""),
        ("Remove what was found, and scan the result.", "repair {model}{data} --scan {scan} --out {fixed}"),
        (
            "If it already runs: find the images that bear the trigger. For IMAGES put the folder of images that it was given.",
            "sift {model} IMAGES{data}",
        ),
        (
            "Search the training data for poisoned images. For TRAINING-IMAGES put the folder of these, with a folder for each "
            "class in it.",
            "cleanse {model} TRAINING-IMAGES",
        ),
    ),
    "inconclusive": (
        ("Scan again with more images.", "scan {model}{data} --images {more}{reference}"),
        (OPINIONS, "scan {model}{data} --methods {others}{reference} --out second-opinions"),
        (
            "Hold it against clean networks of your own that are like it. For CLEAN-NETWORKS put their files.",
            "calibrate CLEAN-NETWORKS{data} --out own.json",
        ),
        ("Until then treat it as backdoored.", ""),
    ),
    "nothing found": (
        ("Read which triggers were not searched for, below.", ""),
        (SEARCHES, "scan {model}{data} --methods {left} --images {more}{reference} --out further-searches"),
        (OPINIONS, "scan {model}{data} --methods {others}{reference} --out second-opinions"),
        (
            "In use, look at each image that comes. For IMAGES put the folder of these images.",
            "sift {model} IMAGES{data}",
        ),
    ),
    "not judged": (
        ("See how the network is fed, and how often it is right.", "inspect {model}{data}"),
        (
            "Give labelled images of the classes that it was trained on. For OTHER-IMAGES put their folder or file.",
            "scan {model} --data OTHER-IMAGES",
        ),
    ),
}

AGAIN = "scan-repaired"  # a folder for the scan of a repaired network, beside that of the first one
REPAIRED_STEPS = (
    ("Scan the repaired network by itself.", "scan {fixed}{data}{methods}{told} --out {again}"),
    ("Bundle that scan into a passport, to be signed.", "sign-off {fixed} --scan {again}"),
    (
        "In use, look at each image that comes: a repair can miss what the scan did not find. For IMAGES put the folder of these "
        "images.",
        "sift {fixed} IMAGES{data}{told}",
    ),
)
NOT_REPAIRED_STEPS = (
    ("Do not use the network.", ""),
    (
        "Repair it by another method: 'trojancam methods' lists them. For METHOD put its name.",
        "repair {model}{data}{scan}{scanned_by} --method METHOD{of_model} --out {other}",
    ),
    (
        "Or have it trained anew, on data without poison. For TRAINING-IMAGES put the folder of the training images, with a "
        "folder for each class in it.",
        "cleanse {model} TRAINING-IMAGES{of_model}",
    ),
)


def next_steps(report: ScanReport, options: Mapping[str, Any]) -> Section:
    """What to do after this scan; further searches and second opinions only where there is a method to ask that was not."""
    possible = {OPINIONS: bool(second_opinions(report)), SEARCHES: bool(further_searches(report))}
    steps = [
        [words, _command(command, report, options) if command else ""]
        for words, command in STEPS[report.verdict]
        if possible.get(words, True)
    ]
    unknown = _given(str(options.get("command", "")))[0] == MODEL
    text = f"For {MODEL} put the file of the network." if unknown else ""
    return Section("What to do next", text, [Table(["Step", "Command"], steps, words=(0, 1))])


def after_repair(repaired: bool, options: Mapping[str, Any], methods: Sequence[str] = ()) -> Section:
    """What to do after a repair, by the command that was given; without one, with placeholders for the files.

    `methods` are those that searched before: the repaired network is scanned by them, too.
    """
    given = str(options.get("command", ""))
    words, (model, _) = shlex.split(given), _given(given)
    fixed, suffix = _option(words, "--out") or REPAIRED, _suffix(model)
    alike = fixed.endswith(f".{suffix}")  # an exported program says itself how it is built
    values = {
        "model": shlex.quote(model),
        "fixed": shlex.quote(fixed),
        "data": _repeated(words, "--data"),
        "scan": _repeated(words, "--scan"),
        "other": f"second.{suffix}",
        "again": AGAIN,
        "methods": "" if set(methods) <= set(DEFAULT_METHODS) else f" --methods {','.join(methods)}",
        "scanned_by": _repeated(words, "--scan-methods"),
        "told": told(given) if alike else told(given, FED),
        "of_model": told(given),
    }
    steps = [
        [words, Command(f"trojancam {command.format(**values)}", PLACEHOLDERS) if command else ""]
        for words, command in (REPAIRED_STEPS if repaired else NOT_REPAIRED_STEPS)
    ]
    unknown = {MODEL: "the file of the network", REPAIRED: "the file that the repair wrote"}
    named = {piece for _, command in steps if isinstance(command, Command) for piece, _ in command.pieces}
    text = " ".join(f"For {name} put {what}." for name, what in unknown.items() if name in named)
    return Section("What to do next", text, [Table(["Step", "Command"], steps, words=(0, 1))])


def _command(command: str, report: ScanReport, options: Mapping[str, Any]) -> Command:
    return Command(in_command(command, report, options), [*PLACEHOLDER.findall(command), MODEL])


def further_searches(report: ScanReport) -> list[str]:
    """The methods that decide and were not asked; of those that need more classes than the network has, none.

    >>> from trojancam.detection.findings import ScanReport
    >>> "some-classes" in further_searches(ScanReport("nothing found", 0.0, 4.0, (), {}, {}))
    True
    """
    classes = len(report.class_names) or math.inf
    return [
        name
        for name, each in DETECTORS.items()
        if not each.second_opinion and name not in report.opinions and getattr(each.settings, "fewest", 0) <= classes
    ]


def second_opinions(report: ScanReport) -> list[str]:
    """The second opinions that were not asked and look for triggers like that of the strongest finding; without one, all.

    >>> from trojancam.detection.findings import ScanReport
    >>> second_opinions(ScanReport("nothing found", 0.0, 4.0, (), {}, {}))
    ['abs', 'neural-cleanse', 'mm-bd', 'freeeagle']
    """
    others = {name: each for name, each in DETECTORS.items() if each.second_opinion and name not in report.opinions}
    if report.verdict == "nothing found" or not report.findings:
        return list(others)
    families, victims = _kind(report.findings[0])
    return [name for name, each in others.items() if families & {*each.families} and victims in each.victims]


def _kind(finding: Finding) -> tuple[set[str], Victims]:
    """The families that a finding's trigger may be one of, and its victims."""
    families = {*DETECTORS[finding.detector].families} if finding.trigger is None else {finding.trigger.family}
    if not finding.class_map:
        return families, "every-class"
    return families, "some-classes" if finding.of_some_classes else "all-to-all"


def in_command(command: str, report: ScanReport, options: Mapping[str, Any]) -> str:
    """A step's command with the scan's own model, data and methods in it, opened and fed as the scan was told.

    >>> from trojancam.detection.findings import ScanReport
    >>> report = ScanReport("inconclusive", 3.0, 4.0, (), {}, {})
    >>> in_command("sift {model} IMAGES{data}", report, {"command": "trojancam scan 'my net.pt' --data signs"})
    "trojancam sift 'my net.pt' IMAGES --data signs"
    >>> in_command("inspect {model}", report, {"command": "trojancam scan net.onnx --size 48 --device cpu --seed 1"})
    'trojancam inspect net.onnx --size 48'
    """
    given = str(options.get("command", ""))
    words, (model, folder) = shlex.split(given), _given(given)
    values = {
        "model": shlex.quote(model),
        "data": _repeated(words, "--data"),
        "scan": shlex.quote((Path(folder) / "scan.json").as_posix()),
        "fixed": f"repaired.{_suffix(model)}",
        "more": str(MORE_IMAGES),
        "others": ",".join(second_opinions(report)),
        "left": ",".join(further_searches(report)),
        "reference": _repeated(words, "--reference"),
    }
    return f"trojancam {command.format(**values)}{told(given)}"


def told(command: str, names: Sequence[str] = (*OPENED, *FED)) -> str:
    """What a command was told of how its network is opened and fed, for another command that takes a network.

    >>> told("trojancam scan net.pth --architecture nets:build --size 32 --device cpu --images 100")
    ' --architecture nets:build --size 32'
    """
    words = shlex.split(command)
    return "".join(_repeated(words, name) for name in names if _option(words, name) != USUAL.get(name))


def _given(command: str) -> tuple[str, str]:
    """The model file and the folder of results of a scan's command."""
    words = shlex.split(command)
    model = words[2] if len(words) > 2 and not words[2].startswith("-") else MODEL
    return model, _option(words, "--out") or (FOLDER if words else "")


def _suffix(model: str) -> str:
    """What a file that a network is written back to ends in."""
    return model.rpartition(".")[2] if "." in model else "pt2"


def _repeated(words: list[str], name: str) -> str:
    """An option as a command line has it, to be said again; nothing where it does not have it."""
    value = _option(words, name)
    return f" {name} {shlex.quote(value)}" if value else ""


def _option(words: list[str], name: str) -> str:
    """What a command line says behind an option, or behind "=" in the same word; nothing where it does not name it."""
    for word, value in pairwise([*words, ""]):
        if word == name:
            return value
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return ""
