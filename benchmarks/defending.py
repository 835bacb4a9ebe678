"""Defences on the zoo: how well each tells triggered images from clean ones, and what it costs.

    python -m benchmarks.defending --data PATH [--part report] [--methods contributions,strip] [--only REGEX] [--kept]

measures what was not measured yet, network by network, and writes docs/defences.md; with `--kept`, of what was measured before
alone. Only here is the truth, which model cards tell, held beside what a defence says. Settings are those of the package; none
was chosen on a network of the part `report`. `benchmarks.cleaning` measures how often cleaning helps.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from benchmarks.markdown import table
from benchmarks.repairing import found
from benchmarks.zoo.choosing import chosen, options
from benchmarks.zoo.data_sets import is_of_objects
from benchmarks.zoo.growing import FORMED, path_of
from benchmarks.zoo.members import PARTS, Member
from trojancam.attacks.poisoning import Poisoning
from trojancam.data import load_dataset
from trojancam.defences import DEFENCES, learned
from trojancam.errors import ModelError
from trojancam.evaluation.statistics import share_interval
from trojancam.files import cache_folder, written_whole
from trojancam.formats.safetensors import read_card
from trojancam.network.network import Network
from trojancam.opening.open import load

OUT = Path(__file__).parents[1] / "docs" / "defences.md"
CLEAN, JUDGED = (
    1000,
    300,
)  # images to learn from and to set the threshold by; clean ones, and triggered ones, to judge by
SLOW = ("strip", "sentinet", "cognitive-distillation", "teco")  # a hundred runs an image: learnt and judged on fewer
BY_TRIGGER = ("input-filter",)  # looks for triggers that a scan of other images recovered, of whatever certainty
SLOW_CLEAN, SLOW_JUDGED = 200, 60
FALSE_ALARMS, SEED, LEVEL = 0.01, 11, 0.95
CLEAN_LABEL = 0.5  # the least attack success rate of a backdoor with true labels, which hardly any network learns well


@dataclass(frozen=True)
class Judgement:
    """What a defence does on one network: of clean images and of triggered ones that reach their target, by the truth."""

    member: str
    part: str
    architecture: str
    attack: str
    method: str
    clean: int
    triggered: int
    auroc: float
    false_alarms: int
    true_alarms: int
    runs: float  # the time of one image in forward runs


def auroc(clean: Float[Tensor, " n"], triggered: Float[Tensor, " m"]) -> float:
    """How often a triggered image has the higher score, ties counted as half (Mann and Whitney)."""
    ranks = stats.rankdata(torch.cat([clean, triggered]).double().numpy())
    n, m = len(clean), len(triggered)
    return float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))


def auroc_interval(value: float, clean: int, triggered: int) -> tuple[float, float]:
    """By Hanley and McNeil (1982), on the scale of the logit, so that it stays in [0, 1]; of 0 and 1 by a rule of three."""
    if value in (0.0, 1.0):
        width = min(1.0, 3 / min(clean, triggered))
        return (1 - width, 1.0) if value else (0.0, width)
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + (triggered - 1) * (q1 - value**2) + (clean - 1) * (q2 - value**2)
    error = math.sqrt(max(spread, 0.25 / max(clean, triggered)) / (clean * triggered))
    near = min(max(value, 1e-4), 1 - 1e-4)
    logit, width = math.log(near / (1 - near)), stats.norm.ppf((1 + LEVEL) / 2) * error / (near * (1 - near))
    low, high = (1 / (1 + math.exp(-max(min(x, 700), -700))) for x in (logit - width, logit + width))
    return min(low, value), max(high, value)


def share(successes: int, trials: int) -> str:
    """A share with its interval (Wilson), and of how many."""
    if not trials:
        return "–"
    low, high = share_interval(successes, trials, "wilson", LEVEL)
    return f"{successes / trials:.3f} [{low:.2f}, {high:.2f}]"


@cache
def drawn(data: Path) -> tuple[Tensor, Tensor]:
    """Test images: to learn from, clean ones to judge by, and those that triggers are laid on."""
    images, labels = load_dataset(data, training=False).test.take(CLEAN + 2 * JUDGED + 1000, SEED)
    return images, labels


def attacked(network: Network, model: Path, data: Path, count: int) -> tuple[Tensor, Tensor]:
    """Triggered images that reach the attacker's class, at most so many, by the card of the model; and their true classes."""
    poisoning = Poisoning.from_json(read_card(model).backdoors[0].model_dump())
    images, labels = (each[CLEAN + JUDGED :] for each in drawn(data))
    targets = poisoning.targets(len(network.class_names))[labels]
    victims = targets >= 0
    bad = poisoning.trigger.apply(images[victims])
    reached = network(bad).argmax(1) == targets[victims]
    return bad[reached][:count], labels[victims][reached][:count]


def judged(member: Member, method: str, data: Path) -> Judgement:
    """What a defence does on one network."""
    network, (images, _) = load(path_of(member.name)), drawn(data)
    clean, count = (SLOW_CLEAN, SLOW_JUDGED) if method in SLOW else (CLEAN, JUDGED)
    recovered = tuple(each.trigger for each in found(member, data)[1] if each.trigger) if method in BY_TRIGGER else ()
    sieve = learned(network, images[:clean], [method], triggers=recovered, false_alarms=FALSE_ALARMS, seed=SEED)
    benign = images[CLEAN : CLEAN + count]
    bad, _ = attacked(network, path_of(member.name), data, count)
    started = time.process_time()
    good = sieve(benign)
    seconds = time.process_time() - started
    triggered = sieve(bad)
    scores = good.by_method[method].scores, triggered.by_method[method].scores
    return Judgement(
        member.name, member.part, member.architecture, member.attack, method, len(benign), len(bad), auroc(*scores),
        int(good.suspicious.sum()), int(triggered.suspicious.sum()), seconds / _forward(network, benign),
    )  # fmt: skip


def _forward(network: Network, images: Tensor) -> float:
    """Seconds of a forward run of these images: the fastest of three."""
    times = []
    for _ in range(3):
        started = time.process_time()
        network(images)
        times.append(time.process_time() - started)
    return min(times)


def kept(member: Member, method: str) -> Path:
    """Where a judgement is kept; other code or another network has another place."""
    code = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(Path(_defences()).glob("*.py")))).hexdigest()[
        :12
    ]
    weights = hashlib.sha256(path_of(member.name).read_bytes()).hexdigest()[:12]
    return cache_folder("zoo", "defences") / f"{member.name}.{method}.{weights}.{code}.json"


def _defences() -> str:
    import trojancam.defences

    return trojancam.defences.__path__[0]


def measure(chosen: Sequence[Member], methods: Sequence[str], data: Path, only_kept: bool) -> list[Judgement]:
    """The judgements of these members, those that are kept and, unless `only_kept`, those that are made now."""
    found = []
    for member in chosen:
        if not path_of(member.name).is_file():
            continue
        rates = [backdoor.attack_success_rate or 0.0 for backdoor in read_card(path_of(member.name)).backdoors]
        if not rates or min(rates) < (CLEAN_LABEL if member.attack == "clean-label" else FORMED):
            continue
        for method in methods:
            path = kept(member, method)
            if only_kept and not path.is_file():
                continue
            if not path.is_file():
                try:
                    judgement = judged(member, method, data)
                except ModelError as error:  # a method that cannot work with this architecture
                    print(f"{member.name}, {method}: {error}", flush=True)
                    continue
                path.write_text(json.dumps(asdict(judgement)), encoding="utf-8")
                print(judgement, flush=True)
            found.append(Judgement(**json.loads(path.read_text(encoding="utf-8"))))
    return found


def text(found: Sequence[Judgement], declared: Sequence[Member]) -> str:
    """docs/defences.md; `declared` are the trojaned networks that were chosen, there or not."""
    report = [each for each in found if each.part == "report"]
    said = (*_in_short(report), _left_out(report, declared)) if report else ()
    lines = ["# Defences, measured\n", *said, HEAD]
    for part in PARTS:
        rows = [each for each in found if each.part == part]
        if rows:
            tables = ((*_by_attack(rows), ""), (*_by_method(rows), ""), (*_table(rows), ""))
            lines += [f"## Networks to {part} by\n", PART_WORDS[part], *(line for each in tables for line in each)]
    return "\n".join(lines).rstrip() + "\n"


PART_WORDS = {
    "tune": "`contributions` was improved by 11 of these networks; no other setting was chosen by them.\n",
    "calibrate": "No setting was chosen by these networks.\n",
    "report": "No setting was chosen by these networks. The slow methods were asked on some of them.\n",
}
HEAD = f"""
Which images bear a trigger? First comes the mean AUROC of each method by attack, with the number of networks; then the means
over all networks of a method, and then each network.

Each defence learns from {CLEAN} clean test images, half of which set its threshold at
{FALSE_ALARMS:.0%} false alarms; those that run a network a hundred times an image ({", ".join(SLOW)}) from {SLOW_CLEAN}. It is
judged by {JUDGED} ({SLOW_JUDGED}) other clean images and up to as many triggered ones that reach the attacker's class. It knows
no label, no model card and no trigger; `input-filter` knows what a scan recovered, also where that found nothing. AUROC: how
often a triggered image scores higher than a clean one. Cost: the time of an image in forward runs of the network.

Networks whose attack success rate is below {FORMED:.0%} are left out; below {CLEAN_LABEL:.0%} where the labels of poisoned
images stay (clean-label: stripes on images of the target class alone). Intervals are of {LEVEL:.0%}, over images: Hanley and
McNeil's for AUROC, Wilson's for shares. Networks of one parent are no independent samples. Made by
`python -m benchmarks.defending`, from networks of `benchmarks.zoo`; what is planted in them is said in
[attacks.md](attacks.md). How often cleaning gives an image its class back
is in [cleaning.md](cleaning.md).

Settings of `contributions` were chosen by networks of the part *tune* of the zoo, last by 11 of seven attacks and two
architectures, with the same test images as here: the networks are others, the images are not. The other methods have their
authors' settings.

What to expect: STRIP, SCALE-UP and cognitive distillation rest on a trigger that decides the class whatever else is in the
image. They cannot find one that works in images of some classes only (nine-sources, five-sources, one-source): laid over with
another image, such an image is no longer one of its source class. A warp or a change of tone moves the same feature maps as
clean images do, so that all defences find them less often than a patch.

IBD-PSC needs batch normalisation; weight scaling stands in for it elsewhere. It amplifies weights and biases of the last layers
before the logits instead, by a factor that grows until most clean images change their class: without a normalisation, small
biases are all that an even factor shifts.
"""


def _table(rows: Sequence[Judgement]) -> Iterator[str]:
    yield "| attack | network | method | AUROC | true alarms | false alarms | n clean, triggered | cost |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for each in sorted(rows, key=lambda row: (row.attack, row.architecture, -row.auroc)):
        low, high = auroc_interval(each.auroc, each.clean, each.triggered)
        yield (
            f"| {each.attack} | {each.architecture} | {each.method} | {each.auroc:.3f} [{low:.3f}, {high:.3f}] | "
            f"{share(each.true_alarms, each.triggered)} | {share(each.false_alarms, each.clean)} | "
            f"{each.clean}, {each.triggered} | {each.runs:.1f} |"
        )


def _in_short(rows: Sequence[Judgement]) -> Iterator[str]:
    """What the tables say of the networks to report by: the method that is best on average, and where another is better."""
    methods, attacks = sorted({each.method for each in rows}), sorted({each.attack for each in rows})
    own_rows = {method: [each for each in rows if each.method == method] for method in methods}
    best = max(methods, key=lambda method: _mean_auroc(own_rows[method]))
    own = own_rows[best]
    true, false = _alarms(own)
    yield (
        f"- `{best}` tells triggered images from clean ones best: mean AUROC {_mean_auroc(own):.3f} over {len(own)} networks, "
        f"{min(each.auroc for each in own):.3f} at least."
    )
    if {"patch", "transparent-patch"} <= {each.attack for each in own}:
        clear, faint = (_mean_auroc(_of(own, attack)) for attack in ("patch", "transparent-patch"))
        yield f"- On clear patches its mean AUROC is {clear:.3f}, on transparent ones {faint:.3f}."
    yield (
        f"- At a threshold for {FALSE_ALARMS:.0%} false alarms it finds {true:.0%} of the triggered images; {false:.1%} of the "
        "clean ones are suspicious."
    )
    better = [
        f"{attack} ({method})"
        for attack in attacks
        for method in methods
        if _is_better(_of(own_rows[method], attack), _of(own, attack))
    ]
    yield (
        "- On the networks that both were asked on, another method has a higher mean AUROC for: "
        f"{', '.join(better) or 'no attack'}."
    )


def _of(rows: Sequence[Judgement], attack: str) -> list[Judgement]:
    return [each for each in rows if each.attack == attack]


def _mean_auroc(rows: Sequence[Judgement]) -> float:
    return sum(each.auroc for each in rows) / len(rows)


def _alarms(rows: Sequence[Judgement]) -> tuple[float, float]:
    """The mean shares of true alarms and of false ones."""
    true = sum(each.true_alarms / each.triggered for each in rows) / len(rows)
    return true, sum(each.false_alarms / each.clean for each in rows) / len(rows)


def _is_better(rows: Sequence[Judgement], others: Sequence[Judgement]) -> bool:
    """Whether a method has a higher mean AUROC than another one on the networks that both were asked on."""
    both = {each.member for each in rows} & {each.member for each in others}
    if not both:
        return False
    first, second = ([each for each in some if each.member in both] for some in (rows, others))
    return _mean_auroc(first) > _mean_auroc(second)


def _left_out(rows: Sequence[Judgement], declared: Sequence[Member]) -> str:
    """How many networks of the part to report by are told of here, and why the others are not."""
    ours = [each for each in declared if each.part == "report"]
    there = sum(path_of(each.name).is_file() for each in ours)
    measured = len({each.member for each in rows})
    architectures = " and ".join(sorted({each.architecture for each in rows}))
    return (
        f"- Told of are {measured} of {len(ours)} trojaned networks that the zoo declares for this part, all of them\n"
        f"  {architectures}. {len(ours) - there} were not trained, and of {there - measured} the backdoor did not form."
    )


def _by_attack(rows: Sequence[Judgement]) -> Iterator[str]:
    """The mean AUROC of each method, by attack, and on how many networks."""
    methods = list(dict.fromkeys(each.method for each in rows))
    cells = []
    for attack in sorted({each.attack for each in rows}):
        by_method = ([each for each in _of(rows, attack) if each.method == method] for method in methods)
        cells.append([attack, *(f"{_mean_auroc(own):.3f} ({len(own)})" if own else "–" for own in by_method)])
    yield from table(["mean AUROC", *methods], cells)


def _by_method(rows: Sequence[Judgement]) -> Iterator[str]:
    """Means over all networks that a method was asked on."""
    cells = []
    for method in dict.fromkeys(each.method for each in rows):
        own = [each for each in rows if each.method == method]
        least, shares = min(each.auroc for each in own), _alarms(own)
        cells.append([method, str(len(own)), *(f"{value:.3f}" for value in (_mean_auroc(own), least, *shares))])
    yield from table(
        ["method", "networks", "mean AUROC", "least AUROC", "mean true alarms", "mean false alarms"], cells
    )


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--methods", default=",".join(DEFENCES), help="names with commas between")
    parser.add_argument("--kept", action="store_true", help="measure nothing: write the page of what was measured")
    arguments = parser.parse_args()
    trojaned = [
        each for each in chosen(arguments) if each.backdoors and not is_of_objects(each.data)
    ]  # signs alone are drawn
    found = measure(trojaned, arguments.methods.split(","), arguments.data, arguments.kept)
    if not found:
        raise SystemExit(f"nothing was measured, so {OUT.name} stays as it is; measure without --kept")
    with written_whole(OUT) as partial:
        partial.write_text(text(found, trojaned), encoding="utf-8")


if __name__ == "__main__":
    main()
