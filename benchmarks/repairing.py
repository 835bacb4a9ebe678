"""Repairs on the zoo: what is left of a backdoor by the true trigger, what that costs, and whether the judge is right.

    python -m benchmarks.repairing --data PATH [--part report] [--methods ladder,clp] [--images 5] [--only REGEX] [--cache DIR]

measures what was not measured yet, one network and method after the other, and writes docs/repair.md from all that is kept. Only
here is the truth, which model cards tell, held beside what a repair and its judge say. No repair chooses by it.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from benchmarks.zoo.choosing import chosen, options
from benchmarks.zoo.growing import facts, grown, path_of
from benchmarks.zoo.members import PARTS, Member, members
from trojancam.attacks.poisoning import Poisoning
from trojancam.data import load_dataset
from trojancam.detection import scan
from trojancam.detection.findings import Finding
from trojancam.detection.suspect import Suspect, suspect
from trojancam.errors import TrojanCamError
from trojancam.files import cache_folder, written_whole
from trojancam.formats.safetensors import read_card
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.rates import attack_success_rate, clean_accuracy, robust_accuracy
from trojancam.removal.reactivation import reactivation
from trojancam.removal.repairing import REPAIRS, Outcome, remove, split
from trojancam.tasks.repair import culpable

OUT = Path(__file__).parents[1] / "docs" / "repair.md"
SCANNED, MEASURED, SEED = 100, 2000, 23
MOST = (
    10  # images of a class that a repair may have; the same others are scanned and measured with, however many it has
)
FEW = 4  # names in a sentence
BAR = 0.10  # the greatest true success rate of a network that may be called repaired


@dataclass(frozen=True)
class Measured:
    """A repair of one network by one method, held beside the truth; rates of several backdoors are the worst of each.

    `verdict` is the judge's, or why there was no repair. Rates after are those of the best try, also where it did not pass.
    """

    member: str
    part: str
    architecture: str
    attack: str
    method: str
    images: int
    verdict: str
    rung: str = ""
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    success_before: float | None = None
    success_after: float | None = None
    robust_before: float | None = None
    robust_after: float | None = None
    relearned: float | None = None
    pushed: float | None = None
    seconds: float | None = None

    @property
    def repaired(self) -> bool:
        return self.verdict == "repaired"

    @property
    def false_pass(self) -> bool:
        """Whether the judge called a network repaired that is not."""
        return self.repaired and self.success_after is not None and self.success_after > BAR


@cache
def drawn(data: Path, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Test images and labels, none twice: so many of each class to repair with, some to scan, and some to measure with."""
    images, labels = load_dataset(data, training=False).test.take(10**9, SEED)
    by_class = [(labels == each).nonzero()[:, 0][:MOST] for each in labels.unique()]
    ours = torch.cat([places[:count] for places in by_class])
    others = torch.ones(len(labels), dtype=torch.bool).index_fill(0, torch.cat(by_class), False).nonzero()[:, 0]
    scanned, measured = others[:SCANNED], others[SCANNED : SCANNED + MEASURED]
    return images[ours], labels[ours], images[scanned], labels[scanned], images[measured], labels[measured]


def found(member: Member, data: Path) -> list[Finding]:
    """What is to be removed, by a scan that is kept; of a network in which nothing was found, the strongest finding."""
    path = cache_folder("zoo", "repairs") / f"{member.name}.findings.json"
    if not path.is_file():
        _, _, images, labels, _, _ = drawn(data, 5)
        report = scan(load(path_of(member.name)), images, labels)
        findings = culpable(report, force=True)
        _keep(path, {"verdict": report.verdict, "findings": [each.to_json() for each in findings]})
    record = json.loads(path.read_text(encoding="utf-8"))
    return [Finding.from_json(each) for each in record["findings"]]


def truth(network: Network, backdoors: Sequence[Poisoning], images: Tensor, labels: Tensor) -> tuple[float, ...]:
    """Clean accuracy; the greatest success rate of the true triggers, and the least robust accuracy under them."""
    rates = [clean_accuracy(network(images).argmax(1), labels)]
    answers = []
    for each in backdoors:
        said, targets = network(each.trigger.apply(images)).argmax(1), each.targets(len(network.class_names))
        answers.append((attack_success_rate(said, labels, targets), robust_accuracy(said, labels, targets)))
    if answers:
        rates += [max(success for success, _ in answers), min(robust for _, robust in answers)]
    return tuple(rates)


def repaired(member: Member, method: str, count: int, data: Path) -> Measured:
    """One network through one method."""
    network = load(path_of(member.name))
    backdoors = [Poisoning.from_json(each.model_dump()) for each in read_card(path_of(member.name)).backdoors]
    images, labels, _, _, test, own = drawn(data, count)
    about = (member.name, member.part, member.architecture, member.attack, method, count)
    started = time.process_time()
    try:
        outcome = remove(network, images, labels, found(member, data), method, seed=SEED)
    except TrojanCamError as error:
        return Measured(*about, f"no repair: {error}")
    seconds = time.process_time() - started
    before = _rates("before", truth(network, backdoors, test, own))
    best = outcome.best
    if best is None:
        return Measured(*about, "not repaired", "", seconds=seconds, **before)
    after = _rates("after", truth(best.network, backdoors, test, own))
    back = _back(outcome, best.network, network, images, labels) if method == "ladder" else {}
    verdict = "repaired" if outcome.repaired else "not repaired"
    return Measured(*about, verdict, best.rung, seconds=seconds, **before, **after, **back)


def _rates(when: str, values: tuple[float, ...]) -> dict[str, float]:
    names = (f"accuracy_{when}", f"success_{when}", f"robust_{when}")
    return dict(zip(names, values, strict=False))


def _back(outcome: Outcome, fixed: Network, network: Network, images: Tensor, labels: Tensor) -> dict[str, float]:
    """How easily the recovered trigger works again."""
    ours, held_back, _ = split(suspect(network, images, labels))
    again = reactivation(
        fixed, outcome.culprits[0], Suspect(fixed, ours.images, ours.labels), Suspect(fixed, held_back.images, held_back.labels),
        SEED,
    )  # fmt: skip
    return {"relearned": again.relearned, "pushed": again.pushed}


def kept(member: str, method: str, count: int) -> Path:
    return cache_folder("zoo", "repairs") / f"{member}.{method}.{count}.json"


def _keep(path: Path, record: dict[str, Any]) -> None:
    with written_whole(path) as partial:  # a run that is killed leaves nothing half written, which the next would read
        partial.write_text(json.dumps(record), encoding="utf-8")


def measure(networks: Sequence[Member], methods: Sequence[str], count: int, data: Path) -> None:
    """Measure what is not kept: method by method, so that the first one is known of all networks first."""
    for method in methods:
        for member in networks:
            path = kept(member.name, method, count)
            if path.is_file() or not _formed(member):
                continue
            result = repaired(member, method, count, data)
            _keep(path, asdict(result))
            print(result, flush=True)


def _formed(member: Member) -> bool:
    """Whether a network is there and has the backdoors it should have."""
    return any(facts(member, card)["formed"] or not member.backdoors for _, card in grown([member]))


def all_kept() -> list[Measured]:
    """All that was measured, in the order of the zoo."""
    files = cache_folder("zoo", "repairs").glob("*.*.*.json")
    rows = [Measured(**json.loads(file.read_text(encoding="utf-8"))) for file in files if "findings" not in file.name]
    order = {member.name: place for place, member in enumerate(members())}
    return sorted(rows, key=lambda row: (list(REPAIRS).index(row.method), row.images, row.attack, order[row.member]))


OTHERS = """
The other methods have their authors' constants, but for `mm-bm`, whose rates are ours and which was not measured here yet. Where
constants came from networks with batch normalisation, steps that would diverge are shortened (see
`trojancam.removal.fine_tuning`). The judge and the accuracy budget of one point are the same for all. No rate after a repair (–)
means that no try stayed within the budget. The eight methods that fine-tune were first run on the two networks
to report by without that limit, and diverged on some; the limit was then chosen with a network to tune by and that of the tests.
"""
HEAD = f"""# Repairs, measured

A repair gets a network, clean test images, and what a scan of {SCANNED} other images found. It knows no true trigger, and its
judge knows none either. Here the true trigger of the model card is laid on up to {MEASURED} further images: attack success rate
(ASR) and robust accuracy, before and after. Of several backdoors the worst is told. Rates after a repair are those of its best
try, also where the judge did not pass it. Seconds are of one processor. Back: how often the recovered trigger works again after
ten poisoned images, and with a small push (see `trojancam.removal.reactivation`). Made by `python -m benchmarks.repairing`,
from networks of `benchmarks.zoo`; what is planted in them is said in [attacks.md](attacks.md). Networks of one parent are no
independent samples.
"""
PART_WORDS = {
    "tune": "Constants of the ladder and of the judge were chosen with these networks in sight.\n",
    "calibrate": "No constant was chosen by these networks.\n",
    "report": "No constant was chosen by these networks, and they were looked at once.\n",
}


def text(rows: Sequence[Measured]) -> str:
    """docs/repair.md."""
    reported = [row for row in rows if row.part == "report" and row.method == "ladder" and row.attack != "clean"]
    lines = [HEAD, *_in_short(reported), *([OTHERS] if any(row.method != "ladder" for row in rows) else [])]
    for part in PARTS:
        own = [row for row in rows if row.part == part]
        if own:
            lines += [f"\n## Networks to {part} by\n", PART_WORDS[part], *_table(own), *_summary(own)]
    lines += ["\n## What was not measured\n", *_missing(rows)]
    return "\n".join(lines).rstrip() + "\n"


def _in_short(rows: Sequence[Measured]) -> Iterator[str]:
    """What the ladder did to networks that nobody tuned it on, in a few sentences."""
    done = [row for row in rows if row.success_after is not None and row.repaired]
    if not done:
        return
    failed = ", ".join(f"{row.attack} of {row.architecture}" for row in rows if not row.repaired)
    yield f"Of {len(rows)} networks that nobody tuned it on, the ladder repairs {len(done)} by its judge; {_wrongly(done)}."
    rates, points = [row.success_after or 0.0 for row in done], [-100 * _lost(row) for row in done]
    yield f"Among these, the true ASR falls to {mean(rates):.1%} on average, {max(rates):.1%} at worst. The accuracy changes by"
    yield f"{mean(points):+.1f} points on average, {min(points):+.1f} at worst."
    if failed:
        yield f"Not repaired, and said so: {failed}."


def _wrongly(rows: Sequence[Measured]) -> str:
    count = sum(row.false_pass for row in rows)
    return f"{count or 'none'} of these {'has' if count < 2 else 'have'} a true ASR above {BAR:.0%}"


def _table(rows: Sequence[Measured]) -> Iterator[str]:
    yield "| attack | network | method | images a class | accuracy | true ASR | robust | judge | back: poison, push | s |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        rung = f" ({row.rung})" if row.rung not in ("", "once") else ""
        yield (
            f"| {row.attack} | {row.architecture} | {row.method} | {row.images} | "
            f"{_pair(row.accuracy_before, row.accuracy_after)} | {_pair(row.success_before, row.success_after)} | "
            f"{_pair(row.robust_before, row.robust_after)} | {row.verdict}{rung}{', **wrongly**' if row.false_pass else ''} | "
            f"{_share(row.relearned)}, {_share(row.pushed)} | {'–' if row.seconds is None else round(row.seconds)} |"
        )


def _summary(rows: Sequence[Measured]) -> Iterator[str]:
    yield "\n| method | images a class | networks | called repaired | wrongly | mean ASR after | mean points lost |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for method, images in dict.fromkeys((row.method, row.images) for row in rows):
        own = [row for row in rows if (row.method, row.images) == (method, images) and row.attack != "clean"]
        done = [row for row in own if row.success_after is not None]
        if not own:
            continue
        after = f"{mean(row.success_after or 0.0 for row in done):.1%}" if done else "–"
        lost = f"{100 * mean(_lost(row) for row in done):+.1f}" if done else "–"
        yield (
            f"| {method} | {images} | {len(own)} | {sum(row.repaired for row in own)} | {sum(row.false_pass for row in own)} | "
            f"{after} | {lost} |"
        )


def _lost(row: Measured) -> float:
    return (row.accuracy_before or 0.0) - (row.accuracy_after or 0.0)


def _missing(rows: Sequence[Measured]) -> Iterator[str]:
    """Methods and numbers of images that some networks of the table have and others have not."""
    there = {(row.member, row.method, row.images) for row in rows}
    names = list(dict.fromkeys(row.member for row in rows))
    for method in REPAIRS:
        for images in (2, 5, 10) if method == "ladder" else (5,):
            lacking = [name for name in names if (name, method, images) not in there]
            if lacking:
                many = f"{len(lacking)} of the {len(names)} networks" if len(lacking) < len(names) else "all networks"
                which = ", ".join(lacking) if len(lacking) <= FEW else many
                yield f"- `{method}` with {images} images a class: {which}."


def _pair(before: float | None, after: float | None) -> str:
    return f"{_share(before)} → {_share(after)}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def main() -> None:
    parser = options(__doc__, only="^$")
    parser.add_argument("--methods", default="ladder", help="names with commas between")
    parser.add_argument("--images", type=int, default=5, help="images of each class to repair with, at most 10")
    arguments = parser.parse_args()
    measure(chosen(arguments), arguments.methods.split(","), arguments.images, arguments.data)
    with written_whole(OUT) as partial:
        partial.write_text(text(all_kept()), encoding="utf-8")


if __name__ == "__main__":
    main()
