"""What a page shows, read as a person reads it; and the same numbers as the page writes them."""

from typing import Any

import torch
from torch import Tensor

LONG = 600_000  # milliseconds that a scan or a repair may take: its process steps back behind all others


def until(page: Any, selector: str, words: str) -> None:
    """Wait until a scan or a repair has come to what stands in these words; what stands there instead is the error."""
    try:
        page.locator(selector).filter(has_text=words).wait_for(timeout=LONG)
    except Exception as error:
        raise AssertionError(page.locator("main").inner_text()[:2000]) from error


def settle(page: Any) -> None:
    """Wait until all that the page asked for is there."""
    page.wait_for_selector("main[aria-busy=false]")


def number(value: float, digits: int = 2) -> str:
    """A number as the page writes it: with a minus sign that is one."""
    return f"{value:.{digits}f}".replace("-", "−")


def short(value: float) -> str:
    """Three significant digits, as the page writes them."""
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1000:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent):+d}".replace("-", "−")
    return f"{float(f'{value:.3g}'):.12g}".replace("-", "−")


def bars(page: Any) -> list[tuple[int, str, str]]:
    """The classes of the prediction: number, logit, probability."""
    rows = page.locator("#subject .bars button").all()
    return [(int(row.get_attribute("data-class")), *row.locator(".number").all_inner_texts()) for row in rows]


def expected_bars(logits: Tensor) -> list[tuple[int, str, str]]:
    """What `bars` must be."""
    order = sorted(range(len(logits)), key=lambda index: (-float(logits[index]), index))[:5]
    shares = logits.softmax(0)
    return [(index, number(float(logits[index])), f"{100 * float(shares[index]):.1f} %") for index in order]


def pairs(page: Any) -> dict[int, list[str]]:
    """Logits of classes before and after a stimulation."""
    rows = page.locator("#stimulation .pairs li[data-class]").all()
    return {int(row.get_attribute("data-class")): row.locator(".number:not(.share)").all_inner_texts() for row in rows}


def fact(page: Any, name: str) -> str:
    """A number beside a feature map."""
    return str(page.locator(f"dl.numbers dt:text-is('{name}') + dd").inner_text())


def shares(rate: float) -> str:
    """A share in per cent."""
    return f"{100 * rate:.1f} %"


def cell(page: Any, row: int, column: int, size: tuple[int, int]) -> tuple[float, float]:
    """Where a cell of the large map lies in the window."""
    box = page.locator("#easel").bounding_box()
    return box["x"] + (column + 0.5) * box["width"] / size[1], box["y"] + (row + 0.5) * box["height"] / size[0]


def paint(page: Any, cells: list[tuple[int, int]], size: tuple[int, int]) -> None:
    """Press the mouse on the first of these cells and draw it over the others."""
    page.locator("#easel").scroll_into_view_if_needed()
    places = [cell(page, row, column, size) for row, column in cells]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()


def mask(cells: list[tuple[int, int]], size: tuple[int, int]) -> Tensor:
    """The same cells for the library."""
    marked = torch.zeros(size, dtype=torch.bool)
    for row, column in cells:
        marked[row, column] = True
    return marked
