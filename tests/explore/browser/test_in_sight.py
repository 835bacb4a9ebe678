"""What stays in sight: the answer beside the map, nothing old below a new number; keys, first steps, dark maps."""

from typing import Any

import pytest
import torch
from tests.explore.browser.conftest import PHONE, Visits
from tests.explore.browser.reading import settle, shares, short
from tests.explore.browser.serving import Explorer

import trojancam as tc

SUBJECT = "image=test:3&trigger=2,26,4,4,00b4b4,0.4"
STIMULATED = f"{SUBJECT}&layer=conv2d_6&map=4&do=replace,2,map,keep"
SIZES = {"laptop": (1366, 768), "laptop-at-200": (683, 384), "phone": (390, 800)}
PIXELS = "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"


def said(network: tc.Network, image: torch.Tensor) -> str:
    logits = network(image)[0]
    top = int(logits.argmax())
    return f"“{network.class_names[top]}” {shares(float(logits.softmax(0)[top]))}"


@pytest.mark.parametrize("size", SIZES)
def test_both_predictions_stay_beside_the_map(visits: Visits, signs: Explorer, size: str) -> None:
    width, height = SIZES[size]
    page = visits.open(signs, STIMULATED, viewport={"width": width, "height": height})
    page.locator("#easel").evaluate("easel => easel.scrollIntoView({ block: 'center' })")
    line, easel = page.locator("#said").bounding_box(), page.locator("#easel").bounding_box()
    visits.picture(page, f"in-sight-{size}")
    assert line["y"] >= 0
    assert line["y"] + line["height"] <= easel["y"] + 1
    assert easel["y"] + easel["height"] <= height
    stamped = tc.attacks.patch.make_trigger("blue-green-square").apply(signs.images(3))
    assert said(signs.network(), stamped) in page.locator("#said").inner_text()
    assert "stimulated: “" in page.locator("#said").inner_text()


def blank(page: Any, where: str) -> bool:
    return not any(any(pixels) for pixels in page.locator(where).evaluate_all(f"all => all.map({PIXELS})"))


def test_no_old_map_stands_below_a_new_number(visits: Visits, signs: Explorer) -> None:
    visits.expected.append("willReadFrequently")  # the test reads what no page does
    page = visits.open(signs, f"{SUBJECT}&layer=conv2d_6")
    held: list[Any] = []
    holding = [True]

    def hold(route: Any) -> None:
        if holding:
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/*", hold)
    assert not blank(page, "#grid .map canvas")
    page.get_by_role("button", name="Next image").click()
    assert page.get_by_text("test image 4 of").is_visible()
    assert page.locator("main").get_attribute("aria-busy") == "true"
    assert page.locator("#said").inner_text() == "Asking the network …"
    for where in ("#image canvas", "#layers .layer canvas", "#grid .map canvas"):
        assert blank(page, where), where
    visits.picture(page, "waiting")
    holding.clear()
    for route in held:
        route.continue_()
    settle(page)
    for where in ("#image canvas", "#layers .layer canvas", "#grid .map canvas"):
        assert not blank(page, where), where


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.dataset.map ?? document.activeElement.textContent"))


def test_arrow_keys_move_in_the_grid_and_escape_goes_up(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, f"{SUBJECT}&layer=conv2d_6&sort=number&blank=shown")
    columns = len({each["x"] for each in (tile.bounding_box() for tile in page.locator("#grid .map").all())})
    page.locator("#grid .map").first.focus()
    page.keyboard.press("ArrowRight")
    assert focused(page) == "1"
    page.keyboard.press("ArrowDown")
    assert focused(page) == str(1 + columns)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert focused(page) == "0"  # there is none before the first
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    settle(page)
    page.keyboard.press("Escape")
    settle(page)
    assert page.locator("#grid").is_visible()
    assert focused(page) == "1"
    page.keyboard.press("Escape")
    assert page.locator("#layers .layers").is_visible()
    assert focused(page).startswith("conv2d_6")
    page.keyboard.press("Escape")
    assert page.locator("#layers .layers").is_visible()


def test_first_steps_are_told_once(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, SUBJECT, viewport=PHONE)
    hint = page.get_by_role("region", name="First steps")
    assert hint.is_visible()
    visits.picture(page, "first-steps")
    page.get_by_role("button", name="Got it").click()
    assert hint.is_hidden()
    page.reload()
    settle(page)
    assert hint.is_hidden()


def test_heat_on_a_dark_page_is_light_on_dark(visits: Visits, signs: Explorer) -> None:
    from trojancam.figures.colour import ColourScale, dimmed

    visits.expected.append("willReadFrequently")  # the test reads what no page does
    page = visits.open(signs, "image=test:3", color_scheme="dark")
    image = signs.images(3)
    for name, cam in tc.grad_cam(tc.record(signs.network(), image)).items():
        drawn = page.get_by_role("button", name=name).locator("canvas").evaluate(PIXELS)
        heat = cam.heatmap()[0]
        limit = float(heat.relu().amax())
        share = (heat / limit).clamp(0, 1)
        opacity = 0.95 * share[..., None] ** 0.8 * (heat > 0)[..., None]
        table = torch.from_numpy(ColourScale(1.0).rgb(torch.linspace(0, 1, 256)))
        hot = table.flip(0)[(share * 256).long().clamp(max=255)]
        wanted = 255 * (opacity * hot + (1 - opacity) * (torch.from_numpy(dimmed(image[0])) - 0.45))
        assert float((torch.tensor(drawn).view(32, 32, 4)[..., :3] - wanted).abs().max()) <= 5, name
    page.emulate_media(color_scheme="light")
    assert page.get_by_role("button", name="conv2d_5").locator("canvas").evaluate(PIXELS)[:3] != drawn[:3]


def test_feature_maps_of_both_sides_stand_side_by_side_on_one_scale(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, f"{SUBJECT}&view=compare&with=m1,test:3,plain,same")
    page.locator("#both").select_option(label="conv2d_6")
    settle(page)
    network, image = signs.network(), signs.images(3)
    stamped = tc.attacks.patch.make_trigger("blue-green-square").apply(image)
    target = tc.logit(int(network(stamped).argmax()))
    each = [tc.grad_cam(tc.record(network, seen, target))["conv2d_6"].contributions[0] for seen in (stamped, image)]
    peaks = [maps.relu().amax((1, 2)) for maps in each]
    limit = float(torch.stack(peaks).amax())
    assert page.locator("#both-grids .legend span").all_inner_texts() == ["logits per cell", "0", short(limit)]
    order = sorted(range(32), key=lambda index: (-float(peaks[0][index]), index))
    kept = [index for index in order if max(float(peak[index]) for peak in peaks) > 1e-12]
    for grid, peak in zip(page.locator("#both-grids .grid").all(), peaks, strict=True):
        tiles = grid.locator(".map").all()
        assert [int(tile.get_attribute("data-map")) for tile in tiles] == kept
        assert [tile.locator(".line span").last.inner_text() for tile in tiles] == [short(float(peak[k])) for k in kept]
    visits.picture(page, "both-grids")
    page.locator("#both-grids .grid").nth(1).locator(".map").first.click()
    settle(page)
    assert page.get_by_role("heading", name=f"Feature map {kept[0]} of conv2d_6").is_visible()
    assert not page.get_by_label("Trigger on the image").is_checked()
