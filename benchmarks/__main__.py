"""Run every benchmark and write docs/benchmarks.md; name some of `PARTS` to run only those."""

import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import torch

import trojancam
from benchmarks import (
    commands,
    exploring,
    peers,
    recording,
    scaling,
    scanning,
    sifting,
    stimulation,
    streaming,
    training,
)
from benchmarks.timing import Ratio
from trojancam import figures

OUT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main(wanted: list[str]) -> None:
    unknown = set(wanted).difference(PARTS)
    if unknown:
        raise SystemExit(f"there is no benchmark {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    sections = {name: part() for name, part in PARTS.items() if not wanted or name in wanted}
    text = "\n\n".join([_head(), *sections.values()]) + "\n"
    print(text)
    if not wanted:
        OUT.write_text(text, encoding="utf-8")


def _head() -> str:
    return (
        "# Benchmarks\n\nMade by `make bench`. Both sides of a ratio are timed in turns in one run; the quartiles of the\n"
        "pairwise ratios stand beside the median. Absolute times belong to the machine: "
        f"{platform.machine()}, {torch.get_num_threads()} threads,\nPython {platform.python_version()}, "
        f"torch {torch.__version__}, trojancam {trojancam.__version__}."
    )


def _recording() -> str:
    return (
        "## Recording\n\n`grad_cam(record(network, images))`: every layer, every feature map, "
        f"{recording.IMAGES} images, against one eager forward and one\n`autograd.grad` to the same activations "
        f"(bound: 1.25; all token layers of a transformer, {recording.OF_224_PIXELS} images: 1.3).\n\n"
        + _table("ours", "floor", recording.rows())
    )


def _streaming() -> str:
    return (
        f"## Streaming\n\n`stream` of {streaming.IMAGES:,} images to a file, the energy of each feature map of every layer, "
        f"against a bare loop over\nthe same batches that keeps its sums in memory (bound: 1.15); {streaming.PAIRS} pairs.\n\n"
        + _table("ours", "bare loop", streaming.rows())
    )


def _training() -> str:
    return (
        "## Training\n\nOne epoch of `train`, augmentation included, against a bare loop without any "
        "(bound: 1.11, which is 0.9 of its images/s).\n\n" + _table("ours", "bare loop", training.rows())
    )


def _peers() -> str:
    lines = [
        "## Peers\n",
        f"The same work on the same machine in the same run, theirs over ours, with {', '.join(_versions(peers.PACKAGES))}.",
        "Random weights. Bounds: captum 3 on five convolutions and 10 on twenty; grad-cam 1 for layer maps, 20 for ROAD, 3",
        "for the others.\n",
        "| work | package | theirs, ms | ours, ms | ratio | quartiles |",
        "|---|---|---|---|---|---|",
    ]
    for work, package, row in peers.rows():
        times = f"{row.ours * 1e3:,.0f} | {row.other * 1e3:,.0f}"
        lines.append(f"| {work} | {package} | {times} | {row.ratio:.1f} | {row.low:.1f} to {row.high:.1f} |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def _stimulation() -> str:
    lines = [
        "## Stimulation\n",
        f"Windows of single feature maps of {stimulation.ARCHITECTURE} on {stimulation.IMAGES} images: "
        "`stimulated_logits` against the whole network",
        f"with a hook that edits the layer ({stimulation.VARIANTS} stimulations; bound: 3 times, on average over the layers), "
        "and against",
        "the bare part after the layer, which is given as many rows at a time and no edit (bound: 0.8 of its speed, on average).",
        "Ours includes the part before the layer, which is run once.\n",
        "| layer | evaluations/s | times the whole network's | quartiles | share of the bare suffix's | quartiles |",
        "|---|---|---|---|---|---|",
    ]
    found = list(stimulation.rows())
    for layer, speed, whole, suffix in found:
        faster = f"{whole.ratio:.1f} | {whole.low:.1f} to {whole.high:.1f}"
        lines.append(
            f"| {layer} | {speed:,.0f} | {faster} | {suffix.ratio:.2f} | {suffix.low:.2f} to {suffix.high:.2f} |"
        )
        print(lines[-1], file=sys.stderr)
    times, share = (statistics.mean(row[place].ratio for row in found) for place in (2, 3))
    lines.append(f"| mean | | {times:.1f} | | {share:.2f} | |")
    by_time = (sum(row[2].ours for row in found) / sum(row[2].other for row in found), _share_by_time(found))
    lines.append(f"| as many at every layer, by time | | {by_time[0]:.1f} | | {by_time[1]:.2f} | |")
    lines.append(
        "\nBehind `conv2d_5` there is one pooling and one small dense layer, eight microseconds for 16 images, less than Python\n"
        "takes to make an edit of a `Stimulation` and to undo it. A scan, which needs the most of them, edits its windows many\n"
        "at a time (`network/replay.py`)."
    )
    return "\n".join(lines)


def _share_by_time(rows: list[tuple[str, float, Ratio, Ratio]]) -> float:
    """The bare suffixes' time over ours where every layer gets as many evaluations."""
    counts = [speed * suffix.other for _, speed, _, suffix in rows]
    bare = sum(row[3].ours / count for row, count in zip(rows, counts, strict=True))
    return bare / sum(row[3].other / count for row, count in zip(rows, counts, strict=True))


def _scanning() -> str:
    figures.save(scanning.plot(), OUT.parent / "images" / "scanning.png", dpi=110)
    bounds = {"trojan2": 60, "trojan1": 180}
    lines = [
        "## Scanning\n",
        "`trojancam scan` with stimulation maps, Artificial Brain Stimulation and the inversion of the best candidates, on 100",
        "rendered signs:\n",
        "| network | bound, s | seconds | peak MB (bound: 2,000) |",
        "|---|---|---|---|",
    ]
    for name, run in scanning.commands():
        lines.append(f"| {name} | {bounds[name]} | {run.seconds:.1f} | {run.megabytes:,.0f} |")
        print(lines[-1], file=sys.stderr)
    ours, theirs = scanning.against_neural_cleanse()
    lines += [
        "",
        f"Stimulation maps with their inversions take {ours:.1f} s on trojan2, Neural Cleanse over all 43 classes",
        f"{theirs:.1f} s: {theirs / ours:.1f} times as long (bound: 5).\n",
        "![Time of stimulating a network against layers, feature maps, pixels and images](images/scanning.png)\n",
        "Single maps and optimised stimulation of all layers of a plain network with ten classes: 2 layers of 16 maps, "
        f"{scanning.IMAGES} images",
        "of 32x32, unless the axis says otherwise; beside it the bare parts after the layers, run as often.",
    ]
    return "\n".join(lines)


def _exploring() -> str:
    lines = [
        "## Exploring\n",
        "`trojancam explore`, a real server asked by a real client on the same machine: median milliseconds from asking to",
        "having read the answer, and, in Chromium without a graphics card, from moving the slider or opening the layer to the",
        "frame that shows the answer. A stimulation is dragged to ever other strengths (bound: 100 ms on trojan2, 300 ms on",
        "trojan1); a grid shows all feature maps of a layer on ever other images (bound: 300 ms for 128 maps).\n",
        "| network | layer | feature maps | stimulation, ms | shown, ms | grid, ms | shown, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder, exploring.explorer(Path(folder)) as (address, process):
        for row in exploring.rows(address):
            times = (row.stimulation, row.stimulation_shown, row.grid, row.grid_shown)
            cells = " | ".join(f"{milliseconds:.0f}" for milliseconds in times)
            lines.append(f"| {row.network} | {row.layer} | {row.maps} | {cells} |")
            print(lines[-1], file=sys.stderr)
        load = exploring.load(address, process)
    words = exploring.in_words(load, exploring.CLIENTS, exploring.SECONDS)
    return "\n".join(
        [*lines, "", "Many at once, each looking at other images, layers and maps:\n", *(f"- {line}" for line in words)]
    )


def _sifting() -> str:
    return (
        f"## Sifting\n\nA sieve by `contributions` and {sifting.IMAGES} images, places included, against three forward runs and\n"
        f"one backward run (bound: 1); one by STRIP and {sifting.FEW} images, {sifting.OVERLAYS} overlays each, against the\n"
        "bare forward runs (bound: 1.11, which is 0.9 of their speed). Random weights.\n\n"
        + _table("ours", "bare runs", sifting.rows())
    )


def _versions(packages: Iterable[str]) -> list[str]:
    return [f"{name} {version(name)}" for name in packages]


def _scaling() -> str:
    figures.save(scaling.plot(), OUT.parent / "images" / "scaling.png", dpi=110)
    return (
        "## Cost\n\n![Time of a recording against layers, feature maps and images](images/scaling.png)\n\n"
        "Recording and all contributions of a plain network of 3x3 convolutions: 4 layers of 16 maps, 32 images of 32x32,\n"
        "unless the axis says otherwise."
    )


def _commands() -> str:
    page = commands.help_page()
    first, second = commands.demo()
    rows = [
        ("`trojancam --help` (bound: 0.5 s; best of 7)", page),
        ("`trojancam demo`, training included (bound: 300 s, 2,000 MB)", first),
        ("`trojancam demo` again, from the cache", second),
        ("`trojancam reproduce --quick`, training included (bound: 600 s, 3,000 MB)", commands.quick_study()),
        ("10,000 images through trojan2 to per-map energy (bound: 1,500 MB)", commands.streaming()),
    ]
    lines = [f"| {name} | {run.seconds:.2f} | {run.megabytes:,.0f} |" for name, run in rows]
    return "\n".join(["## Commands", "", "| command | seconds | peak MB |", "|---|---|---|", *lines])


def _table(ours: str, other: str, rows: Iterable[tuple[str, Ratio]]) -> str:
    lines = [f"| network | {ours}, ms | {other}, ms | ratio | quartiles |", "|---|---|---|---|---|"]
    for name, row in rows:
        times = f"{row.ours * 1e3:,.1f} | {row.other * 1e3:,.1f}"
        lines.append(f"| {name} | {times} | {row.ratio:.2f} | {row.low:.2f} to {row.high:.2f} |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {
    "recording": _recording,
    "streaming": _streaming,
    "stimulation": _stimulation,
    "peers": _peers,
    "scaling": _scaling,
    "training": _training,
    "sifting": _sifting,
    "commands": _commands,
    "scanning": _scanning,
    "exploring": _exploring,
}

if __name__ == "__main__":
    main(sys.argv[1:])
