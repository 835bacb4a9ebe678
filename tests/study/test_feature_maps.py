"""Figures 11 and 12: what is framed and what is chosen follow from trigger energy."""

from trojancam.evaluation.trigger_energy import LayerEnergy, trigger_energy
from trojancam.progress import silent
from trojancam_study.feature_maps import Miss, figure_11, figure_12
from trojancam_study.study import Study


def test_figure_11_frames_the_maps_that_hold_the_trigger(study: Study) -> None:
    images, _ = study.test_images("trojan1")
    energy = trigger_energy(study.network("trojan1", 0), images, study.trigger("trojan1"), 14)["conv2d_2"]
    exhibit = figure_11(study, silent)
    assert exhibit.numbers["locating"] == [k for k, share in enumerate(energy.feature_maps) if share >= 0.4]
    assert list(exhibit.pictures) == [""]


def test_figure_12_takes_the_widest_gap_of_both_networks(study: Study) -> None:
    exhibit = figure_12(study, silent)
    gaps = exhibit.numbers["gaps"]
    assert len(gaps) == 10
    assert max(gaps, key=gaps.__getitem__) == f"{exhibit.numbers['network']} {exhibit.numbers['layer']}"
    figure, _ = exhibit.pictures[""]
    assert len(figure.axes) >= 4  # the sign, the layer's map, two feature maps; colour bars where there is heat


def test_a_miss_orders_feature_maps_by_their_share() -> None:
    miss = Miss("trojan1", LayerEnergy("conv", 0.1, 0.2, 0.0, (0.3, 0.9, 0.5), (0.0, 0.0, 0.0)))
    assert miss.best(2) == [1, 2]
    assert round(miss.gap, 6) == 0.7
