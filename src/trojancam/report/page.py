"""Page: a verdict, sections of text, pictures and tables; rendered as one HTML file that needs nothing else."""

import base64
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Literal

import jinja2
import numpy as np
import torch

from trojancam.files import writable_folder, written_whole
from trojancam.report.maps import Backdrop, Maps
from trojancam.version import __version__

RESULTS_VERSION = 1


@dataclass(frozen=True)
class Picture:
    """A PNG and what it shows, in words; the words also serve those who cannot see it."""

    template: ClassVar = "picture.html.j2"
    png: bytes
    caption: str

    @property
    def width(self) -> int:
        """How wide it is shown, in CSS pixels: two of its own to one, for sharp screens and for zooming in."""
        return int.from_bytes(self.png[16:20], "big") // 2  # the PNG header's first field

    @property
    def uri(self) -> str:
        """The picture itself, as an address that a page can hold."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Table:
    """Headings and rows; numbers are written as they should be read. Columns of `words`, by place, are flush left.

    The rows of a `sortable` table can be put into another order by its headings.
    """

    template: ClassVar = "table.html.j2"
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    words: Sequence[int] = (0,)
    sortable: bool = False

    @property
    def prose(self) -> bool:
        """Whether it is all words, so that rows are set as paragraphs where a screen is narrow."""
        return len(self.headings) > 2 and len(self.words) == len(self.headings)

    def markdown(self) -> str:
        """The table as Markdown, without its caption.

        >>> print(Table(["network", "accuracy"], [["basic", "0.98"]]).markdown())
        | network | accuracy |
        | --- | --- |
        | basic | 0.98 |
        """
        rows = [self.headings, ["---"] * len(self.headings), *self.rows]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


Part = Picture | Table | Maps


@dataclass(frozen=True)
class Section:
    """A heading, a paragraph, and the pictures, maps and tables that bear it out."""

    title: str
    text: str = ""
    parts: Sequence[Part] = ()

    @property
    def groups(self) -> list[tuple[bool, list[Part]]]:
        """The parts in order, tables that follow one another together (true): they stand side by side where there is room."""
        grouped = groupby(self.parts, lambda part: isinstance(part, Table))
        return [(tables, list(parts)) for tables, parts in grouped]


@dataclass(frozen=True)
class Page:
    """What a reader sees: the title, the verdict in one sentence, the sections, and the fine print.

    Where the verdict answers a question, `answer` says it in a few words, in large, and `tone` how bad it is (`plain`: neither
    good nor bad); `confidence` says how sure it is.
    """

    title: str
    verdict: str
    sections: Sequence[Section]
    details: dict[str, str] = field(default_factory=dict)
    answer: str = ""
    tone: Literal["plain", "calm", "doubt", "alarm"] = "calm"
    confidence: str = ""

    @property
    def parts(self) -> list[Part]:
        """The parts of all sections."""
        return [part for section in self.sections for part in section.parts]

    @property
    def backdrops(self) -> list[Backdrop]:
        """The images that maps lie over, each once."""
        return list({part.backdrop.key: part.backdrop for part in self.parts if isinstance(part, Maps)}.values())

    @property
    def sortable(self) -> bool:
        """Whether there is a table to sort."""
        return any(isinstance(part, Table) and part.sortable for part in self.parts)


def render(page: Page) -> str:
    """The page as HTML; every text is escaped."""
    return environment().get_template("page.html.j2").render(page=page, versions=versions())


@cache
def environment() -> jinja2.Environment:
    """The templates; whatever is put into them is escaped."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("trojancam.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    found.filters["lower_first"] = lambda words: words[:1].lower() + words[1:]
    return found


def write_page(
    page: Page, results: dict[str, Any], folder: Path, names: tuple[str, str] = ("index.html", "results.json")
) -> Path:
    """Write page and results, under these names, into the folder, each whole or not at all; the path of the page.

    Raises:
        TrojanCamError: if the folder cannot be written to.
    """
    writable_folder(folder)
    write_results(results, folder, names[1])
    with written_whole(folder / names[0]) as partial:
        partial.write_text(render(page), encoding="utf-8")
    return folder / names[0]


def write_results(results: dict[str, Any], folder: Path, name: str = "results.json") -> Path:
    """Write a JSON file: the results, the version of their form, and the versions they were made with.

    Raises:
        TrojanCamError: if the folder cannot be written to.
        ValueError: if a number is not finite: JSON has no word for it, so say null.
    """
    path = writable_folder(folder) / name
    document = {"results_version": RESULTS_VERSION, "versions": versions(), **results}
    with written_whole(path) as partial:
        partial.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return path


def versions() -> dict[str, str]:
    """What the results were made with."""
    return {
        "trojancam": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
