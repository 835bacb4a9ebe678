"""Figure 17 and claim g: how a finding is shown is chosen without the truth, and random stimulation is as strong."""

from dataclasses import replace

import pytest
import torch

from trojancam.detection import Finding, ScanReport
from trojancam.errors import DataError
from trojancam.evaluation.localisation import chance_levels
from trojancam.network.targets import logit
from trojancam.progress import silent
from trojancam.stimulation import Stimulation, stimulate
from trojancam_study import detections, visible
from trojancam_study.measurements import Measurement
from trojancam_study.study import Study

WINDOW = (1, 9, 2, 2)


def finding_in(study: Study, name: str, layer: str) -> Finding:
    """A finding made up: two feature maps of a layer, at random values in a window."""
    value = torch.zeros(2, *study.network(name, 0).layer(layer).size)
    value[:, 1:3, 9:11] = torch.tensor([[[5.0, 6.0], [7.0, 8.0]], [[1.0, 2.0], [3.0, 4.0]]])
    return Finding(
        "stimulation", 10, 4.0, layer, (3, 1), stimulation=Stimulation(layer, (3, 1), value=value, window=WINDOW)
    )


def test_the_choice_is_the_best_of_all_strengths_and_later_layers(study: Study) -> None:
    network, finding = study.network("trojan2", 0), finding_in(study, "trojan2", "conv2d_6")
    (images, _), _ = detections.clean_images(study)
    assert finding.stimulation is not None
    chosen = visible.choose(network, finding, images)
    assert chosen.stimulation.rest == "zero"
    assert torch.equal(
        torch.as_tensor(chosen.stimulation.value), chosen.strength * torch.as_tensor(finding.stimulation.value)
    )
    found = stimulate(network, images, chosen.stimulation, logit(10))
    inside = {}
    for layer, cam in found.cams_after.items():
        cell = cam.placement.cell
        hit = visible.hits(cam.heatmap(), found.place, cell).mean()
        inside[layer] = float(hit) - chance_levels(found.place, cell).pointing
    del inside["conv2d_6"]  # the stimulated layer: its own map peaks where it was stimulated, of course
    assert chosen.layer == max(inside, key=inside.__getitem__)


def test_a_strength_that_moves_the_images_goes_before_one_that_shows_more(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, finding = study.network("trojan2", 0), finding_in(study, "trojan2", "conv2d_6")
    (images, _), _ = detections.clean_images(study)
    assert finding.stimulation is not None
    rates = {}
    for strength in visible.STRENGTHS:
        found = stimulate(network, images, replace(finding.stimulation.times(strength), rest="zero"), logit(10))
        rates[strength] = float((found.after.logits.argmax(1) == 10).float().mean())
    most = max(rates.values())
    monkeypatch.setattr(visible, "MOVED", most)  # so that the strongest alone, or those as strong, will do
    assert rates[visible.choose(network, finding, images).strength] == most


def test_a_finding_without_a_stimulation_cannot_be_shown(study: Study) -> None:
    (images, _), _ = detections.clean_images(study)
    with pytest.raises(DataError, match="no stimulation"):
        visible.choose(study.network("trojan2", 0), Finding("neural-cleanse", 10, 4.0), images)


def test_heat_maps_in_batches_are_those_of_one(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    network, finding = study.network("trojan2", 0), finding_in(study, "trojan2", "conv2d_6")
    assert finding.stimulation is not None
    _, (images, _) = detections.clean_images(study)
    monkeypatch.setattr(visible, "BATCH", 7)
    found = visible.shown(network, visible.Choice(finding.stimulation, 1.0, "conv2d_7"), 10, images)
    whole = stimulate(network, images, finding.stimulation, logit(10))
    assert torch.allclose(found.after, whole.cams_after["conv2d_7"].heatmap(), atol=1e-5)
    assert torch.allclose(found.before, whole.cams_before["conv2d_7"].heatmap(), atol=1e-5)
    assert torch.equal(found.place, whole.place)


def test_random_stimulation_is_the_same_activations_elsewhere(study: Study) -> None:
    network, finding = study.network("trojan2", 0), finding_in(study, "trojan2", "conv2d_6")
    layer, stimulation = network.layer("conv2d_6"), finding.stimulation
    assert stimulation is not None
    generator = torch.Generator().manual_seed(1)
    drawn = [visible.random_stimulation(stimulation, layer, generator, moved=True) for _ in range(30)]
    assert len({each.window for each in drawn}) > 15
    assert len({each.feature_maps for each in drawn}) > 15
    for each in drawn:
        each.check(network)
        row, column, height, width = each.window or (0, 0, 0, 0)
        value = torch.as_tensor(each.value)
        assert torch.equal(
            value[:, row : row + height, column : column + width].flatten(1)[:, 0], torch.tensor([5.0, 1.0])
        )
        assert float(value.sum()) == 36
    still = visible.random_stimulation(stimulation, layer, generator, moved=False)
    assert still.window == WINDOW
    assert torch.equal(torch.as_tensor(still.value), torch.as_tensor(stimulation.value))


def test_the_verdict_needs_all_three() -> None:
    clear = Measurement("", 0.9, 0.8, 1.0, 0.1, (0.9,), 10)
    lead = replace(clear, chance=None)
    parts = {
        "stimulated": clear,
        "stimulated less unstimulated": lead,
        "stimulated less random maps, random window": lead,
        "stimulated less random maps, the window found": replace(lead, low=-0.5, high=-0.1),  # decides nothing
    }
    assert visible.shows_the_place(parts) == "agrees"
    assert visible.shows_the_place(parts | {"stimulated": replace(clear, low=0.05)}) == "cannot tell"
    missed = replace(lead, low=-0.5, high=-0.1)
    assert visible.shows_the_place(parts | {"stimulated less random maps, random window": missed}) == "disagrees"


def test_figure_and_claim_agree(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = {"trojan1": "conv2d_2", "trojan2": "conv2d_6"}

    def scanned(study: Study, name: str, seed: int, progress: object) -> ScanReport:
        return ScanReport("backdoor", 4.0, 3.2, (finding_in(study, name, layers[name]),), {}, {})

    monkeypatch.setattr(detections, "scanned", scanned)
    first = replace(study, seeds=(0,))
    figure, claim = visible.figure_17(first, silent), visible.claim_g(first, silent)
    assert list(figure.pictures) == ["trojan1", "trojan2"]
    assert claim.tables[0].rows[0][3] == "10 (wrong)"  # trojan1's target is another class
    assert claim.tables[0].rows[1][3] == "10"
    means = {each.name: each for each in claim.measurements}
    subject = visible.Suspected.of(study, "trojan2", 0)
    hit = float(subject.hits()["stimulated"].mean())
    assert means["trojan2, stimulated"].by_seed[0] == pytest.approx(hit, abs=1e-5)
    assert f"on {hit:.3f} of them" in figure.found
