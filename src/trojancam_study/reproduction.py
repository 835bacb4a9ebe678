"""Reproduction: all pieces of the study made in order, each kept as it is done, and the page that walks through them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trojancam.errors import unknown_name
from trojancam.files import writable_folder, written_whole
from trojancam.locks import only_run_in
from trojancam.progress import Progress, shown, stages
from trojancam.report.documents.reproduce import Reproduce
from trojancam.report.page import Picture, write_page
from trojancam_study import piece_records
from trojancam_study.piece_records import Record
from trojancam_study.pieces import PIECES
from trojancam_study.questions import research_questions
from trojancam_study.study import Scale, Study, Training
from trojancam_study.walk import page

# About how many seconds an epoch of training takes on a thousand images: for the progress bar alone.
TRAINING = {"basic": 0.35, "trojan1": 1.4, "trojan2": 0.35}
QUESTIONS_FILE = "research-questions.md"


def reproduce(study: Study, out: Path, only: Iterable[str] | None = None, progress: Progress | None = None) -> Path:
    """Make what is not made yet of these pieces (None: all), and write the page and its numbers; the path of the page.

    What is there is kept: a run that was killed goes on with the piece it was at, and the page shows all that the folder
    holds of this study. Beside `index.html` and `results.json` stand the figures, the tables and the research questions.

    Raises:
        UnknownNameError: if there is no piece of a name.
        TrojanCamError: if the folder cannot be written to, or another run works in it.
    """
    chosen = known_pieces(PIECES if only is None else only)
    writable_folder(out)
    with only_run_in(out):
        return _made(study, out, chosen, shown(progress))


def _made(study: Study, out: Path, chosen: Sequence[str], progress: Progress) -> Path:
    keys = {name: piece_records.key_of(study, name, piece) for name, piece in PIECES.items()}
    missing = [name for name in chosen if piece_records.kept(out, name, keys[name]) is None]
    trainings = list(dict.fromkeys(each for name in missing for each in PIECES[name].trainings(study)))
    costs = [_training_cost(study, each) for each in trainings] + [_piece_cost(study, name) for name in missing]
    told = stages(progress, [*costs, 1])
    for training, part in zip(trainings, told, strict=False):
        study.network(*training, progress=_noted(part, str(training)))
        part(1, 1, str(training))
    for name, part in zip(missing, told[len(trainings) : -1], strict=True):
        piece_records.made(study, name, PIECES[name], out, keys[name], _noted(part, name))
        part(1, 1, name)
    found = {name: record for name in PIECES if (record := piece_records.kept(out, name, keys[name])) is not None}
    path = _written(study, found, out)
    told[-1](1, 1, "the page")
    return path


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


def _training_cost(study: Study, training: Training) -> int:
    """About how many seconds until a network is there: what is in the cache says nothing of how fast this machine trains."""
    if study.is_trained(training):
        return 1
    return max(1, round(TRAINING[training.name] * study.scale.epochs * len(study.dataset.train) / 1000))


def _piece_cost(study: Study, name: str) -> int:
    """About how many seconds a piece takes at this scale."""
    piece = PIECES[name]
    seeds = len(study.seeds) if piece.every_seed else 1
    return max(1, round(piece.cost * seeds * study.scale.images / Scale().images))


def _noted(progress: Progress, name: str) -> Progress:
    """The same, which says first what it is about."""
    return lambda done, total, note="": progress(done, total, f"{name}: {note}" if note else name)


def _written(study: Study, found: Mapping[str, Record], out: Path) -> Path:
    with written_whole(out / QUESTIONS_FILE) as partial:
        words = research_questions(found, study.dataset.source, study.seeds)
        partial.write_text(words, encoding="utf-8")
    document = Reproduce.of(
        command="reproduce",
        data=study.dataset.source,
        seeds=list(study.seeds),
        scale={name: list(value) if isinstance(value, tuple) else value for name, value in vars(study.scale).items()},
        pieces=dict(found),
    )

    def picture(entry: dict[str, Any]) -> Picture:
        return Picture((out / entry["file"]).read_bytes(), entry["caption"])

    return write_page(page(found, details_of(document.to_json()), picture), document, out)


def details_of(results: Mapping[str, Any]) -> dict[str, str]:
    """The page's fine print: on what data, from which seeds, at which scale."""
    scale = ", ".join(f"{name} {value}" for name, value in results["scale"].items())
    return {"data": results["data"], "seeds": ", ".join(map(str, results["seeds"])), "scale": scale}
