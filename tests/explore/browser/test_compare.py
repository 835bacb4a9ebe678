"""Side by side: two networks, two images, with and without the trigger."""

from typing import Any

import torch
from tests.explore.browser.conftest import Visits
from tests.explore.browser.reading import number, settle, shares
from tests.explore.browser.serving import Explorer

import trojancam as tc
from trojancam.attacks.patch import make_trigger

TRIGGER = "trigger=2,26,4,4,00b4b4,0.4"


def says(page: Any, side: str) -> str:
    return str(page.get_by_role("region", name=f"{side} side").locator("p").first.inner_text())


def sentence(network: tc.Network, image: torch.Tensor) -> str:
    logits = network(image)[0]
    top = int(logits.argmax())
    return f"“{network.class_names[top]}”, {shares(float(logits.softmax(0)[top]))}, logit {number(float(logits[top]))}"


def test_two_networks_are_compared(visits: Visits, signs: Explorer) -> None:
    from playwright.sync_api import expect

    page = visits.open(signs, "image=test:3")
    page.get_by_role("button", name="Compare").click()
    settle(page)
    assert says(page, "First") == sentence(signs.network("m1"), signs.images(3))
    assert says(page, "Second") == sentence(signs.network("m2"), signs.images(3))
    rungs = page.locator("#compare .rung:visible").all()
    names = [rung.locator("b").all_inner_texts() for rung in rungs]
    assert names == [list(pair) for pair in zip(signs.network("m1").layers, signs.network("m2").layers, strict=True)]
    visits.picture(page, "compare")
    before = page.url
    page.get_by_role("button", name="Swap sides").click()
    swapped = page.get_by_role("region", name="First side").locator("p").first
    expect(swapped).to_have_text(sentence(signs.network("m2"), signs.images(3)), timeout=60_000)
    page.wait_for_function("before => location.href !== before", arg=before)
    settle(page)
    again = visits.open(signs, page.url.partition("#")[2])
    assert says(again, "Second") == says(page, "Second") == sentence(signs.network("m1"), signs.images(3))


def test_two_images_are_compared_and_the_second_one_opened(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, f"image=test:3&{TRIGGER}&view=compare&with=m1,test:3,plain,own")
    network, image = signs.network(), signs.images(3)
    assert says(page, "First") == sentence(network, make_trigger("blue-green-square").apply(image))
    assert says(page, "Second") == sentence(network, image)
    second = page.get_by_role("region", name="Second side")
    second.get_by_role("button", name="Choose image…").click()
    page.get_by_role("dialog").get_by_role("button", name="Image 11:").click()
    second.get_by_label("With the trigger").check()
    settle(page)
    assert says(page, "Second") == sentence(network, make_trigger("blue-green-square").apply(signs.images(11)))
    page.locator("#compare .rung").nth(1).locator("button").nth(1).click()
    settle(page)
    assert page.locator("#grid h2").inner_text().startswith("conv2d_6")
    assert "test image 11" in page.locator(".image-line").inner_text()


def test_both_sides_are_taken_along(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3&view=compare&with=m2,test:5,plain,own")
    page.get_by_role("button", name="Python").click()
    code = page.get_by_role("dialog").locator("pre").inner_text()
    assert "# The first side" in code
    assert "basic.safetensors" in code
