"""Page: a verdict, sections of text, pictures and tables; rendered as one HTML file that needs nothing else."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import ClassVar, Literal

import jinja2

from trojancam.files import written_whole
from trojancam.report.documents.document import Document, versions
from trojancam.report.maps import Backdrop, Maps
from trojancam.text import as_text


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
    good nor bad); `weighed` says by what it is to be weighed.
    """

    title: str
    verdict: str
    sections: Sequence[Section]
    details: dict[str, str] = field(default_factory=dict)
    answer: str = ""
    tone: Literal["plain", "calm", "doubt", "alarm"] = "calm"
    weighed: str = ""

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


def write_page(page: Page, document: Document, folder: Path, name: str = "index.html") -> Path:
    """Write page and document into the folder, each whole or not at all; the path of the page.

    Raises:
        TrojanCamError: if the folder cannot be written to.
    """
    document.write(folder)
    with written_whole(folder / name) as partial:
        partial.write_text(as_text(render(page)), encoding="utf-8")
    return folder / name
