"""The published repairs do what they say: who is stamped, what the last layer becomes, and how long it is."""

import torch
from tests.removal.trojaned import NEAR, clean_share, finding, network, seen, true_success

from trojancam.progress import silent
from trojancam.removal.contract import RepairJob
from trojancam.removal.fine_tuning import BASELINES, FST_ALPHA, last_weight, stamping
from trojancam.removal.repairing import REPAIRS, culprits_of


def job() -> RepairJob:
    return RepairJob(seen(), culprits_of([finding()], 9))


def test_one_image_in_five_is_stamped_with_a_recovered_trigger():
    images = torch.rand(40, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    changed = stamping(job().culprits, 0.2)(images, torch.Generator().manual_seed(1))
    moved = (changed != images).flatten(1).any(1)
    assert int(moved.sum()) == 8
    torch.testing.assert_close(changed[moved], NEAR.apply(images[moved]))


def test_feature_shift_tuning_keeps_the_length_of_the_last_layer_and_leaves_where_it_was():
    (rung,) = BASELINES["fst"].rungs(job())
    before, after = network(), rung.work(silent)
    name = last_weight(before)
    old, new = before.parameters[name], after.parameters[name]
    torch.testing.assert_close(new.norm(), old.norm(), rtol=1e-5, atol=0)
    assert float((old * new).sum() / old.norm() ** 2) < 0.5
    assert FST_ALPHA == 0.01


def test_unlearning_weakens_the_backdoor_and_keeps_what_is_clean():
    (rung,) = BASELINES["unlearning"].rungs(job())
    tuned = rung.work(silent)
    assert clean_share(tuned) >= clean_share(network()) - 0.05
    trigger = NEAR.apply(seen().images)
    target = seen().labels != 5
    before, after = (float((each(trigger).argmax(1) == 5)[target].float().mean()) for each in (network(), tuned))
    assert after < before
    assert true_success(network()) == 1


def test_they_are_known_by_name():
    assert {"ladder", "fine-tuning", "unlearning", "fst"} <= set(REPAIRS)
