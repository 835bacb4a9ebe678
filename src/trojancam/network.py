"""Network: a classifier as a functional graph. This is the only file that edits the graph.

Whatever a model came from, `torch.export` gives one graph without hooks, in-place operations or hidden state.
Recording a layer is the same graph with one more output; stimulating it will be the same graph, cut in two.
"""

import copy
import io
import logging
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.export import Dim, export
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from trojancam.errors import ModelError, unknown_name
from trojancam.layers import At, Layer, find_layers
from trojancam.models.card import ModelCard
from trojancam.models.files import read_model
from trojancam.training import evaluating
from trojancam.types import InputSpecification

aten = torch.ops.aten

Images = Float[Tensor, "n 3 h w"]
Logits = Float[Tensor, "n classes"]


class Network:
    """A classifier as a functional graph, with its layers, its input specification and its class names.

    It takes images in [0, 1] and normalises them itself. Its weights are a frozen copy: nothing done with a network
    touches the module it came from, and training that module further does not change the network.
    """

    def __init__(
        self,
        graph_module: fx.GraphModule,
        specification: InputSpecification,
        class_names: tuple[str, ...],
        name: str = "network",
        card: ModelCard | None = None,
    ) -> None:
        self.input = specification
        self.class_names = class_names
        self.name = name
        self.card = card
        self.layers: dict[str, Layer] = find_layers(graph_module.graph, specification.size)
        self._whole = graph_module
        self._with_outputs: dict[tuple[str, ...], fx.GraphModule] = {}

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        input_size: tuple[int, int] = (32, 32),
        *,
        specification: InputSpecification | None = None,
        class_names: Sequence[str] | None = None,
        name: str | None = None,
        card: ModelCard | None = None,
    ) -> "Network":
        """The network of any module that maps RGB images `n 3 h w` to logits `n classes`.

        The module is run in evaluation mode; its mode, weights and gradients are left as they were. Without a
        `specification` it is fed pixels in [0, 1] of `input_size` (height, width).

        Raises:
            ModelError: if it cannot be exported, does not give logits, or has no convolution.

        >>> from torch import nn
        >>> small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
        >>> network = Network.from_module(small, (8, 8))
        >>> list(network.layers), network(torch.zeros(5, 3, 8, 8)).shape
        (['0'], torch.Size([5, 2]))
        """
        specification = specification or InputSpecification(size=input_size)
        graph_module = _exported(module, specification)
        classes = _number_of_classes(graph_module)
        if class_names is not None and len(class_names) != classes:
            raise ModelError(f"the network has {classes} classes, but {len(class_names)} class names were given")
        names = tuple(class_names) if class_names is not None else tuple(f"class {i}" for i in range(classes))
        network = cls(graph_module, specification, names, name or type(module).__name__, card)
        if not network.layers:
            raise ModelError("the network has no two-dimensional convolution, so there are no feature maps to look at")
        return network

    def __repr__(self) -> str:
        return f"Network({self.name}, {len(self.class_names)} classes, layers: {', '.join(self.layers)})"

    def __call__(self, images: Images) -> Logits:
        """The logits of images in [0, 1], without gradients.

        Raises:
            ModelError: if the images are of another size or range than the network takes.
        """
        self.check(images)
        with torch.no_grad():
            logits: Tensor = self._whole(self.input.normalise(images))[0]
        return logits

    def layer(self, name: str) -> Layer:
        """The layer of this name.

        Raises:
            UnknownNameError: if there is none; it lists those there are.
        """
        if name not in self.layers:
            raise unknown_name("layer", name, self.layers)
        return self.layers[name]

    def feature_map(self, layer: str, index: int) -> int:
        """The index of a feature map of a layer, checked.

        Raises:
            UnknownNameError: if the layer has no such feature map.
        """
        maps = self.layer(layer).feature_maps
        if not 0 <= index < maps:
            raise unknown_name(f"feature map of layer {layer!r}", index, [f"0 to {maps - 1}"])
        return index

    def check(self, images: Images) -> None:
        """Refuse images that the network would misread.

        Raises:
            ModelError: if they are of another shape or size, no floats, not finite, or not in [0, 1].
        """
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ModelError(
                f"images must be floats of shape (n, 3, height, width), "
                f"not {images.dtype} of shape {tuple(images.shape)}; divide bytes by 255"
            )
        if tuple(images.shape[-2:]) != self.input.size:
            raise ModelError(
                f"{self.name} takes images of {self.input.size} pixels, but these are {tuple(images.shape[-2:])}"
            )
        if images.numel():
            low, high = (float(extreme) for extreme in images.detach().aminmax())
            if not (low >= -0.01 and high <= 1.01):
                raise ModelError(
                    f"images must lie in [0, 1], but these run from {low:g} to {high:g}; divide bytes by 255"
                )

    def forward_with(
        self, inputs: Images, layers: Iterable[str], at: At = "activation"
    ) -> tuple[Logits, tuple[Float[Tensor, "n _ _ _"], ...]]:
        """Logits and the values of these layers, from one forward run on normalised inputs; gradients flow.

        Raises:
            UnknownNameError: if a layer does not exist.
        """
        nodes = tuple(self.layer(name).node(at) for name in layers)
        if nodes not in self._with_outputs:
            self._with_outputs[nodes] = _with_outputs(self._whole, nodes)
        logits, *values = self._with_outputs[nodes](inputs)
        return logits, tuple(values)


def load(path: str | Path) -> Network:
    """The network in a model file that TrojanCAM wrote (safetensors with a model card).

    Raises:
        ModelError: if the file is missing, damaged, or of another kind.
    """
    module, card = read_model(path)
    return Network.from_module(
        module, specification=card.input, class_names=card.class_names, name=card.architecture, card=card
    )


def _exported(module: nn.Module, specification: InputSpecification) -> fx.GraphModule:
    """The module's functional graph for any number of images, on a frozen copy of its weights."""
    _check_weights(module)
    try:
        with torch.inference_mode(False), evaluating(module), _torch_quiet():
            example = torch.zeros(2, 3, *specification.size)
            program = export(module, (example,), dynamic_shapes=({0: Dim("n")},), strict=False)
            exported = copy.deepcopy(program.run_decompositions({}).module(check_guards=False))
    except Exception as error:  # a foreign module can raise anything
        height, width = specification.size
        raise ModelError(
            f"this module cannot be exported as a graph for images of {height}x{width} pixels: {_reason(error)}"
        ) from error
    exported.requires_grad_(False)
    _take_any_memory_format(exported.graph)
    exported.graph.eliminate_dead_code()
    return _with_outputs(exported, [])


def _check_weights(module: nn.Module) -> None:
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.device.type != "cpu":
            raise ModelError(f"the weights {name} are on the device {tensor.device}; move the module with module.cpu()")
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise ModelError(f"the weights {name} are {tensor.dtype}; convert the module with module.float()")


def _take_any_memory_format(graph: fx.Graph) -> None:
    """Reshape where the exporter saw that a view would do: it would not do for channels-last images."""
    for node in graph.nodes:
        if node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default


def _with_outputs(whole: fx.GraphModule, nodes: Sequence[str]) -> fx.GraphModule:
    """The same graph on the same weights, returning the logits and then the values of these nodes."""
    copied, twins = fx.Graph(), dict[fx.Node, fx.Node]()
    logits = copied.graph_copy(whole.graph, twins)
    by_name = {node.name: twin for node, twin in twins.items()}
    first = logits[0] if isinstance(logits, tuple | list) else logits
    copied.output((first, *(by_name[name] for name in nodes)))
    return fx.GraphModule(whole, copied)


@contextmanager
def _torch_quiet() -> Iterator[None]:
    """No warnings of torch's own making, and nothing printed of what it could not trace."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _number_of_classes(graph_module: fx.GraphModule) -> int:
    output = next(iter(reversed(graph_module.graph.nodes)))
    logits = getattr(output.args[0][0], "meta", {}).get("val")
    shape = ", ".join(
        "n" if position == 0 else str(extent) for position, extent in enumerate(getattr(logits, "shape", ()))
    )
    if logits is None or logits.ndim != 2:
        gives = f"a tensor of shape ({shape})" if logits is not None else "no tensor"
        raise ModelError(f"a classifier gives logits of shape (n, classes), but this module gives {gives}")
    return int(logits.shape[1])


def _reason(error: Exception) -> str:
    """Why a module could not be exported, and the line of its own code that stood in the way."""
    reason = next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if isinstance(error, GuardOnDataDependentSymNode):
        reason = "what it does depends on the values of the images, which a graph cannot express"
    elif "Constraints violated" in reason:
        reason = "it works for one number of images only; let it take any number"
    inside_torch = str(Path(torch.__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is ours
    own = [frame for frame in frames if not frame.filename.startswith((inside_torch, "<")) and frame.name == "forward"]
    return f"{reason} ({Path(own[-1].filename).name}, line {own[-1].lineno}: {own[-1].line})" if own else reason
