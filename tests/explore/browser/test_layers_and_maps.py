"""The middle of the page: layers, the grid of a layer's feature maps, and a feature map; the numbers are the library's."""

import torch
from tests.explore.browser.conftest import Visits
from tests.explore.browser.reading import fact, settle, shares, short
from tests.explore.browser.serving import Explorer

import trojancam as tc
from trojancam.attacks.patch import make_trigger
from trojancam.evaluation.localisation import dilated, feature_map_energy

LAYER = "conv2d_6"
TRIGGER = "trigger=2,26,4,4,00b4b4,0.4"


def attribution(explorer: Explorer, triggered: bool = False) -> tuple[tc.Attribution, torch.Tensor]:
    """What the library says of image 3: the layer's attribution and activations."""
    images = signs = explorer.images(3)
    if triggered:
        signs = make_trigger("blue-green-square").apply(images)
    recording = tc.record(explorer.network(), signs)
    return tc.grad_cam(recording)[LAYER], recording.layers[LAYER].activations[0]


def test_a_layer_opens_as_its_grid_and_a_map_of_it_large(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, "image=test:3")
    assert page.locator("#layers .layer b").all_inner_texts() == list(signs.network().layers)
    visits.picture(page, "layers")
    page.get_by_role("button", name=LAYER).click()
    settle(page)
    assert page.locator("#grid h2").inner_text() == "conv2d_6: 32 feature maps of 12 × 12 cells"
    cam, activations = attribution(signs)
    strongest = cam.contributions[0].relu().amax((1, 2))
    order = sorted(range(32), key=lambda index: (-float(strongest[index]), index))
    shown = [int(each.get_attribute("data-map")) for each in page.locator("#grid .map").all()]
    assert shown == [index for index in order if strongest[index] > 1e-12]  # strongest first, blank ones hidden
    page.get_by_label("Hide blank").uncheck()
    assert page.locator("#grid .map").count() == 32
    visits.picture(page, "grid")
    page.locator("#grid [data-map='5']").click()
    settle(page)
    contributions = cam.contributions[0, 5]
    assert fact(page, "Weight") == short(float(cam.weights[0, 5]))
    assert fact(page, "Contribution, peak") == short(float(contributions.relu().amax()))
    assert fact(page, "Activation peak here") == short(float(activations[5].amax()))
    clean = tc.record(signs.network(), signs.images(*range(90))).layers[LAYER].activations.amax((0, 2, 3))
    assert fact(page, "… on clean images") == short(float(clean[5]))
    assert fact(page, "… of the layer") == short(float(clean.max()))
    page.get_by_role("button", name="Next feature map").click()
    settle(page)
    assert page.get_by_role("heading", name="Feature map 6 of conv2d_6").is_visible()
    page.get_by_role("navigation", name="Where you are").get_by_role("button", name="All layers").click()
    assert page.locator("#layers .layers").is_visible()


def test_maps_are_sorted_as_asked_and_blank_ones_hidden(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, f"image=test:3&{TRIGGER}&layer={LAYER}&blank=shown")
    cam, activations = attribution(signs, triggered=True)
    contribution = cam.contributions[0].relu().amax((1, 2))
    near = dilated(make_trigger("blue-green-square").place, cam.placement.cell)
    energy = feature_map_energy(cam, near)[0].nan_to_num(-1.0)
    peaks = activations.amax((1, 2))
    for name, values in (("contribution", contribution), ("energy", energy), ("peak", peaks)):
        page.get_by_label("Sort by").select_option(value=name)
        settle(page)
        order = [int(text.split()[-1]) for text in page.locator("#grid .map b").all_inner_texts()]
        assert order == sorted(range(32), key=lambda index: (-float(values[index]), index)), name
    best = int(energy.argmax())
    page.get_by_label("Sort by").select_option(value="energy")
    assert page.locator("#grid .map").first.inner_text().split() == [
        "Feature",
        "map",
        str(best),
        *shares(float(energy[best])).split(),
    ]
    page.get_by_label("Hide blank").check()
    settle(page)
    assert page.locator("#grid .map").count() == int((contribution > 1e-12).sum())


def test_scales_are_shared_or_own_signed_or_not(visits: Visits, signs: Explorer) -> None:
    page = visits.open(signs, f"image=test:3&layer={LAYER}")
    cam, _ = attribution(signs)
    ends = page.locator("#grid .legend span")
    assert ends.all_inner_texts() == ["logits per cell", "0", short(float(cam.contributions.amax()))]
    page.get_by_label("Signed").check()
    limit = float(cam.contributions.abs().amax())
    assert ends.all_inner_texts() == ["logits per cell", short(-limit), short(limit)]
    page.locator("#grid").get_by_text("Own scale each").click()
    assert ends.all_inner_texts() == ["share of each map's peak", "−1", "1"]
    visits.picture(page, "grid-signed")


def test_a_map_drawn_as_cells_has_the_colours_of_the_figures(visits: Visits, signs: Explorer) -> None:
    from trojancam.figures.colour import ColourScale

    page = visits.open(signs, f"image=test:3&layer={LAYER}&tiles=cells&sort=number&blank=shown")
    cam, _ = attribution(signs)
    maps = cam.contributions[0].relu()
    index = int(maps.amax((1, 2)).argmax())
    drawn = (
        page.locator("#grid .map canvas")
        .nth(index)
        .evaluate("canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)")
    )
    shown = torch.tensor(drawn).view(12, 12, 4)[..., :3]
    wanted = torch.from_numpy(ColourScale(float(maps.amax())).rgb(maps[index])) * 255
    assert float((shown - wanted).abs().max()) <= 4  # a step of the table where rounding differs


def test_a_heat_map_over_the_image_has_the_colours_of_the_figures(visits: Visits, signs: Explorer) -> None:
    from trojancam.figures.colour import ColourScale, dimmed

    page = visits.open(signs, "image=test:3")
    image = signs.images(3)
    for name, cam in tc.grad_cam(tc.record(signs.network(), image)).items():
        drawn = (
            page.get_by_role("button", name=name)
            .locator("canvas")
            .evaluate(
                "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"
            )
        )
        heat = cam.heatmap()[0]
        wanted = torch.from_numpy(ColourScale.of(heat).over(heat, dimmed(image[0]))) * 255
        assert float((torch.tensor(drawn).view(32, 32, 4)[..., :3] - wanted).abs().max()) <= 4, name
