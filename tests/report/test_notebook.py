"""Results in notebooks: self-contained HTML without scripts, and the numbers are those of the result."""

import base64
import io
import re

from PIL import Image
from tests.detection.planted import TARGET, planted
from tests.nets import images_for, network
from tests.report.test_page import Reader

from trojancam.attribution import attribute, grad_cam
from trojancam.detection import scan
from trojancam.evaluation.comparison import compare
from trojancam.figures.captions import number
from trojancam.network.recording import record
from trojancam.showing import Shown
from trojancam.stimulation import Stimulation, stimulate

LARGEST = 100_000  # characters


def shown(result: Shown) -> Reader:
    """What a notebook shows of a result, which must need nothing else."""
    text = result._repr_html_()
    assert len(text) < LARGEST
    assert not re.search(r"https?:|file:|url\(|<script|<style|<link|href=", text)
    reader = Reader(text)
    assert reader.open == []
    for name, value in reader.attributes:
        if name == "src":
            head, _, data = (value or "").partition(",")
            assert head == "data:image/png;base64"
            Image.open(io.BytesIO(base64.b64decode(data))).verify()
    return reader


def test_a_recording_tells_its_answers_and_layers() -> None:
    _, net = network("plain")
    recording = record(net, images_for(net, 10))
    words = shown(recording).words
    assert "A recording of 10 images" in words
    assert "The first 8 of 10 images" in words
    for name, layer in recording.layers.items():
        assert f"{name}{layer.activations.shape[1]}" in words
        assert number(float(layer.activations.amax())) in words


def test_an_attribution_shows_its_maps() -> None:
    _, net = network("plain")
    reader = shown(grad_cam(record(net, images_for(net, 2)))["second"])
    assert "second" in reader.words
    assert "feature maps 0 to 4" in reader.words
    assert reader.tags.count("figure") == 2


def test_a_map_of_the_whole_layer_has_no_feature_maps() -> None:
    _, net = network("plain")
    found = attribute(net, images_for(net, 2), ["eigen-cam"], layers=["second"])["eigen-cam"]["second"]
    assert shown(found).tags.count("figure") == 1


def test_a_stimulation_shows_both_answers() -> None:
    _, net = network("plain")
    found = stimulate(net, images_for(net, 2), Stimulation("first", 1, value=50.0))
    words = shown(found).words
    assert str(found.stimulations[0]) in words
    assert number(float(found.after.logits[0].max())) in words


def test_a_scan_tells_its_verdict_and_draws_what_it_recovered() -> None:
    seen = planted(True)
    reader = shown(scan(seen.network, seen.images, seen.labels, "stimulation"))
    assert "Evidence of a backdoor" in reader.words
    assert f"class {TARGET}" in reader.words
    assert reader.tags.count("img") == 1


def test_a_comparison_shows_its_tables() -> None:
    _, net = network("plain")
    reader = shown(compare(net, images_for(net, 3), ("grad-cam", "random"), ("second",)))
    assert "Grad-CAM" in reader.words
    assert reader.tags.count("table") == 1


def test_names_are_escaped() -> None:
    seen = planted(True)
    network = seen.network.with_class_names(["<script>alert(1)</script>"] * 9)
    assert "script" not in shown(scan(network, seen.images, seen.labels, "stimulation")).tags


def test_results_that_nobody_draws_are_their_repr() -> None:
    class Other(Shown):
        def __repr__(self) -> str:
            return "<other>"

    assert "&lt;other&gt;" in Other()._repr_html_()
