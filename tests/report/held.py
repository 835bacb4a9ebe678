"""A page held against its JSON: the form, and every number in its tables and tiles."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from trojancam.report.documents import DOCUMENTS

NUMBER = re.compile(r"(?<![\w.])[-−]?\d[\d,]*(?:\.\d+)?(?:e[-−]?\d+)?%?(?![\w])")
HASH = re.compile(r"[0-9a-f]{16,}")  # holds digits, but says no number
CLOSE = 1e-5
RECORD = 256  # names and values, at most, that belong to one thing: a class, a layer, a method with its intervals


class _Cells(HTMLParser):
    """The text of the cells of tables, row by row, and the data of the maps."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.data: list[str] = []
        self.into: list[str] | None = None
        self.feed(text)

    @property
    def cells(self) -> list[str]:
        return [cell for row in self.rows for cell in row]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag == "td" or ("type", "application/json") in attrs:
            self.into = self.rows[-1] if tag == "td" else self.data
            self.into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "script"):
            self.into = None

    def handle_data(self, data: str) -> None:
        if self.into is not None:
            self.into[-1] += data


def held_against(page: Path, results: Path) -> tuple[dict[str, Any], list[str]]:
    """The document, which must be of its form, and the numbers on the page that it does not hold."""
    document = json.loads(results.read_text(encoding="utf-8"))
    DOCUMENTS[document["command"]].model_validate(document)
    held = _Held(document)
    found = _Cells(page.read_text(encoding="utf-8"))
    return document, [*held.missing_words(found.cells), *held.missing_maps(found.data)]


class Records:
    """The parts of a document that are small enough to be of one thing, and the rows of its page."""

    def __init__(self, page: Path, results: Path) -> None:
        document = json.loads(results.read_text(encoding="utf-8"))
        parts = list(_parts(document))
        most = min(RECORD, parts[0][0] // 2)  # of small documents the whole would be a record
        self.parts = [_Held(part) for size, part in sorted(parts, key=lambda part: part[0]) if size <= most]
        self.rows = [row for row in _Cells(page.read_text(encoding="utf-8")).rows if any(map(NUMBER.search, row))]

    def hold(self, row: list[str]) -> bool:
        """Whether all numbers of a row stand in one record."""
        return any(not any(part.missing_words(row)) for part in self.parts)


def altered(row: list[str]) -> Iterator[list[str]]:
    """The row with one number's last digit changed, each in turn."""
    for place, cell in enumerate(row):
        for found in NUMBER.finditer(cell):
            last = max(at for at in range(*found.span()) if cell[at].isdigit())
            changed = f"{cell[:last]}{(int(cell[last]) + 1) % 10}{cell[last + 1 :]}"
            yield [*row[:place], changed, *row[place + 1 :]]


def _parts(value: Any) -> Iterator[tuple[int, Any]]:
    """Every object and list in a document, with how much it holds."""
    if isinstance(value, dict | list):
        yield sum(1 for _ in _leaves(value)), value
        for each in value.values() if isinstance(value, dict) else value:
            yield from _parts(each)


class _Held:
    """All numbers of a document, the lengths of its lists, and its words."""

    def __init__(self, document: Any) -> None:
        leaves = list(_leaves(document))
        self.numbers = sorted({float(each) for each in leaves if isinstance(each, int | float)})
        texts = (each for each in leaves if isinstance(each, str) and not HASH.search(each))
        self.words = {token for text in texts for token in NUMBER.findall(text)}

    def missing_words(self, cells: list[str]) -> Iterator[str]:
        for cell in cells:
            for token in NUMBER.findall(cell):
                if token not in self.words and not self._has(token):
                    yield f"{token} in {cell!r}"

    def missing_maps(self, data: list[str]) -> Iterator[str]:
        for text in data:
            maps = json.loads(text)
            for name, values in maps["numbers"].items():
                for value in values:
                    if value is not None and not any(
                        abs(value - each) <= CLOSE * max(abs(each), 1e-30) for each in self.numbers
                    ):
                        yield f"{name} {value}"
            for note in maps["notes"]:
                yield from self.missing_words([note.rpartition("max ")[2]] if "max " in note else [])

    def _has(self, token: str) -> bool:
        """Whether a number rounds to the token, as it is or in percent."""
        plain = token.replace("−", "-").replace(",", "").removesuffix("%")
        value, digits = float(plain), len(plain.partition(".")[2].partition("e")[0])
        exponent = int(plain.partition("e")[2] or 0)
        reach = 0.5 * 10.0 ** (exponent - digits) * (1 + 1e-6)
        factor = 100.0 if token.endswith("%") else 1.0
        return any(abs(factor * each - value) <= reach for each in self.numbers)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _leaves(each)
    elif isinstance(value, list):
        yield len(value)
        for each in value:
            yield from _leaves(each)
    else:
        yield value
