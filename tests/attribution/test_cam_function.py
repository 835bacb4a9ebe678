"""A function of activations and gradients becomes a method: its weights or contributions, whatever it returns, or a refusal."""

import pytest
import torch
from tests.nets import images_for, network, unchecked
from torch import Tensor

from trojancam.attribution import METHODS, Method, attribute
from trojancam.attribution.cam_function import split_by
from trojancam.attribution.methods import as_method
from trojancam.errors import DataError, TrojanCamError
from trojancam.registry import Registry


def by_weights(activations: Tensor, gradients: Tensor) -> Tensor:
    return gradients.mean((2, 3))


def by_contributions(activations: Tensor, gradients: Tensor) -> Tensor:
    return gradients.relu() * activations


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Registry[Method]:
    """The methods, with two more that are gone after the test."""
    methods = Registry("attribution method", "trojancam.none", as_method, dict(METHODS))
    monkeypatch.setattr("trojancam.attribution.attributing.METHODS", methods)
    methods.register("my-cam", title="My CAM")(by_weights)
    methods.register("my-layercam")(by_contributions)
    return methods


@pytest.mark.parametrize(("mine", "known"), [("my-cam", "grad-cam"), ("my-layercam", "layercam")])
def test_a_function_is_as_good_as_a_method(registered: Registry[Method], mine: str, known: str) -> None:
    _, net = network("residual")
    found = attribute(net, images_for(net, 3), [mine, known])
    for layer in net.layers:
        torch.testing.assert_close(found[mine][layer].contributions, found[known][layer].contributions)
        assert found[mine][layer].on_path == found[known][layer].on_path
    assert found["my-cam" if mine == "my-cam" else mine]["0"].method == ("My CAM" if mine == "my-cam" else mine)


def test_weights_of_contributions_are_those_that_come_closest() -> None:
    generator = torch.Generator().manual_seed(0)
    activations, gradients = torch.randn(2, 2, 3, 4, 5, generator=generator, dtype=torch.float64).unbind(0)
    activations[0, 1] = 0
    contributions, weights = split_by("cells", by_contributions)(activations, gradients)
    for image, feature_map in ((0, 0), (0, 2), (1, 1)):
        given, wanted = activations[image, feature_map].flatten(), contributions[image, feature_map].flatten()
        assert float(weights[image, feature_map]) == pytest.approx(
            float(torch.linalg.lstsq(given[:, None], wanted[:, None])[0])
        )
    assert float(weights[0, 1]) == 0
    exact, same = split_by("maps", lambda a, g: g.mean((2, 3))[..., None, None] * a)(activations, gradients)
    torch.testing.assert_close(same[:, 0], gradients.mean((2, 3))[:, 0])
    torch.testing.assert_close(exact.sum(1), (gradients.mean((2, 3))[..., None, None] * activations).sum(1))


def test_what_needs_a_gradient_of_its_own_keeps_none() -> None:
    values = torch.rand(1, 2, 3, 3)
    contributions, weights = split_by("leaky", lambda a, g: torch.ones(1, 2, requires_grad=True))(values, values)
    assert not contributions.requires_grad
    assert not weights.requires_grad


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (torch.rand(2, 3, 4), r"torch.float32 \(2, 3, 4\)"),
        (torch.rand(3), r"torch.float32 \(3,\)"),
        (torch.ones(2, 3, dtype=torch.int64), r"torch.int64 \(2, 3\)"),
        ([1.0, 2.0], "list"),
    ],
)
def test_what_fits_no_feature_map_is_refused(found: object, said: str) -> None:
    values = torch.rand(2, 3, 4, 5)
    with (
        unchecked(),
        pytest.raises(
            DataError,
            match=r"^the attribution method 'odd' must return floating-point weights \(2, 3\) or contributions "
            rf"\(2, 3, 4, 5\), but returned {said}$",
        ),
    ):
        split_by("odd", lambda activations, gradients: found)(values, values)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("given", "said"),
    [(3, "but is 3"), (lambda activations: activations, "but .* takes one"), (lambda a, b, c: a, "but .* takes 3")],
)
def test_what_is_no_such_function_is_refused(given: object, said: str) -> None:
    sentence = rf"must be a function of two arguments \(activations, gradients\) or a Method, {said}$"
    with unchecked(), pytest.raises(TrojanCamError, match=sentence):
        as_method("odd", given)  # type: ignore[arg-type]
