"""A browser and the explorer's real server; every page that a test opens must be free of errors and stay on the machine."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.browsers import pictures
from tests.explore.browser.serving import Explorer, planted_session, signs_session

DESKTOP, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 800}
TIMEOUT = 30_000


@pytest.fixture(scope="session")
def signs(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    explorer = Explorer(signs_session(tmp_path_factory.mktemp("signs")))
    yield explorer
    explorer.stop()


@pytest.fixture(scope="session")
def planted(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    explorer = Explorer(planted_session(tmp_path_factory.mktemp("planted")))
    yield explorer
    explorer.stop()


@dataclass
class Visits:
    """Opens pages of an explorer and keeps what goes wrong in them; `expected` are patterns of errors that a test provokes."""

    browser: Any
    window: Any  # the context of pages that ask for nothing special: a new one for each takes longer than most tests
    pictures: Path | None
    expected: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    opened: list[Any] = field(default_factory=list)

    def open(self, explorer: Explorer, fragment: str = "", *, ready: bool = True, **options: Any) -> Any:
        """A page that shows this view and has had all its answers."""
        context = self.browser.new_context(**options) if options else self.window
        page = context.new_page()
        self.opened.append(context if options else page)
        page.set_default_timeout(TIMEOUT)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"{error}"))
        page.on("request", lambda request: self._request(request, explorer.url))
        page.goto(f"{explorer.url}?token={explorer.access.secret}#{fragment}")
        if ready:
            page.wait_for_selector("main[aria-busy=false]")
        return page

    def picture(self, page: Any, name: str) -> None:
        """Keep what the page looks like where TROJANCAM_SCREENSHOTS says; unsaid, drawing it would only take time."""
        if self.pictures is not None:
            page.screenshot(path=self.pictures / f"{name}.png", full_page=True)

    def close(self) -> None:
        for each in self.opened:
            each.close()

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not any(re.search(each, message.text) for each in self.expected):
            self.wrong.append(message.text)

    def _request(self, request: Any, home: str) -> None:
        if not request.url.startswith((home, "data:", "blob:")):
            self.wrong.append(f"a request off the machine: {request.url}")


@pytest.fixture(scope="session")
def window(browser: Any) -> Any:
    return browser.new_context(viewport=DESKTOP)


@pytest.fixture
def visits(browser: Any, window: Any) -> Iterator[Visits]:
    made = Visits(browser, window, pictures())
    yield made
    made.close()
    assert not made.wrong
