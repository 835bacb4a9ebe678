"""Stimulations as data: to JSON and back to the last bit, and refused in a sentence where they make no sense."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.nets import images_for, network, unchecked

from trojancam.errors import DataError, TrojanCamError, UnknownNameError
from trojancam.stimulation import KINDS, RESTS, UNITS, Stimulation, donated

floats = st.floats(-1e6, 1e6, width=32)
maps = st.one_of(st.integers(0, 99), st.just("all"), st.lists(st.integers(0, 99), min_size=1, unique=True).map(tuple))
cells = st.lists(st.lists(st.lists(floats, min_size=3, max_size=3), min_size=2, max_size=2), min_size=1, max_size=4)
values = st.one_of(floats, st.lists(floats, min_size=1).map(tuple), cells.map(torch.tensor))
masks = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=2).map(torch.tensor)
windows = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.integers(1, 9))


@st.composite
def options(draw: Any) -> tuple[Any, ...]:
    kind = draw(st.sampled_from(sorted(KINDS)))
    unit = "absolute" if kind == "scale" else draw(st.sampled_from(UNITS))
    window, mask = draw(st.one_of(st.tuples(windows, st.none()), st.tuples(st.none(), masks.filter(torch.any))))
    return draw(maps), kind, draw(values), window, mask, draw(st.sampled_from(RESTS)), unit


@given(options())
def test_json_and_back_is_exact(chosen: tuple[Any, ...]) -> None:
    stimulation = Stimulation("layer", *chosen)
    again = Stimulation.from_json(json.loads(json.dumps(stimulation.to_json())))
    for field in vars(stimulation):
        ours, theirs = getattr(stimulation, field), getattr(again, field)
        assert type(ours) is type(theirs)
        if isinstance(ours, torch.Tensor):
            assert ours.dtype == theirs.dtype
            assert torch.equal(ours, theirs)
        else:
            assert ours == theirs


def test_what_json_leaves_out_is_as_usual() -> None:
    assert Stimulation.from_json({"layer": "first"}) == Stimulation("first")
    assert Stimulation.from_json({"layer": "first", "value": 2, "feature_maps": [1, 3]}) == Stimulation(
        "first", (1, 3), value=2.0
    )


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ([], "not the record of a stimulation .all of it: "),
        ({}, "not the record of a stimulation .layer: Field required"),
        ({"layer": "first", "colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"layer": "first", "value": "much"}, "value"),
        ({"layer": "first", "value": [[[1.0, 2.0], [3.0]]]}, "not the record of a stimulation"),
        ({"layer": "first", "value": [[]]}, "not the record of a stimulation .it holds no cell"),
        ({"layer": "first", "mask": []}, "not the record of a stimulation .it holds no cell"),
        ({"layer": "first", "value": float("nan")}, "finite"),
        ({"layer": "first", "window": [0, 1, 2]}, "window"),
        (
            {"layer": "first", "kind": "double"},
            "unknown kind of a stimulation 'double'; known: replace, scale, add, zero",
        ),
    ],
)
def test_records_that_are_none(record: Any, problem: str) -> None:
    with pytest.raises(TrojanCamError, match=problem):
        Stimulation.from_json(record)


@pytest.mark.parametrize(
    ("options", "kind", "problem"),
    [
        ({"kind": "replcae"}, UnknownNameError, "unknown kind of a stimulation 'replcae' .did you mean 'replace'"),
        ({"rest": "one"}, UnknownNameError, "unknown rest of a stimulation 'one'; known: keep, zero"),
        ({"unit": "image"}, UnknownNameError, "unknown unit of a stimulation 'image'; known: absolute, map, layer"),
        ({"kind": "scale", "unit": "map"}, DataError, "scales by a factor, which has no unit 'map'"),
        (
            {"window": (0, 0, 1, 1), "mask": torch.ones(2, 2, dtype=torch.bool)},
            DataError,
            "a window or a mask, not both",
        ),
        ({"window": (-1, 0, 1, 1)}, DataError, "from row and column 0 on and at least one cell"),
        ({"window": (0, 0, 0, 1)}, DataError, "at least one cell high and wide, not .0, 0, 0, 1"),
        ({"mask": torch.zeros(2, 2, dtype=torch.bool)}, DataError, "marks no cell; mark at least one"),
        ({"feature_maps": ()}, DataError, "without feature maps does nothing"),
        ({"feature_maps": (3, 1, 3)}, DataError, "named twice in .3, 1, 3.; name each once"),
        ({"feature_maps": "some"}, UnknownNameError, "unknown choice of feature maps 'some'; known: all"),
        ({"value": float("inf")}, DataError, "must be finite"),
        ({"value": (1.0, float("nan"))}, DataError, "must be finite"),
        ({"value": torch.tensor([[[torch.nan]]])}, DataError, "must be finite"),
        ({"value": 1e38}, DataError, "lies between -1e.09 and 1e.09; give a smaller one"),
        ({"value": (1.0, -2e9)}, DataError, "lies between"),
        ({"value": torch.tensor([[[3e9]]])}, DataError, "lies between"),
    ],
)
def test_parts_that_make_no_sense(options: dict[str, Any], kind: type[TrojanCamError], problem: str) -> None:
    with pytest.raises(kind, match=problem), unchecked():
        Stimulation("first", **options)


@pytest.mark.parametrize(
    ("stimulation", "kind", "problem"),
    [
        (Stimulation("third"), UnknownNameError, "unknown layer 'third'; known: first, second"),
        (Stimulation("second", 5), UnknownNameError, "layer 'second' has no feature map 5; known: 0 to 4"),
        (Stimulation("second", (0, -1)), UnknownNameError, "layer 'second' has no feature map -1"),
        (Stimulation("first", 0, window=(8, 0, 3, 1)), DataError,
         "the window of 3x1 cells at row 8, column 0 does not fit into the 10x10 cells of layer 'first'"),
        (Stimulation("first", 0, mask=torch.ones(9, 10, dtype=torch.bool)), DataError,
         "the mask is of 9x10 cells, but the maps of layer 'first' of 10x10"),
        (Stimulation("first", (0, 1), value=(1.0, 2.0, 3.0)), DataError, "3 values were given for 2 feature maps of layer"),
        (Stimulation("second", (0, 1), value=torch.ones(2, 3, 4)), DataError,
         "are of shape .2, 3, 4., but 2 of the feature maps of layer 'second' are of shape .2, 3, 3."),
    ],
)  # fmt: skip
def test_what_does_not_fit_a_network(stimulation: Stimulation, kind: type[TrojanCamError], problem: str) -> None:
    with pytest.raises(kind, match=problem):
        stimulation.check(network("plain")[1])


def test_a_donor_gives_its_own_activations() -> None:
    _, net = network("residual")
    donor = images_for(net, 1, seed=9)
    pasted = donated(net, donor[0], "2.conv1", (2, 0), window=(1, 1, 3, 3), rest="zero")
    clean = net.cut("2.conv1").before(donor)[0]
    assert torch.equal(pasted.value, clean[0, [2, 0]])
    assert (pasted.kind, pasted.window, pasted.rest) == ("replace", (1, 1, 3, 3), "zero")
    assert donated(net, donor[0], "2.conv1").value.shape == clean[0].shape
    with pytest.raises(DataError, match="takes images of"):
        donated(net, torch.rand(3, 8, 8), "2.conv1")
    with pytest.raises(UnknownNameError, match="has no feature map"):
        donated(net, donor[0], "2.conv1", 4)


def test_a_stimulation_is_said_in_words() -> None:
    words = str(Stimulation("first", (1, 2), value=2.0, window=(0, 1, 2, 3), rest="zero", unit="map"))
    assert words == (
        "first, feature maps [1, 2]: replace 2.0 in units of the map's largest activation, in the window [0, 1, 2, 3], "
        "the rest set to zero"
    )
    assert (
        str(Stimulation("first", kind="zero", mask=torch.eye(3) > 0))
        == "first, all feature maps: zero, in 3 painted cells"
    )
