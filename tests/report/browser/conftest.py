"""Report pages in a browser: opened as files, free of errors, and with no request for anything but themselves."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.browsers import pictures
from tests.report.test_results import pages

WINDOWS = {
    "light": {"viewport": {"width": 1180, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1180, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True},
}

Written = Callable[[str], tuple[Path, Path]]


@pytest.fixture(scope="session")
def written(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The page of a command and its JSON, each made once."""
    made: dict[str, tuple[Path, Path]] = {}

    def write(command: str) -> tuple[Path, Path]:
        if command not in made:
            made[command] = pages(command, shared, tmp_path_factory.mktemp("page"))
        return made[command]

    return write


class Opener:
    """Opens pages and keeps what goes wrong in them."""

    def __init__(self, browser: Any, windows: Callable[[str], Any], pictures: Path | None) -> None:
        self.browser, self.windows, self.pictures = browser, windows, pictures
        self.wrong: list[str] = []
        self.opened: list[Any] = []

    def __call__(self, path: Path, window: str = "light", **options: Any) -> Any:
        """The page in a window of a kind, with all its maps drawn."""
        context = self.browser.new_context(**WINDOWS[window] | options) if options else self.windows(window)
        page = context.new_page()
        self.opened.append(context if options else page)
        page.on("console", lambda message: self.wrong.append(message.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._request)
        page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            page.wait_for_function("document.querySelectorAll('.maps:not(.ready)').length === 0")
            page.evaluate("dispatchEvent(new Event('beforeprint'))")
        return page

    def picture(self, page: Any, name: str) -> None:
        """Keep what it looks like where TROJANCAM_SCREENSHOTS says; unsaid, drawing it would only take time."""
        if self.pictures is not None:
            page.screenshot(path=self.pictures / f"report-{name.replace(' ', '-')}.png", full_page=True)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.wrong.append(f"a request: {request.url}")


@pytest.fixture(scope="session")
def windows(browser: Any) -> Callable[[str], Any]:
    """A window of each kind for all pages that ask for nothing special: a new one for each takes longer than many tests."""
    return cache(lambda kind: browser.new_context(**WINDOWS[kind]))


@pytest.fixture
def opened(browser: Any, windows: Callable[[str], Any]) -> Iterator[Opener]:
    opener = Opener(browser, windows, pictures())
    yield opener
    for each in opener.opened:
        each.close()
    assert opener.wrong == []
