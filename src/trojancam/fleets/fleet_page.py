"""The page of a fleet: a table with all models, a plot of score against accuracy, and how unusual each is on its shelf."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from trojancam.files import written_whole
from trojancam.fleets.population import FEWEST, standings
from trojancam.fleets.result import DOUBT, Result
from trojancam.fleets.table import Row
from trojancam.report.page import Link, Page, Point, Scatter, Section, Table, render
from trojancam.text import as_text

NOTHING = "–"
LISTED = 50  # the most unusual networks
Tone = Literal["alarm", "doubt", "calm"]
TONES: Mapping[str, str] = {
    "alarm": "evidence of a backdoor",
    "doubt": "inconclusive or not judged",
    "calm": "all else",
}
HEADINGS = (
    "File", "Verdict", "Score", "p", "Class", "Place", "Method", "Accuracy", "Architecture", "Would run", "Seconds", "MB",
    "SHA-256", "What else",
)  # fmt: skip
WORDS = (0, 1, 4, 5, 6, 8, 9, 12, 13)


def write_fleet_page(rows: Sequence[Row], path: Path, about: Mapping[str, str]) -> Path:
    """Write the page of a fleet, whole or not at all; the path.

    Raises:
        TrojanCamError: if it cannot be written.
    """
    page = Page(
        title=f"A fleet of {len(rows)} models",
        verdict=_verdict(rows),
        sections=list(_sections(rows)),
        details=dict(about),
        answer=_answer(rows),
        tone=_tone(rows),
        weighed="“Nothing found” is no proof that there is no backdoor; the page of a model says what was searched.",
    )
    with written_whole(path) as partial:
        partial.write_text(as_text(render(page)), encoding="utf-8")
    return path


def tone(result: Result | None) -> Tone:
    """How bad a result is."""
    if result is None or result.verdict in DOUBT:
        return "doubt"
    return "alarm" if result.verdict == "backdoor" else "calm"


def _tone(rows: Sequence[Row]) -> Tone:
    found = {tone(row.result) for row in rows}
    return next((each for each in ("alarm", "doubt") if each in found), "calm")


def _count(rows: Sequence[Row], *verdicts: str) -> int:
    return sum(row.result is not None and row.result.verdict in verdicts for row in rows)


def _answer(rows: Sequence[Row]) -> str:
    if backdoors := _count(rows, "backdoor"):
        return f"Evidence of a backdoor in {backdoors} of {len(rows)} models"
    if doubt := _count(rows, *DOUBT):
        return f"{doubt} of {len(rows)} models inconclusive or not judged"
    if _count(rows, "opened") == len(rows):
        return f"{len(rows)} models opened; none was scanned"
    return f"No evidence in {len(rows)} models"


def _verdict(rows: Sequence[Row]) -> str:
    verdicts = sorted({row.result.verdict for row in rows if row.result is not None})
    return f"{', '.join(f'{each}: {_count(rows, each)}' for each in verdicts)}."


def _sections(rows: Sequence[Row]) -> Iterator[Section]:
    text = "A score of 1 is the threshold of the method that says most. A file that could not be opened has none."
    table = Table(HEADINGS, [_cells(row) for row in rows], "", WORDS, sortable=True, filtered=True, choices=(1, 8))
    yield Section("All models", text, [table])
    points = [_point(row) for row in rows if row.result and row.result.score is not None]
    points = [each for each in points if each.x == each.x]
    if points:
        caption = "Score of each scanned network, in units of its threshold, against its accuracy on clean images."
        plot = Scatter(points, "accuracy", "score", caption, bound=(1.0, "threshold"), tones=TONES)
        yield Section("Score and accuracy", "A network that is wrong on most clean images is not judged.", [plot])
    yield _population(rows)


def _point(row: Row) -> Point:
    found = row.result
    assert found is not None
    assert found.score is not None
    accuracy = float("nan") if found.accuracy is None else found.accuracy
    name = f"{row.file}: {found.verdict}, score {found.score:.3g}, accuracy {accuracy:.1%}"
    return Point(accuracy, found.score, as_text(name), tone(found), _address(found))


def _address(result: Result) -> str:
    return "" if result.page is None else quote(result.page)


def _cells(row: Row) -> list[str | Link]:
    found = row.result or Result("killed", note="it was not worked on yet")
    file = as_text(row.file)
    named = found.class_name and f"{found.target_class}, {found.class_name}"
    return [
        Link(file, _address(found)) if found.page else file,
        found.verdict,
        _number(found.score, "{:.3g}"),
        _number(found.p_value, "{:.3g}"),
        named or NOTHING,
        found.place or NOTHING,
        found.method or NOTHING,
        _number(found.accuracy, "{:.1%}"),
        found.architecture or NOTHING,
        NOTHING if found.would_run is None else found.would_run or "nothing",
        _number(found.seconds, "{:.1f}"),
        _number(found.megabytes, "{:.0f}"),
        (row.sha256 or NOTHING)[:12],
        found.note or NOTHING,
    ]


def _number(value: float | None, form: str) -> str:
    return NOTHING if value is None else form.format(value)


def _population(rows: Sequence[Row]) -> Section:
    """What the shelf says of each network, apart from the verdict."""
    found = standings(rows)
    text = (
        "How many robust standard deviations a network's score lies above the median of its architecture on this shelf. This "
        "is no verdict and changes none: on a shelf where most networks have a backdoor, a clean one is unusual. "
        f"Architectures with fewer than {FEWEST} judged networks are left out."
    )
    if not found:
        return Section("How unusual on this shelf", f"{text} Here, no architecture has as many.")
    cells = [
        [
            Link(as_text(each.row.file), _address(each.row.result)) if each.row.result and each.row.result.page
            else as_text(each.row.file),
            each.architecture, f"{each.z:+.2f}",
            _number(each.row.result.score if each.row.result else None, "{:.3g}"), str(each.networks),
            each.row.result.verdict if each.row.result else NOTHING,
        ]
        for each in found[:LISTED]
    ]  # fmt: skip
    headings = ["File", "Architecture", "Above the median", "Score", "Networks", "Verdict of its own scan"]
    caption = f"The {min(len(found), LISTED)} most unusual of {len(found)} networks."
    return Section("How unusual on this shelf", text, [Table(headings, cells, caption, (0, 1, 5), sortable=True)])
