"""The page: it needs nothing but itself, every text is escaped, and files are whole or absent."""

import html
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from trojancam import figures
from trojancam.errors import TrojanCamError
from trojancam.report.documents.document import RESULTS_VERSION, Document, Share
from trojancam.report.page import Command, Page, Picture, Section, Table, render, write_page

HOSTILE = "<script>alert('&')</script> \"quoted\" {{ 7 * 7 }}"


class Reader(HTMLParser):
    """The tags, attributes and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


class Answer(Document):
    share: Share | None


@pytest.fixture(scope="module")
def picture() -> Picture:
    row = figures.image_row([torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))], ["one"])
    return Picture(figures.to_png_bytes(row), HOSTILE)


@pytest.fixture(scope="module")
def page(picture: Picture) -> Page:
    table = Table([HOSTILE], [[HOSTILE], ["1.0%"]], HOSTILE)
    return Page(HOSTILE, HOSTILE, [Section(HOSTILE, HOSTILE, [picture, table])], {HOSTILE: HOSTILE})


def test_every_text_is_escaped(page: Page) -> None:
    text = render(page)
    reader = Reader(text)
    assert "script" not in reader.tags
    assert reader.open == []
    assert reader.words.count(HOSTILE) == 11  # title twice, verdict, heading, text, figure, table thrice, details twice
    assert ("alt", HOSTILE) in reader.attributes
    assert HOSTILE not in text
    assert html.escape(HOSTILE, quote=False)[:20] in text


def test_a_page_refers_to_nothing_outside_itself(page: Page) -> None:
    text = render(page)
    for reference in ("http:", "https:", "file:", "url(", "@import", "<link", 'src="/'):
        assert reference not in text
    sources = [value or "" for name, value in Reader(text).attributes if name in ("src", "href")]
    assert len(sources) == 1
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)


def test_a_picture_is_shown_at_half_its_pixels(picture: Picture, page: Page) -> None:
    with Image.open(io.BytesIO(picture.png)) as image:
        assert picture.width == image.width // 2
    assert ("width", str(picture.width)) in Reader(render(page)).attributes


def test_the_page_and_its_numbers_are_written_together(page: Page, tmp_path: Path) -> None:
    path = write_page(page, Answer.of(share=0.5), tmp_path / "new" / "out")
    assert path.read_text(encoding="utf-8") == render(page)
    assert sorted(file.name for file in path.parent.iterdir()) == ["index.html", "results.json"]
    document = json.loads((path.parent / "results.json").read_text())
    assert (document["results_version"], document["share"]) == (RESULTS_VERSION, 0.5)
    assert {"trojancam", "torch", "python"} < document["versions"].keys()


def test_numbers_that_are_not_finite_are_no_json(tmp_path: Path) -> None:
    assert json.loads(Answer.of(share=math.nan).write(tmp_path).read_text())["share"] is None


def test_what_no_class_describes_is_not_written(tmp_path: Path) -> None:
    for fields in ({"share": 2.0}, {"share": 0.5, "surprise": 1}, {}):
        with pytest.raises(ValidationError):
            Answer.of(**fields).write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to(page: Page, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrojanCamError, match="cannot write to the folder .*file"):
        write_page(page, Answer.of(share=None), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "in the way"


def test_negative_numbers_have_a_minus_on_a_page_and_nowhere_else() -> None:
    table = Table(["Layer", "Change"], [["-1.png", "-0.03"], ["conv-2", "[-0.14, 0.22]"]])
    text = render(Page("Page", "Done.", [Section("One", parts=[table])]))
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", text)
    assert cells == ["-1.png", "−0.03", "conv-2", "[−0.14, 0.22]"]
    assert "| -1.png | -0.03 |" in table.markdown()


def test_a_command_can_be_copied_and_shows_what_a_reader_puts_in() -> None:
    command = Command("trojancam sift 'a -5 b.pt' IMAGES --data IMAGES-1", ("IMAGES",))
    text = render(Page("Page", "Done.", [Section("One", parts=[Table(["Step", "Command"], [["Sift.", command]])])]))
    (told,) = re.findall(r"<code>(.*?)</code>", text)
    assert re.findall(r"<var>(.*?)</var>", told) == ["IMAGES"]
    assert html.unescape(re.sub(r"</?var>", "", told)) == str(command)
