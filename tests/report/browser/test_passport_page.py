"""The page of a passport in every window: nothing sticks out, everybody can read it, and what is signed stays on one sheet."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.browsers import Axe
from tests.formats import hostile_onnx
from tests.report.browser.conftest import WINDOWS
from tests.report.test_passport import signed


@pytest.mark.parametrize("window", WINDOWS)
def test_a_passport_in_a_window(tmp_path: Path, window: str, opened: Any, axe: Axe) -> None:
    page = opened(signed(hostile_onnx.written(tmp_path, hostile_onnx.network())).page, window)
    opened.picture(page, f"passport-{window}")
    assert page.evaluate("document.documentElement.scrollWidth") <= WINDOWS[window]["viewport"]["width"]
    assert axe(page) == []
    page.emulate_media(media="print")
    sheet = page.locator(".signature")
    assert sheet.evaluate("element => getComputedStyle(element).breakInside") == "avoid"
    for paper in ("A4", "Letter"):  # one sheet to sign
        assert len(re.findall(rb"/Type /Page\b", page.pdf(format=paper, prefer_css_page_size=False))) == 1
