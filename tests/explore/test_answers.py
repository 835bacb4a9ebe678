"""What the explorer answers is what the library says of the same image, whichever way it was computed."""

import pytest
import torch
from tests.explore.conftest import STAMPED, SUBJECT, TRIGGER, unpacked

import trojancam as tc
from trojancam.errors import TrojanCamError
from trojancam.evaluation.localisation import dilated, feature_map_energy, layer_energy
from trojancam.explore import answers
from trojancam.explore.subjects import AboutLayer, AboutMap, AboutStimulation, AboutSubject

LAYER = "conv2d_6"


def ask(kind, session, **question):
    function = {
        AboutSubject: answers.explain,
        AboutLayer: answers.layer,
        AboutMap: answers.feature_map,
        AboutStimulation: answers.stimulate,
    }[kind]
    return function(session, kind.model_validate(question))


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def stamped(images):
    """The stamped image, stamped by hand."""
    seen = images[4:5].clone()
    inside = seen[:, :, 2:6, 26:29]
    inside[:] = 0.6 * inside + 0.4 * torch.tensor([0.0, 0.7, 0.7]).view(1, 3, 1, 1)
    return seen


def test_an_explanation_is_grad_cam_of_a_recording(session, network, images):
    found = ask(AboutSubject, session, subject=SUBJECT)
    recording = tc.record(network, images[4:5])
    cams = tc.grad_cam(recording)
    close(torch.tensor(found["logits"]), recording.logits[0])
    close(torch.tensor(found["probabilities"]), recording.logits[0].softmax(0))
    assert found["predicted"] == found["explained"] == int(recording.logits.argmax())
    assert found["label"] == 0
    assert [layer["name"] for layer in found["layers"]] == list(network.layers)
    for layer in found["layers"]:
        heatmap = cams[layer["name"]].heatmap()[0]
        close(unpacked(layer["heatmap"]), heatmap)
        assert layer["peak"] == pytest.approx(float(heatmap.amax()))
        assert layer["diagnoses"] == list(cams[layer["name"]].diagnoses(0))
        assert bool(layer["blank"]) == (layer["peak"] == 0)
        assert layer["energy"] is None


def test_an_explanation_with_a_trigger_tells_how_much_heat_lies_in_it(session, network, stamped):
    found = ask(AboutSubject, session, subject={**STAMPED, "explain": 2})
    cams = tc.grad_cam(tc.record(network, stamped, tc.logit(2)))
    support = torch.zeros(32, 32, dtype=torch.bool)
    support[2:6, 26:29] = True
    assert found["explained"] == 2
    for layer in found["layers"]:
        cam = cams[layer["name"]]
        near = dilated(support, cam.placement.cell)
        close(unpacked(layer["heatmap"]), cam.heatmap()[0])
        energy = layer_energy(cam, near)[0]
        assert layer["energy"] == (None if energy.isnan() else pytest.approx(float(energy)))
        assert layer["chance"] == pytest.approx(float(near.float().mean()))


def test_a_layer_is_split_into_its_feature_maps(session, network, stamped):
    found = ask(AboutLayer, session, subject=STAMPED, layer=LAYER)
    recording = tc.record(network, stamped)
    cam = tc.grad_cam(recording)[LAYER]
    contributions = unpacked(found["contributions"])
    close(contributions, cam.contributions[0])
    close(unpacked(found["weights"]), cam.weights[0])
    close(unpacked(found["peaks"]), recording.layers[LAYER].activations[0].amax((1, 2)))
    close(contributions.sum(0).relu(), unpacked(found["layer_map"]))
    assert found["scale"] == pytest.approx(float(contributions.abs().amax()))
    energy = feature_map_energy(cam, dilated(_support(), cam.placement.cell))[0]
    torch.testing.assert_close(unpacked(found["energy"]), energy, equal_nan=True)
    assert found["asr"] is None


def _support():
    support = torch.zeros(32, 32, dtype=torch.bool)
    support[2:6, 26:29] = True
    return support


def test_a_feature_map_comes_with_what_clean_images_reach(session, network, images):
    found = ask(AboutMap, session, subject=SUBJECT, layer=LAYER, map=7)
    recording = tc.record(network, images[4:5])
    cam = tc.grad_cam(recording)[LAYER]
    everything = network.cut(LAYER).before(images)[0].amax((0, 2, 3))
    close(unpacked(found["activations"]), recording.layers[LAYER].activations[0, 7])
    close(unpacked(found["contributions"]), cam.contributions[0, 7])
    close(unpacked(found["heatmap"]), cam.feature_map_heatmaps(7)[0])
    assert found["weight"] == pytest.approx(float(cam.weights[0, 7]))
    assert found["peak"] == pytest.approx(float(recording.layers[LAYER].activations[0, 7].amax()))
    assert found["clean_peak"] == pytest.approx(float(everything[7]))
    assert found["layer_peak"] == pytest.approx(float(everything.amax()))
    assert found["asr"] is None


def test_clean_peaks_are_those_of_every_layer(session, network, images):
    peaks = session.peaks(session.model("m1"))
    for name, layer in tc.record(network, images).layers.items():
        close(peaks[name], layer.activations.amax((0, 2, 3)))


PAINTED = [[int((row + column) % 5 == 0) for column in range(12)] for row in range(12)]


@pytest.mark.parametrize(
    "stimulation",
    [
        {"feature_maps": [2, 7], "value": 1.5},
        {"feature_maps": [2, 7], "kind": "scale", "value": 2.5, "rest": "zero", "window": [0, 8, 4, 4]},
        {"feature_maps": [3], "kind": "add", "value": 2.0, "unit": "map"},
        {"feature_maps": [3, 30], "value": 2.0, "unit": "layer", "mask": PAINTED},
        {"feature_maps": "all", "kind": "zero"},
        {"feature_maps": "all", "value": 3.0, "unit": "map", "mask": PAINTED, "rest": "zero"},
    ],
)
@pytest.mark.parametrize("explain", [None, 1])
def test_a_stimulation_is_the_library_s_with_units_counted_on_test_images(
    session, network, images, stimulation, explain
):
    asked = {"layer": LAYER, **stimulation}
    found = ask(AboutStimulation, session, subject={**STAMPED, "explain": explain}, stimulation=asked)
    peaks = network.cut(LAYER).before(images)[0].amax((0, 2, 3))
    unit, value = asked.pop("unit", "absolute"), asked.get("value", 1.0)
    if unit != "absolute":
        maps = list(range(32)) if asked["feature_maps"] == "all" else asked["feature_maps"]
        asked["value"] = (value * peaks[maps]).tolist() if unit == "map" else value * float(peaks.amax())
    seen = tc.Patch(_support().float(), torch.tensor([0.0, 0.7, 0.7]).view(3, 1, 1).expand(3, 32, 32), 0.4).apply(
        images[4:5]
    )
    target = None if explain is None else tc.logit(explain)
    theirs = tc.stimulate(network, seen, tc.Stimulation.from_json(asked), target)
    close(torch.tensor(found["before"]["logits"]), theirs.before.logits[0])
    close(torch.tensor(found["after"]["logits"]), theirs.after.logits[0])
    assert found["explained"] == (int(theirs.after.logits.argmax()) if explain is None else explain)
    assert [layer["name"] for layer in found["layers"]] == list(theirs.after.layers)
    for layer in found["layers"]:
        close(unpacked(layer["before"]), theirs.cams_before[layer["name"]].heatmap()[0])
        close(unpacked(layer["after"]), theirs.cams_after[layer["name"]].heatmap()[0])
        close(unpacked(layer["difference"]), theirs.difference(layer["name"])[0])
    assert found["cells"] == [12, 12]


def test_asking_again_gives_the_same_and_changes_nothing(session, network, images):
    before = network(images)
    question = {"subject": SUBJECT, "stimulation": {"layer": LAYER, "feature_maps": [1], "value": 9.0}}
    first, second = (ask(AboutStimulation, session, **question) for _ in range(2))
    for one, other in (
        (first, second),
        (ask(AboutSubject, session, subject=SUBJECT), ask(AboutSubject, session, subject=SUBJECT)),
    ):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    torch.testing.assert_close(session.model("m1").network(images), before, rtol=0, atol=0)


def test_a_small_cache_gives_the_same_answers(data, model_file, session):
    from tests.explore.conftest import new_session

    forgetful = new_session(data, model_file)
    forgetful.cache.limit = 3000
    question = {"subject": SUBJECT, "stimulation": {"layer": LAYER, "feature_maps": [1], "value": 2.0, "unit": "map"}}
    ours, theirs = (ask(AboutStimulation, each, **question) for each in (forgetful, session))
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}
    assert forgetful.cache.held <= 3000
    forgetful.close()


@pytest.mark.parametrize(
    ("kind", "question", "part"),
    [
        (AboutSubject, {"subject": {**SUBJECT, "explain": 3}}, "unknown class '3'"),
        (AboutSubject, {"subject": {**SUBJECT, "model": "m9"}}, "no model 'm9'"),
        (AboutSubject, {"subject": {**SUBJECT, "image": {"split": "test", "index": 15}}}, "no test image 15"),
        (AboutSubject, {"subject": {**SUBJECT, "image": {"upload": "u99"}}}, "open its file again"),
        (AboutSubject, {"subject": {**SUBJECT, "trigger": {**TRIGGER, "row": 29}}}, "does not fit"),
        (AboutLayer, {"subject": SUBJECT, "layer": "conv2d_1"}, "unknown layer"),
        (AboutMap, {"subject": SUBJECT, "layer": LAYER, "map": 32}, "0 to 31"),
        (AboutStimulation, {"subject": SUBJECT, "stimulation": {"layer": LAYER, "kind": "wish"}}, "replace, scale"),
        (AboutStimulation, {"subject": SUBJECT, "stimulation": {"layer": LAYER, "window": [0, 0, 13, 1]}}, "12x12"),
        (AboutStimulation, {"subject": SUBJECT, "stimulation": {"layer": LAYER, "mask": [[1]]}}, "mask"),
        (AboutStimulation, {"subject": SUBJECT, "stimulation": {}}, "layer"),
        (AboutStimulation, {"subject": SUBJECT, "stimulation": {"layer": LAYER, "value": 1e38}}, "give a smaller one"),
    ],
)
def test_what_is_not_there_is_refused_in_a_sentence(session, kind, question, part):
    with pytest.raises(TrojanCamError, match=part):
        ask(kind, session, **question)
