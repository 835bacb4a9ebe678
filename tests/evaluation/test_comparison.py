"""Comparison: its scores are those of the metrics themselves, its batches can be broken off, and its mask knows best."""

from pathlib import Path

import pytest
import torch
from tests.nets import images, network

from trojancam.attribution import INPUT, attribute
from trojancam.errors import DataError, UnknownNameError
from trojancam.evaluation import comparison
from trojancam.evaluation.comparison import FAITHFULNESS, LOCALISATION, MASK, compare
from trojancam.evaluation.localisation import dilated, localisation
from trojancam.evaluation.road import road
from trojancam.network.network import Network
from trojancam.network.targets import logit, probability

MASK_OF_FOUR = torch.zeros(12, 12, dtype=torch.bool)
MASK_OF_FOUR[1:3, 8:10] = True


def test_scores_are_those_of_the_metrics_on_the_maps_themselves() -> None:
    net, batch = network("plain")[1], images(5)
    found = compare(net, batch, ["grad-cam", "saliency"], mask=MASK_OF_FOUR, target_class=2, seed=3)
    classes = torch.full((5,), 2)
    attributions = attribute(net, batch, ["grad-cam"], logit(classes), seed=3)["grad-cam"]
    for layer, attribution in attributions.items():
        expected = road(net, batch, attribution.heatmap(), probability(classes), seed=3)
        assert found.scores["road"]["grad-cam", layer].equal(expected.combined)
        torch.testing.assert_close(found.curves["grad-cam", layer][0], expected.morf.mean(0))
        mask = dilated(MASK_OF_FOUR, attribution.placement.cell)
        place = localisation(attribution.heatmap(), mask)
        torch.testing.assert_close(found.scores["energy"]["grad-cam", layer], place.energy.float(), equal_nan=True)
        assert found.chance["energy", layer] == place.chance.energy
    assert {layer for method, layer in found.scores["road"] if method == "saliency"} == {INPUT}
    assert set(found.by_method("road")) == {"grad-cam", "saliency", MASK}
    assert set(found.at_layer("road", "first")) == {"grad-cam", "saliency", MASK}


def test_a_methods_score_is_the_mean_of_its_layers_where_they_are_defined() -> None:
    net = network("plain")[1]
    found = compare(net, images(3), ["grad-cam"], mask=MASK_OF_FOUR)
    layers = torch.stack([found.scores["energy"]["grad-cam", layer] for layer in net.layers])
    expected = torch.stack([column[column.isfinite()].mean() for column in layers.T])
    torch.testing.assert_close(found.by_method("energy")["grad-cam"], expected, equal_nan=True)


def test_without_a_mask_there_is_no_localisation() -> None:
    found = compare(network("plain")[1], images(2), ["random", "centre"])
    assert not set(found.scores) & set(LOCALISATION)
    assert MASK not in found.by_method("road")
    assert not found.chance


def test_one_measure_alone_gives_the_scores_that_all_together_give() -> None:
    net, batch = network("plain")[1], images(3)
    whole = compare(net, batch, ["grad-cam"], mask=MASK_OF_FOUR)
    for measure in FAITHFULNESS:
        alone = compare(net, batch, ["grad-cam"], mask=MASK_OF_FOUR, faithfulness=[measure])
        assert set(alone.scores) == {measure, *LOCALISATION}
        assert alone.layers == whole.layers
        for place, score in alone.scores[measure].items():
            assert score.equal(whole.scores[measure][place])
        assert set(alone.curves) == (set(whole.curves) if measure == "road" else set())


def test_a_mask_that_is_the_whole_image_once_grown_has_no_place_to_be_found() -> None:
    mask = torch.ones(12, 12, dtype=torch.bool)
    mask[0, 0] = False
    found = compare(network("plain")[1], images(2), ["grad-cam"], mask=mask)
    assert found.scores["energy"]["grad-cam", "first"].isnan().all()


def test_a_run_that_is_broken_off_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "BATCH", 2)
    net, batch = network("plain")[1], images(6)
    whole = compare(net, batch, ["grad-cam", "random"])

    class KilledError(Exception):
        pass

    def kill_after_two(done: int, total: int, note: str = "", /) -> None:
        if done == 4:
            raise KilledError

    with pytest.raises(KilledError):
        compare(net, batch, ["grad-cam", "random"], folder=tmp_path, progress=kill_after_two)
    assert len(list(tmp_path.rglob("*.kept"))) == 2
    scored = []
    original = comparison._scored
    monkeypatch.setattr(comparison, "_scored", lambda job, part: scored.append(part) or original(job, part))
    resumed = compare(net, batch, ["grad-cam", "random"], folder=tmp_path)
    assert scored == [slice(4, 6)]
    for name, scores in whole.scores["road"].items():
        assert resumed.scores["road"][name].equal(scores)
    assert not list(tmp_path.iterdir())


def test_the_size_of_batches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    net, batch = network("plain")[1], images(5)
    whole = compare(net, batch, ["grad-cam"])
    monkeypatch.setattr(Network, "rows", lambda *_, **__: 2)  # of a network so large that no more fit into the budget
    done: list[int] = []
    parted = compare(net, batch, ["grad-cam"], progress=lambda number, *_: done.append(number))
    assert done == [2, 4, 5]
    for name, scores in parted.scores["road"].items():
        torch.testing.assert_close(scores, whole.scores["road"][name], rtol=1e-4, atol=1e-5)


def test_what_cannot_be_compared_is_refused() -> None:
    net = network("plain")[1]
    with pytest.raises(UnknownNameError, match="unknown attribution method 'gradcam' .did you mean 'grad-cam'"):
        compare(net, images(2), ["gradcam"])
    with pytest.raises(UnknownNameError, match="unknown layer"):
        compare(net, images(2), ["grad-cam"], layers=["third"])
    with pytest.raises(UnknownNameError, match="unknown class '4'"):
        compare(net, images(2), ["grad-cam"], target_class=4)
    with pytest.raises(DataError, match="at least two images, but got 1"):
        compare(net, images(1), ["grad-cam"])
    with pytest.raises(DataError, match=r"the mask is of \(4, 4\) pixels, but the images of \(12, 12\)"):
        compare(net, images(2), ["grad-cam"], mask=torch.ones(4, 4, dtype=torch.bool))
    with pytest.raises(UnknownNameError, match="unknown measure of faithfulness 'roar'"):
        compare(net, images(2), ["grad-cam"], faithfulness=["roar"])
    with pytest.raises(DataError, match="there is nothing to measure"):
        compare(net, images(2), ["grad-cam"], faithfulness=[])
    with pytest.raises(DataError, match="there is no method to compare"):
        compare(net, images(2), [])
