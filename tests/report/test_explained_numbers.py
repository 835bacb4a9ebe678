"""Numbers: the heading of the column, the name of the row or of the number, or the caption says on hover what each one is."""

import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from tests.detection.planted import CLASSES, TARGET, pictures, planted
from tests.fleets import pages as fleet
from tests.formats import hostile_onnx
from tests.nets import images_for, network
from tests.report.test_passport import signed
from tests.report.test_results import ROOT, WRITTEN, pages
from tests.report.test_scan_page import report

import trojancam.report.repair
import trojancam.report.scan_pictures
from trojancam.attribution import grad_cam
from trojancam.detection import scan
from trojancam.evaluation.comparison import compare
from trojancam.fleets.fleet_page import HEADINGS, WORDS
from trojancam.network.recording import record
from trojancam.removal.goal import Culprit
from trojancam.removal.judging import Ruling, Trial
from trojancam.removal.ledger import (
    BoundedLayer,
    CleanReference,
    Ledger,
    ModuleChange,
    ScanSummary,
    TryRecord,
    accuracy,
)
from trojancam.removal.reactivation import Reactivation
from trojancam.removal.repairing import REPAIRS, Outcome
from trojancam.report.glossary import COLUMNS, TERMS, meaning, term_of_caption
from trojancam.report.page import Facts, Page, Picture, Section, Table, render
from trojancam.report.result_page import write_page
from trojancam.stimulation import Stimulation, stimulate
from trojancam.tasks.repair import Repaired
from trojancam.tasks.repair_views import repair_views
from trojancam_study.reproduction import details_of
from trojancam_study.walk import page as walk

NUMBER = re.compile(r"[-−+]?\d[\d.,]*(?:e[-−+]?\d+)?(?:%| |$)")
MEASURED = re.compile(
    r"(?<![\w.])(?<!arXiv )(?:\d[\d,.]*(?:e[-−]\d+)? ?%|\d[\d,]*\.\d+(?:e[-−]?\d+)?(?![\w.])|\d+e[-−]\d+)"
)
"""Shares and numbers with decimals: measured, and not counted."""
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


class UnexplainedInWords(HTMLParser):
    """The measured numbers outside tables and settings that nothing around them explains, with the words before each."""

    WITHOUT_END = ("meta", "img", "input", "br", "link", "path")
    ELSEWHERE = ("script", "style", "td", "th", "dt", "details", "code")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[tuple[str, bool]] = []
        self.feed(re.sub(r"“[^”]*”", "“”", text))  # a class may be called "over 3.5 tons"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        explained = bool(known.get("title")) or "fine" in (known.get("class") or "")
        if tag == "title" and self.open:  # in a drawing it is an element, the first in what it explains
            self.open[-1] = self.open[-1][0], True
        if tag not in self.WITHOUT_END:
            self.open.append((tag, explained))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not any(explained or tag in self.ELSEWHERE for tag, explained in self.open):
            self.found += [data[max(0, number.start() - 50) : number.end()] for number in MEASURED.finditer(data)]


BROKEN = (
    "the recovered trigger of class 5 still turns 41% of the images, more than 10%",
    "fresh triggers of class 5 turn 60% of the images, those of other classes 10%",
    "with the recovered trigger of class 5 on, only 52% of the images are recognised",
    "clean accuracy on held-back images fell from 96.1% to 92.0%",
)  # what a judge says


def repair_page(folder: Path) -> str:
    """The page of a repair with everything that such a page can have, its numbers made up."""
    seen, twin = planted(True), planted(False)
    culprit = Culprit.of(report().findings[0], CLASSES)
    before = Ruling(0.9612, 45, (Trial(TARGET, 0.98, 0.01, 0.9, 0.2, 0.9),))
    after = Ruling(0.9512, 45, (Trial(TARGET, 0.04, 0.88, 0.1, 0.1, 0.3),), BROKEN)
    clean = accuracy(seen.network, *pictures())
    back = Reactivation(0.41, 0.32, 0.11)
    method = next(iter(REPAIRS))
    ledger = Ledger(
        "not repaired", method, "head", before, after, clean, clean, ScanSummary("backdoor", 8.123, 4.0),
        ScanSummary("nothing found", 1.234, 4.0), (ModuleChange("dense", 3888, 0.0123),), back,
        (TryRecord("head", "the head was trained anew", after),), {"repair": 1.0}, ("Traces may be left.",),
        CleanReference(clean, after, back), (BoundedLayer("0", 3, 1, 0.42),),
    )  # fmt: skip
    result = Repaired(
        seen.network, twin.network, ledger, report(), None, Outcome(method, (culprit,), before, (), None, torch.arange(2)),
        *pictures(), repair_views(seen.network, twin.network, culprit, seen)[:1],
    )  # fmt: skip
    return write_page(result, folder, settings={"model": "planted"}).read_text(encoding="utf-8")


def study_page(_: Path) -> str:
    """The page of the whole study, from the numbers in the documentation; the pictures do not matter."""
    results = json.loads((ROOT / "docs" / "study" / "results.json").read_text(encoding="utf-8"))
    blank = Picture.of(Figure((1, 1)), "", 20)
    return render(walk(results["pieces"], details_of(results), lambda entry: Picture(blank.png, entry["caption"])))


def shown_in_notebooks(_: Path) -> str:
    """All kinds of results with numbers, one below the other."""
    seen, (_, net) = planted(True), network("plain")
    images = images_for(net, 3)
    recording = record(net, images)
    cams = grad_cam(recording)
    shown = [
        recording, cams, cams["second"], stimulate(net, images, Stimulation("first", 1, value=50.0)),
        scan(seen.network, seen.images, seen.labels, "stimulation"),
        compare(net, images, ("grad-cam", "hirescam", "random"), ("second",)),
    ]  # fmt: skip
    return "\n".join(each._repr_html_() for each in shown)


OTHERS: dict[str, Callable[[Path], str]] = {
    "repair": repair_page,
    "the study": study_page,
    "sign-off": lambda folder: signed(hostile_onnx.written(folder, hostile_onnx.network())).page.read_text(),
    "fleet": lambda folder: fleet.page(folder).read_text(encoding="utf-8"),
    "notebooks": shown_in_notebooks,
}
WITHOUT_TABLES_OF_NUMBERS = ("sign-off",)
IN_SENTENCES_OF_ITS_OWN = ("the study",)
"""Pages whose sentences say themselves what their numbers are: the hundreds of findings of the study."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (trojancam.report.scan_pictures, trojancam.report.repair):
        monkeypatch.setattr(module, "DPI", 40)


@pytest.mark.parametrize("name", [*WRITTEN, "demo", *OTHERS])
def test_each_number_is_explained(name: str, shared: Path, tmp_path: Path) -> None:
    text = OTHERS[name](tmp_path) if name in OTHERS else pages(name, shared, tmp_path)[0].read_text(encoding="utf-8")
    told = Unexplained(text)
    assert (told.numbers > 0) == (name not in WITHOUT_TABLES_OF_NUMBERS)
    assert told.found == []
    if name not in IN_SENTENCES_OF_ITS_OWN:
        assert UnexplainedInWords(text).found == []


def test_a_measured_number_in_a_sentence_without_an_explanation_is_noticed() -> None:
    text = render(Page("Page", "The ASR is 17%, whatever is 3.4%.", [], weighed="So are 17 images of “over 3.5 tons”."))
    assert UnexplainedInWords(text).found == [", whatever is 3.4%"]


def test_the_numbers_in_a_picture_are_explained() -> None:
    figure = Figure((1, 1))
    figure.text(0, 0, "Stop · logit 9.0 · p > 0.999")
    figure.text(0, 1, "Yield · logit 1.0\np = 0.250")  # broken
    page = Page("Page", "Done.", [Section("One", parts=[Picture.of(figure, "What was seen.", 20)])])
    (told,) = re.findall(r'<img [^>]*title="([^"]*)"', render(page))
    for word in ("logit", "probability"):
        assert f"{word}: {meaning(word)}" in html.unescape(told)
        assert word in [term.name for term in page.terms]
    assert "p-value" not in [term.name for term in page.terms]


def test_the_names_of_facts_and_of_settings_are_explained() -> None:
    page = Page("Page", "Done.", [Section("One", parts=[Facts([("Classes", "43")])])], {"fingerprint": "ab"})
    text = render(page)
    for name in ("Classes", "fingerprint"):
        assert f'<dt title="{meaning(name)}">{name}</dt>' in text
    assert [term.name for term in page.terms] == ["Classes", "fingerprint"]


def test_a_caption_explains_a_table_only_where_it_begins_with_what_is_measured() -> None:
    assert meaning("energy") == getattr(term_of_caption("Mean share of energy, on 3 images"), "meaning", "")
    assert term_of_caption("Feature maps, with their share of energy") is None


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
