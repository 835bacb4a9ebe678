"""Scanning the zoo: what each method says of each network, kept on disk beside what is true of it.

    python -m benchmarks.zoo.scanned --data GTSRB --part tune [--methods stimulation,warp] [--only REGEX] [--worker 1/2]

scans what was not scanned yet by a method as it is now. Methods are scanned one by one, so that a change of one leaves the scores
of the others as they are. Verdicts are not kept: they follow from scores, thresholds and references (`benchmarks.zoo.page`).
"""

import hashlib
import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.zoo.calibrating import opened
from benchmarks.zoo.choosing import chosen, options
from benchmarks.zoo.growing import facts, grown
from benchmarks.zoo.members import Member
from trojancam import detection
from trojancam.data import load_dataset
from trojancam.data.image_set import Dataset
from trojancam.detection import DETECTORS
from trojancam.detection.accuracy import CleanAccuracy, clean_accuracy
from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.references import Reference, settings_fingerprint
from trojancam.detection.scanning import scan
from trojancam.detection.suspect import suspect
from trojancam.files import cache_folder, written_whole

# No score is made in these modules.
JUDGING = (
    "accuracy",
    "coverage",
    "detector",
    "findings",
    "judgement",
    "references",
    "settings",
    "track_record",
    "words",
)
SCANNED = ("stimulation", "additive", "stripes", "warp", "all-to-all", "low-frequency", "tone")


@dataclass(frozen=True)
class Said:
    """What one method says of a network: its score, and its strongest finding; `problem` is why it cannot search."""

    method: str
    score: float
    seconds: float
    target: int | None = None
    position: tuple[float, float] | None = None
    class_map: tuple[tuple[int, int], ...] = ()
    evidence: tuple[tuple[str, float], ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Scanned:
    """A network of the zoo: what is true of it, how accurate it is on the images of its scan, and what methods say."""

    member: Member
    truth: dict[str, Any]
    fingerprint: str
    classes: int
    accuracy: CleanAccuracy
    said: dict[str, Said]

    @property
    def rates(self) -> list[float]:
        """The attack success rate of each backdoor."""
        return [float(rate) for rate in self.truth["attack_success_rate"]]


def scanned(networks: Iterable[Member], methods: Sequence[str], whole: Dataset | None) -> list[Scanned]:
    """What is known of these networks; with data, what is not known yet is scanned now."""
    found = []
    for member, card in grown(list(networks)):
        kept = _kept(member)
        known = json.loads(kept.read_text()) if kept.is_file() else {}
        lacking = [method for method in methods if _code(method) not in known]
        if lacking and whole is not None:
            known |= _scanned_now(member, lacking, whole)
            with written_whole(kept) as partial:
                partial.write_text(json.dumps(known))
        said = {method: Said(**known[_code(method)]) for method in methods if _code(method) in known}
        if said:
            about = known["about"]
            found.append(
                Scanned(
                    member,
                    facts(member, card),
                    about["fingerprint"],
                    about["classes"],
                    CleanAccuracy(**about["accuracy"]),
                    said,
                )
            )
    return found


def _scanned_now(member: Member, methods: Sequence[str], whole: Dataset) -> dict[str, object]:
    vouched = opened(member, whole)
    seen = suspect(vouched.network, vouched.images, vouched.labels)
    accuracy = clean_accuracy(seen)
    about = {"fingerprint": seen.network.fingerprint, "classes": seen.classes, "accuracy": asdict(accuracy)}
    known: dict[str, object] = {"about": about}
    for method in methods:
        started = time.perf_counter()
        try:
            report = scan(vouched.network, vouched.images, vouched.labels, method, reference=Reference())
            said = _said(method, report, time.perf_counter() - started)
        except CannotSearchError as problem:
            said = Said(method, 0.0, time.perf_counter() - started, problem=str(problem))
        known[_code(method)] = asdict(said)
        print(f"{member.name}: {method} {said.score:.3f} class {said.target} ({said.seconds:.0f} s)", flush=True)
    return known


def _said(method: str, report: ScanReport, seconds: float) -> Said:
    if not report.findings:
        return Said(method, 0.0, seconds)
    first: Finding = report.findings[0]
    numbers = tuple((name, float(value)) for name, value in first.evidence.items())
    return Said(method, first.score, seconds, first.target_class, first.position, first.class_map, numbers)


def _kept(member: Member) -> Path:
    return cache_folder("zoo", "scans") / f"{member.name}.json"


def _code(method: str) -> str:
    """A name for a method as it is now: what an older version said is not reported as this one's."""
    digest = hashlib.sha256(settings_fingerprint(DETECTORS[method].settings).encode())
    folder, seen = Path(next(iter(detection.__path__))), set[str]()
    waiting = [DETECTORS[method].detect.__module__.removeprefix(f"{detection.__name__}.")]
    while waiting:
        name = waiting.pop()
        if name not in seen and name not in JUDGING:
            text = (folder / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
            digest.update(text.encode())
            waiting += sorted(re.findall(r"^from trojancam\.detection\.([\w.]+) import", text, re.MULTILINE))
            seen.add(name)
    return f"{method} {digest.hexdigest()[:12]}"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--methods", default=",".join(SCANNED), help="names with commas between")
    parser.add_argument("--worker", default="1/1", help="such as 1/2: only this worker's share")
    arguments = parser.parse_args()
    if arguments.part is None:
        parser.error("give the --part of the zoo: the part 'report' is looked at once")
    worker, workers = (int(number) for number in arguments.worker.split("/"))
    ours = chosen(arguments)[worker - 1 :: workers]
    scanned(ours, arguments.methods.split(","), load_dataset(arguments.data))


if __name__ == "__main__":
    main()
