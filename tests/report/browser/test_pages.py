"""Every page in every window: nothing goes wrong, nothing sticks out, everybody can read it, and all of it prints."""

from typing import Any

import pytest
from tests.browsers import Axe
from tests.report.browser.conftest import WINDOWS
from tests.report.test_results import COMMANDS

from trojancam.text import MINUS

PAGES = [name for name in COMMANDS if name != "explain"]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("command", PAGES)
def test_a_page_in_a_window(command: str, window: str, written: Any, opened: Any, axe: Axe) -> None:
    page = opened(written(command)[0], window)
    opened.picture(page, f"{command}-{window}")
    width = WINDOWS[window]["viewport"]["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert axe(page) == []


def test_an_open_map_can_be_read_by_everybody(written: Any, opened: Any, axe: Axe) -> None:
    page = opened(written("explain with a trigger")[0], "dark")
    page.locator(".tile").nth(7).click()
    opened.picture(page, "enlarged-dark")
    assert axe(page) == []


def test_all_maps_print(written: Any, opened: Any) -> None:
    page = opened(written("explain with a trigger")[0])
    page.reload()
    page.wait_for_selector(".ready .tile")
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.locator(".tile").count() == page.locator(".tile[data-drawn]").count() > 0


def test_without_scripts_atlases_are_pictures(written: Any, opened: Any) -> None:
    page = opened(written("explain with a trigger")[0], java_script_enabled=False)
    opened.picture(page, "without-scripts")
    assert page.locator(".tile").count() == 0
    assert page.locator(".tools label:visible").count() == 0
    atlases = page.locator(".atlas")
    assert atlases.count() > 0
    for place in range(atlases.count()):
        assert atlases.nth(place).is_visible()
        assert atlases.nth(place).get_attribute("alt")


def test_tables_sort_by_the_heading_pressed(written: Any, opened: Any) -> None:
    page = opened(written("compare")[0])
    table = page.locator("table.sortable").filter(has=page.locator("thead button")).first
    heading = table.locator("th button").nth(1)
    heading.click()
    values = _numbers(table)
    assert values == sorted(values, reverse=True)
    heading.click()
    assert table.locator("th").nth(1).get_attribute("aria-sort") == "ascending"
    assert _numbers(table) == sorted(values)


def _numbers(table: Any) -> list[float]:
    """Those of the second column; pages write a minus sign before negative ones."""
    texts = table.locator("tbody td:nth-child(2)").all_text_contents()
    return [float(text.split(" ")[0].replace(MINUS, "-")) for text in texts if text.strip()]
