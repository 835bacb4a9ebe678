"""Stepwise: a module that is a list of known operations, whose graph is written down instead of traced."""

import operator
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from trojancam.network.functional import is_known, may_be_known
from trojancam.network.graph import Whole, as_weight

Operation = Callable[..., Any]
Run = Callable[[Operation, tuple[Any, ...], dict[str, Any], str], Any]  # the last is the module that it belongs to

aten = torch.ops.aten

# What gives a tensor of floats like that it is given, which PyTorch takes long to find out.
_ALIKE = {
    aten.elu.default,
    aten.elu_.default,
    aten.gelu.default,
    aten.hardsigmoid.default,
    aten.hardsigmoid_.default,
    aten.hardswish.default,
    aten.hardswish_.default,
    aten.hardtanh.default,
    aten.hardtanh_.default,
    aten.leaky_relu.default,
    aten.leaky_relu_.default,
    aten.relu.default,
    aten.relu_.default,
    aten.sigmoid.default,
    aten.silu.default,
    aten.silu_.default,
    aten.tanh.default,
}


class Stepwise(nn.Module):
    """A module that does nothing but run operations one after the other, the same ones for all images."""

    @abstractmethod
    def _by_steps(self, images: Any, weight: Callable[[str], Any], run: Run) -> tuple[Any, ...]:
        """What it returns, if `run` runs each operation, and `weight` gives its parameters and buffers by name.

        The name is one that no author gives to a part of a network: such parts are attributes beside it.
        """


def written_down(module: Stepwise, example: Tensor) -> fx.GraphModule | None:
    """The module's graph for any number of images, on weights of its own.

    It is None where the graph depends on their number, or has an operation of which `functional.py` cannot tell what it changes.
    Each node has what an exported one has: its value without numbers, and the module that it belongs to.
    """
    sizes = ShapeEnv()
    with _any_convolution(), FakeTensorMode(shape_env=sizes) as mode, torch.no_grad():
        writer = _Writer(module, mode, example)
        try:
            returned = module._by_steps(writer.images, writer.weight, writer.run)
        except _UnknownOperationError:
            return None
    if sizes.guards or not all(isinstance(each, fx.Node) for each in returned):
        return None  # some operation is another one for some numbers of images
    writer.graph.output(returned)
    whole = Whole(module, writer.graph)
    if not is_known(whole):
        return None
    _copy_weights(whole)
    return whole


@contextmanager
def _any_convolution() -> Iterator[None]:
    """Without the libraries of convolutions that PyTorch chooses from by the number of images."""
    mkldnn, nnpack = torch.backends.mkldnn.set_flags(False), torch.backends.nnpack.set_flags(False)
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(*mkldnn)
        torch.backends.nnpack.set_flags(*nnpack)


class _UnknownOperationError(Exception):
    """An operation that only the exporter knows."""


class _Writer:
    """Writes nodes: where a run gives a value, this gives the node of that value."""

    def __init__(self, module: nn.Module, mode: FakeTensorMode, example: Tensor) -> None:
        self.graph = fx.Graph()
        self.images = self.graph.placeholder("images")
        extents = [DimDynamic.DYNAMIC, *[DimDynamic.STATIC] * (example.ndim - 1)]
        any_number: StatelessSymbolicContext[Any, Any] = StatelessSymbolicContext(extents)
        self.images.meta["val"] = mode.from_tensor(example, symbolic_context=any_number)
        self._module, self._mode, self._weights = module, mode, dict[str, fx.Node]()

    def weight(self, name: str) -> fx.Node:
        """The node of a weight, by its name as an attribute."""
        if name not in self._weights:
            owner, _, own = name.rpartition(".")
            tensor = getattr(self._module.get_submodule(owner), own)
            with self.graph.inserting_before(self.images):
                self._weights[name] = node = self.graph.get_attr(name)
            node.meta["val"] = self._mode.from_tensor(tensor, static_shapes=True)
        return self._weights[name]

    def run(self, operation: Operation, arguments: tuple[Any, ...], named: dict[str, Any], module: str) -> Any:
        """The node of an operation's result; nodes where it gives several; a number where it is known by now."""
        if not may_be_known(operation):
            raise _UnknownOperationError  # before more is done in vain
        given, by_name = fx.map_arg((arguments, named), lambda source: source.meta["val"])
        alike = operation in _ALIKE and given[0].is_floating_point()
        value = given[0] if alike else operation(*given, **by_name)
        if isinstance(value, bool | int | float):
            return value
        node = self._node(operation, arguments, named, value, module)
        if isinstance(value, tuple | list):
            return [self._node(operator.getitem, (node, part), {}, each, module) for part, each in enumerate(value)]
        return node

    def _node(
        self, operation: Operation, arguments: tuple[Any, ...], named: dict[str, Any], value: Any, module: str
    ) -> fx.Node:
        name = getattr(operation, "overloadpacket", operation).__name__
        node = self.graph.create_node("call_function", operation, arguments, named, name)
        places = dict.fromkeys(("", module))  # the whole, and the part of it that this belongs to
        node.meta = {"val": value, "nn_module_stack": {each: (each, "Module") for each in places}}
        return node


def _copy_weights(whole: fx.GraphModule) -> None:
    """Give a graph weights of its own; two that were one tensor stay one."""
    parameters = {id(weight): as_weight(weight.detach().clone()) for weight in whole.parameters()}
    buffers = {id(tensor): tensor.clone() for tensor in whole.buffers()}
    for part in whole.modules():
        for name, weight in part.named_parameters(recurse=False, remove_duplicate=False):
            part._parameters[name] = parameters[id(weight)]
        for name, tensor in part.named_buffers(recurse=False, remove_duplicate=False):
            part._buffers[name] = buffers[id(tensor)]
