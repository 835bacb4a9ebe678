"""Backdoors of a few classes: how often the search for them is right, and whether what it finds can be removed.

    python -m benchmarks.zoo.some_classes --data GTSRB --part report [--only REGEX] [--cache FOLDER]

scans the clean networks of 43 classes and those with a source-specific backdoor that are in the cache, on 200 test images. Those
of the part `report` that are called backdoored are repaired, with five images of a class. What was measured is kept in
`some_classes.json`, and docs/source-specific.md is written of all that is kept. True triggers are used here alone, to measure
rates.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from benchmarks.markdown import table
from benchmarks.zoo.choosing import chosen, options
from benchmarks.zoo.growing import FORMED, grown, path_of
from benchmarks.zoo.members import Member
from benchmarks.zoo.rates import share
from trojancam.attacks.poisoning import Poisoning
from trojancam.data import load_dataset
from trojancam.data.image_set import Dataset, ImageSet
from trojancam.detection.references import Reference
from trojancam.detection.scanning import scan
from trojancam.detection.some_classes import NAME
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.rates import attack_success_rate, clean_accuracy, leak_rate
from trojancam.tasks.repair import repair

OUT = Path(__file__).parents[2] / "docs" / "source-specific.md"
MEASURED = Path(__file__).with_name("some_classes.json")
IMAGES, SEED, OF_A_CLASS, MEASURED_ON = 200, 5, 5, 4000


@dataclass(frozen=True)
class Rates:
    """The clean accuracy of a network, its ASR over images of source classes, and its leak rate, over those of others."""

    accuracy: float
    asr: float
    leak: float


@dataclass(frozen=True)
class Row:
    """What was measured of a network: the strongest finding's verdict, class and counts, and rates before and after a repair."""

    name: str
    part: str
    attack: str
    trigger: str
    verdict: str
    right: bool
    score: float
    sent: int
    astray: float
    named: int
    seconds: float
    before: Rates
    repaired: str = ""
    after: Rates | None = None

    @property
    def formed(self) -> bool:
        """Whether there is a backdoor to find."""
        return self.before.asr >= FORMED


def measured(member: Member, whole: Dataset) -> Row:
    """One network: scanned, and, of the part `report`, repaired if a backdoor is found."""
    network = load(path_of(member.name))
    images, labels = whole.test.take(IMAGES, SEED, spread=True)
    begun = time.perf_counter()
    report = scan(network, images, labels, NAME, reference=Reference())
    seconds = time.perf_counter() - begun
    backdoor = member.backdoors[0] if member.backdoors else None
    first = report.findings[0] if report.findings else None
    sources = set(backdoor.sources) if backdoor else set()
    row = Row(
        name=member.name,
        part=member.part,
        attack=member.attack,
        trigger=getattr(backdoor.trigger, "name", "") if backdoor else "",
        verdict=report.verdict,
        right=backdoor is not None and first is not None and first.target_class == backdoor.target_class,
        score=report.score,
        sent=int(first.evidence["classes_turned"]) if first else 0,
        astray=first.evidence["classes_astray"] if first else 0.0,
        named=len(sources & {source for source, _ in first.class_map}) if first else 0,
        seconds=seconds,
        before=rates(network, backdoor, whole.test),
    )
    if report.verdict != "backdoor" or member.part != "report":
        return row
    ours = learning(whole.test)
    fixed = repair(network, ours.images, ours.labels, report)
    after = None if fixed.network is None else rates(fixed.network, backdoor, whole.test)
    return replace(row, repaired=fixed.ledger.verdict, after=after)


def learning(test: ImageSet) -> ImageSet:
    """Five images of each class to repair with."""
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(SEED))
    return test.select(torch.cat([order[test.labels[order] == label][:OF_A_CLASS] for label in test.labels.unique()]))


def rates(network: Network, backdoor: Poisoning | None, test: ImageSet) -> Rates:
    """On test images, with the true trigger."""
    images, labels = test.take(MEASURED_ON, SEED + 1)
    accuracy = clean_accuracy(network(images).argmax(1), labels)
    if backdoor is None:
        return Rates(accuracy, 0.0, 0.0)
    answers, targets = network(backdoor.trigger.apply(images)).argmax(1), backdoor.targets(len(network.class_names))
    return Rates(accuracy, attack_success_rate(answers, labels, targets), leak_rate(answers, labels, targets))


def page(rows: list[Row]) -> str:
    """docs/source-specific.md."""
    return "\n".join(_lines(rows)) + "\n"


def _lines(rows: list[Row]) -> Iterator[str]:
    report = [row for row in rows if row.part == "report"]
    clean = [row for row in report if row.attack == "clean"]
    yield "# Backdoors of a few classes, measured\n"
    for attack in ("nine-sources", "five-sources"):
        ours = [row for row in report if row.attack == attack and row.formed]
        hits = [row.verdict == "backdoor" and row.right for row in ours]
        yield (
            f"- Of backdoors of {attack.removesuffix('-sources')} classes the search finds {sum(hits)} of {len(hits)} with the "
            f"right class: {share(hits)}."
        )
    unformed = [row.name for row in report if row.attack != "clean" and not row.formed]
    if unformed:
        yield f"- Not counted, because the attack success rate is below {FORMED:.0%}: {', '.join(unformed)}."
    alarms = [row.verdict == "backdoor" for row in clean]
    yield f"- It calls {sum(alarms)} of {len(alarms)} clean networks backdoored: {share(alarms)}."
    tried = [row for row in report if row.repaired]
    for verdict in ("repaired", "not repaired"):
        rates_after = sorted(
            {f"{row.after.asr:.1%}" for row in tried if row.repaired == verdict and row.after}, key=_number
        )
        if rates_after:
            count = sum(row.repaired == verdict for row in tried)
            yield (
                f'- {count} of {len(tried)} repairs of what it found are called "{verdict}". Attack success rates are then '
                f"{', '.join(rates_after)}."
            )
    yield (
        "\nMade by `python -m benchmarks.zoo.some_classes --data GTSRB --part report`: networks with 43 classes, scanned on 200\n"
        "test images by `some-classes` alone, without reference networks. Intervals are 95 %. All constants were chosen on the\n"
        "networks of the part *tune* below. A repair learns from five images of a class. Rates are those of the true trigger,\n"
        "on 4,000 test images. The leak rate is the share of images of other classes that the trigger sends to the target.\n"
    )
    for part, title in (("report", "Report"), ("tune", "Tune")):
        yield f"## {title}\n"
        yield from table(HEADS, [_cells(row) for row in rows if row.part == part])
        yield ""


HEADS = [
    "network",
    "trigger",
    "verdict",
    "class",
    "score",
    "classes sent",
    "astray",
    "true sources among them",
    "accuracy",
    "ASR",
    "leak rate",
    "repair",
    "accuracy after",
    "ASR after",
    "seconds",
]


def _number(share: str) -> float:
    return float(share.rstrip("%"))


def _cells(row: Row) -> list[str]:
    after = row.after
    planted = row.attack != "clean"
    return [
        row.name,
        row.trigger,
        row.verdict,
        ("right" if row.right else "wrong") if planted else "",
        f"{row.score:.2f}",
        str(row.sent),
        f"{row.astray:g}",
        str(row.named) if planted else "",
        f"{row.before.accuracy:.1%}",
        f"{row.before.asr:.1%}" if planted else "",
        f"{row.before.leak:.1%}" if planted else "",
        row.repaired,
        "" if after is None else f"{after.accuracy:.1%}",
        "" if after is None else f"{after.asr:.1%}",
        f"{row.seconds:.0f}",
    ]


def main() -> None:
    arguments = options(__doc__).parse_args()
    torch.set_num_threads(1)
    whole = load_dataset(arguments.data)
    kept = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.is_file() else {}
    known = {name: _row(values) for name, values in kept.items()}
    asked = [each for each in chosen(arguments) if each.data.startswith("gtsrb") and _asked(each)]
    for member, _ in grown(asked):
        if member.name not in known:
            known[member.name] = measured(member, whole)
            lines = [f"{json.dumps(name)}: {json.dumps(asdict(row))}" for name, row in known.items()]
            MEASURED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
            print(_cells(known[member.name]), flush=True)
    OUT.write_text(page(list(known.values())), encoding="utf-8")


def _asked(member: Member) -> bool:
    """Whether it is a network of all classes, clean and well trained, or with a source-specific backdoor."""
    clean = member.attack == "clean" and member.quality == "well trained"
    return ":ten:" not in member.data and (clean or member.attack.endswith(("-sources", "-source")))


def _row(values: dict[str, object]) -> Row:
    after = values["after"]
    rates_of = {"before": Rates(**values["before"]), "after": None if after is None else Rates(**after)}  # type: ignore[arg-type]
    return Row(**{**values, **rates_of})  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
