"""Reproduction: all pieces of the study made in order, each kept as it is done, and the page that walks through them."""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from trojancam.caching import writable_folder, written_whole
from trojancam.errors import unknown_name
from trojancam.paper import records
from trojancam.paper.pieces import PIECES
from trojancam.paper.questions import research_questions
from trojancam.paper.records import Record
from trojancam.paper.study import Scale, Study
from trojancam.paper.walk import page
from trojancam.progress import Progress, silent, stages
from trojancam.report.page import write_page

# About how many seconds an epoch of training takes on a thousand images: for the progress bar alone.
TRAINING = {"basic": 0.35, "trojan1": 1.4, "trojan2": 0.35}
QUESTIONS_FILE = "research-questions.md"
TRAINED_FILE = "pieces/training.json"


def reproduce(study: Study, out: Path, only: Iterable[str] | None = None, progress: Progress = silent) -> Path:
    """Make what is not made yet of these pieces (None: all), and write the page and its numbers; the path of the page.

    What is there is kept: a run that was killed goes on with the piece it was at, and the page shows all that the folder
    holds of this study. Beside `index.html` and `results.json` stand the figures, the tables and the research questions.

    Raises:
        UnknownNameError: if there is no piece of a name.
        TrojanCamError: if the folder cannot be written to.
    """
    chosen = known_pieces(PIECES if only is None else only)
    writable_folder(out)
    wanted = _networks(study, chosen)
    shares = [_training_cost(study, name) for name, _ in wanted] + [_piece_cost(study, name) for name in chosen]
    told = stages(progress, shares)
    training = _trained(study, wanted, told[: len(wanted)], out)
    keys = {name: records.key_of(study, name, piece) for name, piece in PIECES.items()}
    for name, part in zip(chosen, told[len(wanted) :], strict=True):
        if records.kept(out, name, keys[name]) is None:
            records.made(study, name, PIECES[name], out, keys[name], _noted(part, name))
        part(1, 1, name)
    found = {name: record for name in PIECES if (record := records.kept(out, name, keys[name])) is not None}
    return _written(study, found, training, out)


def known_pieces(names: Iterable[str]) -> tuple[str, ...]:
    """The names of pieces, each once, in the study's order.

    Raises:
        UnknownNameError: if there is no piece of a name.
    """
    names = tuple(names)
    for name in names:
        if name not in PIECES:
            raise unknown_name("figure, table or claim of the study", name, PIECES)
    return tuple(name for name in PIECES if name in names)


def _networks(study: Study, chosen: Iterable[str]) -> list[tuple[str, int]]:
    """The networks that some pieces need, each with its seed, once."""
    wanted = {
        (network, seed)
        for name in chosen
        for network in PIECES[name].networks
        for seed in (study.seeds if PIECES[name].every_seed else study.seeds[:1])
    }
    return sorted(wanted, key=lambda pair: (pair[1], pair[0]))


def _training_cost(study: Study, name: str) -> int:
    return max(1, round(TRAINING[name] * study.scale.epochs * len(study.dataset.train) / 1000))


def _piece_cost(study: Study, name: str) -> int:
    """About how many seconds a piece takes at this scale."""
    piece = PIECES[name]
    seeds = len(study.seeds) if piece.every_seed else 1
    return max(1, round(piece.cost * seeds * study.scale.images / Scale().images))


def _trained(study: Study, wanted: Iterable[tuple[str, int]], told: Iterable[Progress], out: Path) -> dict[str, float]:
    """Train what is not in the cache; how many seconds each network took when it was first asked for."""
    path = out / TRAINED_FILE
    try:
        seconds: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        seconds = {}
    for (name, seed), part in zip(wanted, told, strict=True):
        label, started = f"{name}, seed {seed}", time.perf_counter()
        study.network(name, seed, progress=_noted(part, label))
        seconds.setdefault(label, round(time.perf_counter() - started, 1))
        part(1, 1, label)
        with written_whole(path) as partial:
            partial.write_text(json.dumps(seconds) + "\n", encoding="utf-8")
    return seconds


def _noted(progress: Progress, name: str) -> Progress:
    """The same, which says first what it is about."""
    return lambda done, total, note="": progress(done, total, f"{name}: {note}" if note else name)


def _written(study: Study, found: Mapping[str, Record], training: Mapping[str, float], out: Path) -> Path:
    with written_whole(out / QUESTIONS_FILE) as partial:
        words = research_questions(found, study.dataset.source, study.seeds)
        partial.write_text(words, encoding="utf-8")
    results = {
        "command": "reproduce",
        "data": study.dataset.source,
        "seeds": list(study.seeds),
        "scale": {
            name: list(value) if isinstance(value, tuple) else value for name, value in vars(study.scale).items()
        },
        "pieces": dict(found),
        "seconds": dict(training),
    }
    return write_page(page(study, found, training, out), results, out)
