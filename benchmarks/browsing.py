"""The explorer's page in a browser: from moving the slider, or opening a layer, to having the answer painted."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.browsers import BROWSERS, FLAGS, chromium

TIMED, FIRST = 30, 2  # moments timed, after the first ones
IMAGE = 5
WINDOW = {"width": 1360, "height": 900}
READY = "main[aria-busy=false]"

PAINTED = """
    const main = document.querySelector("main"), pause = (wait) => new Promise((done) => setTimeout(done, wait));
    const painted = async () => {
        do await pause(1); while (main.getAttribute("aria-busy") !== "false");
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));  // the frame is on the screen
    };
    const timed = async (act) => { const start = performance.now(); act(); await painted(); return performance.now() - start; };
"""
DRAG = f"""async (count) => {{ {PAINTED}
    const slider = document.getElementById("strength"), times = [];
    const move = (to) => {{ slider.value = String(to); slider.dispatchEvent(new Event("input", {{ bubbles: true }})); }};
    for (let step = 0; step < count; step++) times.push(await timed(() => move(0.3 + 0.05 * step)));
    return times;
}}"""
OPEN = f"""async ([view, layer, count]) => {{ {PAINTED}
    const times = [], tile = () => [...document.querySelectorAll(".layer")].find((each) => each.innerText.includes(layer));
    for (let step = 0; step < count; step++) {{
        location.hash = `${{view}}&image=test:${{100 + step}}`;
        await pause(20);
        await painted();
        times.push(await timed(() => tile().click()));
    }}
    return times;
}}"""


@dataclass(frozen=True)
class Row:
    """Median milliseconds until a stimulation, and until all feature maps of a layer, are on the screen."""

    stimulation: float
    grid: float


@contextmanager
def page_of(address: str) -> Iterator[Any]:
    """The explorer's page in a browser of its own."""
    from playwright.sync_api import sync_playwright

    if chromium() is None:
        raise SystemExit(f"there is no browser to measure in: none of {', '.join(BROWSERS)} is on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = browser.new_page(viewport=WINDOW)
        page.goto(address)
        page.wait_for_selector(READY)
        yield page
        browser.close()


def timed(page: Any, model: str, layer: str) -> Row:
    """A slider dragged to ever other strengths, and a layer opened on ever other images."""
    grid = page.evaluate(OPEN, [f"#model={model}", layer, FIRST + TIMED])
    page.evaluate("(view) => { location.hash = view; }", f"#model={model}&image=test:{IMAGE}&layer={layer}&map=0")
    page.wait_for_selector("#strength")
    page.wait_for_selector(READY)
    stimulation = page.evaluate(DRAG, FIRST + TIMED)
    return Row(statistics.median(stimulation[FIRST:]), statistics.median(grid[FIRST:]))
