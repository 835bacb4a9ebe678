"""Scanning from the page: progress, cancelling, and from a finding to the feature map that it names."""

import os
import signal
from pathlib import Path
from typing import Any

from tests.detection.planted import MAGENTA, TARGET
from tests.explore.browser.conftest import Visits
from tests.explore.browser.reading import LONG, number, pairs, settle, until
from tests.explore.browser.serving import Explorer

from trojancam.detection.scanning import DEFAULT_METHODS, DETECTORS
from trojancam.report.scan import LIMITS


def test_a_scan_finds_the_backdoor_and_leads_to_its_map(visits: Visits, planted: Explorer) -> None:
    page = visits.open(planted, "view=scan&scanning=18,0,stimulation")
    page.get_by_role("button", name="Start the scan").click()
    page.get_by_role("progressbar").wait_for()
    assert page.get_by_role("button", name="Cancel").is_visible()
    until(page, "#scan", "Evidence of a backdoor")
    visits.picture(page, "scan")
    limits = [f"{limit}: {meaning}" for limit, meaning in LIMITS]  # those of the report's page
    assert page.locator("#findings .limits li").all_inner_texts() == limits
    finding = page.locator("#findings tbody tr").first
    assert finding.get_by_role("rowheader").inner_text() == f"ninth {TARGET}"
    again = visits.open(planted, page.url.partition("#")[2])
    again.get_by_text("Evidence of a backdoor").wait_for()
    finding.get_by_role("button", name=f"0, map {MAGENTA}").click()
    settle(page)
    assert page.get_by_role("heading", name=f"Feature map {MAGENTA} of 0").is_visible()
    assert page.locator("#answer").is_visible()
    assert page.get_by_label("Heat maps explain").input_value() == str(TARGET)
    assert page.locator("dl.numbers dd").last.inner_text().endswith("%")  # the scan measured its success rate
    recovered = page.get_by_role("button", name=f"See the trigger that the scan recovered for “ninth {TARGET}”")
    assert recovered.is_visible()
    assert page.get_by_text("The square is an example: nobody has said that this network answers to it.").is_visible()
    page.get_by_role("button", name="Next feature map").click()
    settle(page)
    assert page.locator("dl.numbers dd").last.inner_text().endswith("%")  # and that of all maps of its layer
    page.go_back()
    page.get_by_text("Evidence of a backdoor").wait_for()


def test_a_scan_looks_for_what_every_scan_looks_for_unless_told(visits: Visits, signs: Explorer) -> None:
    method = visits.open(signs, "view=scan").locator("#scan select")
    assert method.input_value() == ",".join(DEFAULT_METHODS)
    assert method.locator("option").count() == 1 + len(DETECTORS)


def test_a_finding_of_one_number_is_drawn_as_it_is_stimulated(visits: Visits, planted: Explorer) -> None:
    import trojancam as tc

    deed = tc.Stimulation("0", MAGENTA, value=7.5)
    finding = {"layer": "0", "feature_maps": [MAGENTA], "target_class": TARGET, "stimulation": deed.to_json()}
    numbers = {"score": 1.0, "reasr": 1.0, "stimulation_asr": 1.0, "trigger": None}
    report = {
        "verdict": "backdoor",
        "score": 1.0,
        "threshold": 0.5,
        "class_names": [],
        "remarks": [],
        "judgement": {"reason": "", "in_words": []},
        "coverage": {"searched": [], "not_searched": []},
    }
    told = {"model": "m1", "state": "finished", "done": 1, "total": 1, "note": "", "seconds_left": None, "message": ""}
    words = {"answer": "Evidence of a backdoor", "tone": "alarm", "summary": "", "weighed": [], "limits": []}
    status = {**told, "words": words, "report": {**report, "findings": [{**finding, **numbers}]}}
    visits.window.route("**/api/scans/s9-0a1b2c", lambda route: route.fulfill(json=status))
    page = visits.open(planted, f"image=test:3&layer=0&map={MAGENTA}&scan=s9-0a1b2c&finding=0")
    page.locator("#answer").wait_for()
    ends = page.locator("section.easel .legend span").all_inner_texts()
    visits.window.unroute("**/api/scans/s9-0a1b2c")
    assert ends == ["activation, stimulated", "0", "7.5"]
    after = tc.stimulate(planted.network(), planted.images(3), deed).after.logits[0]
    assert {index: pair[1] for index, pair in pairs(page).items()} == {
        index: number(float(after[index])) for index in pairs(page)
    }


def test_a_scan_is_followed_though_the_server_has_too_much_to_do(visits: Visits, planted: Explorer) -> None:
    told = {"model": "m1", "state": "failed", "done": 0, "total": 0, "note": "", "seconds_left": None}
    answers = [(503, {"error": "busy"})] * 5 + [(200, {**told, "message": "the end", "words": None, "report": None})]

    def answer(route: Any) -> None:
        status, said = answers.pop(0)
        route.fulfill(status=status, json=said)

    visits.expected.append("503")
    visits.window.route("**/api/scans/s8-0a1b2c", answer)
    page = visits.open(planted, "view=scan&scan=s8-0a1b2c", ready=False)
    page.get_by_text("The end").wait_for()
    visits.window.unroute("**/api/scans/s8-0a1b2c")
    assert not answers


def test_no_scan_is_started_of_a_number_that_is_none(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "view=scan&scanning=60,0,stimulation")
    images, start = page.get_by_label("Clean test images"), page.get_by_role("button", name="Start the scan")
    images.click(click_count=3)
    images.press_sequentially("2500")
    assert page.get_by_text("Clean test images: give a whole number from 4 to 2000.").is_visible()
    assert start.is_disabled()
    page.wait_for_function("() => location.hash.includes('scanning=60,')")
    page.locator("#scan").get_by_label("Seed").click()
    assert images.input_value() == "2000"
    assert start.is_enabled()
    page.wait_for_function("() => location.hash.includes('scanning=2000,')")


def test_another_tab_is_led_to_the_scan_that_is_running(visits: Visits, signs: Explorer) -> None:
    visits.expected.append("429")
    second = visits.open(signs, "view=scan&scanning=60,4,stimulation")
    first = visits.open(signs, "view=scan&scanning=60,3,stimulation")
    first.get_by_role("button", name="Start the scan").click()
    first.get_by_role("progressbar").wait_for()
    second.get_by_role("button", name="Start the scan").click()
    second.locator("#scan .refusal").wait_for()
    visits.picture(second, "scan-taken")
    second.get_by_role("button", name="Look at the running scan").click()
    second.get_by_role("progressbar").wait_for()
    assert second.locator("#scan .refusal").count() == 0
    fresh = visits.open(signs, "view=scan")
    fresh.get_by_role("button", name="Cancel").click()
    for page in (first, second, fresh):
        page.locator("#scan").get_by_text("cancelled").wait_for()


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
