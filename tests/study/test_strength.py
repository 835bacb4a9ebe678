"""Claim c: correlations against an independent implementation, strengths against one map done by hand, quadrants."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr

from trojancam.progress import silent
from trojancam_study import strength
from trojancam_study.shares import Shares, Triggered
from trojancam_study.strength import ABLATED, STIMULATED, Examined, Strengths, rank_products, strengths_of
from trojancam_study.study import Study


def test_the_mean_of_rank_products_is_spearmans_correlation() -> None:
    generator = torch.Generator().manual_seed(3)
    a = torch.randint(5, (40,), generator=generator).float()  # with ties
    b = a + 2 * torch.randn(40, generator=generator)
    assert float(rank_products(a, b).mean()) == pytest.approx(spearmanr(a.numpy(), b.numpy()).statistic)
    assert rank_products(torch.ones(4), torch.arange(4.0)).isnan().all()


def test_strengths_of_one_map_are_what_editing_it_does(study: Study) -> None:
    network, trigger, layer = study.network("trojan2", 0), study.trigger("trojan2"), "conv2d_6"
    images, _ = study.test_images("trojan2")
    found = strengths_of(network, layer, images, trigger, 10)
    cut, k = network.cut(layer), 5
    clean = cut.before(images[:STIMULATED])[0]
    logits = []
    for factor in (1.6, 3.2, 4.8, 6.4, 2 / 3, 4 / 3):
        edited = clean.clone()
        edited[:, k] = factor * clean.max()
        logits.append(cut.after(edited)[0].detach())
    best = max(logits, key=lambda each: float(each[:, 10].mean()))
    assert float(found.asr[k]) == pytest.approx(float((best.argmax(1) == 10).float().mean()))
    stamped = trigger.apply(images[:ABLATED])
    edited = cut.before(stamped)[0].clone()
    edited[:, k] = cut.before(images[:ABLATED])[0][:, k].mean(0)
    fall = network(stamped)[:, 10] - cut.after(edited)[0].detach()[:, 10]
    assert float(found.effect[k]) == pytest.approx(float(fall.mean()), abs=1e-4)


def test_quadrants_split_images_by_logit_and_maps_by_asr() -> None:
    maps = torch.tensor([[0.1, 0.5], [0.2, 0.6], [0.3, 0.7], [0.4, 0.8]])
    shares = Shares(torch.zeros(4), maps, torch.zeros(4), 0.1, 0.1)
    only_weak = Shares(torch.zeros(4), torch.ones(4, 1), torch.zeros(4), 0.1, 0.1)
    seen = Examined(
        Triggered(torch.tensor([3.0, 1.0, 2.0, 4.0]), {"both": shares, "weak": only_weak}),
        {
            "both": Strengths(torch.tensor([0.0, 0.5]), torch.zeros(2)),
            "weak": Strengths(torch.zeros(1), torch.zeros(1)),
        },
    )
    found = {name: each.tolist() for name, each in seen.quadrants().items()}
    assert found["high ASR, low logit"] == pytest.approx([0.6, 0.7])  # images 1 and 2, in the order of their logits
    assert found["low ASR, high logit"] == pytest.approx([0.1, 0.4])  # images 0 and 3


def test_claim_c_measures_both_networks(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strength, "STIMULATED", 4)
    exhibit = strength.claim_c(replace(study, seeds=(0,)), silent)
    # trained for one epoch, no map may turn any image: what is undefined then is left out, and nothing can be told
    assert {each.name.split(":")[0] for each in exhibit.measurements} == {"trojan1", "trojan2"}
    assert len(exhibit.measurements) == 10 or exhibit.verdict != "agrees"
    assert all(-1 <= each.mean <= 1 for each in exhibit.measurements)
    assert [row[0] for row in exhibit.tables[0].rows] == ["trojan1", "trojan2"]
