"""Occlusion against a loop in 64 bits, of a linear network in closed form, and as a method among the others."""

import pytest
import torch
from tests.nets import NETS, images_for
from tests.nets import network as net

from trojancam.attribution import INPUT, attribute
from trojancam.attribution.occlusion import occlusion, squares
from trojancam.network.targets import logit


@pytest.mark.parametrize("name", ["plain", "normed"])
@pytest.mark.parametrize("budget", [1, 2**28])
def test_it_is_the_mean_drop_over_the_squares_that_cover_a_pixel(name, budget):
    _, tested = net(name)
    images, classes = images_for(tested, 2), torch.tensor([3, 1])
    found = occlusion(tested, images, logit(classes), budget)
    inputs = tested.inputs(images)
    for image, own, drops in zip(inputs, classes.tolist(), found, strict=True):
        total, count = torch.zeros(12, 12, dtype=torch.float64), torch.zeros(12, 12)
        whole = tested.forward_with(image[None], ())[0][0, own].double()
        for top in range(-2, 12, 1):  # a side of 3, steps of 1
            for left in range(-2, 12, 1):
                hidden = image.clone()
                rows, columns = slice(max(top, 0), top + 3), slice(max(left, 0), left + 3)
                hidden[:, rows, columns] = 0
                total[rows, columns] += whole - tested.forward_with(hidden[None], ())[0][0, own].double()
                count[rows, columns] += 1
        torch.testing.assert_close(drops.double(), total / count, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (20, 12), (1, 5)])
def test_every_pixel_is_covered_as_often(size):
    covered = squares(size).sum((0, 1))
    assert covered.shape == size
    assert covered.unique().numel() == 1


@pytest.mark.parametrize("name", NETS)
def test_it_is_a_method_of_the_pixels_that_keeps_to_the_class_that_was_predicted(name):
    _, tested = net(name)
    images = images_for(tested, 2)
    found = attribute(tested, images, ["occlusion"])["occlusion"]
    assert list(found) == [INPUT]
    predicted = tested(images).argmax(1)
    torch.testing.assert_close(found[INPUT].map, occlusion(tested, images, logit(predicted), 2**28))
