"""The page of a fleet: all rows with their links, nothing of a file's name as markup; in a browser it sorts and filters."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.browsers import Axe
from tests.fleets.pages import COUNT, page, rows
from tests.report.browser.conftest import WINDOWS, opened, windows

from trojancam.fleets.fleet_page import write_fleet_page
from trojancam.fleets.result import Result
from trojancam.fleets.table import Row

__all__ = ["opened", "windows"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page(tmp_path_factory.mktemp("page"))


def test_the_page_has_every_row_and_a_link_to_every_page(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    body = text[: text.index("<h2>Score and accuracy")]
    assert body.count("<tr>") == len(rows()) + 1
    assert set(re.findall(r'href="(models/[^"]+)"', body)) == {
        f"models/net-{number}/scan.html" for number in range(COUNT)
    }
    assert text.count('<path class="point') == COUNT + 3  # and the key
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)" not in text
    assert "Evidence of a backdoor in 4 of 28 models" in text
    assert "This is no verdict and changes none" in text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_the_answer_is_that_of_the_worst(tmp_path: Path) -> None:
    def answer(*verdicts: str) -> str:
        found = [Row(n, "a", "/a", None, None, Result("done", verdict)) for n, verdict in enumerate(verdicts)]
        text = write_fleet_page(found, tmp_path / "a.html", {}).read_text()
        return re.search(r'<p class="answer (.*?)</p>', text)[1]  # type: ignore[index]

    assert answer("opened", "not judged") == 'doubt">1 of 2 models inconclusive or not judged'
    assert answer("opened", "opened") == 'calm">2 models opened; none was scanned'
    assert answer("nothing found", "repaired") == 'calm">No evidence in 2 models'
    assert answer("not repaired", "backdoor") == 'alarm">Evidence of a backdoor in 1 of 2 models'


@pytest.mark.parametrize("window", WINDOWS)
def test_the_page_in_a_window(written: Path, opened: Any, axe: Axe, window: str) -> None:
    shown = opened(written, window)
    opened.picture(shown, f"fleet-{window}")
    assert shown.evaluate("document.documentElement.scrollWidth") <= WINDOWS[window]["viewport"]["width"]
    assert axe(shown) == []


def test_rows_are_picked_by_words_and_by_verdict_and_sorted(written: Path, opened: Any) -> None:
    shown = opened(written)
    table = shown.locator("table.filtered")
    visible = table.locator("tbody tr:not([hidden])")
    assert visible.count() == len(rows())
    shown.get_by_label("Rows with").fill("RESNET net-1")
    chosen = [row.file for row in rows() if row.result and row.result.architecture == "resnet" and "net-1" in row.file]
    assert visible.locator("td:first-child").all_text_contents() == chosen
    assert shown.get_by_role("status").text_content() == f"{len(chosen)} of {len(rows())} rows"
    shown.get_by_label("Rows with").fill("")
    shown.get_by_label("Verdict").select_option("backdoor")
    assert set(visible.locator("td:nth-child(2)").all_text_contents()) == {"backdoor"}
    table.locator("th button").nth(2).click()
    scores = [float(text) for text in visible.locator("td:nth-child(3)").all_text_contents()]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
