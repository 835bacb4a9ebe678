"""LIME against the normal equations in 64 bits and scikit-learn's ridge regression, of networks whose answer is known."""

import sys

import pytest
import torch
from tests.nets import images_for
from tests.nets import network as net
from torch import Tensor, nn

from trojancam.attribution import INPUT, attribute
from trojancam.attribution.lime import coefficients, drawn, lime, superpixels
from trojancam.errors import ModelError
from trojancam.evaluation.comparison import compare
from trojancam.network.network import Network
from trojancam.network.targets import logit


class OnePart(nn.Module):
    """Its first logit is the red of one superpixel alone, summed; the convolution is the identity."""

    def __init__(self, part: Tensor) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1, bias=False)
        self.conv.weight.data = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
        self.linear = nn.Linear(part.numel(), 2, bias=False)
        self.linear.weight.data = torch.stack([part.flatten().float(), torch.zeros(part.numel())])

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.conv(images).flatten(1))


@pytest.mark.parametrize(("name", "budget"), [("plain", 2**28), ("normed", 100_000)])
def test_it_solves_the_normal_equations_of_the_weighted_ridge_regression(name: str, budget: int) -> None:
    _, tested = net(name)
    images, classes = images_for(tested, 2), torch.tensor([3, 1])
    found = lime(tested, images, logit(classes), budget, seed=5)
    for image, own, values in zip(images, classes.tolist(), found, strict=True):
        divided = superpixels(image)
        kept = drawn(int(divided.max()) + 1, 5)
        shown = tested.inputs(image[None]).repeat(len(kept), 1, 1, 1)
        for part in range(kept.shape[1]):
            for sample in (~kept[:, part]).nonzero()[:, 0].tolist():
                shown[sample][:, divided == part] = 0
        scores = tested.forward_with(shown, ())[0][:, own].double()
        design = torch.cat([torch.ones(len(kept), 1), kept], 1).double()
        whole = torch.ones(kept.shape[1], dtype=torch.float64)
        cosine = torch.nn.functional.cosine_similarity(kept.double(), whole[None], dim=1)
        weights = torch.diag(((1 - cosine).square() / -(0.25**2)).exp().sqrt())
        penalty = torch.eye(design.shape[1], dtype=torch.float64)
        penalty[0, 0] = 0  # the intercept is free
        solved = torch.linalg.solve(design.T @ weights @ design + penalty, design.T @ weights @ scores)
        torch.testing.assert_close(values.double(), solved[1:][divided], rtol=1e-3, atol=1e-5)


def test_it_is_the_ridge_regression_of_scikit_learn_whose_weights_the_authors_use() -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    generator = torch.Generator().manual_seed(1)
    kept, scores = drawn(12, 3), torch.rand(1000, generator=generator)
    weights = ((-((1 - kept.double().mean(1).sqrt()) ** 2)) / 0.25**2).exp().sqrt()
    fitted = sklearn.Ridge(alpha=1, fit_intercept=True).fit(kept.double().numpy(), scores.numpy(), weights.numpy())
    torch.testing.assert_close(coefficients(kept, scores), torch.from_numpy(fitted.coef_), rtol=1e-8, atol=1e-10)


def test_the_part_that_the_network_looks_at_has_the_coefficient_even_if_it_is_of_one_colour() -> None:
    image = torch.full((3, 12, 12), 0.5)
    image[:, 4:8, 4:8] = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
    divided = superpixels(image)
    patch = image[0] == 1
    looked_at = divided == divided[5, 5]
    assert (looked_at & ~patch).sum() == 0  # a patch of one colour is made of superpixels of its own
    found = lime(Network.from_module(OnePart(looked_at), (12, 12)), image[None], logit(0), 2**28)[0]
    effect = float(looked_at.sum())
    torch.testing.assert_close(found[looked_at], torch.full_like(found[looked_at], effect), rtol=0.05, atol=0)
    assert found[~looked_at].abs().max() < 0.02 * effect


@pytest.mark.parametrize("size", [(12, 12), (32, 32), (20, 12), (1, 5), (1, 1)])
def test_superpixels_cover_the_image_and_are_counted_from_0_on(size: tuple[int, int]) -> None:
    divided = superpixels(torch.rand(3, *size, generator=torch.Generator().manual_seed(0)))
    assert divided.shape == size
    assert divided.unique().tolist() == list(range(int(divided.max()) + 1))


def test_a_black_image_has_nothing_that_could_be_hidden() -> None:
    _, tested = net("plain")
    assert lime(tested, torch.zeros(1, 3, 12, 12), logit(0), 2**28).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["plain", "transformer"])
def test_it_is_a_method_of_the_pixels_that_keeps_to_the_class_that_was_predicted(name: str) -> None:
    _, tested = net(name)
    images = images_for(tested, 2)
    found = attribute(tested, images, ["lime"], seed=3)["lime"]
    assert list(found) == [INPUT]
    predicted = tested(images).argmax(1)
    torch.testing.assert_close(found[INPUT].map, lime(tested, images, logit(predicted), 2**28, seed=3))


def test_it_has_road_scores_beside_the_other_methods() -> None:
    _, tested = net("plain")
    found = compare(tested, images_for(tested, 2), ["lime", "occlusion"], faithfulness=["road"])
    assert found.scores["road"]["lime", INPUT].isfinite().all()


def test_without_the_package_that_divides_images_it_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    _, tested = net("plain")
    monkeypatch.setitem(sys.modules, "skimage", None)
    refusal = r"^LIME needs the extra 'lime'; install it: pip install 'trojancam\[lime\]'$"
    with pytest.raises(ModelError, match=refusal):
        attribute(tested, images_for(tested, 2), ["grad-cam", "lime"])
    with pytest.raises(ModelError, match=refusal):
        compare(tested, images_for(tested, 2), ["grad-cam", "lime"])
