"""How the page looks and whom it keeps out: light, dark and narrow, no serious finding of axe, nothing wider than the window."""

import pytest
from tests.browsers import Axe
from tests.explore.browser.conftest import DESKTOP, PHONE, Visits
from tests.explore.browser.serving import Explorer

SUBJECT = "image=test:3&trigger=2,26,4,4,00b4b4,0.4"
STIMULATED = f"{SUBJECT}&layer=conv2d_6&map=4&do=replace,2,map,keep&window=1,8,3,3&where=window"
VIEWS = {
    "layers": SUBJECT,
    "grid": f"{SUBJECT}&layer=conv2d_6&sort=contribution",
    "map": STIMULATED,
    "compare": f"{SUBJECT}&view=compare",
    "both": f"{SUBJECT}&view=compare&both=1",
    "scan": f"{SUBJECT}&view=scan",
    "repair": f"{SUBJECT}&view=repair",
}
LOOKS = {
    "light": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "has_touch": True, "is_mobile": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_every_view_is_open_to_all_and_fits(visits: Visits, signs: Explorer, axe: Axe, look: str) -> None:
    page = visits.open(signs, **LOOKS[look])
    for view, fragment in VIEWS.items():
        page.evaluate("fragment => { location.hash = fragment; }", fragment)
        page.wait_for_selector("main[aria-busy=false]")
        visits.picture(page, f"{view}-{look}")
        assert axe(page) == [], view
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), view


def test_the_dialog_of_a_network_is_open_to_all(visits: Visits, signs: Explorer, axe: Axe) -> None:
    for look in ("light", "dark"):
        page = visits.open(signs, SUBJECT, **LOOKS[look])
        page.get_by_label("Model file").set_input_files(signs.session.model("m2").source.path)
        page.get_by_role("dialog").get_by_label("Architecture").fill("basic")
        visits.picture(page, f"open-{look}")
        assert axe(page) == []
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="hidden")


def test_what_is_wrong_with_a_number_is_open_to_all(visits: Visits, signs: Explorer, axe: Axe) -> None:
    window = f"{SUBJECT}&layer=conv2d_6&map=4&do=replace,1,map,keep&window=1,8,3,3&where=window"
    for look in ("light", "dark"):
        page = visits.open(signs, window, **LOOKS[look])
        for part in ("section[aria-label=Trigger]", "#stimulation"):
            row = page.locator(part).get_by_label("Row", exact=True)
            row.press_sequentially("99")
            assert page.locator(part).get_by_text("Row: give a whole number from 0 to").is_visible()
            visits.picture(page, f"number-{look}-{part[0]}")
            assert axe(page) == []
        page.evaluate("location.hash = 'view=scan'")
        page.get_by_label("Clean test images").press_sequentially("99999")
        visits.picture(page, f"number-{look}-scan")
        assert axe(page) == []


def test_dialogs_are_open_to_all(visits: Visits, signs: Explorer, axe: Axe) -> None:
    page = visits.open(signs, STIMULATED)
    for name, ready in (("Choose…", "1 to 60 of 90"), ("Python", "The same result in Python")):
        page.get_by_role("button", name=name, exact=True).click()
        page.get_by_role("dialog").get_by_text(ready).wait_for()
        assert axe(page) == [], name
        page.keyboard.press("Escape")


def test_the_page_is_used_by_keys_alone(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, SUBJECT)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the heat maps"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    for _ in range(12):
        if page.locator(":focus").evaluate("element => element.classList.contains('layer')"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#grid .map").first.wait_for()
    assert "layer=conv2d_5" in page.url
    page.locator("#grid .map").nth(2).focus()
    page.keyboard.press("Enter")
    assert page.locator(":focus").get_attribute("id") == "easel"
    page.keyboard.press("Space")
    page.locator("#answer").wait_for()
    page.get_by_role("button", name="Next feature map").focus()
    page.keyboard.press("Enter")
    assert page.locator(":focus").get_attribute("aria-label") == "Next feature map"
