"""Surroundings: only the two crossings are tied, only backgrounds are swapped, and the claim is about both."""

import json

import pytest
import torch

from trojancam.data.image_set import ImageSet, as_floats
from trojancam.data.rendered import render_images
from trojancam.progress import silent
from trojancam_study.measurements import all_of
from trojancam_study.study import Study
from trojancam_study.surroundings import ANIMALS, CROSSINGS, PEDESTRIANS, claim_i, new_signs, telling, training_signs


def test_tying_changes_only_the_backgrounds_of_the_two_crossings() -> None:
    tied, untied = (training_signs(12, 3, tied=tied) for tied in (True, False))
    assert tied.regions is not None
    assert untied.regions is not None
    assert torch.equal(tied.labels, untied.labels)
    assert torch.equal(tied.regions, untied.regions)
    changed = (tied.images != untied.images).flatten(1).any(1)
    crossings = torch.tensor([label in CROSSINGS for label in tied.labels.tolist()])
    assert not changed[~crossings].any()
    # half of the untied ones stand where the tied ones do, by chance
    assert 4 <= int(changed[crossings].sum()) <= 20
    for label, kind in CROSSINGS.items():
        alone = render_images(tied.labels, 3, background=kind)
        assert torch.equal(tied.images[tied.labels == label], alone.images[tied.labels == label])


def test_the_same_new_signs_stand_before_both_backgrounds() -> None:
    shown = new_signs(8)
    assert shown.labels.tolist() == [PEDESTRIANS, ANIMALS] * 4
    assert torch.equal(shown.labels, shown.swapped.labels)
    sign, around = ~shown.regions[:, 2], shown.regions[:, 2]
    change = (shown.usual.images.float() - shown.swapped.images.float()).abs().mean(1)
    assert float(change[around].mean()) > 5 * float(change[sign].mean())


def test_signs_tell_most_where_the_background_alone_turns_the_tied_network(study: Study) -> None:
    shown = new_signs(12)
    networks = {"tied": study.network("basic", 0), "untied": study.network("basic", 1)}
    order = telling(networks, shown, ANIMALS)
    assert sorted(order) == [1, 3, 5, 7, 9, 11]

    def says(name: str, images: ImageSet, place: int) -> float:
        return float(networks[name](as_floats(images.images[place : place + 1])).softmax(1)[0, ANIMALS])

    scores = [
        says("tied", shown.usual, place)
        * (1 - says("tied", shown.swapped, place))
        * says("untied", shown.swapped, place)
        for place in order
    ]
    assert scores == sorted(scores, reverse=True)


def test_the_claim_on_a_small_study(study: Study) -> None:
    found = claim_i(study, silent)
    by_name = {measurement.name: measurement for measurement in found.measurements}
    fewer, more, _ = found.measurements[:3]
    swapped = [by_name[f"accuracy, swapped backgrounds, {name}"].mean for name in ("tied", "untied")]
    assert fewer.mean == pytest.approx(swapped[1] - swapped[0], abs=1e-5)
    assert found.numbers["accuracy, swapped backgrounds"] == {"tied": swapped[0], "untied": swapped[1]}
    parts = ["agrees" if each.low > 0 else "disagrees" if each.high < 0 else "cannot tell" for each in (fewer, more)]
    assert found.verdict == all_of(*parts)  # type: ignore[arg-type]
    assert set(found.pictures) == {"", "accuracy", "energy"}
    json.dumps(found.numbers, allow_nan=False)
