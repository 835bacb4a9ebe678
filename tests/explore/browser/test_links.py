"""Taking a view along: the link restores it, the back button returns, and code, picture and numbers are those of the page."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.explore.browser.conftest import Visits
from tests.explore.browser.reading import bars, number, paint, pairs, settle
from tests.explore.browser.serving import Explorer

SIZE = (12, 12)


def state(page: Any) -> Any:
    """What of a view a person would recognise."""
    return (bars(page), pairs(page), page.locator("#stimulation .small").all_inner_texts(),
            page.locator("#answer canvas").count(), page.locator("main h2:visible").all_inner_texts())  # fmt: skip


def test_a_link_restores_the_view_with_what_was_painted(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3&trigger=2,26,4,4,00b4b4,0.4&layer=conv2d_6&map=4")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    paint(page, [(2, 3), (5, 8)], SIZE)
    page.get_by_label("Strength as a number").fill("2.5")
    settle(page)
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Link copied.").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(signs.url)
    again = visits.open(signs, link.partition("#")[2])
    assert state(again) == state(page)
    page.wait_for_url(link)  # the address follows the view


def test_the_back_button_returns(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3")
    page.get_by_role("button", name="conv2d_6").click()
    settle(page)  # until then the grid holds empty frames, twelve at most
    shown = page.locator("#grid .map").count()
    page.locator("#grid .map").nth(4).click()
    settle(page)
    page.go_back()
    page.locator("#grid").wait_for()
    settle(page)
    assert page.locator("#grid .map").count() == shown
    page.go_back()
    assert page.locator("#layers .layers").is_visible()
    page.go_forward()
    page.locator("#grid").wait_for()


@pytest.mark.parametrize(
    ("fragment", "sentence"),
    [
        ("model=m9", "This explorer has no network “m9” open; it shows its first one."),
        ("layer=conv2d_77", "trojan2.safetensors has no layer “conv2d_77”; here are all that it has."),
    ],
)
def test_a_link_to_what_is_not_there_says_so(visits: Visits, signs: Explorer, fragment: str, sentence: str) -> None:
    page = visits.open(signs, f"image=test:3&{fragment}&map=%E0%A4%A&window=1,2&do=replace,x&paint=!!")
    assert page.get_by_text(sentence).is_visible()
    assert page.locator("#layers .layer").count() == 5


def test_a_link_made_for_another_network_says_so(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3&of=00000000")
    sentence = "This link was made for another network; what is shown here is of “trojan2.safetensors”."
    assert page.get_by_text(sentence).is_visible()
    page.get_by_role("button", name="conv2d_6").click()
    settle(page)
    assert f"of={signs.network().fingerprint[:8]}" in page.url
    for fragment in (page.url.partition("#")[2], "image=test:3"):
        assert visits.open(signs, fragment).get_by_text(sentence).count() == 0
    page.locator("#model").select_option(value="m2")
    assert f"of={signs.network('m2').fingerprint[:8]}" in page.url
    assert page.locator("#toasts").get_by_text("another network").count() <= 1  # the one of the beginning


def test_a_link_to_a_finding_of_an_unknown_scan_stimulates_nothing(visits: Visits, signs: Explorer) -> None:
    visits.expected.append("404")
    page = visits.open(signs, "image=test:3&layer=conv2d_6&map=4&scan=s1-3fa9c2&finding=0")
    page.locator("#toasts").get_by_text("This scan is not, or no longer, known to the explorer").wait_for()
    assert page.locator("#stimulation").get_by_text("Without stimulation").is_visible()
    assert page.locator("section.easel .legend span").first.inner_text() == "activation"
    page.wait_for_function("() => !location.hash.includes('finding')")


def test_links_hold_long_identifiers_and_seeds(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs)
    text = "image=upload:u2-91bd07&with=m1,upload:u2-91bd07,plain,same&scan=s1-3fa9c2&scanning=60,4294967295,abs"
    script = """async (text) => {
        const { format, parse } = await import("./static/state.js");
        return [text, format(parse(text))].map(parse);
    }"""
    first, again = page.evaluate(script, text)
    assert first == again
    assert first["image"] == first["second"]["image"] == {"upload": "u2-91bd07"}
    assert first["scan"] == "s1-3fa9c2"
    assert first["scanning"] == {"images": 60, "seed": 4294967295, "methods": ["abs"]}


def test_code_and_pictures_are_asked_for_as_the_page_draws(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "layer=conv2d_6&signed=yes&scale=own&sort=peak&hide=blank&tiles=cells&layers=shared")
    drawn = {
        "signed": True, "scale": "own", "sort": "peak", "blanks": False, "tiles": "cells", "shows": "activations",
        "layers": "shared",
    }  # fmt: skip
    for view, more in (("layer", {}), ("scan", {"scanning": {"images": 60, "seed": 7, "methods": ["abs"]}})):
        page.evaluate("view => { location.hash += `&scanning=60,7,abs&view=${view}`; }", view.replace("layer", "look"))
        settle(page)
        with page.expect_request("**/api/code") as asked:
            page.get_by_role("button", name="Python").click()
        page.get_by_role("dialog").locator("pre").wait_for()
        page.keyboard.press("Escape")
        sent = asked.value.post_data_json
        assert sent["view"] == view
        assert {name: sent[name] for name in drawn} == drawn
        assert {name: sent[name] for name in more} == more


def test_the_code_gives_the_numbers_of_the_page(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3&layer=conv2d_6&map=4&do=add,2.5,absolute,keep&window=1,2,3,4&where=window")
    page.get_by_role("button", name="Python").click()
    code = page.get_by_role("dialog").locator("pre").inner_text()
    visits.picture(page, "code")
    assert "tc.stimulate" in code
    shown = pairs(page)
    known: dict[str, Any] = {}
    exec(compile(code.replace("rendered_signs(train=0,", "rendered_signs(train=0, test=90,"), "view.py", "exec"), known)
    results = [value for value in known.values() if type(value).__name__ == "Stimulated"]
    after = results[0].after.logits[0]
    assert {index: number(float(after[index])) for index in shown} == {index: pair[1] for index, pair in shown.items()}


def test_picture_and_numbers_are_saved(visits: Visits, signs: Explorer, tmp_path: Path) -> None:
    page = visits.open(signs, "image=test:3&layer=conv2d_6&map=4&do=add,2.5,absolute,keep")
    for name in ("PNG", "JSON"):
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        download.value.save_as(tmp_path / name)
    assert (tmp_path / "PNG").read_bytes().startswith(b"\x89PNG")
    numbers = json.loads((tmp_path / "JSON").read_text())
    after = torch.tensor(find(numbers, "after")["logits"])
    assert pairs(page)[int(after.argmax())][1] == number(float(after.max()))


def find(record: Any, name: str) -> Any:
    """The first part of nested records that bears this name."""
    if isinstance(record, dict):
        if name in record:
            return record[name]
        return next((found for part in record.values() if (found := find(part, name)) is not None), None)
    return None
