"""A finding in pictures: panels where they belong, leads over the right pixels, and the trigger enlarged."""

import pytest
import torch

from trojancam import figures
from trojancam.attacks.patch import Patch, square
from trojancam.detection.validation import Leads
from trojancam.errors import DataError
from trojancam.figures.scan import Panel, lead_panel, panel_sheet, trigger_panel, zoom

IMAGE = torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0))


def test_a_sheet_has_a_colour_bar_for_each_heat_and_words_where_it_is_blank() -> None:
    heat = torch.rand(12, 16)
    panels = [
        Panel("$a_b$", IMAGE, "a note"),
        Panel("b", IMAGE, heat=heat),
        Panel("c", IMAGE, heat=0 * heat, blank="none"),
    ]
    sheet = panel_sheet([panels], "heading", ["detail"])
    assert len(sheet.axes) == 4
    words = [text.get_text() for text in sheet.texts]
    assert {"heading", "detail", "$a_b$", "a note", "b", "c"} <= set(words)
    assert [text.get_text() for axes in sheet.axes for text in axes.texts] == ["none"]
    assert figures.to_png_bytes(sheet) == figures.to_png_bytes(panel_sheet([panels], "heading", ["detail"]))


def test_panels_of_rows_stand_below_one_another() -> None:
    axes = panel_sheet([[Panel(str(number), IMAGE) for number in range(count)] for count in (4, 3)]).axes
    places = [(round(each.get_position().x0, 3), round(each.get_position().y0, 3)) for each in axes]
    assert len({left for left, _ in places}) == 4
    assert len({low for _, low in places}) == 2
    assert places[0][0] == places[4][0]


def test_every_pixel_shows_the_lead_of_the_nearest_window() -> None:
    leads = Leads((2.0, 8.0), (3.0, 12.0), torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
    heat = lead_panel(IMAGE, leads, title="leads").heat
    assert heat is not None
    assert [float(heat[place]) for place in ((0, 0), (0, 15), (11, 0), (11, 15), (2, 7), (2, 8))] == [
        1,
        -2,
        3,
        4,
        1,
        -2,
    ]


def test_a_trigger_is_shown_enlarged_with_the_pixels_around_it() -> None:
    trigger = square(2, 5, 9, "white", image_size=(12, 16))
    assert zoom(trigger) == (slice(2, 10), slice(6, 14))
    image = trigger_panel(trigger, title="trigger").image
    assert image.shape == (3, 8, 8)
    assert torch.equal((image == 1).all(0).nonzero(), torch.tensor([[3, 3], [3, 4], [4, 3], [4, 4]]))


def test_a_trigger_all_over_the_image_is_shown_whole() -> None:
    trigger = Patch(torch.ones(12, 16), torch.rand(3, 12, 16))
    assert zoom(trigger) == (slice(0, 12), slice(0, 16))


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(DataError, match="no panel"):
        panel_sheet([])
    with pytest.raises(DataError, match="the heat of the panel 'x'"):
        panel_sheet([[Panel("x", IMAGE, heat=torch.rand(4, 4))]])
