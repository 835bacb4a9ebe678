"""KerasModule: a Keras model as a PyTorch module, its weights under the names of the layers that its author sees."""

import importlib
import keyword
import re
from collections.abc import Iterator
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

STATISTICS = {"moving_mean", "moving_variance", "mean", "variance", "vector_u"}
# A separable convolution is two: the one by depth gets a name of its own, the other is the layer itself.
OWN_NAMES = {"depthwise_kernel": ("depthwise", "kernel"), "pointwise_kernel": ("kernel",)}


class KerasModule(nn.Module):
    """A Keras model that takes images `n c h w`, whichever order of axes its layers want.

    A weight is called as in Keras: `conv2d_3.kernel`, within a model `backbone.conv2d_3.kernel`. While the module runs, its
    own parameters stand in for the variables of Keras, so that whoever traces or replaces them reaches the model.
    """

    def __init__(self, model: Any, channels_last: bool, output: int) -> None:
        super().__init__()
        self._channels_last, self._output = channels_last, output
        self._keras: Any = None  # so that no layer gets that name
        given: dict[tuple[str, ...], str] = {}
        variables = [(variable, self._adopted(path, variable, given)) for path, variable in _weights(model)]
        self._keras = (model, variables)  # in a tuple, PyTorch does not take the model for one of its own modules

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """What the model gives for images, as outside training."""
        keras: Any = importlib.import_module("keras")
        model, variables = self._keras
        given = [(variable, self._named(name)) for variable, name in variables]
        with keras.StatelessScope(state_mapping=given):
            outputs = model(images.permute(0, 2, 3, 1) if self._channels_last else images, training=False)
        chosen: Tensor = keras.tree.flatten(outputs)[self._output]
        return chosen

    def _adopted(self, path: tuple[str, ...], variable: Any, given: dict[tuple[str, ...], str]) -> str:
        """Make a variable of Keras a parameter (a buffer, if it is no trained weight), and return its name.

        `given` are the names that the layers before got, so that no two layers get the same one.
        """
        owner: nn.Module = self
        places = [path[:depth] for depth in range(1, len(path))]
        for place in places:
            if place not in given:
                given[place] = _free(owner, attribute(place[-1]))
                owner.add_module(given[place], nn.Module())
            owner = owner.get_submodule(given[place])
        value, name = variable.value.detach(), path[-1]
        if name in STATISTICS or not value.is_floating_point():
            owner.register_buffer(name, value)
        else:
            owner.register_parameter(name, nn.Parameter(value))
        return ".".join((*(given[place] for place in places), name))

    def _named(self, name: str) -> Tensor:
        owner, _, attribute = name.rpartition(".")
        value: Tensor = getattr(self.get_submodule(owner), attribute)
        return value


def attribute(name: str) -> str:
    """A name from a file that may become that of an attribute: graphs write such names into their code, as they stand.

    >>> attribute('block.conv "), f(("')
    'block_conv_____f___'
    >>> attribute("class")
    'class_'
    """
    cleaned = re.sub(r"\W", "_", name)
    return f"{cleaned}_" if keyword.iskeyword(cleaned) else cleaned


def _free(owner: nn.Module, name: str) -> str:
    """The name, or one like it where PyTorch's modules, or another layer, have it already."""
    while hasattr(owner, name):
        name += "_"
    return name


def _weights(
    model: Any, path: tuple[str, ...] = (), seen: set[int] | None = None
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The weights of a model with the names that lead to them; those of a layer that has several places once."""
    seen = set() if seen is None else seen
    for layer in model.layers:
        here = (*path, layer.name)
        if hasattr(layer, "layers"):
            yield from _weights(layer, here, seen)
        elif id(layer) not in seen:
            seen.add(id(layer))
            for variable in layer.weights:
                yield (*here, *_within(layer, variable)), variable


def _within(layer: Any, variable: Any) -> tuple[str, ...]:
    """The name of a weight within its layer: a layer of several, as attention is, has more than one kernel.

    What is wrapped for training alone is the layer itself, under the wrapper's name.
    """
    own = OWN_NAMES.get(variable.name, (variable.name,))
    *parents, _ = variable.path.split("/")
    while layer.name in parents:
        parents = parents[parents.index(layer.name) + 1 :]
    return own if hasattr(layer, "layer") else (*parents, *own)
