"""Claims a and b: what is compared, on which images, and what the verdict follows from."""

import pytest
import torch
from torch import Tensor

from trojancam.progress import silent
from trojancam_study.place import claim_a, claim_b, revealed
from trojancam_study.shares import Shares
from trojancam_study.study import Study


def made_up(layer_map: Tensor, feature_maps: Tensor) -> Shares:
    return Shares(layer_map, feature_maps, torch.zeros(len(layer_map)), 0.25, 0.5)


def test_maps_are_chosen_on_one_half_and_measured_on_the_other() -> None:
    feature_maps = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.4, 0.8]])
    found = revealed({"layer": made_up(torch.tensor([0.0, 0.1, 0.0, 0.3]), feature_maps)})
    assert found.chosen == (0,)  # the better one of images 0 and 2, though not of the others
    assert found.chosen_maps[:, 0].tolist() == pytest.approx([0.2, 0.4])
    assert found.gain().tolist() == pytest.approx([0.1, 0.1])


def test_lift_is_over_the_layers_whose_map_fails() -> None:
    layers = {
        "fails": made_up(torch.tensor([0.0, 0.1]), torch.tensor([[0.5], [0.75]])),
        "does not": made_up(torch.tensor([0.0, 0.6]), torch.tensor([[0.9], [0.1]])),
    }
    assert revealed(layers).lift().tolist() == pytest.approx([0.75 - 0.25])
    assert revealed({"does not": layers["does not"]}).lift().isnan().all()


def test_claim_a_compares_layer_2_with_each_other_one(study: Study) -> None:
    exhibit = claim_a(study, silent)
    means = {each.name: each.mean for each in exhibit.measurements}
    shown = {name.split(":")[0]: mean for name, mean in means.items() if ":" in name}
    assert len(shown) == 5
    for layer, mean in shown.items():
        if layer != "conv2d_2":
            assert means[f"conv2d_2 less {layer}"] == pytest.approx(shown["conv2d_2"] - mean, abs=2e-6)
    assert exhibit.measurements[0].chance == pytest.approx(study.trigger("trojan1").coverage)
    lows = [each.low for each in exhibit.measurements if "less" in each.name]
    assert (exhibit.verdict == "agrees") == all(low > 0 for low in lows)


def test_claim_b_has_a_row_for_each_layer_of_both_networks(study: Study) -> None:
    exhibit = claim_b(study, silent)
    (table,) = exhibit.tables
    assert [row[0] for row in table.rows] == ["trojan1"] * 5 + ["trojan2"] * 5
    gains = [each for each in exhibit.measurements if each.name.endswith("less layer map")]
    by_layer = [float(row[6]) - float(row[3]) for row in table.rows]
    assert gains[0].mean == pytest.approx(sum(by_layer[:5]) / 5, abs=2e-3)  # the table's cells are rounded
