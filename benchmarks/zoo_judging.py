"""Judging detectors by the zoo: only here is a detector's answer compared with what was planted.

    python -m benchmarks.zoo_judging --data PATH --half report [--detectors stimulation,abs] [--worker 1/2] [--kept]

judges what was not judged yet (`--kept`: nothing); without a worker it then writes docs/zoo.md.
"""

import argparse
import hashlib
import json
import math
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

import trojancam.detection
from benchmarks.patch_zoo import CLASSES, SIZE, Member, members
from trojancam.attacks.poisoning import Poisoning
from trojancam.data import load_dataset
from trojancam.data.image_set import Dataset
from trojancam.detection import DETECTORS, Finding, scan
from trojancam.detection.findings import ScanReport
from trojancam.detection.success import reasr
from trojancam.files import cache_folder, written_whole
from trojancam.opening.open import load
from trojancam.training.recipe import cached_model

OUT = Path(__file__).parents[1] / "docs" / "zoo.md"
IMAGES, SEED = 100, 5
NEAR = 3  # pixels between a found place and the trigger's box
LEVEL, DRAWS = 0.95, 10_000


@dataclass(frozen=True)
class Judgement:
    """What a detector said of one network, beside what is true of it."""

    member: str
    half: str
    detector: str
    trojaned: bool
    attack_success_rate: float | None
    verdict: str
    score: float
    right_class: bool | None
    distance: float | None
    moves: bool | None
    trigger: str
    seconds: float


def kept_judgement(member: Member, detector: str) -> Judgement | None:
    """What a detector, as it is now, has said of a network already."""
    kept = _kept(member, detector)
    return Judgement(**json.loads(kept.read_text())) if kept.is_file() else None


def judge(member: Member, detector: str, dataset: Dataset) -> Judgement:
    """What a detector says of a network of the zoo, from the cache or scanned now."""
    known = kept_judgement(member, detector)
    if known is not None:
        return known
    path = cached_model(member.recipe, dataset)
    code = _code(detector)
    network = load(path)
    images, labels = dataset.test.take(IMAGES, seed=SEED)
    started = time.perf_counter()
    report = scan(network, images, labels, [detector], journal=cache_folder("scans", code, f"{path.stem}-{detector}"))
    seconds = time.perf_counter() - started
    success = network.card.training.attack_success_rate if network.card and network.card.training else None
    judgement = _judgement(member, detector, report, success, seconds)
    with written_whole(_kept(member, detector)) as partial:
        partial.write_text(json.dumps(asdict(judgement)))
    return judgement


def _kept(member: Member, detector: str) -> Path:
    return cache_folder("judgements", _code(detector)) / f"{member.name}-{detector}.json"


def _code(detector: str) -> str:
    """A name for a detector as it is now: what an older version said is not reported as this one's."""
    folder = Path(next(iter(trojancam.detection.__path__)))
    digest, waiting, seen = hashlib.sha256(), [DETECTORS[detector].detect.__module__.split(".")[-1]], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            text = (folder / f"{name}.py").read_text(encoding="utf-8")
            digest.update(text.encode())
            waiting += sorted(re.findall(r"^from trojancam\.detection\.(\w+) import", text, re.MULTILINE))
            seen.add(name)
    return digest.hexdigest()[:12]


def _judgement(member: Member, detector: str, report: ScanReport, success: float | None, seconds: float) -> Judgement:
    poisoning = member.recipe.poisoning
    first = report.findings[0] if report.findings else None
    right = poisoning is not None and first is not None and first.target_class == poisoning.target_class
    return Judgement(
        member=member.name,
        half=member.half,
        detector=detector,
        trojaned=poisoning is not None,
        attack_success_rate=success,
        verdict=report.verdict,
        score=report.score,
        right_class=right if poisoning else None,
        distance=_distance(first, poisoning) if poisoning and first else None,
        moves=first.moves if first else None,
        trigger=_in_words(poisoning),
        seconds=seconds,
    )


def _in_words(poisoning: Poisoning | None) -> str:
    if poisoning is None:
        return ""
    rows, columns = poisoning.trigger.place.nonzero().unbind(1)
    side, place = int(rows.max() - rows.min()) + 1, f"row {int(rows.min())}, column {int(columns.min())}"
    return f"{poisoning.trigger.name}, {side} px, opacity {poisoning.trigger.opacity:g}, {place}"


def _distance(finding: Finding, poisoning: Poisoning) -> float | None:
    """Pixels from the found place to the trigger's box, 0 inside, along the axis on which it is further away."""
    if finding.position is None:
        return None
    rows, columns = poisoning.trigger.place.nonzero().unbind(1)
    row, column = finding.position
    return max(
        float(rows.min()) - row,
        row - float(rows.max()),
        float(columns.min()) - column,
        column - float(columns.max()),
        0.0,
    )


@dataclass(frozen=True)
class Rate:
    """A number with its interval; `of` says over how many networks."""

    value: float
    low: float
    high: float
    of: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]" if self.of else "-"


def share(hits: Sequence[bool]) -> Rate:
    """A share with Wilson's score interval, which holds for few cases, too."""
    n, z = len(hits), 1.959964
    if not n:
        return Rate(math.nan, math.nan, math.nan, 0)
    p = sum(hits) / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (max(0.0, (centre + side * half) / (1 + z * z / n)) for side in (-1, 1))
    return Rate(p, low, high, n)


def auroc(clean: Sequence[float], trojaned: Sequence[float], seed: int = 0) -> Rate:
    """How often a trojaned network scores higher than a clean one (ties count half), with a bootstrap interval.

    Networks are drawn anew within each kind. A perfect separation has an interval of no width: with few networks that
    says little, so its lower end is that of a rule of three, `1 - 3 / (the smaller number of networks)`.
    """
    low, high = np.asarray(clean), np.asarray(trojaned)
    wins = (high[:, None] > low).astype(float) + 0.5 * (high[:, None] == low)
    generator = np.random.default_rng(seed)
    rows, columns = (generator.integers(0, count, (DRAWS, count)) for count in wins.shape)
    drawn = np.array([wins[np.ix_(row, column)].mean() for row, column in zip(rows, columns, strict=True)])
    tail = (1 - LEVEL) / 2
    value, least = float(wins.mean()), float(np.quantile(drawn, tail))
    if value == 1:
        least = 1 - 3 / min(wins.shape)
    return Rate(value, least, float(np.quantile(drawn, 1 - tail)), wins.size)


def bound(member: Member, dataset: Dataset) -> bool:
    """Whether a trojaned network answers to its own trigger, the true one, in its place only.

    It does if no move by a quarter of the image, up, down, to the left or to the right, leaves half of the success.
    """
    poisoning = member.recipe.poisoning
    if poisoning is None:
        return False
    kept = cache_folder("judgements", "bound") / f"{member.recipe.fingerprint(dataset)[:16]}.json"
    if not kept.is_file():
        network, (images, labels) = load(cached_model(member.recipe, dataset)), dataset.test.take(200, seed=SEED + 1)
        height, width = (side // 4 for side in SIZE)
        moves = [(0, 0), (0, width), (height, 0), (0, -width), (-height, 0)]
        moved = [poisoning.trigger.moved(*move) for move in moves]
        own, *rest = (reasr(network, trigger, images, labels, poisoning.target_class) for trigger in moved)
        with written_whole(kept) as partial:
            partial.write_text(json.dumps(max(rest) <= own / 2))
    return bool(json.loads(kept.read_text()))


def rows(judgements: Sequence[Judgement], in_place: Collection[str]) -> list[list[str]]:
    """One row of the table for each detector: what the issue of a scan's worth comes down to.

    `in_place` are the networks that answer to their trigger in its place only.
    """
    table = []
    for detector in dict.fromkeys(judgement.detector for judgement in judgements):
        ours = [judgement for judgement in judgements if judgement.detector == detector]
        clean = [judgement for judgement in ours if not judgement.trojaned]
        trojaned = [judgement for judgement in ours if judgement.trojaned]
        placed = [j for j in trojaned if j.member in in_place]
        still = [j for j in trojaned if not (j.moves and j.right_class)]
        table.append(
            [
                detector,
                str(len(ours)),
                str(auroc([j.score for j in clean], [j.score for j in trojaned])),
                str(share([bool(j.right_class) for j in trojaned])),
                str(share([j.verdict == "backdoor" and bool(j.right_class) for j in trojaned])),
                *(
                    str(share([j.distance is not None and j.distance <= NEAR for j in some]))
                    for some in (placed, still, trojaned)
                ),
                str(share([j.verdict == "backdoor" for j in clean])),
                f"{float(torch.tensor([j.seconds for j in ours]).median()):.0f}",
            ]
        )
    return table


def _near(judgement: Judgement) -> bool:
    return judgement.distance is not None and judgement.distance <= NEAR


HEAD = [
    "detector", "networks", "AUROC", "right class first", "called backdoor, right class", "place, bound triggers",
    "place, not said to move", "place, all", "clean called backdoor",
    "s",
]  # fmt: skip


def write(judgements: Sequence[Judgement], half: str, in_place: Collection[str]) -> None:
    """docs/zoo.md: the table, and every network's line."""
    trojaned = [judgement.attack_success_rate or 0.0 for judgement in judgements if judgement.trojaned]
    chance = ["chance", "", "0.50", f"{1 / CLASSES:.2f}", "", "", "", "", "", ""]
    text = [
        "# The zoo\n",
        f"Made by `python -m benchmarks.zoo_judging --data GTSRB --half {half}`: networks of five architectures trained on",
        "GTSRB, clean and trojaned with patches of varied size, place, colour, opacity, target and poison rate",
        "(`benchmarks/zoo.py`). Settings and thresholds were chosen on 40 other networks, before these were trained or looked",
        "at; the thresholds of ABS and Neural Cleanse are their authors'. Each detector is given the network and",
        f"{IMAGES} clean test images, and one thread; intervals are 95 %. A place is right within {NEAR} pixels of the trigger's",
        "box. Networks with global pooling answer to their trigger in other places, too, so places are counted three times: of",
        "the networks that do not answer to their true trigger a quarter of the image away (bound), of those of which the",
        "detector's own report does not say that the recovered trigger works there (not said to move), and of all. Attack",
        f"success rates of the trojaned networks run from {min(trojaned):.3f} to {max(trojaned):.3f}.\n",
        "Patches of saturated colours and checkerboards are also what the stimulation detector probes with how far a feature map",
        "can be driven; how it does on other patterns is not seen here.\n",
        _line(HEAD),
        _line(["---"] * len(HEAD)),
        *(_line(row) for row in [*rows(judgements, in_place), chance]),
        *_incomplete(judgements),
        *_doubted(judgements),
        "\n## Every network\n",
        _line(EACH),
        _line(["---"] * len(EACH)),
        *(_line(_each(judgement)) for judgement in judgements),
    ]
    OUT.write_text("\n".join(text) + "\n", encoding="utf-8")


def _incomplete(judgements: Sequence[Judgement]) -> list[str]:
    """Which detectors were not run on all networks, and on which they were."""
    every = dict.fromkeys(judgement.member for judgement in judgements)
    ran = {detector: [j.member for j in judgements if j.detector == detector] for detector in DETECTORS}
    return [
        f"\n{detector} was run on {len(names)} of the {len(every)} networks, for it takes long: {', '.join(names)}."
        for detector, names in ran.items()
        if 0 < len(names) < len(every)
    ]


def _doubted(judgements: Sequence[Judgement]) -> list[str]:
    """The trojaned networks that our own detector did not call so, with the right class, and the clean ones it suspects."""
    ours = [judgement for judgement in judgements if judgement.detector == next(iter(DETECTORS))]
    missed = [j for j in ours if j.trojaned and not (j.verdict == "backdoor" and j.right_class)]
    suspected = [j for j in ours if not j.trojaned and j.verdict != "nothing found"]
    lines = [f"- {j.member}, {j.trigger or 'clean'}: {j.verdict}, score {j.score:.2f}" for j in [*missed, *suspected]]
    return [
        "\nTrojaned networks that the stimulation detector misses, and clean ones that it suspects:\n",
        *(lines or ["- none"]),
    ]


EACH = ["detector", "network", "trigger", "verdict", "score", "class", "pixels from the box", "moves", "s"]


def _each(judgement: Judgement) -> list[str]:
    distance = "" if judgement.distance is None else f"{judgement.distance:.1f}"
    right = {True: "right", False: "wrong", None: ""}[judgement.right_class]
    moves = {True: "yes", False: "no", None: ""}[judgement.moves]
    numbers = f"{judgement.score:.2f}", right, distance, moves, f"{judgement.seconds:.0f}"
    return [judgement.detector, judgement.member, judgement.trigger, judgement.verdict, *numbers]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--half", choices=["tuning", "report"], required=True)
    parser.add_argument("--detectors", default=",".join(DETECTORS))
    parser.add_argument("--worker", help="such as 1/2: only this worker's share")
    parser.add_argument("--kept", action="store_true", help="judge nothing: write down what was judged already")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load_dataset(arguments.data)
    chosen = [member for member in members() if member.half == arguments.half]
    worker, workers = (int(part) for part in (arguments.worker or "1/1").split("/"))
    judgements = []
    for detector in arguments.detectors.split(","):
        for member in chosen[worker - 1 :: workers]:
            judgement = kept_judgement(member, detector) if arguments.kept else judge(member, detector, dataset)
            if judgement is not None:
                judgements.append(judgement)
                print(judgement, flush=True)
    if not arguments.worker:
        write(judgements, arguments.half, [member.name for member in chosen if bound(member, dataset)])


if __name__ == "__main__":
    main()
