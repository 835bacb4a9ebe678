"""SCALE-UP against its formula, by class and where a class says nothing."""

import numpy as np
import pytest
import torch
from tests.nets import images_for
from tests.nets import network as net

from trojancam.defences import scale_up
from trojancam.defences.defence import Reference, Seen


def plain():
    return net("plain")[1]


def shares(images):
    own = plain()(images).argmax(1)
    kept = [[int(plain()((image * n).clamp(max=1)[None]).argmax(1)) for n in (3, 5, 7, 9, 11)] for image in images]
    return np.array(kept), own.numpy()


def test_it_is_the_share_of_multiples_that_keep_the_class():
    images = images_for(plain(), 6)
    kept, own = shares(images)
    assert scale_up.consistency(Seen(plain(), images)).tolist() == pytest.approx(
        (kept == own[:, None]).mean(1).tolist()
    )


def test_scores_are_deviations_from_clean_images_of_the_class():
    clean, images = images_for(plain(), 30, seed=3), images_for(plain(), 6)
    kept, own = shares(clean)
    spc = (kept == own[:, None]).mean(1)
    test = scale_up.learn(Reference(plain(), clean))(Seen(plain(), images)).values
    kept_new, new = shares(images)
    for score, share, number in zip(test.tolist(), (kept_new == new[:, None]).mean(1), new, strict=True):
        of_class = spc[own == number]
        enough = len(of_class) > 1 and of_class.std() > 0
        known = of_class if enough else spc
        assert score == pytest.approx((share - known.mean()) / (known.std(ddof=1) or 1.0), rel=1e-4)


def test_a_class_without_images_has_the_mean_and_the_deviation_of_all():
    means, deviations = scale_up.by_class(torch.tensor([0.2, 0.6]), torch.tensor([0, 0]), 3)
    assert means.tolist() == pytest.approx([0.4] * 3)
    assert deviations.tolist() == pytest.approx([0.08**0.5] * 3)


def test_one_image_or_equal_ones_give_no_division_by_nothing():
    for values in (torch.tensor([0.4]), torch.full((5,), 0.4)):
        means, deviations = scale_up.by_class(values, torch.zeros(len(values), dtype=torch.int64), 2)
        assert means.tolist() == pytest.approx([0.4, 0.4])
        assert deviations.tolist() == [1.0, 1.0]
