"""Kinds of stimulation: what each does to the activations, and what is counted."""

import json
from dataclasses import replace

import pytest
import torch

from trojancam.detection import Finding, ScanReport
from trojancam.evaluation.localisation import layer_energy
from trojancam.network.targets import logit
from trojancam.progress import silent
from trojancam.stimulation import Stimulation, stimulate
from trojancam_study import detections
from trojancam_study.stimulations import FACTOR, KINDS, PLACES, SAME, Found, effect_of, stimulation_kinds, variants
from trojancam_study.study import Study

# as a scan gives it: activations in the window, zero outside
ACTIVATIONS = torch.zeros(2, 12, 12)
ACTIVATIONS[:, 1:4, 8:12] = torch.tensor([1.0, 2.5])[:, None, None]
ACTIVATIONS[:, 2, 9] = torch.tensor([2.0, 5.0])
FOUND = Stimulation("conv2d_6", (3, 7), value=ACTIVATIONS, window=(1, 8, 3, 4))


def test_every_kind_does_what_it_says_in_every_place(study: Study) -> None:
    network = study.network("trojan2", 0)
    image = study.example(4, network)[None]
    every = variants(study, network, FOUND)
    assert {kind for kind, _ in every} == set(KINDS)
    assert len(every) == len(KINDS) * len(PLACES) - len(SAME)
    window = FOUND.place(network.layer("conv2d_6").size)
    done = {variant: stimulate(network, image, each, logit(10)) for variant, each in every.items()}
    clean = done["constant", "whole map"].before.layers["conv2d_6"].activations[0]
    constant = torch.tensor([2.0, 5.0])[:, None, None]
    expected = {
        "constant": constant + 0 * clean[[3, 7]],
        "added": clean[[3, 7]] + constant,
        "scaled": FACTOR * clean[[3, 7]],
    }
    for (kind, place), found in done.items():
        after = found.after.layers["conv2d_6"].activations[0]
        others = [k for k in range(len(clean)) if k not in (3, 7)]
        assert torch.equal(after[others], clean[others])
        stimulated = torch.ones_like(window) if place == "whole map" else window
        rest = 0 * clean if place == "window, rest zero" else clean
        assert torch.equal(after[[3, 7]][:, ~stimulated], rest[[3, 7]][:, ~stimulated])
        if kind in expected:
            assert torch.allclose(after[[3, 7]][:, stimulated], expected[kind][:, stimulated])
        if kind == "random":
            assert bool((after[[3, 7]] <= torch.maximum(constant, clean[[3, 7]])).all())


def test_effects_are_counted_image_by_image(study: Study) -> None:
    network, (images, _) = study.network("trojan2", 0), study.test_images("trojan2")
    strong = FOUND.times(50.0)
    done = stimulate(network, images, strong, logit(10))
    found = Found(FOUND, "conv2d_7", done.place, done.place)
    effect = effect_of(network, images, strong, found, 10)
    before, after = done.before.logits.argmax(1), done.after.logits.argmax(1)
    assert torch.equal(effect.to_target.bool(), after == 10)
    assert torch.equal(effect.to_others.bool(), (after != before) & (after != 10))
    assert torch.allclose(effect.before, layer_energy(done.cams_before["conv2d_7"], done.place).nan_to_num(0))
    assert torch.allclose(effect.after, layer_energy(done.cams_after["conv2d_7"], done.place).nan_to_num(0))
    assert effect.chance == pytest.approx(float(done.place.float().mean()))
    # what changes nothing moves nothing
    idle = effect_of(network, images, replace(FOUND, kind="scale", value=1.0), found, 10)
    assert not idle.to_others.any()
    assert torch.allclose(idle.before, idle.after, atol=1e-6)


def test_the_kinds_on_a_small_study(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding("stimulation", 10, 1.0, "conv2d_6", (3, 7), stimulation=FOUND)
    report = ScanReport("backdoor", 1.0, 0.5, (finding,), {}, {})
    monkeypatch.setattr(detections, "scanned", lambda *_: report)
    found = stimulation_kinds(study, silent)
    assert found.verdict is None
    assert len(found.tables[0].rows) == len(KINDS) * len(PLACES) - len(SAME)
    assert set(found.pictures) == {"", "success", "energy"}
    assert set(found.numbers["to_target"]) == {f"{row[0]}, {row[2]}" for row in found.tables[0].rows}
    json.dumps(found.numbers, allow_nan=False)
