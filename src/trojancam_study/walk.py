"""Walk: one page that goes through the study in its order, made from the records alone."""

from collections.abc import Callable, Mapping
from typing import Any

from trojancam.report.page import Page, Picture, Section, Table
from trojancam_study.piece_records import Record
from trojancam_study.questions import CONTRADICTIONS, QUESTIONS


def page(records: Mapping[str, Record], details: dict[str, str], picture: Callable[[dict[str, Any]], Picture]) -> Page:
    """The page of all pieces that were made; `picture` finds the picture of a record's entry."""
    claims = {name: record for name, record in records.items() if name.startswith("claim")}
    sections = [_glance(claims)] if claims else []
    sections += [_piece(name, record, picture) for name, record in records.items()]
    sections += [_questions(records), Section("Contradictions within the study", " ".join(CONTRADICTIONS))]
    sections.append(_times(records))
    return Page("The study, rebuilt", _verdict(claims), sections, details)


def title_of(name: str, record: Record) -> str:
    """What a piece is headed with, such as `Figure 12: a layer that misses the trigger`.

    >>> title_of("fig12", {"title": "a layer that misses the trigger"})
    'Figure 12: a layer that misses the trigger'
    """
    for start, word in (("fig", "Figure "), ("table", "Table "), ("claim-", "Claim ")):
        if name.startswith(start):
            return f"{word}{name.removeprefix(start)}: {record['title']}"
    return str(record["title"])


def _verdict(claims: Mapping[str, Record]) -> str:
    if not claims:
        return "No claim of the study was measured in this run."
    counts = {word: sum(record["verdict"] == word for record in claims.values()) for word in _WORDS}
    told = ", ".join(f"{_WORDS[word]} {count}" for word, count in counts.items() if count)
    return f"Of {len(claims)} claims measured here: {told}."


_WORDS = {"agrees": "borne out", "disagrees": "not borne out", "cannot tell": "could not be told"}


def _glance(claims: Mapping[str, Record]) -> Section:
    rows = [
        [name.removeprefix("claim-"), record["title"], record["verdict"] or "", record["found"]]
        for name, record in sorted(claims.items())
    ]
    table = Table(["Claim", "The study", "Here", "Measured"], rows, words=(0, 1, 2, 3))
    return Section("The claims at a glance", "", [table])


def _piece(name: str, record: Record, picture: Callable[[dict[str, Any]], Picture]) -> Section:
    pictures = [picture(each) for each in record["pictures"]]
    tables = [Table(**table) for table in record["tables"]]
    measurements = [_measurements(record["measurements"])] if record["measurements"] else []
    verdict = f" The study and this: {record['verdict']}." if record["verdict"] else ""
    text = f"The study: {record['said']} Here: {record['found']}{verdict}"
    return Section(title_of(name, record), text, [*pictures, *measurements, *tables])


def _measurements(measurements: list[dict[str, Any]]) -> Table:
    rows = [
        [
            each["name"],
            f"{each['mean']:.3f}",
            f"{each['low']:.3f} to {each['high']:.3f}",
            "" if each["chance"] is None else f"{each['chance']:.3f}",
            ", ".join(f"{mean:.3f}" for mean in each["by_seed"]),
            f"{each['count']:,} {each['unit']}",
        ]
        for each in measurements
    ]
    caption = (
        "Means over all trainings and images, with 95 % bootstrap intervals over both. An interval over so few trainings "
        "cannot leave the range of their means: see each training's own."
    )
    return Table(["Measured", "Mean", "Interval", "Chance", "Each training", "Over"], rows, caption, words=(0, 5))


def _questions(records: Mapping[str, Record]) -> Section:
    rows = [
        [str(number), question.text, question.answer(records) or "not measured"]
        for number, question in enumerate(QUESTIONS, 1)
    ]
    return Section("The eight research questions", "", [Table(["", "Question", "Answer"], rows, words=(0, 1, 2))])


def _times(records: Mapping[str, Record]) -> Section:
    trainings = {name: seconds for record in records.values() for name, seconds in record["trainings"].items()}
    rows = [[f"training {name}", f"{seconds:.0f}"] for name, seconds in trainings.items()]
    rows += [[name, f"{record['seconds']:.1f}"] for name, record in records.items()]
    total = sum(trainings.values()) + sum(record["seconds"] for record in records.values())
    caption = "Of trainings, the time of their epochs, whenever they were run; of the others, what came after."
    return Section("Time by step", f"{total:.0f} seconds in all.", [Table(["Step", "Seconds"], rows, caption)])
