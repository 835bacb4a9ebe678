"""A page held against its JSON: the form, and every number in its tables and tiles."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from trojancam.report.schema import DOCUMENTS

NUMBER = re.compile(r"(?<![\w.])[-−]?\d[\d,]*(?:\.\d+)?(?:e[-−]?\d+)?%?(?![\w])")
CLOSE = 1e-5


class _Cells(HTMLParser):
    """The text of the cells of tables, and the data of the maps."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.data: list[str] = []
        self.into: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "td" or ("type", "application/json") in attrs:
            self.into = self.cells if tag == "td" else self.data
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


class _Held:
    """All numbers of a document, the lengths of its lists, and its words."""

    def __init__(self, document: Any) -> None:
        leaves = list(_leaves(document))
        self.numbers = sorted({float(each) for each in leaves if isinstance(each, int | float)})
        self.words = " ".join(each for each in leaves if isinstance(each, str))

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
        factors = (100.0,) if token.endswith("%") else (1.0, 100.0)
        return any(abs(factor * each - value) <= reach for factor in factors for each in self.numbers)


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
