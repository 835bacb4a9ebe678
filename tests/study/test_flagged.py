"""Claim d: ranks and leads of flagged maps on made-up shares, and what the verdict follows from."""

from dataclasses import replace

import pytest
import torch

from trojancam.progress import silent
from trojancam.stimulation import Stimulation
from trojancam_study import detections
from trojancam_study.detections import ABS, SCAN, Flag
from trojancam_study.flagged import Placed, claim_d, flagged_is_not_best
from trojancam_study.measurements import Measurement
from trojancam_study.shares import Shares
from trojancam_study.study import Study

ABOVE = Measurement("", 0.7, 0.6, 0.8, None, (0.7,), 10)
BELOW = replace(ABOVE, low=-0.8, high=-0.6)


def flag(layer: str, feature_map: int, by: str = ABS) -> Flag:
    return Flag(by, layer, feature_map, Stimulation(layer, feature_map))


def test_a_flagged_map_knows_its_rank_and_who_is_ahead_on_other_images() -> None:
    maps = torch.tensor([[0.1, 0.9, 0.2], [0.5, 0.3, 0.1], [0.1, 0.9, 0.2], [0.5, 0.7, 0.2]])
    shares = Shares(torch.zeros(4), maps, torch.zeros(4), 0.1, 0.1)
    flagged = Placed("trojan1", 0, flag("conv", 0), shares)
    assert flagged.rank == 2
    assert flagged.ahead().tolist() == pytest.approx([-0.2, 0.2])  # map 1, chosen on images 0 and 2
    best = replace(flagged, flag=flag("conv", 1))
    assert best.rank == 1
    assert best.ahead().tolist() == [0, 0]


def test_the_verdict_needs_a_lead_in_both_networks_and_a_majority() -> None:
    assert flagged_is_not_best([ABOVE, ABOVE], ABOVE) == "agrees"
    assert flagged_is_not_best([ABOVE, BELOW], ABOVE) == "disagrees"
    assert flagged_is_not_best([ABOVE, ABOVE], replace(ABOVE, low=0.2, high=0.4)) == "disagrees"
    assert flagged_is_not_best([ABOVE, ABOVE], replace(ABOVE, low=0.4)) == "cannot tell"
    assert flagged_is_not_best([ABOVE, None], ABOVE) == "cannot tell"


def test_claim_d_sets_flags_of_both_detectors_side_by_side(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def flags(study: Study, name: str, seed: int, progress: object) -> list[Flag]:
        first, _, third, *_ = study.network(name, seed).layers
        by_abs = [flag(first, 2)]
        return by_abs if name == "trojan1" else [*by_abs, flag(third, 7, SCAN), flag(third, 1, SCAN)]

    monkeypatch.setattr(detections, "flags", flags)
    exhibit = claim_d(study, silent)
    found = [(cells[0], cells[2], cells[4]) for cells in exhibit.tables[0].rows]
    assert found == [("trojan1", "ABS", "2")] * 2 + [("trojan2", "ABS", "2"), ("trojan2", "scan", "7")] * 2
    assert len(exhibit.measurements) == 3
