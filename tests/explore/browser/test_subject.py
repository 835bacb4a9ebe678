"""The left of the page: choosing images, placing a trigger with the mouse and the keys, and what the network says."""

from typing import Any

import torch
from tests.explore.browser.conftest import Visits
from tests.explore.browser.reading import bars, expected_bars, settle
from tests.explore.browser.serving import TARGET, Explorer

import trojancam as tc


def trigger_of(page: Any) -> dict[str, int]:
    names = ("Row", "Column", "Height", "Width")
    section = page.locator("section[aria-label=Trigger]")
    return {name: int(section.get_by_label(name, exact=True).input_value()) for name in names}


def stamped(image: torch.Tensor, row: int, column: int, height: int, width: int, colour: str, opacity: float) -> Any:
    shades = torch.tensor([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]).view(3, 1, 1)
    copy = image.clone()
    inside = (..., slice(row, row + height), slice(column, column + width))
    copy[inside] = copy[inside] * (1 - opacity) + opacity * shades
    return copy


def drag(page: Any, start: tuple[float, float], by: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + by[0], start[1] + by[1], steps=6)
    page.mouse.up()


def test_the_prediction_is_the_librarys(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:7")
    network = signs.network()
    assert bars(page) == expected_bars(network(signs.images(7))[0])
    label = int(signs.session.model("m1").images.labels[7])
    assert page.locator(".image-line .name").inner_text() == network.class_names[label]
    page.get_by_role("button", name="Next image").click()
    settle(page)
    assert bars(page) == expected_bars(network(signs.images(8))[0])
    page.locator("#model").select_option(label="basic.safetensors")
    settle(page)
    assert bars(page) == expected_bars(signs.network("m2")(signs.images(8))[0])


def test_an_image_is_chosen_by_class(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs)
    page.get_by_role("button", name="Choose…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("1 to 60 of 90").wait_for()
    assert dialog.locator(".tiles button").count() == 60
    dialog.get_by_role("button", name="Next ›").click()
    dialog.get_by_text("61 to 90 of 90").wait_for()
    labels = signs.session.model("m1").images.labels
    chosen = int(labels[40])
    dialog.get_by_label("Class").select_option(value=str(chosen))
    members = [index for index, label in enumerate(labels.tolist()) if label == chosen]
    dialog.get_by_text(f"1 to {len(members)} of {len(members)}").wait_for()
    visits.picture(page, "choose-image")
    dialog.locator(".tiles button").last.click()
    settle(page)
    assert bars(page) == expected_bars(signs.network()(signs.images(members[-1]))[0])
    assert f"image=test:{members[-1]}" in page.url


def test_an_image_of_ones_own_is_looked_at(visits: Visits, signs: Explorer, tmp_path: Any) -> None:
    from PIL import Image

    pixels = signs.session.model("m1").images.images[5].permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    page = visits.open(signs)
    with page.expect_request("**/api/uploads?name=mine.png"):
        page.get_by_label("Image file").set_input_files(tmp_path / "mine.png")
    page.get_by_text("uploaded; without a class of its own").wait_for()
    settle(page)
    assert bars(page) == expected_bars(signs.network()(signs.images(5))[0])


def test_a_trigger_is_dragged_resized_and_coloured(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3")
    assert page.get_by_text("The square is an example").is_hidden()
    page.get_by_text("Place it as the file records it").click()
    settle(page)
    assert trigger_of(page) == {"Row": 2, "Column": 26, "Height": 4, "Width": 4}
    box = page.locator("#image canvas").bounding_box()
    pixel = box["width"] / 32
    square = page.locator(".trigger").bounding_box()
    drag(page, (square["x"] + 8, square["y"] + 8), (-12.2 * pixel, 9.1 * pixel))
    settle(page)
    assert trigger_of(page) == {"Row": 11, "Column": 14, "Height": 4, "Width": 4}
    handle = page.locator(".trigger .handle").bounding_box()
    drag(page, (handle["x"] + 11, handle["y"] + 11), (3 * pixel, 2 * pixel))
    settle(page)
    assert trigger_of(page) == {"Row": 11, "Column": 14, "Height": 6, "Width": 7}
    page.get_by_label("Colour").fill("#ff8000")
    page.get_by_label("Opacity").fill("0.8")
    settle(page)
    visits.picture(page, "trigger")
    seen = stamped(signs.images(3), 11, 14, 6, 7, "#ff8000", 0.8)
    assert bars(page) == expected_bars(signs.network()(seen)[0])


def test_a_trigger_is_moved_by_keys_and_stays_within_the_image(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3&trigger=2,26,4,4,00b4b4,0.4")
    page.locator(".trigger").focus()
    for key, times in (("ArrowLeft", 3), ("ArrowDown", 2), ("ArrowUp", 9)):
        for _ in range(times):
            page.keyboard.press(key)
    page.keyboard.press("Shift+ArrowRight")
    settle(page)
    assert trigger_of(page) == {"Row": 0, "Column": 23, "Height": 4, "Width": 5}
    page.locator("section[aria-label=Trigger]").get_by_label("Row", exact=True).fill("28")
    settle(page)
    assert trigger_of(page)["Row"] == 28
    page.get_by_label("Trigger on the image").uncheck()
    settle(page)
    assert bars(page) == expected_bars(signs.network()(signs.images(3))[0])


def test_a_number_beyond_its_limits_changes_nothing_until_the_nearest_is_taken(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3&trigger=2,26,4,4,00b4b4,0.4")
    row = page.locator("section[aria-label=Trigger]").get_by_label("Row", exact=True)
    row.click(click_count=3)
    row.press_sequentially("30")
    assert page.get_by_text("Row: give a whole number from 0 to 28.").is_visible()
    assert row.get_attribute("aria-invalid") == "true"
    assert "row 2," in page.locator(".trigger").get_attribute("aria-label")
    row.press("Tab")
    assert row.input_value() == "28"
    assert row.get_attribute("aria-invalid") is None
    assert "row 28," in page.locator(".trigger").get_attribute("aria-label")
    row.click(click_count=3)
    row.press("Delete")
    assert "row 28," in page.locator(".trigger").get_attribute("aria-label")
    row.press("Tab")
    assert row.input_value() == "28"


def test_another_class_is_explained(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3")
    page.get_by_label("Heat maps explain").select_option(value=str(TARGET))
    settle(page)
    name = signs.network().class_names[TARGET]
    assert page.locator("#layers h2").inner_text() == f"What speaks for “{name}”, layer by layer"
    second = page.locator("#subject .bars button").nth(1)
    second.click()
    settle(page)
    explained = int(second.get_attribute("data-class"))
    assert page.get_by_label("Heat maps explain").input_value() == str(explained)
    assert second.get_attribute("aria-pressed") == "true"
    cams = tc.grad_cam(tc.record(signs.network(), signs.images(3), tc.logit(explained)))
    peaks = [f"peak {float(cam.heatmap().amax()):.3g}" for cam in cams.values() if float(cam.heatmap().amax()) > 1e-3]
    shown = page.locator(".layer .facts").all_inner_texts()
    assert sum(any(peak in text for text in shown) for peak in peaks) == len(peaks)
