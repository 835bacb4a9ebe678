"""The maps of a page, used as a person does: sorted, thinned out, walked through, enlarged; with the library's numbers."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.nets import network

from trojancam.attacks.patch import square
from trojancam.attribution import Attribution, grad_cam
from trojancam.data.image_files import read_image
from trojancam.figures.colour import ColourScale, dimmed
from trojancam.network.recording import record
from trojancam.network.targets import logit

PAGE = "explain a class"
TARGET = 2
OFF = 6 / 255  # levels and colours are rounded


def results(written: Any, command: str = PAGE) -> dict[str, Any]:
    """The numbers of the first image."""
    document = json.loads(written(command)[1].read_text(encoding="utf-8"))
    image: dict[str, Any] = document["images"][0]
    return image


def grid(page: Any) -> Any:
    """The feature maps of the first image's first layer."""
    return page.locator("figure.maps:not(.pictures)").first


def shown(page: Any) -> list[int]:
    return [int(words) for words in grid(page).locator(".tile .number").all_text_contents()]


def explained(file: Path) -> tuple[torch.Tensor, Attribution]:
    _, net = network("plain")
    image = read_image(file, 12)[None] / 255
    return image[0], grad_cam(record(net, image, logit(TARGET), ["second"]))["second"]


def test_maps_are_sorted_by_what_is_chosen(written: Any, opened: Any) -> None:
    page = opened(written("explain with a trigger")[0])
    numbers = results(written, "explain with a trigger")["layers"]["first"]["feature_maps"]
    choice = grid(page).locator("select")
    for name in ("contribution", "energy", "peak"):
        choice.select_option(name)
        known = [value if value is not None else -np.inf for value in numbers[name]]
        assert shown(page) == sorted(shown(page), key=lambda k: (-known[k], k))
    choice.select_option("")
    assert shown(page) == sorted(shown(page))


def test_blank_maps_are_hidden_until_asked_for(written: Any, opened: Any) -> None:
    page = opened(written(PAGE)[0])
    peaks = results(written)["layers"]["second"]["feature_maps"]["peak"]
    blank = [k for k, peak in enumerate(peaks) if peak <= 1e-6 * max(peaks)]
    assert 0 < len(blank) < len(peaks)
    assert not set(shown(page)) & set(blank)
    box = grid(page).get_by_label(f"Hide {len(blank)} blank")
    box.uncheck()
    assert sorted(shown(page)) == list(range(len(peaks)))
    assert grid(page).locator(".tile.blank").count() == len(blank)
    box.check()
    assert sorted(shown(page)) == sorted(set(range(len(peaks))) - set(blank))


def test_the_keyboard_walks_opens_goes_on_and_closes(written: Any, opened: Any) -> None:
    page = opened(written("explain with a trigger")[0])
    order = shown(page)
    grid(page).locator("select").focus()
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement.type") == "checkbox":
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.querySelector('.number').textContent") == str(order[0])
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    for keys, place in (([], 1), (["ArrowRight"], 2), (["ArrowLeft", "ArrowLeft"], 0)):
        for key in keys:
            page.keyboard.press(key)
        page.locator("#zoom-title", has_text=re.compile(f"^first, feature map {order[place]}$")).wait_for()
    page.keyboard.press("Escape")
    page.locator("#zoom").wait_for(state="hidden")  # a browser closes a dialog some time after the key
    page.wait_for_function(
        "number => document.activeElement.querySelector('.number')?.textContent === number", arg=str(order[0])
    )


def test_an_enlarged_map_tells_its_numbers(written: Any, opened: Any) -> None:
    page = opened(written(PAGE)[0])
    numbers = results(written)["layers"]["second"]["feature_maps"]
    for place, k in enumerate(shown(page)):
        grid(page).locator(".tile").nth(place).click()
        facts = dict(zip(*(page.locator(f"#zoom {tag}").all_text_contents() for tag in ("dt", "dd")), strict=True))
        for title, name in (("Contribution", "contribution"), ("Weight", "weight"), ("Peak", "peak")):
            assert float(facts[title].replace("−", "-")) == pytest.approx(numbers[name][k], rel=5e-3)
        order = sorted(numbers["contribution"], reverse=True)
        assert facts["Rank by contribution"] == f"{order.index(numbers['contribution'][k]) + 1} of {len(order)}"
        page.locator("#zoom [data-close]").click()


@pytest.mark.parametrize("view", ["over", "cells"])
def test_an_enlarged_map_is_what_the_library_draws(view: str, written: Any, opened: Any) -> None:
    """At the centre of every pixel: the map laid over the image by the library's own rule, or its nearest cell."""
    page = opened(written(PAGE)[0])
    image, cam = explained(Path(results(written)["file"]))
    values = cam.feature_maps()[0]
    scale = ColourScale.of(values)
    k = shown(page)[0]
    grid(page).locator(".tile").first.click()
    page.locator(f"#zoom [data-view={view}]").click()
    drawn = np.array(page.evaluate(CENTRES))[..., :3] / 255
    laid = cam.at_image_size(values[None], smooth=view == "over")[0, k]
    expected = scale.over(laid, dimmed(image)) if view == "over" else scale.rgb(laid)
    assert np.abs(drawn - expected).max() <= OFF


CENTRES = """() => {
  const canvas = document.querySelector("#zoom canvas");
  const step = canvas.width / 12;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const at = (i) => Math.floor((i + 0.5) * step);
  const place = (y, x) => 4 * (at(y) * canvas.width + at(x));
  return Array.from({length: 12}, (_, y) => Array.from({length: 12}, (_, x) => [...pixels.slice(place(y, x), place(y, x) + 4)]));
}"""


def test_a_tile_of_a_signed_map_on_its_own_scale(written: Any, opened: Any) -> None:
    page = opened(written("explain with a trigger")[0])
    _, net = network("plain")
    file = Path(results(written, "explain with a trigger")["file"])
    stamped = square(3, 0, 0, "white", 0.5, (12, 12)).apply(read_image(file, 12)[None] / 255)
    cam = grad_cam(record(net, stamped, None, ["first"]))["first"]
    for place, k in enumerate(shown(page)):
        drawn = np.array(grid(page).locator(".tile canvas").nth(place).evaluate(TILE))[..., :3] / 255
        own = cam.contributions[0, k]
        laid = cam.at_image_size(cam.contributions, smooth=False)[0, k]
        expected = ColourScale.of(own, signed=True).rgb(laid)
        inner = np.s_[5:, 5:]  # the trigger is outlined in the upper left corner
        assert np.abs(drawn[inner] - expected[inner]).max() <= OFF


TILE = """(canvas) => {
  const step = canvas.width / 12;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const at = (i) => Math.floor((i + 0.5) * step);
  const place = (y, x) => 4 * (at(y) * canvas.width + at(x));
  return Array.from({length: 12}, (_, y) => Array.from({length: 12}, (_, x) => [...pixels.slice(place(y, x), place(y, x) + 4)]));
}"""
