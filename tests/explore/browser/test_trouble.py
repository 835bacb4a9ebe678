"""What goes wrong is a sentence on the page: wrong files, a server that goes and comes back, one that is busy, a second tab."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.explore.browser.conftest import Visits
from tests.explore.browser.reading import bars, expected_bars, settle
from tests.explore.browser.serving import Explorer, planted_session


@pytest.mark.parametrize(("label", "name"), [("Model file", "wrong.pt"), ("Image file", "wrong.png")])
def test_a_wrong_file_is_refused_in_a_sentence(
    visits: Visits, signs: Explorer, tmp_path: Path, label: str, name: str
) -> None:
    visits.expected.append("400")
    (tmp_path / name).write_bytes(b"this is neither a network nor an image")
    page = visits.open(signs, "image=test:3")
    page.get_by_label(label).set_input_files(tmp_path / name)
    if label == "Model file":
        page.get_by_role("dialog").get_by_role("button", name="Open").click()
    alert = page.get_by_role("dialog").get_by_role("alert").locator(":scope:not(:empty)")
    assert alert.inner_text().strip()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert bars(page) == expected_bars(signs.network()(signs.images(3))[0])


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(visits: Visits, signs: Explorer, tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(17 * 2**20)
    page = visits.open(signs)
    page.get_by_label("Image file").set_input_files(tmp_path / "large.png")
    page.get_by_text(
        "large.png has 17.0 MB, but this explorer takes at most 16.0 MB; choose a smaller image."
    ).wait_for()


def test_a_model_file_is_opened_as_another_network(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3")
    page.get_by_label("Model file").set_input_files(signs.session.model("m2").source.path)
    assert page.get_by_role("dialog").get_by_text("basic.safetensors").is_visible()
    page.keyboard.press("Enter")
    page.locator("#model option").nth(2).wait_for(state="attached")
    settle(page)
    assert bars(page) == expected_bars(signs.network("m2")(signs.images(3))[0])


def test_weights_alone_are_opened_once_their_architecture_is_said(
    visits: Visits, signs: Explorer, tmp_path: Path
) -> None:
    visits.expected.append("400")
    torch.save(load_file(signs.session.model("m2").source.path), tmp_path / "weights.pth")
    page = visits.open(signs, "image=test:3")
    page.get_by_label("Model file").set_input_files(tmp_path / "weights.pth")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Open").click()
    dialog.locator(".refusal").wait_for()
    visits.picture(page, "open-network")
    dialog.get_by_label("Architecture").fill("basic")
    dialog.get_by_label("How it is fed").fill("rgb-symmetric")
    with page.expect_request("**/api/models?*") as sent:
        page.keyboard.press("Enter")
    assert sent.value.url.endswith("?name=weights.pth&architecture=basic&preprocessing=rgb-symmetric")
    dialog.wait_for(state="detached")
    settle(page)
    assert page.locator("#model option:checked").inner_text() == "weights.pth"
    opened = list(signs.session.models)[-1]
    assert signs.network(opened).input.mean == (0.5, 0.5, 0.5)
    assert bars(page) == expected_bars(signs.network(opened)(signs.images(3))[0])


def test_a_network_is_not_opened_after_all(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3")
    before = list(signs.session.models)
    page.get_by_label("Model file").set_input_files(signs.session.model("m2").source.path)
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").wait_for(state="hidden")
    assert list(signs.session.models) == before


def test_a_page_stays_where_a_server_with_another_secret_does_not_let_it_in(
    visits: Visits, browser: object, tmp_path: Path
) -> None:
    visits.expected += ["ERR_CONNECTION_REFUSED", "403", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"]
    first = Explorer(planted_session(tmp_path), host="0.0.0.0")
    page = visits.open(first, ready=False)
    page.goto(f"{first.url}?token={first.access.secret}#image=test:3")
    settle(page)
    first.stop()
    page.get_by_role("button", name="Next image").click()
    page.get_by_text("does not answer; was it stopped?").wait_for()
    (tmp_path / "again").mkdir()
    again = Explorer(planted_session(tmp_path / "again"), first.port, host="0.0.0.0")
    page.locator("#banner").get_by_text("use the whole address that it printed when it began").wait_for()
    visits.picture(page, "shut")
    assert page.locator(".image-line").is_visible()
    page.context.new_page().goto(f"{again.url}?token={again.access.secret}")
    page.wait_for_selector("#banner:empty", state="attached")
    settle(page)
    assert bars(page) == expected_bars(again.network()(again.images(4))[0])
    again.stop()


def test_a_server_that_vanishes_is_waited_for(visits: Visits, browser: object, tmp_path: Path) -> None:
    visits.expected += ["ERR_CONNECTION_REFUSED", "403", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"]
    first = Explorer(planted_session(tmp_path))
    page = visits.open(first, "image=test:3")
    first.stop()
    page.get_by_role("button", name="Next image").click()
    page.get_by_text("does not answer; was it stopped?").wait_for()
    visits.picture(page, "vanished")
    (tmp_path / "again").mkdir()
    again = Explorer(planted_session(tmp_path / "again"), first.port, secret=first.access.secret)
    page.locator(".image-line", has_text="test image 4").wait_for()
    page.wait_for_selector("#banner:empty", state="attached")
    settle(page)
    assert bars(page) == expected_bars(again.network()(again.images(4))[0])
    again.stop()


def test_a_busy_server_is_asked_again_and_then_named(visits: Visits, signs: Explorer) -> None:
    visits.expected.append("503")
    page = visits.open(signs, "image=test:3&layer=conv2d_6&map=4")
    asked = []
    sentence = "the explorer has too much to do; try again in a moment"

    def busy(route: object) -> None:
        asked.append(route)
        if len(asked) == 5:
            route.continue_()
        else:
            route.fulfill(status=503, json={"error": sentence})

    page.route("**/api/stimulate", busy)
    page.get_by_label("Strength as a number").fill("2")
    page.locator("#stimulation").get_by_text(sentence).wait_for()
    assert len(asked) == 4
    page.get_by_role("button", name="Try again").click()
    page.locator("#answer").wait_for()
    assert page.locator("#stimulation").get_by_text(sentence).count() == 0


def test_two_tabs_are_independent(visits: Visits, signs: Explorer) -> None:
    first = visits.open(signs, "image=test:3&layer=conv2d_6&map=4")
    second = visits.open(signs, "image=test:9&model=m2")
    first.get_by_label("Strength as a number").fill("3")
    second.get_by_role("button", name="Next image").click()
    settle(first)
    settle(second)
    assert bars(first) == expected_bars(signs.network("m1")(signs.images(3))[0])
    assert bars(second) == expected_bars(signs.network("m2")(signs.images(10))[0])
