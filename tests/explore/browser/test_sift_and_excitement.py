"""What defences say of an image, what excites a feature map, and other methods than Grad-CAM; the numbers are the library's."""

from tests.explore.browser.conftest import Visits
from tests.explore.browser.reading import fact, settle, short
from tests.explore.browser.serving import TARGET, Explorer

import trojancam as tc
from trojancam.defences.sieve import DEFENCES
from trojancam.explore import sifting
from trojancam.explore.subjects import AboutDefence


def test_every_defence_scores_the_image_and_shows_its_place(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3&trigger=2,26,4,4,00b4b4,0.4")
    page.get_by_role("button", name="Ask the defences").click()
    page.wait_for_function("() => !document.getElementById('sift').textContent.includes('Asking …')", timeout=120_000)
    visits.picture(page, "sift")
    row = {each.get_attribute("data-defence"): each for each in page.locator("#sift tbody tr").all()}
    assert list(row) == list(DEFENCES)
    shade = {"row": 2, "column": 26, "height": 4, "width": 4, "opacity": 0.4, "colour": [0, 180 / 255, 180 / 255]}
    subject = {"model": "m1", "image": {"split": "test", "index": 3}, "trigger": shade}
    for name in ("contributions", "cognitive-distillation"):
        found = sifting.sift(signs.session, AboutDefence.model_validate({"subject": subject, "defence": name}))
        cells = row[name].locator("td").all_inner_texts()
        assert cells[:4] == [
            "Suspicious" if found["suspicious"] else "Not suspicious",
            *(short(found[key]) for key in ("score", "threshold", "p_value")),
        ]
        assert row[name].locator("canvas").is_visible()
    assert row["cognitive-distillation"].locator("td").last.inner_text() == "minimal mask"
    assert "IBD-PSC amplifies batch normalisations" in row["ibd-psc"].inner_text()
    assert "knows no place" in row["strip"].inner_text()
    page.get_by_role("button", name="Next image").click()
    settle(page)
    page.wait_for_function("() => !document.getElementById('sift').textContent.includes('Asking …')", timeout=120_000)
    next_ = {**subject, "image": {"split": "test", "index": 4}}
    found = sifting.sift(signs.session, AboutDefence.model_validate({"subject": next_, "defence": "contributions"}))
    assert row["contributions"].locator("td").nth(1).inner_text() == short(found["score"])


def test_what_excites_a_map_is_shown_and_taken_up(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3&layer=conv2d_6&map=4")
    page.get_by_role("button", name="Find the images that excite it most").click()
    tiles = page.locator("#excitement .tiles button")
    tiles.first.wait_for()
    images = signs.images(*range(90))
    peaks = tc.record(signs.network(), images).layers["conv2d_6"].activations[:, 4].amax((1, 2))
    order = peaks.argsort(descending=True, stable=True)[:12].tolist()
    assert tiles.all_inner_texts() == [f"{index}: {short(float(peaks[index]))}" for index in order]
    page.get_by_role("button", name="Draw what it looks for").click()
    page.locator("#preferred").wait_for()
    settle(page)
    image = tc.attribution.preferred_image(signs.network(), "conv2d_6", 4)
    reached = tc.record(signs.network(), image[None]).layers["conv2d_6"].activations[0, 4].amax()
    assert f"It drives the map to {short(float(reached))};" in page.locator("#excitement").inner_text()
    visits.picture(page, "excitement")
    tiles.first.click()
    settle(page)
    assert f"test image {order[0]} of" in page.locator(".image-line").inner_text()
    assert fact(page, "Activation peak here") == short(float(peaks[order[0]]))


def test_another_method_explains(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, f"image=test:3&explain={TARGET}&layer=conv2d_6&map=4&shows=contributions")
    page.get_by_label("Method of the heat maps").select_option(label="LayerCAM")
    settle(page)
    recording = tc.record(signs.network(), signs.images(3), tc.logit(TARGET))
    cam = tc.attribution.from_recording(recording, ["layercam"])["layercam"]["conv2d_6"]
    assert fact(page, "Weight") == short(float(cam.weights[0, 4]))
    assert fact(page, "Contribution, peak") == short(float(cam.contributions[0, 4].relu().amax()))
    page.wait_for_function("() => location.hash.includes('method=layercam')")
    page.get_by_role("button", name="Python", exact=True).click()
    assert "'layercam'" in page.get_by_role("dialog").locator("pre").inner_text()
