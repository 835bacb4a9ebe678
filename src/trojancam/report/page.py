"""Page: a verdict, sections of text, pictures and tables; rendered as one HTML file that needs nothing else."""

import base64
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np
import torch

import trojancam
from trojancam.caching import writable_folder, written_whole

RESULTS_VERSION = 1


@dataclass(frozen=True)
class Picture:
    """A PNG and what it shows, in words; the words also serve those who cannot see it."""

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
    """Headings and rows; numbers are written as they should be read. Columns of `words`, by place, are flush left."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    words: Sequence[int] = (0,)

    def markdown(self) -> str:
        """The table as Markdown, without its caption.

        >>> print(Table(["network", "accuracy"], [["basic", "0.98"]]).markdown())
        | network | accuracy |
        | --- | --- |
        | basic | 0.98 |
        """
        rows = [self.headings, ["---"] * len(self.headings), *self.rows]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@dataclass(frozen=True)
class Section:
    """A heading, a paragraph, and the pictures and tables that bear it out."""

    title: str
    text: str = ""
    parts: Sequence[Picture | Table] = ()


@dataclass(frozen=True)
class Page:
    """What a reader sees: the title, the verdict in one sentence, the sections, and the fine print.

    Where the verdict answers a question, `answer` says it in a few words, in large, and `tone` how bad it is.
    """

    title: str
    verdict: str
    sections: Sequence[Section]
    details: dict[str, str] = field(default_factory=dict)
    answer: str = ""
    tone: Literal["calm", "doubt", "alarm"] = "calm"


def render(page: Page) -> str:
    """The page as HTML; every text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("trojancam.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.tests["picture"] = lambda part: isinstance(part, Picture)
    return environment.get_template("page.html.j2").render(page=page, versions=versions())


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
        "trojancam": trojancam.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
