"""The code of a view, run, gives the numbers of the view."""

import contextlib
import io

import pytest
import torch
from tests.explore.conftest import STAMPED, SUBJECT, unpacked
from tests.explore.test_server import png

from trojancam.explore import answers
from trojancam.explore.scripts import script
from trojancam.explore.subjects import AboutLayer, AboutMap, AboutStimulation, AboutSubject, ScanRequest

LAYER = "conv2d_6"
GIVEN = [[[0.1 * (row + column + place) for column in range(12)] for row in range(12)] for place in range(2)]
MASK = [[int(row == column) for column in range(12)] for row in range(12)]


def run(session, asked):
    code = script(session, asked)
    scope = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "script", "exec"), scope)
    assert printed.getvalue()
    return scope


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("subject", [SUBJECT, {**STAMPED, "explain": 1}])
def test_an_explanation(session, subject):
    asked = AboutSubject.model_validate({"subject": subject})
    scope, answer = run(session, asked), answers.explain(session, asked)
    close(scope["logits"], torch.tensor(answer["logits"]))
    for layer in answer["layers"]:
        close(scope["cams"][layer["name"]].heatmap()[0], unpacked(layer["heatmap"]))
    if subject is not SUBJECT:
        close(scope["energy"], torch.tensor(answer["layers"][-1]["energy"] or torch.nan))


@pytest.mark.parametrize("subject", [SUBJECT, STAMPED])
def test_a_layer(session, subject):
    asked = AboutLayer.model_validate({"subject": subject, "layer": LAYER})
    scope, answer = run(session, asked), answers.layer(session, asked)
    for name in ("contributions", "weights", "peaks"):
        close(scope[name], unpacked(answer[name]))
    if subject is STAMPED:
        close(scope["energy"], unpacked(answer["energy"]))


def test_a_feature_map(session):
    asked = AboutMap.model_validate({"subject": STAMPED, "layer": LAYER, "map": 5})
    scope, answer = run(session, asked), answers.feature_map(session, asked)
    for name in ("activations", "contributions", "heatmap"):
        close(scope[name], unpacked(answer[name]))
    assert scope["weight"] == pytest.approx(answer["weight"])
    assert float(scope["peaks"][5]) == pytest.approx(answer["clean_peak"])


@pytest.mark.parametrize(
    "stimulation",
    [
        {"feature_maps": [2, 7], "value": 1.5, "unit": "map"},
        {"feature_maps": 3, "value": 1.5, "unit": "map", "window": [0, 8, 3, 3], "rest": "zero"},
        {"feature_maps": "all", "value": 1.5, "unit": "map", "mask": MASK},
        {"feature_maps": [4], "value": 2.0, "unit": "layer", "kind": "add"},
        {"feature_maps": [4], "value": 3.0, "kind": "scale"},
        {"feature_maps": [1, 4], "value": [3.0, 0.5]},
        {"feature_maps": [4], "kind": "zero"},
        {"feature_maps": [1, 4], "value": [1.5, 0.5], "unit": "map"},
        {"feature_maps": "all", "value": [0.5] * 32, "unit": "map", "window": [0, 8, 3, 3]},
        {"feature_maps": [1, 4], "value": [1.5, 0.5], "unit": "layer"},
        {"feature_maps": [1, 4], "value": GIVEN, "unit": "map"},
        {"feature_maps": 4, "value": GIVEN[:1], "unit": "map", "mask": MASK},
        {"feature_maps": [1, 4], "value": GIVEN, "unit": "layer", "window": [0, 8, 3, 3]},
    ],
)
@pytest.mark.parametrize("explain", [None, 2])
def test_a_stimulation(session, stimulation, explain):
    subject = {**STAMPED, "explain": explain}
    asked = AboutStimulation.model_validate({"subject": subject, "stimulation": {"layer": LAYER, **stimulation}})
    scope, answer = run(session, asked), answers.stimulate(session, asked)
    close(scope["before"], torch.tensor(answer["before"]["logits"]))
    close(scope["after"], torch.tensor(answer["after"]["logits"]))
    for layer in answer["layers"]:
        close(scope["found"].difference(layer["name"])[0], unpacked(layer["difference"]))


def test_an_image_that_was_sent_is_named_as_people_name_it(session, tmp_path, monkeypatch):
    (tmp_path / "it's mine.png").write_bytes(png())
    monkeypatch.chdir(tmp_path)
    identifier = session.upload_image(png(), "it's mine.png")
    asked = AboutSubject.model_validate({"subject": {"model": "m1", "image": {"upload": identifier}}})
    close(run(session, asked)["logits"], torch.tensor(answers.explain(session, asked)["logits"]))


def test_a_scan(session):
    code = script(session, ScanRequest(model="m1", images=12, methods=("abs",), seed=3))
    compile(code, "script", "exec")
    assert "images.take(12, seed=3, spread=True)" in code
    assert "['abs'], seed=3)" in code
