"""STRIP against its formula in 64 bits, and on a backdoor built by hand."""

import numpy as np
import pytest
import torch
from tests.defences.planted import network, triggered
from tests.detection.planted import pictures
from tests.nets import images_for
from tests.nets import network as net

from trojancam.defences import strip
from trojancam.defences.defence import Reference, Seen


@pytest.mark.parametrize("budget", [1, 2**28])
def test_it_is_the_entropy_over_classes_averaged_over_the_overlays_of_an_image(budget):
    _, tested = net("plain")
    images, overlays = images_for(tested, 3), images_for(tested, 5, seed=2)
    found = strip.mean_entropy(Seen(tested, images, memory_budget=budget), overlays)
    for image, entropy in zip(images, found, strict=True):
        each = []
        for overlay in overlays:
            logits = tested(torch.minimum(image + overlay, torch.ones(()))[None])[0].double().numpy()
            p = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
            each.append(-(p * np.log2(p)).sum())
        assert float(entropy) == pytest.approx(np.mean(each), rel=1e-5)


def test_sure_answers_that_differ_from_overlay_to_overlay_have_no_entropy():
    """Over the wrong axis (of the overlays) this would be large: the mistake that is made elsewhere."""
    logits = 1000 * torch.eye(4)
    assert strip.entropy(logits).tolist() == [0.0] * 4


def test_a_trigger_that_outweighs_overlays_is_found():
    clean, _ = pictures(36)
    test = strip.learn(Reference(network(), clean), overlays=12)
    scores = [test(Seen(network(), images)).values for images in (pictures(18, seed=3)[0], triggered())]
    assert scores[1].min() > scores[0].max()
