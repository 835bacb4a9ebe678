"""Cleaning of single images on the zoo: how many triggered ones get their true class back, and how many clean ones lose it.

    python -m benchmarks.cleaning --data PATH [--only REGEX] [--cache DIR] [--nets DIR]

measures `trojancam.defences.cleaned` at the places of the defence `contributions`, on the part of the zoo that nothing was
tuned on, and writes docs/cleaning.md. Squares and vote were chosen on networks of the `tune` part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.defending import CLEAN, FALSE_ALARMS, JUDGED, SEED, attacked, drawn, share
from benchmarks.markdown import table
from benchmarks.zoo.choosing import chosen, options
from benchmarks.zoo.growing import FORMED, path_of
from trojancam.defences import cleaned, learned
from trojancam.files import written_whole
from trojancam.formats.safetensors import read_card
from trojancam.opening.open import load

OUT = Path(__file__).parents[1] / "docs" / "cleaning.md"
LOCAL = "patch|moving-patch|transparent-patch|two-targets"  # what lies in one place of an image
COUNT = 150


@dataclass(frozen=True)
class Cleaned:
    """Of one network: triggered images, how many are suspicious and get their true class; clean ones, and how many lose it."""

    attack: str
    architecture: str
    triggered: int
    suspicious: int
    recovered: int
    clean: int
    harmed: int


def judged(name: Path, attack: str, architecture: str, data: Path) -> Cleaned:
    network = load(name)
    images, labels = drawn(data)
    sieve = learned(network, images[:CLEAN], ["contributions"], false_alarms=FALSE_ALARMS, seed=SEED)
    bad, true = attacked(network, name, data, COUNT)
    benign, own = images[CLEAN : CLEAN + JUDGED], labels[CLEAN : CLEAN + JUDGED]
    found, good = sieve(bad), sieve(benign)
    recovered = harmed = 0
    if found.places is not None and bool(found.suspicious.any()):
        after = cleaned(network, bad[found.suspicious], found.places[found.suspicious]).after
        recovered = int((after == true[found.suspicious]).sum())
    if good.places is not None and bool(good.suspicious.any()):
        tried = cleaned(network, benign[good.suspicious], good.places[good.suspicious])
        right = own[good.suspicious]
        harmed = int(((tried.before == right) & (tried.after != right)).sum())
    return Cleaned(attack, architecture, len(bad), int(found.suspicious.sum()), recovered, len(benign), harmed)


def text(rows: Sequence[Cleaned]) -> str:
    heads = ["attack", "network", "suspicious", "get their true class", "of the suspicious", "clean ones that lose it"]
    cells = [
        [
            each.attack,
            each.architecture,
            share(each.suspicious, each.triggered),
            share(each.recovered, each.triggered),
            share(each.recovered, each.suspicious),
            share(each.harmed, each.clean),
        ]
        for each in rows
    ]
    mean = sum(each.recovered / each.triggered for each in rows) / len(rows)
    kept = sum(each.recovered for each in rows) / max(1, sum(each.suspicious for each in rows))
    lost = sum(each.harmed / each.clean for each in rows) / len(rows)
    architectures = " and ".join(sorted({each.architecture for each in rows}))
    architectures = " and ".join(sorted({each.architecture for each in rows}))
    foot = (
        f"\nAll networks are of the architectures {architectures}. Mean: {mean:.1%} of triggered images get their true class "
        f"back, {kept:.1%} of those that are found; clean images lose {lost:.2%}."
    )
    return "\n".join([HEAD, *table(heads, cells), foot]) + "\n"


HEAD = f"""# Cleaning, measured

An image that the defence `contributions` finds suspicious is cleaned at the place that it gives
(`trojancam.defences.cleaned`), and the network is asked again. Networks are those of the zoo that nothing was chosen by, with
triggers that lie in one place of an image. The defence learned from {CLEAN} clean images, at {FALSE_ALARMS:.0%} false alarms.
Judged are up to {COUNT} triggered images that reach the attacker's class, and {JUDGED} clean ones. Intervals are Wilson's, of
95%, over images. Made by `python -m benchmarks.cleaning`.
"""


def main() -> None:
    parser = options(__doc__, only=f"^gtsrb-.*-({LOCAL})-")
    parser.set_defaults(part="report")
    parser.add_argument("--nets", type=Path, help="the folder of the networks, in place of the zoo's own")
    arguments = parser.parse_args()
    rows = []
    for member in chosen(arguments):
        path = path_of(member.name) if arguments.nets is None else arguments.nets / f"{member.name}.safetensors"
        if not member.backdoors or not path.is_file():
            continue
        if min(backdoor.attack_success_rate or 0.0 for backdoor in read_card(path).backdoors) >= FORMED:
            rows.append(judged(path, member.attack, member.architecture, arguments.data))
            print(rows[-1], flush=True)
    if rows:
        rows.sort(key=lambda row: (row.attack, row.architecture))
        with written_whole(OUT) as partial:
            partial.write_text(text(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
