"""The page of the zoo: docs/zoo.md and its picture, from what is kept of the scans of the part `report`.

    python -m benchmarks.zoo.page

What each method said is kept in `measured.json`, too: a network that the cache no longer holds is told of as it was measured.
Verdicts follow from the kept scores, the methods' thresholds and the reference networks, as in any scan. Only here is what a scan
says compared with what was planted.
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.markdown import table
from benchmarks.zoo.choosing import matching
from benchmarks.zoo.growing import FORMED
from benchmarks.zoo.members import PARTS, Member, Part
from benchmarks.zoo.rates import auroc, share
from benchmarks.zoo.scanned import SCANNED, Said, Scanned, scanned
from trojancam import detection
from trojancam.detection import DETECTORS
from trojancam.detection.accuracy import CleanAccuracy
from trojancam.detection.judgement import RANKED, Judgement, Opinion, Verdict, judged, opinion, verdict_of
from trojancam.detection.references import own_reference
from trojancam.detection.scanning import DEFAULT_METHODS
from trojancam.detection.track_record import Counted, TrackRecord

OUT = Path(__file__).parents[2] / "docs" / "zoo.md"
MEASURED = Path(__file__).with_name("measured.json")
PICTURE = "zoo-p-values.png"
RECORD = Path(detection.__file__).parent / "reference" / "track-record.json"
RATES = (0.01, 0.05)  # of false alarms
WELL = "well trained"


@dataclass(frozen=True)
class Answer:
    """What a scan says of a network of the zoo, beside what is true."""

    network: Scanned
    verdict: Verdict
    judgement: Judgement
    opinions: dict[str, Opinion]

    @property
    def clean(self) -> bool:
        """Whether nothing was planted."""
        return self.network.member.attack == "clean"

    @property
    def strength(self) -> float:
        """The greatest score of the deciding methods, in units of their thresholds."""
        return max(each.strength for each in self.opinions.values())

    @property
    def first(self) -> Said:
        """What the method says whose score is the greatest, in units of its threshold."""
        return self.network.said[max(self.opinions, key=lambda name: self.opinions[name].strength)]

    @property
    def right(self) -> bool:
        """Whether the strongest finding names a class that was planted; of all-to-all, at least half of its map."""
        truth = self.network.member.backdoors
        if truth[0].target_class is None:
            expected = truth[0].permutation or [*range(1, self.network.classes), 0]
            pairs = self.first.class_map
            return bool(pairs) and sum(expected[own] == target for own, target in pairs) >= len(pairs) / 2
        return self.first.target in [each.target_class for each in truth]

    @property
    def hit(self) -> bool:
        """Called a backdoor, with the right class."""
        return self.verdict == "backdoor" and self.right


def answer(network: Scanned) -> Answer:
    """The verdict of the usual scan, as `trojancam.scan` comes to it."""
    reference = own_reference()
    names = [name for name in DEFAULT_METHODS if name in network.said and not network.said[name].problem]
    settings = {name: DETECTORS[name].settings for name in names}
    nulls = {name: reference.null(name, settings[name], network.classes, network.fingerprint) for name in names}
    opinions = {
        name: opinion(
            verdict_of(network.said[name].score, known.inconclusive, known.backdoor),
            network.said[name].score,
            known.backdoor,
            nulls[name],
            decides=True,
        )
        for name, known in settings.items()
        if known is not None
    }
    verdict, judgement = judged(opinions, nulls, network.accuracy)
    return Answer(network, verdict, judgement, opinions)


def threshold(clean: Sequence[float], rate: float) -> float:
    """The least strength that at most this share of the clean networks reaches, and is just above one that does.

    >>> threshold([0.1, 0.2, 0.3, 0.4], 0.25)
    0.3
    """
    ranked = sorted(clean, reverse=True)
    return ranked[math.floor(rate * len(ranked))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--part", choices=PARTS, default="report")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    now = [each for each in scanned(matching(arguments.part), SCANNED, None) if set(DEFAULT_METHODS) <= set(each.said)]
    known = _with_earlier(now, matching(arguments.part))
    if not known:
        parser.error("there are no scans of this part of the zoo; make some with benchmarks.zoo.scanned")
    answers = [answer(each) for each in known]
    planted = [each for each in answers if each.clean or each.network.truth["formed"]]
    failed = [each for each in answers if each not in planted]
    write(planted, failed, arguments.part, arguments.out)
    if arguments.part == "report" and arguments.out == OUT:
        _keep(known)
        RECORD.write_text(json.dumps(track_record(planted).model_dump(), indent=1) + "\n", encoding="utf-8")


def _with_earlier(now: Sequence[Scanned], declared: Sequence[Member]) -> list[Scanned]:
    """These networks, and those of the declared ones that were measured earlier, in the order of their declaration."""
    kept = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.is_file() else {}
    found = {each.member.name: each for each in now}
    earlier = {
        each.name: _read(each, kept[each.name]) for each in declared if each.name in kept and each.name not in found
    }
    known = found | earlier
    return [known[each.name] for each in declared if each.name in known]


def _read(member: Member, kept: dict[str, Any]) -> Scanned:
    said = {name: Said(**each) for name, each in kept["said"].items()}
    return Scanned(member, kept["truth"], kept["fingerprint"], kept["classes"], CleanAccuracy(**kept["accuracy"]), said)


def _keep(known: Sequence[Scanned]) -> None:
    """Write down what was measured, network by network, without the declaration, which is in `members`."""
    networks = {
        each.member.name: {name: value for name, value in asdict(each).items() if name != "member"} for each in known
    }
    lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in networks.items()]
    MEASURED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def track_record(answers: Sequence[Answer]) -> TrackRecord:
    """What a scan tells people of how often scans were right."""
    trojaned = [each for each in answers if not each.clean]
    clean = [each for each in answers if each.clean and each.verdict != "not judged"]
    kinds = dict.fromkeys(each.network.member.attack for each in trojaned)
    hits = {kind: [each.hit for each in trojaned if each.network.member.attack == kind] for kind in kinds}

    def counted(verdict: Verdict) -> Counted:
        return Counted(count=sum(each.verdict == verdict for each in clean), of=len(clean))

    return TrackRecord(
        methods=DEFAULT_METHODS,
        found={kind: Counted(count=sum(found), of=len(found)) for kind, found in hits.items()},
        alarms=counted("backdoor"),
        doubts=counted("inconclusive"),
    )


def write(answers: Sequence[Answer], failed: Sequence[Answer], of: Part, out: Path) -> None:
    """The page, and its picture beside it."""
    clean = [each for each in answers if each.clean]
    trojaned = [each for each in answers if not each.clean]
    judged_clean = [each for each in clean if each.verdict != "not judged"]
    picture(judged_clean, out.with_name(PICTURE))
    text = [
        "# The zoo: how often a scan is right\n",
        *_summary(clean, judged_clean, trojaned),
        f"\nMade by `python -m benchmarks.zoo.page --part {of}`, of networks that `python -m benchmarks.zoo` trained and",
        "`python -m benchmarks.zoo.scanned` scanned on 100 test images with one thread. Settings, thresholds and reference",
        "networks come from other parts of the zoo. Intervals are 95 %. A backdoor counts as found if the verdict is",
        '"evidence of a backdoor", and the strongest finding names a class that was planted. Of an all-to-all backdoor it must',
        "name at least half of the map.",
        "Not all of these networks are fresh: an earlier version of the scan had missed the stripes of number 2 before the",
        "search for stripes was written. Its constants were chosen on other networks. Trojaned networks of 43 classes and",
        "number 5, and all of ten classes, were scanned for the first time after all thresholds were fixed.\n",
        f"The zoo declares {len(matching(of))} networks of this part; {len(answers) + len(failed)} are told of here.",
        f"{sum(not each.network.fingerprint for each in (*answers, *failed))} of these were scanned by an earlier version: their",
        "scores are known to two decimals. They are of 43 classes, of which both versions make the scores alike. Left out are",
        "four more of 43 classes whose backdoor did not form, and networks of ten classes that the search among few classes was",
        "chosen by.\n",
        "## By attack\n",
        *_table("attack", trojaned, judged_clean, lambda each: each.network.member.attack),
        "\n## By architecture and number of classes\n",
        *_table("networks", trojaned, judged_clean, _kind),
        "\n## Clean networks\n",
        *_clean_table(clean),
        "\n## p-values of clean networks\n",
        f"![p-values of clean networks against those of a uniform distribution]({PICTURE})\n",
        "An honest p-value of a clean network is uniform or larger: its points lie on the line or above it.\n",
        *_below(judged_clean),
        "## What is missed, and what is suspected wrongly\n",
        *_doubted(trojaned, clean),
        "\n## Seconds\n",
        *_seconds(answers),
        "\n## Every network\n",
        *_every([*trojaned, *clean]),
        *_failed(failed),
    ]
    out.write_text("\n".join(text) + "\n", encoding="utf-8")


def _summary(clean: Sequence[Answer], judged_clean: Sequence[Answer], trojaned: Sequence[Answer]) -> list[str]:
    alarms = [each.verdict == "backdoor" for each in judged_clean]
    hits = [each.hit for each in trojaned]
    refused = len(clean) - len(judged_clean)
    strengths = [each.strength for each in judged_clean], [each.strength for each in trojaned]
    count, least = len(alarms), 1 / max(1, len(alarms))
    return [
        f"- A scan finds {sum(hits)} of {len(hits)} planted backdoors with the right class: {share(hits)}.",
        f"- It calls {sum(alarms)} of {count} clean networks backdoored: {share(alarms)}. It does not judge {refused} more.",
        *(
            _of_classes(number, judged_clean, trojaned)
            for number in sorted({each.network.classes for each in trojaned})
        ),
        f"- AUROC, of the greatest score in units of its threshold: {auroc(*strengths)}.",
        f"- With {count} clean networks, a rate of false alarms below {least:.0%} cannot be told from none.",
    ]


def _of_classes(number: int, clean: Sequence[Answer], trojaned: Sequence[Answer]) -> str:
    hits = [each.hit for each in trojaned if each.network.classes == number]
    alarms = [each.verdict == "backdoor" for each in clean if each.network.classes == number]
    return (
        f"- Of {number} classes alone, it finds {sum(hits)} of {len(hits)}, and calls {sum(alarms)} of {len(alarms)} clean "
        "networks backdoored."
    )


def _table(title: str, trojaned: Sequence[Answer], clean: Sequence[Answer], key: Callable[[Answer], str]) -> list[str]:
    strengths = [each.strength for each in clean]
    at_rates = [f"found at {rate:.0%} false alarms" for rate in RATES]
    heads = [title, "number", "found, right class", "called backdoor", "inconclusive", *at_rates, "AUROC"]
    lines = []
    for name in dict.fromkeys(key(each) for each in trojaned):
        ours = [each for each in trojaned if key(each) == name]
        lines.append(
            [
                name,
                str(len(ours)),
                str(share([each.hit for each in ours])),
                str(share([each.verdict == "backdoor" for each in ours])),
                str(sum(each.verdict == "inconclusive" for each in ours)),
                *(
                    str(share([each.strength > threshold(strengths, rate) and each.right for each in ours]))
                    for rate in RATES
                ),
                str(auroc(strengths, [each.strength for each in ours])),
            ]
        )
    return table(heads, lines)


def _kind(answered: Answer) -> str:
    return f"{answered.network.member.architecture}, {answered.network.classes} classes"


def _clean_table(clean: Sequence[Answer]) -> list[str]:
    lines = []
    for quality in dict.fromkeys(each.network.member.quality for each in clean):
        ours = [each for each in clean if each.network.member.quality == quality]
        accuracies = [each.network.accuracy.value for each in ours]
        lines.append(
            [
                quality,
                str(len(ours)),
                f"{min(accuracies):.2f} to {max(accuracies):.2f}",
                *(str(sum(each.verdict == verdict for each in ours)) for verdict in RANKED),
            ]
        )
    return table(["quality", "networks", "accuracy", *RANKED], lines)


def _doubted(trojaned: Sequence[Answer], clean: Sequence[Answer]) -> list[str]:
    missed = [
        f"- {each.network.member.name}: {each.verdict}"
        + ("" if each.right else f", the strongest finding ({each.first.method}) names another class")
        + f"; {_scores(each)}."
        for each in trojaned
        if not each.hit
    ]
    suspected = [
        f"- {each.network.member.name}, clean: {each.verdict}; {_scores(each)}."
        for each in clean
        if each.verdict in ("backdoor", "inconclusive")
    ]
    return [*missed, *suspected] or ["- Nothing."]


def _scores(answered: Answer) -> str:
    return ", ".join(f"{name} {each.score:.2f} of {each.threshold:g}" for name, each in answered.opinions.items())


def _seconds(answers: Sequence[Answer]) -> list[str]:
    lines = []
    for name in dict.fromkeys(_kind(each) for each in answers):
        ours = [each.network for each in answers if _kind(each) == name]
        seconds = {method: [each.said[method].seconds for each in ours if method in each.said] for method in SCANNED}
        cells = [f"{float(np.median(taken)):.0f}" if taken else "" for taken in seconds.values()]
        lines.append([name, str(len(ours)), *cells])
    return [
        "Medians, one thread, on a machine that did other things too.\n",
        *table(["networks", "number", *SCANNED], lines),
    ]


def _every(answers: Sequence[Answer]) -> list[str]:
    heads = ["network", "accuracy", "ASR", "verdict", "class", "p", *SCANNED]
    lines = []
    for each in answers:
        success = ", ".join(f"{rate:.2f}" for rate in each.network.rates)
        right = "" if each.clean else ("right" if each.right else "wrong")
        p = "" if each.judgement.p is None else f"{each.judgement.p:.2f}"
        scores = [f"{each.network.said[name].score:.2f}" if name in each.network.said else "" for name in SCANNED]
        name, accuracy = each.network.member.name, f"{each.network.accuracy.value:.2f}"
        lines.append([name, accuracy, success, each.verdict, right, p, *scores])
    return table(heads, lines)


def _failed(failed: Sequence[Answer]) -> list[str]:
    if not failed:
        return []
    lines = [
        [
            each.network.member.name,
            ", ".join(f"{rate:.2f}" for rate in each.network.rates),
            each.verdict,
            "right" if each.right else "wrong",
        ]
        for each in failed
    ]
    return [
        "\n## Backdoors that did not form\n",
        f"The attack success rate is below {FORMED}. They count nowhere above.\n",
        *table(["network", "ASR", "verdict", "class"], lines),
    ]


def _p_values(clean: Sequence[Answer]) -> dict[str, list[float]]:
    """The p-values of clean networks, sorted, by method and of all methods together."""
    by_method = {name: [each.opinions[name].p for each in clean if name in each.opinions] for name in DEFAULT_METHODS}
    by_method["all methods together"] = [each.judgement.p for each in clean]
    return {name: sorted(value for value in values if value is not None) for name, values in by_method.items()}


def _expected(count: int) -> list[float]:
    return [(place + 1) / (count + 1) for place in range(count)]


def _below(clean: Sequence[Answer]) -> list[str]:
    """Whose points lie below the line, by more than a tenth, in a sentence."""
    found = [
        name
        for name, ranked in _p_values(clean).items()
        if any(value < due - 0.1 for value, due in zip(ranked, _expected(len(ranked)), strict=True))
    ]
    if not found:
        return []
    return [f"Points of {', '.join(found)} lie below it by more than a tenth: these p-values are too small.\n"]


def picture(clean: Sequence[Answer], path: Path) -> None:
    """A Q-Q plot: the p-values of clean networks, by method and of all methods together, against uniform ones."""
    figure, axes = plt.subplots(figsize=(5, 4.2), layout="constrained")
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, label="uniform")
    for name, ranked in _p_values(clean).items():
        axes.plot(_expected(len(ranked)), ranked, "o-", markersize=3, linewidth=1, label=name)
    axes.set_xlabel("quantile of a uniform distribution")
    axes.set_ylabel("p-value of a clean network")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
