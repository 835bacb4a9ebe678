"""Masks against a second derivation of the optimisation, and on a backdoor that a small square triggers."""

import pytest
import torch
from tests.defences.planted import network, trigger_mask, triggered
from tests.nets import images_for
from tests.nets import network as net

from trojancam.defences import cognitive_distillation as cd
from trojancam.defences.defence import Seen
from trojancam.network.draws import Draws


def distilled(tested, image, steps, first=0):
    """Adam written out, in 64 bits, for one image."""
    how = cd.AUTHORS
    colours = Draws(first).uniform(100, 3, 1, 1)
    v = torch.full(image.shape[1:], how.start, dtype=torch.float64)
    m = s = torch.zeros_like(v)
    wanted = tested(image[None])[0].double()
    for step in range(1, steps + 1):
        free = v.clone().requires_grad_()
        mask = (free.tanh() + 1) / 2
        shown = image.double() * mask + (1 - mask) * colours[step - 1].double()
        logits = tested.forward_with(tested.inputs(shown.float()[None]), ())[0][0].double()
        down, across = mask[1:] - mask[:-1], mask[:, 1:] - mask[:, :-1]
        rough = ((down**2).sum() + (across**2).sum()) / mask.numel()
        loss = (logits - wanted).abs().mean() + 0.01 * mask.sum() + rough
        (g,) = torch.autograd.grad(loss, free)
        m, s = 0.1 * m + 0.9 * g, 0.1 * s + 0.9 * g * g
        v = v - 0.1 * (m / (1 - 0.1**step)) / ((s / (1 - 0.1**step)).sqrt() + 1e-8)
    return (v.tanh() + 1) / 2


def test_masks_are_those_of_the_formula():
    _, tested = net("plain")
    images = images_for(tested, 2)
    few = cd.Distillation(steps=6)
    found = cd.minimal_masks(Seen(tested, images, first=3), few)
    for number, image in enumerate(images):
        # a step of Adam with these betas is nearly the gradient's sign, so that rounding shows where it is almost zero
        difference = (found[number].double() - distilled(tested, image, 6, first=3 + number)).abs()
        assert float(difference.quantile(0.95)) < 1e-3


def test_images_do_not_touch_each_other():
    images = triggered(4)
    few = cd.Distillation(steps=10)
    together = cd.minimal_masks(Seen(network(), images), few)
    alone = [
        cd.minimal_masks(Seen(network(), image[None], first=number), few)[0] for number, image in enumerate(images)
    ]
    assert torch.allclose(together, torch.stack(alone), atol=1e-5)


def test_the_minimal_mask_of_a_triggered_image_is_the_trigger():
    dear = cd.Distillation(size_weight=0.1)  # this network weighs every pixel, so that little can be left out for less
    masks = cd.minimal_masks(Seen(network(), triggered(5)), dear)
    assert float(masks[:, trigger_mask()].min()) > 0.9
    assert float(masks[:, ~trigger_mask()].max()) < 0.1


def test_roughness_counts_each_pair_of_neighbours_once():
    mask = torch.rand(2, 1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for one, found in zip(mask[:, 0].numpy(), cd.roughness(mask), strict=True):
        pairs = sum((one[i, j] - one[i + 1, j]) ** 2 for i in range(2) for j in range(4))
        pairs += sum((one[i, j] - one[i, j + 1]) ** 2 for i in range(3) for j in range(3))
        assert float(found) == pytest.approx(pairs / 12)
