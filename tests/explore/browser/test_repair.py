"""Repairing from the page: the findings of a scan removed, the ledger, and a stimulation replayed on both networks."""

from tests.detection.planted import MAGENTA
from tests.explore.browser.conftest import Visits
from tests.explore.browser.reading import number, settle, until
from tests.explore.browser.serving import Explorer

import trojancam as tc


def test_a_repair_removes_what_a_scan_found_and_is_compared(visits: Visits, planted: Explorer) -> None:
    page = visits.open(planted, "view=scan&scanning=18,0,stimulation&repairing=4,1,0,found,ladder")
    page.get_by_role("button", name="Start the scan").click()
    until(page, "#scan", "Evidence of a backdoor")
    page.get_by_role("button", name="Repair", exact=True).click()
    assert page.get_by_text("It removes what the scan in the Scan view found.").is_visible()
    page.get_by_role("button", name="Start the repair").click()
    page.locator("#repair").get_by_role("progressbar").wait_for()
    until(page, "#ledger .verdict", "repaired")
    assert page.locator("#ledger .verdict").inner_text() == "Repaired"  # and not "Not repaired"
    before, after = page.locator("#ledger tbody tr", has_text="Success of the recovered trigger").locator("td").all()
    assert (before.inner_text(), after.inner_text()) == ("100%", "0%")
    settle(page)
    visits.picture(page, "repair")
    deed = tc.Stimulation("0", MAGENTA, value=7.5)
    page.evaluate(f"location.hash += '&layer=0&map={MAGENTA}&do=replace,7.5,absolute,keep&replay=own'")
    settle(page)
    page.locator("#replay .pairs").first.wait_for()
    for name, identifier in (
        ("Network before the repair", "m1"),
        ("Repaired network", list(planted.session.models)[-1]),
    ):
        found = tc.stimulate(planted.network(identifier), planted.images(0), deed)
        side = page.get_by_role("region", name=name)
        for row in side.locator(".pairs li[data-class]").all():
            index = int(row.get_attribute("data-class"))
            wanted = [number(float(each.logits[0][index])) for each in (found.before, found.after)]
            assert row.locator(".number:not(.share)").all_inner_texts() == wanted, name
    visits.picture(page, "replay")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the repaired network").click()
    assert saved.value.suggested_filename == "repaired.pt2"
    again = visits.open(planted, page.url.partition("#")[2])
    again.locator("#ledger .verdict").wait_for()
    again.get_by_role("button", name="Compare both networks").click()
    settle(again)
    assert "repaired: planted.pt2" in again.get_by_role("region", name="Second side").inner_text()


def test_nothing_found_is_refused_in_a_sentence(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "view=repair")
    images, start = page.get_by_label("Images of each class"), page.get_by_role("button", name="Start the repair")
    images.fill("1")
    assert page.get_by_text("Images of each class: give a whole number from 2 to 100.").is_visible()
    assert start.is_disabled()
    images.fill("2")
    start.click()
    until(page, "#repair", "the repair failed")
    assert page.get_by_role("button", name="Start the repair").is_visible()
