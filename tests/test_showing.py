"""What results say of themselves: in a line, whatever they hold, and as mappings whose names can be seen."""

import dataclasses
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from tests.nets import images_for, network

import trojancam
from trojancam.attacks import square
from trojancam.attribution import attribute, grad_cam
from trojancam.detection import DETECTORS, Finding, ScanReport
from trojancam.detection.judgement import NO_LABELS, NO_REFERENCE
from trojancam.errors import UnknownNameError
from trojancam.evaluation.comparison import compare
from trojancam.network.recording import record
from trojancam.showing import Brief, Named, Shown, brief
from trojancam.stimulation import Stimulation, stimulate

LONGEST = 600  # characters of a repr
INSIDE = ("cli", "explore", "figures", "formats", "report")  # faces and readers: their classes are nobody's results
# They say it in words of their own, which need more than a name.
OWN = ("CleanseResult", "Compared", "Explanation", "Fleet", "Inspected", "Repaired", "SiftResult")
LARGE = torch.rand(16, 8, 20, 20)
MANY = {f"conv2d_{number}": LARGE for number in range(40)}


def result_classes() -> Iterator[type[Any]]:
    """Every public dataclass of the library that can be made."""
    for module in pkgutil.walk_packages(trojancam.__path__, "trojancam."):
        if module.name.split(".")[1] in (*INSIDE, "__main__"):
            continue
        for name, found in vars(import_module(module.name)).items():
            own = isinstance(found, type) and found.__module__ == module.name and not name.startswith("_")
            if own and dataclasses.is_dataclass(found) and not getattr(found, "__abstractmethods__", None):
                yield found


CLASSES = {f"{each.__module__}.{each.__qualname__}": each for each in result_classes()}


def filled(kind: type[Any]) -> Any:
    """One of these with as much in every field as its type allows."""
    result = object.__new__(kind)
    for field in dataclasses.fields(kind):
        hint = str(field.type)
        arrays = any(word in hint for word in ("Tensor", "Float[", "Int64[", "Bool[", "UInt8[", "NDArray", "ndarray"))
        several = "Mapping" in hint or "dict" in hint
        listed = "tuple[" in hint or "Sequence[" in hint or "list[" in hint
        value = MANY if several else LARGE if arrays else tuple(MANY) if listed else "a name"
        object.__setattr__(result, field.name, value)
    return result


def test_the_results_are_found() -> None:
    names = {name.rpartition(".")[2] for name in CLASSES}
    assert {"Recording", "FeatureMapAttribution", "Stimulated", "DoseResponse", "ScanReport", "Comparison"} <= names
    assert {"Patch", "RoadScores", "ImageSet", "Validation", "Stimulation", "Layer", "Target"} <= names


@pytest.mark.parametrize("name", [name for name in CLASSES if name.rpartition(".")[2] not in OWN])
def test_no_result_prints_what_it_holds(name: str) -> None:
    words = repr(filled(CLASSES[name]))
    if "Settings" in name:  # a scan's journal is bound to all that its settings say
        words = repr(next((each.settings for each in DETECTORS.values() if type(each.settings) is CLASSES[name]), ""))
    assert len(words) < LONGEST
    assert "tensor(" not in words


def test_what_results_say_is_what_they_are() -> None:
    _, net = network("plain")
    images = images_for(net, 3)
    recording = record(net, images)
    assert "logits=float32[3, 4]" in repr(recording)
    assert "layers=2 recorded layers: first, second" in repr(recording)
    cams = grad_cam(recording)
    assert repr(cams) == "2 layers: first, second"
    assert "contributions=float32[3, 4, 10, 10], weights=float32[3, 4], layer='first'" in repr(cams["first"])
    found = attribute(net, images, ["grad-cam", "eigen-cam"])
    assert repr(found) == "2 methods: grad-cam, eigen-cam"
    for result in (
        recording,
        cams,
        found,
        stimulate(net, images, Stimulation("first")),
        compare(net, images, ["grad-cam"]),
    ):
        assert isinstance(result, Shown)
        assert len(repr(result)) < LONGEST


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (LARGE, "float32[16, 8, 20, 20]"),
        (np.zeros((2, 3), np.uint8), "uint8[2, 3]"),
        ([LARGE, LARGE], "[float32[16, 8, 20, 20], float32[16, 8, 20, 20]]"),
        (list(range(100)), "[0, 1, 2, 3, ... 96 more]"),
        ((1,), "(1,)"),
        ((), "()"),
        ({}, "{}"),
        ({"a": [1, 2]}, "{'a': [1, 2]}"),
        ({"a": [[1, 2, 3]]}, "{'a': [list of 3]}"),
        (1 / 3, "0.3333"),
        (None, "None"),
        ("x" * 500, "'" + 56 * "x" + "..."),
    ],
)
def test_values_in_a_few_characters(value: object, words: str) -> None:
    assert brief(value) == words


def test_a_class_may_say_it_in_its_own_way() -> None:
    @dataclasses.dataclass(frozen=True)
    class Rate(Brief):
        value: float

        def __repr__(self) -> str:
            return f"{self.value:.0%}"

    @dataclasses.dataclass(frozen=True)
    class Better(Rate):
        """What inherits it says what all others say."""

    assert repr(Rate(0.5)) == "50%"
    assert repr(Better(0.5)) == "Better(value=0.5)"


def test_named_results_are_a_mapping() -> None:
    maps = Named("layer", {"conv2d": 1, "conv2d_1": 2})
    assert (list(maps), len(maps), dict(maps), maps.get("dense")) == (
        ["conv2d", "conv2d_1"],
        2,
        {"conv2d": 1, "conv2d_1": 2},
        None,
    )
    assert "conv2d" in maps
    assert "dense" not in maps
    assert maps == {"conv2d": 1, "conv2d_1": 2}
    with pytest.raises(
        UnknownNameError, match="unknown layer 'conv2d_9' .did you mean 'conv2d_1'.*; known: conv2d, conv2d_1"
    ):
        maps["conv2d_9"]
    with pytest.raises(KeyError):
        maps["dense"]
    assert repr(Named("layer", dict.fromkeys(map(str, range(9))))) == "9 layers: 0, 1, 2, 3, ... 5 more"
    assert repr(Named("layer", {"conv2d": 1})) == "1 layer: conv2d"
    assert repr(Named("layer", {})) == "0 layers"


def test_a_missing_layer_names_those_there_are() -> None:
    _, net = network("plain")
    recording = record(net, images_for(net, 2))
    with pytest.raises(UnknownNameError, match="unknown recorded layer 'third'; known: first, second"):
        recording.layers["third"]
    with pytest.raises(UnknownNameError, match="unknown layer 'third'; known: first, second"):
        grad_cam(recording)["third"]
    with pytest.raises(UnknownNameError, match="unknown method 'score-cam'; known: grad-cam"):
        attribute(net, images_for(net, 2))["score-cam"]


def test_a_scan_report_is_six_lines() -> None:
    finding = Finding(
        "stimulation", 1, 3.456, "conv2d_5", (4, 6, 7, 8, 9), (3.0, 27.0), stimulation_asr=0.97, reasr=0.984, ablation_asr=0.02,
        trigger=square(4, 1, 26, image_size=(32, 32)),
    )  # fmt: skip
    report = ScanReport("backdoor", 3.456, 1.5, (finding,), {}, {}, ("Yield", "Stop"))
    assert str(report).splitlines() == [
        "Evidence of a backdoor: score 3.46, a backdoor is called from 1.5 on",
        "class: 1, Stop",
        "place: top right, around row 3, column 27",
        "feature maps: conv2d_5: 4, 6, 7, 8 and 1 more",
        "evidence: score 3.46, REASR 98%, stimulation ASR 97%, ablation ASR 2%",
        f"weighed by: {NO_LABELS} {NO_REFERENCE}",
    ]
    nothing = ScanReport("nothing found", 0.1, 1.5, (), {}, {})
    assert len(str(nothing).splitlines()) == 6
    assert "class: none stands out" in str(nothing)
