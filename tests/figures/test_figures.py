"""Pictures: what is in them, what their colours mean, and the files they become."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image
from tests.nets import images_for, network

import trojancam.figures
from trojancam.attribution import FeatureMapAttribution, attribute
from trojancam.errors import DataError, TrojanCamError, UnknownNameError
from trojancam.figures import (
    ColourScale,
    before_after,
    caption,
    describe,
    dose_curves,
    feature_map_grid,
    image_row,
    layer_row,
    overlay,
    save,
    to_data_uri,
    to_png_bytes,
)
from trojancam.figures.captions import DOT, number, probability
from trojancam.figures.grid import GAP, HATCHING, HIGHLIGHT, Sheet
from trojancam.figures.layout import columns_for, outline, text_width, wrapped
from trojancam.figures.panels import as_drawn
from trojancam.network.placement import stretched
from trojancam.network.targets import logit
from trojancam.stimulation import DoseResponse, Stimulation, stimulate
from trojancam.text import MINUS


@pytest.fixture
def image():
    return torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask():
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[2:6, 26:30] = True
    return mask


def attribution(maps=6, cells=(8, 8), images=2, layer="conv2d_2"):
    """Post-ReLU maps times signed weights: map 0 speaks for the class, map 1 is not active, map 2 speaks against it."""
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(images, maps, generator=generator)
    weights[:, 0] = 10
    if maps > 2:
        weights[:, 2] = -weights[:, 2].abs() - 0.1
    activations = torch.rand(images, maps, *cells, generator=generator)
    activations[:, 1:2] = 0
    contributions = weights[:, :, None, None] * activations
    placement = stretched(cells, (32, 32))
    return FeatureMapAttribution(contributions, weights, layer, "Grad-CAM", "logit of class 1", (32, 32), placement)


def words(figure: Figure) -> list[str]:
    texts = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        texts += [text.get_text() for text in axes.texts] + [axes.get_title(loc="left")]
    return [text for text in texts if text]


def tick_labels(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[-1].get_yticklabels()]


def grid_axes(figure: Figure):
    return figure.axes[1]


def frames(figure: Figure, colour: str) -> int:
    collections = [child for child in grid_axes(figure).collections if isinstance(child, LineCollection)]
    return sum(len(c.get_segments()) for c in collections if np.allclose(c.get_edgecolor()[:1], to_rgba(colour)))


# Captions


def test_a_caption_names_class_logit_and_probability_of_the_predicted_class_or_another():
    logits = torch.tensor([0.0, 12.34, -0.04])
    names = ["No entry", "Stop", "Yield"]
    assert caption(logits, names) == DOT.join(["Stop", "logit 12.3", "p > 0.999"])
    assert caption(logits, names, 2) == DOT.join(["Yield", "logit 0.0", "p = 4e-6"])
    assert caption(-logits, names, 1) == DOT.join(["Stop", f"logit {MINUS}12.3", "p = 2e-6"])
    with pytest.raises(UnknownNameError, match="unknown class '3'"):
        caption(logits, names, 3)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "p > 0.999"),
        (0.9985, "p = 0.999"),
        (0.5, "p = 0.500"),
        (0.001, "p = 0.001"),
        (3e-5, "p = 3e-5"),
        (0.0, "p < 1e-99"),
    ],
)
def test_probabilities_print_well(value, text):
    assert probability(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.0, "0"), (1234567.0, "1.23e6"), (-0.5, f"{MINUS}0.5"), (-2e-7, f"{MINUS}2.00e-7")],
)
def test_numbers_print_well(value, text):
    assert number(value) == text


def test_an_attribution_is_described_in_one_line():
    assert describe(attribution()) == DOT.join(["conv2d_2", "6 feature maps of 8x8", "Grad-CAM", "logit of class 1"])
    assert "1 feature map of" in describe(attribution(maps=1))


def test_lines_fit_their_width_and_lose_no_word():
    text = DOT.join(["Vehicles over 3.5 metric tons prohibited " * 4, "logit 12.3", "p > 0.999"])
    lines = wrapped(text, 10.0, 3.0)
    assert len(lines) > 2
    assert all(text_width(line, 10.0) <= 3.0 for line in lines)
    assert " ".join(lines).replace(DOT, " ").split() == text.replace(DOT, " ").split()
    assert not any(line.endswith("\N{MIDDLE DOT}") for line in lines)
    assert wrapped("", 10.0, 3.0) == []


def test_a_word_that_does_not_fit_keeps_its_end():
    [line] = wrapped("features.denseblock4.denselayer24.conv2", 10.0, 1.5)
    assert line.startswith("…")
    assert line.endswith("24.conv2")
    assert text_width(line, 10.0) <= 1.5


# Colour


def test_a_scale_reaches_from_zero_or_symmetrically_about_it():
    values = torch.tensor([-3.0, 2.0])
    assert ColourScale.of(values).ticks == [0.0, 1.0, 2.0]
    assert ColourScale.of(values, signed=True).ticks == [-3.0, 0.0, 3.0]
    norm = ColourScale.of(values, signed=True).mappable(laid_over=False).norm
    assert (norm.vmin, norm.vmax) == (-3.0, 3.0)


def test_zero_is_neutral_red_speaks_for_and_blue_against():
    against, neutral, for_it = ColourScale(1.0, signed=True).rgb(torch.tensor([-1.0, 0.0, 1.0]))
    assert np.ptp(neutral) < 0.02
    assert for_it[0] > for_it[2]
    assert against[2] > against[0]


def test_cold_places_show_the_image_and_hot_ones_the_heat():
    scale = ColourScale(2.0)
    base = np.full((3, 3), 0.5)
    cold, warm, hot = scale.over(torch.tensor([0.0, 1.0, 2.0]), base)
    assert np.array_equal(cold, base[0])
    assert np.abs(hot - scale.rgb(torch.tensor(2.0))).max() < 0.05
    assert warm.sum() > hot.sum()


def test_the_default_heat_darkens_steadily_also_as_the_bar_shows_it():
    for laid_over in (False, True):
        colours = ColourScale(1.0).mappable(laid_over).to_rgba(np.linspace(0, 1, 64))[:, :3]
        lightness = colours @ np.array([0.299, 0.587, 0.114])
        assert np.diff(lightness).max() < 0.01


def test_an_unknown_colour_map_is_named(image):
    with pytest.raises(UnknownNameError, match=r"unknown colour map 'jett' \(did you mean 'jet'"):
        overlay(image, torch.rand(32, 32), colours="jett")


# Overlay


def test_an_overlay_has_image_heat_and_a_bar_of_real_values(image):
    heat = torch.zeros(32, 32)
    heat[3, 4] = 8.5
    figure = overlay(image, heat, caption="Stop", detail="conv2d_2")
    assert len(figure.axes) == 3
    assert {"Stop", "conv2d_2"} <= set(words(figure))
    assert tick_labels(figure) == ["0", "4.25", "8.5"]
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert np.allclose(shown, image.permute(1, 2, 0).numpy())
    laid = np.asarray(figure.axes[1].images[0].get_array())
    hot = laid[3, 4]
    assert hot[0] > hot[1] + 0.2
    assert np.ptp(np.delete(laid.reshape(-1, 3), 3 * 32 + 4, axis=0), axis=1).max() < 1e-9  # all else is grey


def test_pixels_are_never_smoothed(image):
    figure = overlay(image, torch.rand(32, 32))
    assert {picture.get_interpolation() for axes in figure.axes[:2] for picture in axes.images} == {"nearest"}


def test_a_blank_map_is_said_in_words(image):
    figure = overlay(image, torch.zeros(32, 32))
    assert len(figure.axes) == 2
    assert "blank: no cell speaks for the class" in words(figure)


def test_a_signed_overlay_is_symmetric(image):
    heat = torch.zeros(32, 32)
    heat[0, 0], heat[1, 1] = -2.0, 1.0
    assert tick_labels(overlay(image, heat, signed=True)) == [f"{MINUS}2", "0", "2"]


def test_an_overlay_refuses_what_it_cannot_draw(image):
    with pytest.raises(DataError, match="heat map is 16x16, but the image is 32x32"):
        overlay(image, torch.rand(16, 16))
    with pytest.raises(DataError, match="mask is 8x8, but the image is 32x32"):
        overlay(image, torch.rand(32, 32), mask=torch.ones(8, 8))
    with pytest.raises(DataError, match="down to -1; draw it with signed=True"):
        overlay(image, -torch.ones(32, 32))
    with pytest.raises(DataError, match="not finite"):
        overlay(image, torch.full((32, 32), torch.nan))


def test_the_outline_of_a_mask_runs_along_its_edge(mask):
    segments = outline(mask)
    assert {tuple(map(tuple, segment)) for segment in segments.tolist()} == {
        ((26, 2), (30, 2)),
        ((26, 6), (30, 6)),
        ((26, 2), (26, 6)),
        ((30, 2), (30, 6)),
    }
    assert outline(torch.zeros(4, 4)).shape == (0, 2, 2)


def test_the_outline_of_a_mask_is_drawn_over_the_image(mask):
    grey = torch.full((3, 32, 32), 0.5)
    without = np.asarray(to_array(overlay(grey, torch.zeros(32, 32))))
    drawn = np.asarray(to_array(overlay(grey, torch.zeros(32, 32), mask=mask)))
    rows, columns = np.nonzero((drawn != without).any(-1))
    left, top = 16, without.shape[0] - 16 - 256  # the image: 8 pixels to the pixel, 16 from the left and bottom
    inside = columns < left + 256
    assert abs(columns[inside].min() - (left + 26 * 8)) <= 2
    assert abs(columns[inside].max() - (left + 30 * 8)) <= 2
    assert abs(rows.min() - (top + 2 * 8)) <= 2
    assert abs(rows.max() - (top + 6 * 8)) <= 2


def to_array(figure: Figure):
    return Image.open(io.BytesIO(to_png_bytes(figure, dpi=100))).convert("RGB")


# Layers


def test_a_row_shows_the_image_and_every_layer_with_its_cells_and_maximum(image):
    cams = {f"conv{i}": attribution(cells=(2 * i, 2 * i), layer=f"conv{i}") for i in range(1, 6)}
    figure = layer_row(image, cams, 1, caption="Stop")
    assert len(figure.axes) == 1 + 5 + 5  # image, layers, colour bars
    texts = words(figure)
    for name, cam in cams.items():
        assert name in texts
        side = cam.contributions.shape[-1]
        assert f"{side}x{side}{DOT}max {number(float(cam.heatmap()[1].max()))}" in texts
    assert any("Grad-CAM" in text and "logit of class 1" in text for text in texts)


def test_many_layers_are_set_in_rows_that_do_not_overlap(image, mask):
    cams = {f"features.stage{i}.conv": attribution(cells=(4, 4)) for i in range(22)}
    figure = layer_row(image, cams, caption="Stop", mask=mask)
    panels = [axes for axes in figure.axes if axes.images]
    boxes = [axes.get_position() for axes in panels]
    assert len(panels) == 23
    assert len({round(box.y0, 6) for box in boxes}) > 1
    assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_blank_layer_says_why(image):
    plain = attribution()
    unused = replace(plain, weights=plain.weights * 0, contributions=plain.contributions * 0)
    asleep = replace(plain, contributions=plain.contributions * 0)
    against = replace(plain, contributions=-plain.contributions.abs())
    figure = layer_row(image, {"unused": unused, "asleep": asleep, "against": against})
    texts = " ".join(words(figure)).replace("\n", " ")
    assert len(figure.axes) == 4
    for reason in (
        "the score does not react to this layer",
        "no feature map is active",
        "no cell speaks for the class",
    ):
        assert f"blank: {reason}" in texts


def test_a_row_refuses_what_it_cannot_draw(image):
    with pytest.raises(DataError, match="no layer to draw"):
        layer_row(image, {})
    with pytest.raises(UnknownNameError, match="unknown image of the batch '2'; known: 0 to 1"):
        layer_row(image, {"conv": attribution()}, 2)
    with pytest.raises(DataError, match="the image is 16x16, but the attribution is of images of 32x32"):
        layer_row(torch.rand(3, 16, 16), {"conv": attribution()})
    broken = replace(attribution(), contributions=torch.full((2, 6, 8, 8), torch.inf))
    with pytest.raises(DataError, match="layer 'conv2d_2' has contributions that are not finite"):
        layer_row(image, {"conv": broken})


# Grids


def test_a_grid_numbers_every_map_and_gives_the_sign_of_its_weight(image):
    cam = attribution(maps=8)
    figure = feature_map_grid(image, cam, 1, caption="Stop")
    labels = [text.get_text() for text in grid_axes(figure).texts]
    assert labels[::2] == [str(k) for k in range(8)]
    assert labels[1::2] == ["+" if weight > 0 else MINUS for weight in cam.weights[1].tolist()]
    assert len(grid_axes(figure).images) == 8
    assert len(figure.axes) == 3  # image, grid, one colour bar


def tiles(figure: Figure):
    return [np.asarray(picture.get_array()) for picture in grid_axes(figure).images]


def is_blank(tile) -> bool:
    return tile.shape == HATCHING.shape and np.array_equal(tile, HATCHING)


def test_one_scale_holds_for_all_maps_unless_each_has_its_own(image):
    cam = attribution()
    values = cam.feature_maps()[0]
    peak = float(values.max())
    shared = feature_map_grid(image, cam)
    each = feature_map_grid(image, cam, scale="each")
    assert tick_labels(shared) == [number(share * peak) for share in (0, 0.5, 1)]
    assert tick_labels(each) == ["0", "half", "peak"]
    assert any("one scale for all maps" in text for text in words(shared))
    assert any("each map on its own scale" in text for text in words(each))
    drawn = [k for k in range(6) if float(values[k].max()) > 0]
    weakest = min(drawn, key=lambda k: float(values[k].max()))
    own = ColourScale(float(values[weakest].max())).rgb(values[weakest])
    assert np.allclose(tiles(each)[weakest], own)
    assert np.allclose(tiles(shared)[weakest], ColourScale(peak).rgb(values[weakest]))
    strongest = max(drawn, key=lambda k: float(values[k].max()))
    assert grid_axes(each).texts[2 * strongest + 1].get_text() == "+100%"


def test_a_signed_grid_is_symmetric_and_shows_what_speaks_against(image):
    cam = attribution()
    figure = feature_map_grid(image, cam, signed=True)
    peak = number(float(cam.contributions[0].abs().max()))
    assert tick_labels(figure) == [f"{MINUS}{peak}", "0", peak]
    assert is_blank(tiles(feature_map_grid(image, cam))[2])
    blue = tiles(figure)[2]
    assert (blue[..., 2] >= blue[..., 0]).all()


def test_blank_maps_are_hatched_and_said_to_be(image):
    cam = attribution()
    figure = feature_map_grid(image, cam)
    empty = [float(each.max()) <= 0 for each in cam.contributions[0]]
    assert [is_blank(tile) for tile in tiles(figure)] == empty
    assert any("hatched: blank" in text for text in words(figure))
    whole = replace(cam, contributions=cam.contributions * 0)
    assert len(feature_map_grid(image, whole).axes) == 2  # no colour bar for nothing


def test_noise_is_not_blown_up_on_a_scale_of_its_own(image):
    cam = attribution()
    faint = cam.contributions.abs()
    faint[:, 3] *= 1e-9
    assert is_blank(tiles(feature_map_grid(image, replace(cam, contributions=faint), scale="each"))[3])


def test_maps_can_be_ordered_by_energy(image):
    cam = attribution()
    figure = feature_map_grid(image, cam, order="energy", signed=True)
    shown = [int(text.get_text()) for text in grid_axes(figure).texts[::2]]
    energies = cam.contributions[0].abs().sum((1, 2))
    assert shown == energies.argsort(descending=True, stable=True).tolist()
    assert np.allclose(tiles(figure)[0], ColourScale.of(cam.contributions[0], True).rgb(cam.contributions[0, shown[0]]))


def test_highlighted_maps_are_framed_and_the_mask_is_on_every_tile(image, mask):
    figure = feature_map_grid(image, attribution(maps=8), highlight={3, 5}, mask=mask)
    assert frames(figure, HIGHLIGHT) == 2
    assert frames(figure, "black") == 8 * 4
    assert any("green: highlighted" in text for text in words(figure))


def test_maps_can_be_laid_over_the_image(image):
    figure = feature_map_grid(image, attribution(), overlay=True)
    assert all(tile.shape in ((32, 32, 3), HATCHING.shape) for tile in tiles(figure))
    assert any(tile.shape == (32, 32, 3) for tile in tiles(figure))


@pytest.mark.parametrize("maps", [1, 8, 32, 64, 96, 128, 200])
def test_tiles_lie_side_by_side_in_a_shape_near_16_to_10(maps):
    sheet = Sheet.of(maps, (0.64, 0.64))
    corners = [sheet.corner(place) for place in range(maps)]
    assert len(set(corners)) == maps
    assert max(x for x, _ in corners) + 0.64 <= sheet.width + 1e-9
    assert max(y for _, y in corners) + 0.64 <= sheet.height + 1e-9
    if maps >= 8:
        assert 1.2 <= sheet.width / sheet.height <= 2.2
        assert sheet.columns * sheet.rows - maps <= maps * 0.15


def test_labels_of_a_large_grid_do_not_touch(image):
    figure = feature_map_grid(image, attribution(maps=128), scale="each", signed=True)
    texts = grid_axes(figure).texts
    side = grid_axes(figure).images[0].get_extent()[1]
    for index, note in zip(texts[::2], texts[1::2], strict=True):
        assert text_width(index.get_text(), 7.0) + text_width(note.get_text(), 7.0) < side + GAP / 2


def test_a_grid_refuses_what_it_cannot_draw(image):
    cam = attribution()
    with pytest.raises(
        UnknownNameError, match=r"unknown scale 'sharde' \(did you mean 'shared'\?\); known: shared, each"
    ):
        feature_map_grid(image, cam, scale="sharde")
    with pytest.raises(UnknownNameError, match="unknown order 'size'"):
        feature_map_grid(image, cam, order="size")
    with pytest.raises(UnknownNameError, match="layer 'conv2d_2' has no feature map 6; known: 0 to 5"):
        feature_map_grid(image, cam, highlight=[6])
    with pytest.raises(UnknownNameError, match="unknown image of the batch"):
        feature_map_grid(image, cam, -1)
    with pytest.raises(DataError, match="mask is 4x4"):
        feature_map_grid(image, cam, mask=torch.ones(4, 4))


def test_images_need_not_be_square():
    cam = replace(attribution(cells=(4, 6)), image_size=(24, 36))
    image = torch.rand(3, 24, 36)
    for figure in (feature_map_grid(image, cam), layer_row(image, {"conv": cam}), overlay(image, cam.heatmap()[0])):
        box = figure.axes[0].get_position()
        width, height = figure.get_size_inches() * [box.width, box.height]
        assert width / height == pytest.approx(1.5, abs=0.05)


# Image rows


def test_images_stand_side_by_side_with_their_titles(image):
    figure = image_row(torch.stack([image, 1 - image]), ["benign", "triggered"], heading="Stop")
    assert {"Stop", "benign", "triggered"} <= set(words(figure))
    left, right = (axes.get_position() for axes in figure.axes)
    assert left.y0 == right.y0
    assert left.x1 < right.x0


def test_an_image_row_refuses_what_does_not_fit_together(image):
    with pytest.raises(DataError, match="as many titles as images, at least one; but got 1 and 2"):
        image_row(image[None], ["a", "b"])
    with pytest.raises(DataError, match="at least one"):
        image_row([], [])
    with pytest.raises(DataError, match="8x8"):
        image_row([image, torch.rand(3, 8, 8)], ["a", "b"])


# Files

MAGIC = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF-"}


@pytest.mark.parametrize("suffix", MAGIC)
def test_a_saved_figure_is_of_its_kind_and_the_same_every_time(tmp_path, image, mask, suffix):
    def drawn() -> Figure:
        return feature_map_grid(image, attribution(), mask=mask, caption="Zufahrt $x_1$ verboten", highlight=[0])

    paths = [tmp_path / "new" / f"{name}.{suffix}" for name in ("one", "two")]
    for path in paths:
        save(drawn(), path)
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(MAGIC[suffix])
    assert len(first) > 3000
    assert first == second
    assert b"CreationDate" not in first
    assert b"<dc:date>" not in first


def test_the_suffix_may_be_in_capitals_and_must_be_known(tmp_path, image):
    figure = image_row(image[None], ["benign"])
    save(figure, tmp_path / "a.PNG")
    assert (tmp_path / "a.PNG").read_bytes().startswith(MAGIC["png"])
    for name in ("a.jpg", "a"):
        with pytest.raises(TrojanCamError, match=r"unknown kind of figure file .*known: \.png, \.svg, \.pdf"):
            save(figure, tmp_path / name)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path, image):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(TrojanCamError, match="cannot write to the folder"):
        save(image_row(image[None], ["benign"]), tmp_path / "file" / "a.png")


def test_bytes_and_data_addresses_hold_a_png_of_the_size_asked_for(image):
    figure = image_row(image[None], ["benign"])
    width = round(figure.get_size_inches()[0] * 100)
    assert to_array(figure).width == width
    assert to_data_uri(figure).startswith("data:image/png;base64,iVBOR")


def test_no_global_state_of_matplotlib_is_touched(tmp_path, image, monkeypatch):
    def settings():  # asking for the backend would choose one
        return {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}

    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    before = settings()
    for suffix in MAGIC:
        save(overlay(image, torch.rand(32, 32)), tmp_path / f"a.{suffix}")
    assert settings() == before
    assert "matplotlib.pyplot" not in sys.modules
    sources = list(Path(trojancam.figures.__file__).parent.glob("*.py"))
    assert len(sources) > 1
    assert not any("pyplot" in source.read_text(encoding="utf-8") for source in sources)


def test_columns_waste_little():
    assert [columns_for(count, 1.0, 1.0) for count in (1, 2, 8, 96)] == [1, 2, 4, 12]


def test_nothing_that_was_passed_in_is_changed(image, mask):
    cam = attribution()
    before = cam.contributions.clone(), cam.weights.clone(), image.clone(), mask.clone()
    feature_map_grid(image, cam, overlay=True, scale="each", mask=mask)
    layer_row(image, {"conv": cam}, mask=mask)
    after = cam.contributions, cam.weights, image, mask
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


# Stimulation


@pytest.fixture
def stimulated():
    net = network("trojan2")[1]
    return stimulate(net, images_for(net, 2), Stimulation("conv2d_6", 31, value=9.0, window=(0, 9, 3, 3)), logit(3))


def test_heat_maps_before_and_after_share_a_scale_and_differ_by_the_third(image, stimulated):
    figure = before_after(image, stimulated, 1, caption="Stop", layers=["conv2d_6", "conv2d_9"])
    said = words(figure)
    assert "Stop" in said
    for layer in ("conv2d_6", "conv2d_9"):
        assert {f"{layer}, before", f"{layer}, after"} < set(said)
        before, after = (
            float(cams[layer].heatmap()[1].max()) for cams in (stimulated.cams_before, stimulated.cams_after)
        )
        assert {f"max {number(before)}", f"max {number(after)}"} < set(said)
    bars = [axes for axes in figure.axes if axes.get_xticklabels() and not axes.images]
    ends = [[label.get_text() for label in axes.get_xticklabels()] for axes in bars]
    top = max(float(cams["conv2d_6"].heatmap()[1].max()) for cams in (stimulated.cams_before, stimulated.cams_after))
    assert ends[0] == ends[1] == ["0", number(top / 2), number(top)]
    peak = number(float(stimulated.difference("conv2d_6")[1].abs().max()))
    assert ends[2] == [f"{MINUS}{peak}", "0", peak]


def test_the_stimulated_cells_are_outlined_on_the_image_and_on_every_map(image, stimulated):
    figure = before_after(image, stimulated)
    outlined = [axes for axes in figure.axes if any(isinstance(child, LineCollection) for child in axes.collections)]
    assert len(outlined) >= 1 + 3 * len(stimulated.after.layers)
    expected = outline(stimulated.place)
    lines = next(child for child in outlined[0].collections if isinstance(child, LineCollection))
    assert np.allclose(np.array(lines.get_segments()), expected)


def test_what_of_a_stimulation_cannot_be_drawn(image, stimulated):
    with pytest.raises(UnknownNameError, match="unknown recorded layer 'conv2d_5'.*known: conv2d_6"):
        before_after(image, stimulated, layers=["conv2d_5"])
    with pytest.raises(UnknownNameError, match="unknown image of the batch"):
        before_after(image, stimulated, 2)
    with pytest.raises(DataError, match="the image is 16x16"):
        before_after(image[:, ::2, ::2], stimulated)


def test_dose_curves_show_every_image_the_mean_and_both_shares():
    doses = DoseResponse(
        strengths=(0.0, 1.0, 2.0),
        target_class=1,
        logits=torch.tensor([[0.0, 2.0], [1.0, 3.0], [4.0, 6.0]]),
        predicted=torch.tensor([[0, 1], [1, 1], [1, 1]]),
        energy=torch.tensor([[torch.nan, 0.5], [0.25, 0.75], [1.0, 1.0]]),
        before=torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
    )
    left, right = dose_curves(doses, "Stop", "conv2d_6", torch.tensor([0, 0])).axes
    drawn = [line.get_ydata().tolist() for line in left.lines]
    assert drawn == [[0, 1, 4], [2, 3, 6], [1, 2, 5]]
    shares = {line.get_label().split()[0]: line.get_ydata().tolist() for line in right.lines}
    assert shares == {"images": [0.5, 1.0, 1.0], "heat-map": [0.5, 0.5, 1.0]}
    assert dose_curves(doses, "Stop", "conv2d_6").get_suptitle() == DOT.join(["conv2d_6", "Stop"])


def test_an_image_is_drawn_from_bytes_arrays_and_pictures_alike() -> None:
    _, net = network("plain")
    pixels = (images_for(net, 1)[0] * 255).round().to(torch.uint8)
    whole = as_drawn(pixels)
    last = pixels.permute(1, 2, 0).numpy()
    for given in (pixels.numpy(), last, Image.fromarray(last)):
        assert torch.equal(as_drawn(given), whole)
    with pytest.raises(DataError, match="one image is drawn, but these are 2"):
        as_drawn(torch.zeros(2, 3, 8, 8))
    cams = attribute(net, images_for(net, 1))["grad-cam"]
    for figure in (
        feature_map_grid(last, cams["first"]), layer_row(last, cams), overlay(last, cams["first"].heatmap()[0]),
        image_row([last, pixels], ["one", "other"]),
    ):  # fmt: skip
        assert len(figure.axes) > 1
