"""Numbers in tables: the heading of the column, the name of the row or the caption says on hover what each one is."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.report.test_results import WRITTEN

from trojancam.fleets.fleet_page import HEADINGS, WORDS
from trojancam.report.glossary import COLUMNS, TERMS, meaning
from trojancam.report.page import Page, Section, Table, render

NUMBER = re.compile(r"[-−+]?\d[\d.,]*(?:e[-+]?\d+)?(?:%| |$)")
ROW_SAYS = "What it is"  # a column that explains the number beside it in words


class Unexplained(HTMLParser):
    """The heading and the text of each number whose heading, row and table have no explanation."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.numbers = 0
        self.headings: list[tuple[str, bool]] = []
        self.cells: list[tuple[str, bool]] = []
        self.caption = False
        self.into: list[tuple[str, bool]] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        explained = any(name == "title" and value for name, value in attrs)
        if tag == "table":
            self.headings, self.caption = [], False
        if tag == "tr":
            self.cells = []
        if tag == "caption":
            self.caption = explained
        if tag in ("th", "td"):
            self.into = self.headings if tag == "th" else self.cells
            self.into.append(("", explained))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td"):
            self.into = None
        if tag == "tr" and self.cells:
            self._row()

    def handle_data(self, data: str) -> None:
        if self.into is not None:
            text, explained = self.into[-1]
            self.into[-1] = text + data, explained

    def _row(self) -> None:
        in_words = self.caption or self.cells[0][1] or any(name == ROW_SAYS for name, _ in self.headings)
        for (name, explained), (text, _) in list(zip(self.headings, self.cells, strict=True))[1:]:
            if NUMBER.match(text):
                self.numbers += 1
                if not (explained or in_words):
                    self.found.append((name, text))


@pytest.mark.parametrize("command", WRITTEN)
def test_each_number_in_a_table_is_explained(command: str, tmp_path: Path) -> None:
    page, _ = WRITTEN[command](tmp_path)
    told = Unexplained(page.read_text(encoding="utf-8"))
    assert told.numbers > 0
    assert told.found == []


def test_a_number_without_an_explanation_is_noticed() -> None:
    table = Table(["Layer", "Elevation", "Whatever"], [["conv", "2.1", "17%"]])
    assert Unexplained(render(Page("Page", "Done.", [Section("One", parts=[table])]))).found == [("Whatever", "17%")]


def test_columns_of_numbers_are_explained_in_print_too() -> None:
    table = Table(["Layer", "Largest cell"], [["conv", "2.1"]])
    text = render(Page("Page", "Done.", [Section("One", parts=[table])]))
    assert f"<dt>Largest cell</dt><dd>{meaning('Largest cell')}</dd>" in html.unescape(text)


def test_the_table_of_a_fleet_explains_its_columns_of_numbers() -> None:
    numbers = [name for place, name in enumerate(HEADINGS) if place not in WORDS]
    assert [name for name in numbers if not meaning(name)] == []


def test_headings_are_explained_once() -> None:
    words = [word.lower() for term in (*COLUMNS, *TERMS) for word in (term.name, *term.spellings)]
    assert len(set(words)) == len(words)
