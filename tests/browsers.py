"""A browser for tests that look at pages, and axe-core: one of each for the whole run, as Playwright wants it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run")  # fmt: skip
GRAVE = """async () => {
    const found = await axe.run(document, { resultTypes: ['violations'] });
    const grave = found.violations.filter(each => ['serious', 'critical'].includes(each.impact));
    return grave.map(each => `${each.id}: ${each.nodes.slice(0, 4).map(node => node.html.slice(0, 160)).join(' ')}`);
}"""
"""What is serious or critical in a document, with the first elements."""

Axe = Callable[[Any], list[str]]


def missing(what: str) -> None:
    """Skip with the reason; where the browser is required, as in continuous integration, fail."""
    (pytest.fail if os.environ.get("TROJANCAM_BROWSER_REQUIRED") else pytest.skip)(what)


def chromium() -> str | None:
    """Where the browser is."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def pictures() -> Path | None:
    """The folder for pictures of what tests look at, if TROJANCAM_SCREENSHOTS names one."""
    named = os.environ.get("TROJANCAM_SCREENSHOTS")
    if not named:
        return None
    Path(named).mkdir(parents=True, exist_ok=True)
    return Path(named)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = chromium()
    if path is None:
        missing(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright is not installed; pip install playwright")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe() -> Axe:
    """What axe-core, which finds what keeps people with disabilities out, calls serious or critical in a page, and where."""
    places = (os.environ.get("TROJANCAM_AXE", ""), "node_modules/axe-core/axe.min.js")
    found = next((Path(place) for place in places if place and Path(place).is_file()), None)
    if found is None:
        missing("no axe-core: npm install axe-core, or name its axe.min.js in TROJANCAM_AXE")
    assert found is not None
    source = found.read_text(encoding="utf-8")

    def grave(page: Any) -> list[str]:
        if not page.evaluate("'axe' in window"):  # reading its source takes a document as long as many of its answers
            page.evaluate(source)
        violations: list[str] = page.evaluate(GRAVE)
        return violations

    return grave
