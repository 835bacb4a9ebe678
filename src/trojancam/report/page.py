"""Page: a verdict, sections of text, pictures and tables; rendered as one HTML file that needs nothing else."""

import base64
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Literal

import jinja2
from matplotlib.figure import Figure

from trojancam.figures import labels_of, to_png_bytes
from trojancam.files import written_whole
from trojancam.report.documents.document import Document, versions
from trojancam.report.glossary import THINGS, Term, meaning, said, term_of, term_of_caption, term_of_row, terms_in
from trojancam.report.maps import Backdrop, Maps
from trojancam.text import as_text, with_minus


@dataclass(frozen=True)
class Picture:
    """A PNG and what it shows, in words, which also serve those who cannot see it; `labels` are all words in the picture."""

    template: ClassVar = "picture.html.j2"
    png: bytes
    caption: str
    labels: str = ""

    @classmethod
    def of(cls, figure: Figure, caption: str, dpi: int) -> "Picture":
        """A figure as a picture whose labels are known."""
        return cls(to_png_bytes(figure, dpi), caption, labels_of(figure))

    @property
    def terms(self) -> list[Term]:
        """The words for numbers that stand in the picture itself."""
        labels = re.sub(r"^(?=p [=<>] )", "· ", self.labels, flags=re.MULTILINE)  # a title that is broken loses its dot
        return [term for term in terms_in(labels) if term.name not in THINGS]

    @property
    def width(self) -> int:
        """How wide it is shown, in CSS pixels: two of its own to one, for sharp screens and for zooming in."""
        return int.from_bytes(self.png[16:20], "big") // 2  # the PNG header's first field

    @property
    def uri(self) -> str:
        """The picture itself, as an address that a page can hold."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Link:
    """A cell of a table that leads somewhere: to a page beside this one."""

    text: str
    address: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Command:
    """A cell of a table that is to be typed, with something of the reader's own in the place of each of the `placeholders`."""

    text: str
    placeholders: Sequence[str] = ()

    @property
    def pieces(self) -> list[tuple[str, bool]]:
        """The command in pieces, and whether each is a placeholder.

        >>> Command("trojancam sift net.pt IMAGES", ("IMAGES",)).pieces
        [('trojancam sift net.pt ', False), ('IMAGES', True)]
        """
        if not self.placeholders:
            return [(self.text, False)]
        pieces = re.split(rf"(?<!\S)({'|'.join(map(re.escape, self.placeholders))})(?!\S)", self.text)
        return [(piece, place % 2 == 1) for place, piece in enumerate(pieces) if piece]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """Headings and rows; numbers are written as they should be read. Columns of `words`, by place, are flush left.

    The rows of a `sortable` table can be put into another order by its headings. Those of a `filtered` one can be picked by
    what is in them, and in each column of `choices`, by place, by one of its values.
    """

    template: ClassVar = "table.html.j2"
    headings: Sequence[str]
    rows: Sequence[Sequence[str | Link | Command]]
    caption: str = ""
    words: Sequence[int] = (0,)
    sortable: bool = False
    filtered: bool = False
    choices: Sequence[int] = ()

    @property
    def prose(self) -> bool:
        """Whether it is all words, and many or some to be typed, so that rows are set as paragraphs where a screen is narrow."""
        if len(self.words) != len(self.headings):
            return False
        return len(self.headings) > 2 or any(isinstance(cell, Command) for row in self.rows for cell in row)

    def markdown(self) -> str:
        """The table as Markdown, without its caption.

        >>> print(Table(["network", "accuracy"], [["basic", "0.98"]]).markdown())
        | network | accuracy |
        | --- | --- |
        | basic | 0.98 |
        """
        rows = [self.headings, ["---"] * len(self.headings), *self.rows]
        return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


@dataclass(frozen=True)
class Point:
    """A thing in a plot: where, what it is called, where its page is, and how it is marked, by the name of a tone."""

    x: float
    y: float
    name: str
    tone: Literal["alarm", "doubt", "calm"] = "calm"
    address: str = ""


@dataclass(frozen=True)
class Scatter:
    """Points over two axes, the upright one from 0 on, drawn in the colours of the page.

    `bound` is a height that means something, and what it means.
    """

    template: ClassVar = "scatter.html.j2"
    points: Sequence[Point]
    x_title: str
    y_title: str
    caption: str
    bound: tuple[float, str] | None = None
    tones: Mapping[str, str] = field(default_factory=dict)
    x_end: float = 1.0

    left: ClassVar = 60
    top: ClassVar = 14
    width: ClassVar = 560
    height: ClassVar = 300

    @property
    def y_end(self) -> float:
        """The end of the upright axis: a round number that nothing is above."""
        most = max([point.y for point in self.points] + ([self.bound[0]] if self.bound else []), default=0.0)
        unit = 10.0 ** math.floor(math.log10(most)) if most > 0 else 1.0
        return next(unit * times for times in (1, 2, 3, 4, 6, 8, 10) if unit * times >= most * 1.02 or times == 10)

    @property
    def x_start(self) -> float:
        """The start of the level axis: a tenth of its end, or several, that nothing is below."""
        least = min((point.x for point in self.points), default=0.0)
        return self.x_end * min(0.9, max(0.0, math.floor(10 * least / self.x_end) / 10))

    def x(self, value: float) -> float:
        """Where a value lies on the level axis, in units of the drawing."""
        return round(self.left + self.width * (value - self.x_start) / (self.x_end - self.x_start), 1)

    def y(self, value: float) -> float:
        """Where a value lies on the upright axis."""
        return round(self.top + self.height * (1 - min(max(value / self.y_end, 0), 1)), 1)

    @property
    def x_ticks(self) -> list[float]:
        """Values that the level axis names."""
        return [self.x_start + (self.x_end - self.x_start) * part / 5 for part in range(6)]

    @property
    def y_ticks(self) -> list[float]:
        """Values that the upright axis names."""
        return [self.y_end * part / 4 for part in range(5)]


@dataclass(frozen=True)
class Facts:
    """Names and what they stand for; long ones, such as digests, break where they must."""

    template: ClassVar = "facts.html.j2"
    caption: ClassVar = ""
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Signature:
    """A place for a decision, a name, a date and a signature, to be filled in on paper."""

    template: ClassVar = "signature.html.j2"
    caption: ClassVar = ""
    decisions: Sequence[str] = ("Accepted", "Accepted under conditions", "Rejected")
    lines: Sequence[str] = ("Conditions", "Name", "Role", "Date", "Signature")


Part = Picture | Table | Maps | Scatter | Facts | Signature


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
    good nor bad); `weighed` says by what it is to be weighed. A page of `one_sheet` is to be signed: printed, it leaves out what
    explains words and repeats settings, and is set small.
    """

    title: str
    verdict: str
    sections: Sequence[Section]
    details: dict[str, str] = field(default_factory=dict)
    answer: str = ""
    tone: Literal["plain", "calm", "doubt", "alarm"] = "calm"
    weighed: str = ""
    one_sheet: bool = False

    @property
    def parts(self) -> list[Part]:
        """The parts of all sections."""
        return [part for section in self.sections for part in section.parts]

    @cached_property
    def terms(self) -> list[Term]:
        """The words on it that the glossary explains, and after these what else its numbers are."""
        said = [self.verdict, self.weighed]
        for section in self.sections:
            said += [section.title, section.text]
        facts = [term_of(name) for part in self.parts if isinstance(part, Facts) for name, _ in part.pairs]
        drawn = [term for part in self.parts if isinstance(part, Picture | Maps) for term in part.terms]
        axes = [
            term_of(name) for part in self.parts if isinstance(part, Scatter) for name in (part.x_title, part.y_title)
        ]
        details = [_term_of_setting(name) for name in self.details]
        return terms_of(said, self.parts, [*facts, *drawn, *axes, *details])

    @property
    def backdrops(self) -> list[Backdrop]:
        """The images that maps lie over, each once."""
        return list({part.backdrop.key: part.backdrop for part in self.parts if isinstance(part, Maps)}.values())

    @property
    def sortable(self) -> bool:
        """Whether there is a table to sort."""
        return any(isinstance(part, Table) and (part.sortable or part.filtered) for part in self.parts)


def terms_of(said: Sequence[str], parts: Sequence[Any], others: Sequence[Term | None] = ()) -> list[Term]:
    """The terms in sentences, in the captions of parts, in the headings and rows of tables, and others, each once."""
    tables = [part for part in parts if isinstance(part, Table)]
    told = [*said, *(part.caption for part in parts)]
    for table in tables:
        told += [*table.headings, *(str(row[0]) for row in table.rows if row)]
    named = [term_of(name) for table in tables for name in table.headings]
    named += [term_of_caption(table.caption) for table in tables]
    named += [term_of_row(str(row[0])) for table in tables for row in table.rows if row]
    return list(dict.fromkeys(term for term in (*terms_in("\n".join(told)), *named, *others) if term))


def in_plain_words(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as a reader sees them.

    >>> in_plain_words({"feature_maps": True, "target_class": None, "layers": ["first", "second"]})
    {'feature maps': 'yes', 'target class': 'not given', 'layers': 'first, second'}
    """
    return {name.replace("_", " "): _in_plain_words(value) for name, value in settings.items()}


def _in_plain_words(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "not given", True: "yes", False: "no"}[value]
    if isinstance(value, Mapping):
        return f"({', '.join(f'{name} {words}' for name, words in in_plain_words(value).items())})"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_in_plain_words, value)) or "none"
    return str(value)


def _term_of_setting(name: str) -> Term | None:
    """The term that explains a setting: not one that an option is only named like, such as the class to be explained."""
    term = term_of(name)
    return None if term is None or (term.name in THINGS and term.name != "fingerprint") else term


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
    found.filters["meaning"] = meaning
    for name, of in (
        ("caption_meaning", term_of_caption),
        ("row_meaning", term_of_row),
        ("setting_meaning", _term_of_setting),
    ):
        found.filters[name] = partial(_meaning, of)
    found.filters["said"] = said
    found.filters["minus"] = with_minus
    found.filters["lower_first"] = lambda words: words[:1].lower() + words[1:]
    return found


def _meaning(of: Callable[[str], Term | None], words: str) -> str:
    term = of(words)
    return term.meaning if term else ""


def write_page(page: Page, document: Document, folder: Path, name: str = "index.html") -> Path:
    """Write page and document into the folder, each whole or not at all; the path of the page.

    Raises:
        TrojanCamError: if the folder cannot be written to.
    """
    document.write(folder)
    with written_whole(folder / name) as partial:
        partial.write_text(as_text(render(page)), encoding="utf-8")
    return folder / name
