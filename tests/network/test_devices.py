"""Devices by name; networks that move, and modules that are taken where they lie."""

import pytest
import torch
from tests.far import FAR, as_near, far_device, tensors_of
from torch import nn

from trojancam.errors import ModelError, UnknownNameError
from trojancam.network import devices, exporting, graph, independence, tokens
from trojancam.network.devices import device_named, device_of
from trojancam.network.network import Network


class Making(nn.Module):
    """A module that makes a tensor on the way, and holds a constant and one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.twin, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)
        self.again = self.twin
        self.register_buffer("scale", torch.tensor([2.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen = self.again(self.twin(self.conv(images).relu())).relu().mean((2, 3))
        return self.head(seen * self.scale) + torch.arange(2, device=images.device) * torch.tensor(0.5)


def test_the_processor_is_there() -> None:
    assert device_named("cpu") == device_named(torch.device("cpu")) == torch.device("cpu")


def test_a_device_that_nobody_knows() -> None:
    with pytest.raises(UnknownNameError, match="unknown device 'gpu'.*cuda"):
        device_named("gpu")


def test_a_device_that_this_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=r"no device cuda that PyTorch can use \(of this kind: none\); choose cpu"):
        device_named("cuda")


def test_of_several_the_current_one_or_the_one_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert device_named("cuda") == torch.device("cuda", 1)
    assert device_named("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(ModelError, match=r"no device cuda:2 .*cuda:0, cuda:1"):
        device_named("cuda:2")


def test_auto_is_the_accelerator_or_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[torch.device | None] = [None, torch.device("cuda", 0)]
    monkeypatch.setattr(devices.torch.accelerator, "current_accelerator", lambda check_available: there.pop(0))
    assert device_named("auto") == torch.device("cpu")
    assert device_named("auto") == torch.device("cuda", 0)


def test_tensors_of_several_devices_are_refused() -> None:
    assert device_of([]) == torch.device("cpu")
    with pytest.raises(ModelError, match=r"several devices \(cpu, meta\)"):
        device_of([torch.zeros(1), torch.zeros(1, device="meta")])


def test_a_network_moves_and_the_first_one_stays() -> None:
    network = Network.from_module(Making(), (8, 8), name="making")
    before = network(images := torch.rand(4, 3, 8, 8))
    with far_device() as device:
        moved = network.to(device)
        assert moved.device == FAR
        assert moved.to(device) is moved
        torch.testing.assert_close(as_near(moved(images)), before)
        assert moved.fingerprint == network.fingerprint
        back = moved.to("cpu")
    assert network.device == back.device == torch.device("cpu")
    assert torch.equal(network(images), before)
    assert torch.equal(back(images), before)
    assert (back.name, list(back.layers), back.class_names) == (network.name, list(network.layers), network.class_names)


def test_a_moved_network_can_be_cut_fed_and_shuffled() -> None:
    network = Network.from_module(Making(), (8, 8))
    images = torch.rand(4, 3, 8, 8)
    expected = network.with_random_layers(["head"])(images)
    with far_device() as device:
        moved = network.to(device)
        torch.testing.assert_close(as_near(moved.with_random_layers(["head"])(images)), expected)
        values = moved.cut("conv").before(images)
        assert {each.device for each in tensors_of(values)} == {FAR}


def test_weights_are_taken_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing refuses tensors of our far device; so the device without values stands for it, which is refused otherwise."""
    for user in (exporting, graph, independence, tokens):
        monkeypatch.setattr(user, "device_of", lambda tensors: next(iter({tensor.device for tensor in tensors})))
    network = Network.from_module(Making().to("meta"), (8, 8))
    assert network.device == torch.device("meta")
    assert network(torch.rand(4, 3, 8, 8)).shape == (4, 2)
    named = {str(node.kwargs["device"]) for node in network._whole.graph.nodes if "device" in node.kwargs}
    assert named <= {"meta"}


def test_weights_without_values_are_refused() -> None:
    with pytest.raises(ModelError, match=r"shapes but no values .*'meta'.*; load the weights into the module first"):
        Network.from_module(Making().to("meta"), (8, 8))


def test_weights_on_several_devices_are_refused() -> None:
    module = Making()
    module.head.to("meta")
    with pytest.raises(ModelError, match=r"several devices \(cpu, meta\); move all of the module to one"):
        Network.from_module(module, (8, 8))
