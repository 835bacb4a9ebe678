"""Stimulating by hand: painted, slid, windowed, scaled; what the page then says is what `trojancam.stimulate` gives."""

from typing import Any

from tests.explore.browser.conftest import Visits
from tests.explore.browser.reading import cell, mask, number, paint, pairs, settle, short
from tests.explore.browser.serving import Explorer

import trojancam as tc

LAYER, MAP, SIZE = "conv2d_6", 4, (12, 12)
VIEW = f"image=test:3&layer={LAYER}&map={MAP}"


def stimulated(explorer: Explorer, **options: Any) -> tc.Stimulated:
    return tc.stimulate(explorer.network(), explorer.images(3), tc.Stimulation(LAYER, MAP, **options))


def clean_peak(explorer: Explorer) -> float:
    recording = tc.record(explorer.network(), explorer.images(*range(90)))
    return float(recording.layers[LAYER].activations[:, MAP].amax())


def check(page: Any, found: tc.Stimulated) -> None:
    """The page shows the logits before and after, and the peaks of the heat maps of this layer and all later ones."""
    settle(page)
    before, after = found.before.logits[0], found.after.logits[0]
    shown = pairs(page)
    assert set(shown) >= {int(after.argmax()), int(before.argmax())}
    assert shown == {index: [number(float(before[index])), number(float(after[index]))] for index in shown}
    rows = page.locator("#answer tbody tr")
    assert [row.get_attribute("data-layer") for row in rows.all()] == list(found.cams_after)
    for row, name in zip(rows.all(), found.cams_after, strict=True):
        peaks = [float(cams[name].heatmap().amax()) for cams in (found.cams_before, found.cams_after)]
        labels = [canvas.get_attribute("aria-label") for canvas in row.locator("canvas").all()[:2]]
        expected = [
            f"{name}, {side}: peak {short(peak)}" for side, peak in zip(("before", "after"), peaks, strict=True)
        ]
        assert labels == expected


def test_painted_cells_are_stimulated_at_once(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, VIEW)
    paint(page, [(2, 3), (2, 8)], SIZE)
    row = [(2, column) for column in range(3, 9)]
    value = clean_peak(signs)
    check(page, stimulated(signs, value=value, mask=mask(row, SIZE)))
    assert page.get_by_text("6 of 144 cells painted").is_visible()
    page.get_by_text("Eraser").click()
    paint(page, [(2, 5)], SIZE)
    page.get_by_text("Brush", exact=True).click()
    page.locator("fieldset", has_text="Width of the brush").get_by_text("3").click()
    paint(page, [(8, 8)], SIZE)
    block = [(row, column) for row in (7, 8, 9) for column in (7, 8, 9)]
    cells = [place for place in row if place != (2, 5)] + block
    check(page, stimulated(signs, value=value, mask=mask(cells, SIZE)))
    visits.picture(page, "painted")
    page.get_by_role("button", name="Clear").click()
    assert page.get_by_text("Paint at least one cell.").is_visible()
    assert page.locator("#answer").is_hidden()


def test_cells_are_painted_by_keys(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, VIEW)
    page.locator("#easel").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Space", "ArrowDown", "Space", "Space", "ArrowDown", "Space"):
        page.keyboard.press(key)
    check(page, stimulated(signs, value=clean_peak(signs), mask=mask([(1, 2), (3, 2)], SIZE)))
    assert "Row 3, column 2" in page.locator("section[aria-label='Feature map'] [aria-live]").inner_text()


def test_the_slider_says_how_strongly(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, VIEW)
    slider = page.get_by_label("Strength", exact=True)
    slider.focus()
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    assert slider.input_value() == "1.5"
    peak = clean_peak(signs)
    check(page, stimulated(signs, value=1.5 * peak))
    page.get_by_label("Strength counts").select_option(value="absolute")
    check(page, stimulated(signs, value=1.5 * peak))  # the same strength in another unit
    page.get_by_label("Strength as a number").fill("7.25")
    page.get_by_text("Add", exact=True).click()
    page.get_by_label("Strength as a number").fill("-0.5")
    check(page, stimulated(signs, kind="add", value=-0.5))
    page.get_by_text("Scale", exact=True).click()
    check(page, stimulated(signs, kind="scale", value=2.0))
    page.get_by_text("Zero", exact=True).click()
    check(page, stimulated(signs, kind="zero"))
    page.get_by_role("button", name="Reset").click()
    assert page.get_by_text("Without stimulation").is_visible()


def test_a_strength_beyond_all_maps_is_refused_at_the_field(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, f"{VIEW}&do=replace,2.5,absolute,keep")
    exact = page.get_by_label("Strength as a number")
    for typed in ("1e9", "-1e9", "1e38", "-1e38"):
        exact.fill(typed)
        assert page.get_by_text("Strength: give a number from −1000000 to 1000000.").is_visible()
        assert exact.get_attribute("aria-invalid") == "true"
        check(page, stimulated(signs, value=2.5))
    exact.blur()
    assert exact.input_value() == "2.5"
    assert page.locator("#strength-problem").inner_text() == ""
    exact.fill("-1000000")
    check(page, stimulated(signs, value=-1e6))
    page = visits.open(signs, f"{VIEW}&do=replace,1e38,absolute,keep")  # nor does a link bring it
    assert page.get_by_text("Without stimulation").is_visible()


def test_a_window_is_drawn_on_the_map(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, VIEW)
    page.locator("#stimulation").get_by_text("Window", exact=True).click()
    page.locator("#easel").scroll_into_view_if_needed()
    page.mouse.move(*cell(page, 6, 9, SIZE))
    page.mouse.down()
    page.mouse.move(*cell(page, 4, 11, SIZE), steps=4)
    page.mouse.up()
    value = clean_peak(signs)
    check(page, stimulated(signs, value=value, window=(4, 9, 3, 3)))
    page.get_by_label("Set the rest of the map to zero").check()
    page.locator("#stimulation").get_by_label("Width", exact=True).fill("2")
    check(page, stimulated(signs, value=value, window=(4, 9, 3, 2), rest="zero"))
    visits.picture(page, "window")


def test_a_window_stays_while_a_number_beyond_the_map_is_typed(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, f"{VIEW}&do=replace,1,map,keep&window=4,9,3,3&where=window")
    row = page.locator("#stimulation").get_by_label("Row", exact=True)
    row.click(click_count=3)
    row.press_sequentially("70")
    assert page.get_by_text("Row: give a whole number from 0 to 9.").is_visible()
    value = clean_peak(signs)
    check(page, stimulated(signs, value=value, window=(4, 9, 3, 3)))
    row.press("Tab")
    assert row.input_value() == "9"
    check(page, stimulated(signs, value=value, window=(9, 9, 3, 3)))


def test_marked_cells_are_left_behind_where_a_layer_of_the_same_name_has_others(
    visits: Visits, signs: Explorer
) -> None:
    page = visits.open(signs, f"{VIEW}&do=replace,1,map,keep&window=4,9,3,3&where=paint&paint=AAAA_w")
    assert page.get_by_text("8 of 144 cells painted").is_visible()
    page.evaluate(
        """async () => {
        const { settler } = await import("./static/settling.js");
        const { BLANK, parse } = await import("./static/state.js");
        const layer = (size) => ({ name: "conv", size, feature_maps: 9 });
        const model = (id, size) => ({ id, name: id, classes: [], size: [32, 32], layers: [layer(size)] });
        const settle = settler({ models: [model("m1", [12, 12]), model("m2", [6, 6])], data: { splits: { test: 1 } },
            default_searches: [] });
        const first = settle({ ...BLANK, model: "m1", layer: "conv", map: 1, paint: "AAAA_w", window: [4, 4, 1, 1] });
        window.same = settle({ ...first, map: 2 }, { map: 2 });
        window.other = settle({ ...first, model: "m2" }, { model: "m2" });
        const patch = { model: "m1", paint: "", window: [9, 9, 2, 2] };
        window.brought = settle({ ...other, ...patch }, patch);
    }"""
    )
    assert page.evaluate("[same.paint, same.window]") == ["AAAA_w", [4, 4, 1, 1]]
    assert page.evaluate("[other.paint, other.window]") == ["", None]
    assert page.evaluate("brought.window") == [9, 9, 2, 2]


def test_the_answer_is_not_told_again_where_its_words_stay(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, f"{VIEW}&do=replace,0.01,map,keep")
    said = page.locator("#stimulation .turned")
    before = said.evaluate(
        "element => { window.told = 0; new MutationObserver(() => { told += 1; }).observe(element, { childList: true });"
        " return element.textContent; }"
    )
    page.get_by_label("Strength as a number").fill("0.02")
    check(page, stimulated(signs, value=0.02 * clean_peak(signs)))
    assert said.inner_text() == before
    assert page.evaluate("told") == 0


def test_several_maps_are_stimulated_together(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, f"{VIEW}&do=replace,2.5,absolute,keep")
    field = page.get_by_label("Feature maps stimulated together")
    field.fill("4, 7,31")
    settle(page)
    images = signs.images(3)
    check(page, tc.stimulate(signs.network(), images, tc.Stimulation(LAYER, (4, 7, 31), value=2.5)))
    field.fill("4, 99")
    assert page.get_by_text("Give numbers from 0 to 31 with commas between them, each once, or “all”.").is_visible()
    field.fill("all")
    check(page, tc.stimulate(signs.network(), images, tc.Stimulation(LAYER, "all", value=2.5)))


def test_what_a_stroke_asks_last_is_what_the_page_shows(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, VIEW)
    corner = (
        [(0, column) for column in range(12)]
        + [(row, 11) for row in range(12)]
        + [(11, column) for column in range(12)]
    )
    paint(page, [(0, 0), (0, 11), (11, 11), (11, 0)], SIZE)
    check(page, stimulated(signs, value=clean_peak(signs), mask=mask(corner, SIZE)))
