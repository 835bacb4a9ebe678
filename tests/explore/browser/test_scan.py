"""Scanning from the page: progress, cancelling, and from a finding to the feature map that it names."""

import os
import signal
from pathlib import Path

from tests.detection.planted import MAGENTA, TARGET
from tests.explore.browser.conftest import Visits
from tests.explore.browser.reading import settle
from tests.explore.browser.serving import Explorer

LONG = 180_000  # milliseconds that a scan may take on a busy machine: its process steps back behind all others


def test_a_scan_finds_the_backdoor_and_leads_to_its_map(visits: Visits, planted: Explorer) -> None:
    page = visits.open(planted, "view=scan&scanning=18,0,stimulation")
    page.get_by_role("button", name="Start the scan").click()
    page.get_by_role("progressbar").wait_for()
    assert page.get_by_role("button", name="Cancel").is_visible()
    page.get_by_text("Backdoor found").wait_for(timeout=LONG)
    visits.picture(page, "scan")
    finding = page.locator("#findings tbody tr").first
    assert finding.get_by_role("rowheader").inner_text() == f"ninth {TARGET}"
    again = visits.open(planted, page.url.partition("#")[2])
    again.get_by_text("Backdoor found").wait_for()
    finding.get_by_role("button", name=f"0, map {MAGENTA}").click()
    settle(page)
    assert page.get_by_role("heading", name=f"Feature map {MAGENTA} of 0").is_visible()
    assert page.locator("#answer").is_visible()
    assert page.get_by_label("Heat maps explain").input_value() == str(TARGET)
    assert page.locator("dl.numbers dd").last.inner_text().endswith("%")  # the scan measured its success rate
    page.go_back()
    page.get_by_text("Backdoor found").wait_for()


def test_a_scan_is_cancelled(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "view=scan&scanning=60,1,stimulation")
    page.get_by_role("button", name="Start the scan").click()
    page.get_by_role("button", name="Cancel").click(timeout=LONG)
    page.locator("#scan").get_by_text("cancelled").wait_for()
    assert page.get_by_role("button", name="Start the scan").is_visible()
    assert page.get_by_role("progressbar").is_hidden()


def test_a_scan_that_is_killed_ends_in_a_sentence(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "view=scan&scanning=60,2,stimulation")
    page.get_by_role("button", name="Start the scan").click()
    page.get_by_role("progressbar").wait_for()
    for process in scanning():
        os.kill(process, signal.SIGKILL)
    page.get_by_text("the scan was killed").wait_for()
    assert page.get_by_role("button", name="Start the scan").is_visible()


def scanning() -> list[int]:
    """The scan processes that this process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, parent = status.read_text().split()[0], status.read_text().rpartition(")")[2].split()[1]
            command = status.with_name("cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if int(parent) == os.getpid() and b"trojancam.explore.scan_process" in command:
            found.append(int(number))
    return found
