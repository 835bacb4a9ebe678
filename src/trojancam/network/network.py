"""Network: a classifier as a functional graph, with its layers.

Recording a layer is the same graph with one more output; editing one is the same graph, cut in two.
"""

import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from trojancam.errors import ModelError, Remedy, SeveralOutputsError, unknown_feature_map, unknown_name
from trojancam.files import as_path, written_whole
from trojancam.network import attention, exporting, given, graph
from trojancam.network import bounds as limits
from trojancam.network.batches import BUDGET, Footprint, Gathered, footprint, parts
from trojancam.network.bounds import GivenBounds
from trojancam.network.card import RECORD, ModelCard, NetworkRecord
from trojancam.network.classes import names_of_classes
from trojancam.network.classifier import classifier, number_of_classes
from trojancam.network.cut import Cut
from trojancam.network.devices import CPU, DeviceLike, device_named
from trojancam.network.draws import Draws
from trojancam.network.input import GIVEN, UNKNOWN, Feeding, InputSpecification, check_specification
from trojancam.network.layers import PIXELS, At, Layer, find_layers
from trojancam.network.modules import channels_of, check_module, unwrapped
from trojancam.network.outputs import Output
from trojancam.network.tokens import with_feature_maps
from trojancam.text import as_text
from trojancam.version import __version__

Images = Float[Tensor, "n 3 h w"]
Inputs = Float[Tensor, "n c h w"]  # images as the network wants them: of a grey one, with one channel
Logits = Float[Tensor, "n classes"]

ONLY_PIXELS = (
    "The network has no two-dimensional convolution and no tokens of image patches. The channels of its image stand in for "
    f"feature maps, as the layer “{PIXELS}”."
)
USUAL_SIZE = 32  # pixels, of the images of a module of which nobody says what it takes

_DEVICE = re.compile(r"device\(type='\w+'(, index=\d+)?\)")


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
        notes: tuple[str, ...] = (),
        feeding: Feeding = UNKNOWN,
        heads: bool = False,
    ) -> None:
        self.input = specification
        self.feeding = feeding  # who says that `input` is right
        self.class_names = class_names
        self.name = as_text(name)
        self.card = card
        self.notes = notes  # sentences for people: what is unusual about it
        self._own = graph_module
        self.heads = heads  # whether heads of its attention are layers
        shown = attention.with_heads(graph_module, specification.size) if heads else graph_module
        self._whole = with_feature_maps(shown, specification.size)
        self.layers: dict[str, Layer] = find_layers(self._whole.graph, specification.size)
        self._logits = graph.logits_node(graph_module).name
        self._returning: dict[tuple[str, ...], fx.GraphModule] = {}
        self._cuts: dict[tuple[str, ...], Cut] = {}

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        input_size: int | tuple[int, int] | None = None,
        *,
        output: Output = None,
        specification: InputSpecification | None = None,
        class_names: Sequence[str] | None = None,
        name: str | None = None,
        card: ModelCard | None = None,
        notes: Sequence[str] = (),
        feeding: Feeding | None = None,
    ) -> "Network":
        """The network of any module that maps images `n channels h w` to logits `n classes`.

        The module is run in evaluation mode; its mode, weights and gradients are left as they were. The network is on the
        device of its weights. Without a `specification` it is fed pixels in [0, 1] of `input_size`, (height, width) or the side
        of a square (32 where nobody says), grey ones if it takes one channel. What acts in training only, such as a dropout
        that is always on, is left out, and `notes` say so. Where it returns several tensors, `output` is the name or number of
        the logits; without it they are the only ones with a number for each class, or those that are called logits. Where it
        ends in a softmax or a sigmoid, its logits are those before; where it gives one number for each image, they are those of
        two classes. One without convolutions and tokens has a single layer, `pixels`, and `notes` say so. `feeding` is who says
        that the specification is right: whoever gives one, if left out.

        Raises:
            DataError: if the size, the specification or a class name is none.
            ModelError: if it is no module, cannot be exported, its weights lie on several devices, it does not give logits, or if
                its answer to an image depends on other images or on the run.
            UnknownNameError: if it has no such output.
            SeveralOutputsError: if several outputs can be the logits.

        >>> from torch import nn
        >>> small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
        >>> network = Network.from_module(small, (8, 8))
        >>> list(network.layers), network(torch.zeros(5, 3, 8, 8)).shape
        (['0'], torch.Size([5, 2]))
        """
        check_module(module)
        check_specification(specification)
        names = None if class_names is None else names_of_classes(class_names)
        of_module = specification is None
        feeding = feeding or (UNKNOWN if specification is None else GIVEN)
        if specification is None and input_size is None:
            feeding = replace(feeding, size_assumed=True)
        specification = specification or _taken_by(module, USUAL_SIZE if input_size is None else input_size, output)
        named = None if names is None else len(names)
        try:
            graph_module, done = classifier(module, specification, output, named)
        except ModelError as error:
            if Remedy.SIZE in error.remedies and of_module:
                raise ModelError(f"{error.problem}; say it with input_size=(height, width)") from error
            raise
        classes = number_of_classes(graph_module)
        if names is not None and len(names) != classes:
            raise ModelError(
                f"the network has {classes} classes, but {len(names)} class names were given; give one for each class"
            )
        shown = names or _numbered(classes), name or type(module).__name__
        network = cls(graph_module, specification, *shown, card, (*notes, *done), feeding)
        if PIXELS in network.layers and ONLY_PIXELS not in network.notes:
            network.notes = (*network.notes, ONLY_PIXELS)
        return network

    def __repr__(self) -> str:
        return f"Network({self.name}, {len(self.class_names)} classes, layers: {', '.join(self.layers)})"

    def __call__(self, images: given.GivenImages) -> Logits:
        """The logits of images, without gradients; images as `given_images.read` takes them.

        Raises:
            DataError: if the network cannot take the images.
        """
        whole = given.images(self, images)
        logits = Gathered(len(whole))
        with torch.no_grad():
            for part in parts(len(whole), self.rows()):
                logits.add(self._whole(self.inputs(whole[part]))[0])
        return logits.whole

    def inputs(self, images: Images) -> Inputs:
        """Images in [0, 1], wherever they lie, as the network wants them, and where: on its device. Gradients flow."""
        return self.input.normalise(images.to(self.device))

    def layer(self, name: str) -> Layer:
        """The layer of this name.

        Raises:
            UnknownNameError: if there is none; it lists those there are.
        """
        if name not in self.layers:
            raise given.unknown_layer(self, name)
        return self.layers[name]

    def feature_map(self, layer: str, index: int) -> int:
        """The index of a feature map of a layer, checked.

        Raises:
            UnknownNameError: if the layer has no such feature map.
        """
        maps = self.layer(layer).feature_maps
        if not 0 <= index < maps:
            raise unknown_feature_map(layer, index, maps)
        return index

    def forward_with(
        self,
        inputs: Inputs,
        layers: Iterable[str],
        at: At = "activation",
        rules: type[fx.Interpreter] | None = None,
    ) -> tuple[Logits, tuple[Float[Tensor, "n _ _ _"], ...]]:
        """Logits and the values of these layers, from one forward run on normalised inputs; gradients flow.

        `rules` interpret the graph instead of its own code: they may let gradients flow in another way.

        Raises:
            UnknownNameError: if a layer does not exist.
        """
        nodes = (self._logits, *(self.layer(name).node(at) for name in layers))
        if nodes not in self._returning:
            self._returning[nodes] = graph.returning(self._whole, nodes)
        run = self._returning[nodes]
        logits, *values = run(inputs) if rules is None else rules(run).run(inputs)
        return logits, tuple(values)

    def forward_shifted(
        self, inputs: Inputs, layer: str, shift: Float[Tensor, "n k rows columns"], layers: Iterable[str]
    ) -> tuple[Logits, tuple[Float[Tensor, "n _ _ _"], ...]]:
        """As `forward_with`, with `shift` added to a layer's activations; gradients flow past it to earlier layers.

        Raises:
            UnknownNameError: if a layer does not exist.
        """
        nodes = [self._logits, *(self.layer(name).activation for name in layers)]
        logits, *values = graph.shifted(self._whole, self.layer(layer).activation, nodes)(inputs, shift)
        return logits, tuple(values)

    def layers_after(self, layer: str) -> tuple[str, ...]:
        """The layers whose activations depend on those of this one, in the order in which they run.

        Raises:
            UnknownNameError: if there is no such layer.
        """
        cut = self.layer(layer).activation
        later = graph.dependent_on(self._whole, cut)
        return tuple(name for name, other in self.layers.items() if other.activation in later)

    def cut(self, layer: str, record: Iterable[str] = (), at: At = "activation") -> "Cut":
        """The network in two parts at a layer, the second of which also returns the later layers named in `record`.

        Raises:
            UnknownNameError: if a layer does not exist.
            ModelError: if a layer to record does not depend on the cut.
        """
        key = (self.layer(layer).node(at), *(self.layer(name).node(at) for name in record))
        if key not in self._cuts:
            self._cuts[key] = Cut.of(self._whole, self.input, self.device, key)
        return self._cuts[key]

    @property
    def named(self) -> bool:
        """Whether its classes have names, and not only numbers."""
        return self.class_names != _numbered(len(self.class_names))

    def to(self, device: DeviceLike) -> "Network":
        """The same network on another device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto`, the accelerator of this machine.

        It computes there, and what is made with it lies there: images are taken from wherever they are. This network
        stays where it is.

        Raises:
            UnknownNameError: if PyTorch knows no such device.
            ModelError: if this machine does not have it.

        >>> small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
        >>> Network.from_module(small, (8, 8)).to("cpu").device
        device(type='cpu')
        """
        chosen = device_named(device)
        if chosen == self.device:
            return self
        whole = graph.moved(self._own, chosen)
        return self._like(whole)

    def fed(self, specification: InputSpecification, feeding: Feeding = GIVEN) -> "Network":
        """The same network, weights shared, fed in another way: other scaling, or channels in another order.

        `feeding` is who says that this is right.

        Raises:
            ModelError: if it takes another number of channels, or images of another size.
        """
        own = self.input
        if (specification.size, specification.number_of_channels) != (own.size, own.number_of_channels):
            raise ModelError(
                f"{self.name} takes {own.number_of_channels} channels of {own.size} pixels, not "
                f"{specification.number_of_channels} of {specification.size}"
            )
        return self._like(specification=specification, feeding=feeding)

    def with_class_names(self, class_names: Sequence[str]) -> "Network":
        """The same network, weights shared, its classes called otherwise.

        Raises:
            ModelError: if there are more or fewer names than classes.
            DataError: if they are no names.
        """
        names = names_of_classes(class_names)
        if len(names) != len(self.class_names):
            raise ModelError(
                f"the network has {len(self.class_names)} classes, but {len(names)} class names were given; give one for "
                "each class"
            )
        return self._like(class_names=names)

    def with_heads(self) -> "Network":
        """The same network, weights shared, with the heads of its attention as layers, too: each head is a feature map.

        Its cells hold what the mean query takes from each patch. One without attention of all tokens to all tokens has no such
        layers and comes back itself.

        >>> small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
        >>> Network.from_module(small, (8, 8)).with_heads().layers.keys()
        dict_keys(['0'])
        """
        if self.heads or not self.attention.blocks:
            return self
        return self._like(heads=True)

    @cached_property
    def attention(self) -> attention.Attending:
        """The network with the weights of its attention written out, for methods that follow these."""
        return attention.attending(self._own, self.input.size)

    def _like(self, whole: fx.GraphModule | None = None, **other: Any) -> "Network":
        """This network with another graph, or with something else said of it."""
        own: dict[str, Any] = {
            "specification": self.input, "class_names": self.class_names, "name": self.name, "card": self.card,
            "notes": self.notes, "feeding": self.feeding, "heads": self.heads,
        }  # fmt: skip
        return Network(self._own if whole is None else whole, **own | other)

    def without_card(self) -> "Network":
        """The same network, weights shared, with nothing that tells how it was made or what it is called."""
        feeding = GIVEN if self.feeding.vouched else UNKNOWN
        return Network(self._own, self.input, self.class_names, feeding=feeding, heads=self.heads)

    def save(self, path: str | Path) -> Path:
        """Write the network to a `.pt2` file, whole or not at all; its path. `load` opens it as it is here.

        The file is an exported program of PyTorch, which others can open, too. Class names, how the network is fed, whether
        anybody vouches for that, and its model card lie beside the graph.

        Raises:
            ModelError: if the name does not end in `.pt2`, or the graph cannot be exported again.
            TrojanCamError: if the file cannot be written.
        """
        path = as_path(path, "the file of a network")
        if path.suffix != ".pt2":
            raise ModelError(
                f"a network is saved as an exported program, so call the file {path.stem}.pt2, not {path.name}; its weights go "
                "back into the module that it was made of with module.load_state_dict(network.state_dict(module))"
            )
        said = NetworkRecord(
            name=self.name[:200],
            class_names=self.class_names,
            input=self.input,
            vouched=self.feeding.vouched,
            card=self.card,
            made_by=f"trojancam {__version__}",
        )
        with written_whole(path) as partial, partial.open("wb") as stream:
            exporting.write(self.to(CPU)._own, self.input, stream, {RECORD: said.model_dump_json()})
        return path

    def state_dict(self, module: nn.Module) -> dict[str, Tensor]:
        """The state dict of the module that the network was made of, with copies of the network's weights in it.

        What a network does not change, such as running statistics, is the module's own. The module stays as it is until it loads
        them. Of one that is spread over devices or compiled, it is the state dict of the module inside.

        Raises:
            ModelError: if the module is none, or does not have the network's weights by their names and shapes.

        >>> small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
        >>> network = Network.from_module(small, (8, 8)).with_parameters({"4.bias": torch.ones(2)})
        >>> small.load_state_dict(network.state_dict(small)), small[4].bias.tolist()
        (<All keys matched successfully>, [1.0, 1.0])
        """
        check_module(module)
        module = unwrapped(module)
        named = dict(module.named_parameters(remove_duplicate=False))
        values: dict[int, Tensor] = {}
        for name, value in self.parameters.items():
            own = named.get(name, named.get(name.removeprefix("inside.")))
            if own is None or own.shape != value.shape:
                raise ModelError(
                    f"the module ({type(module).__name__}) has no weights {name} of shape {tuple(value.shape)}; give the one "
                    f"that the network was made of, or save the network itself: network.save({self.name[:40] + '.pt2'!r})"
                )
            values[id(own)] = value
        state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        return state | {
            name: values[id(own)].detach().to(own, copy=True) for name, own in named.items() if id(own) in values
        }

    def exported(self, wanted: str) -> AbstractContextManager[ExportedProgram]:
        """The network's graph as PyTorch's exporter gives it, to be written in another form; `wanted` names that form.

        Raises:
            ModelError: if the graph cannot be exported again, or become what is wanted.
        """
        return exporting.exported_again(self.to(CPU)._own, self.input, wanted)

    @cached_property
    def footprint(self) -> Footprint:
        """The bytes that one image takes on its way from pixels in [0, 1] to the logits."""
        return footprint(self._whole.graph).plus(self.input.bytes_per_image)

    def rows(self, budget: int = BUDGET, *, gradients: bool = False, beside: int = 0) -> int:
        """How many images go through the network at a time, in a budget of bytes; each takes `beside` more of these."""
        return self.footprint.plus(beside).rows(budget, gradients=gradients, device=self.device)

    @cached_property
    def device(self) -> torch.device:
        """Where the weights lie, and all that the network computes."""
        return graph.device(self._whole)

    @cached_property
    def fingerprint(self) -> str:
        """A name for what the network computes: its graph, its weights and what it is fed; the same on any device."""
        code = _DEVICE.sub(repr(CPU), self._own.code)
        digest = hashlib.sha256(f"{code}{self.input!r}".encode())
        for name, tensor in (*self._whole.named_parameters(), *self._whole.named_buffers()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def parameter_groups(self) -> dict[str, tuple[str, ...]]:
        """The names of the trained parameters by the module that holds them, modules in the order in which they run."""
        return graph.parameters(self._whole)

    @cached_property
    def parameter_counts(self) -> dict[str, int]:
        """How many numbers training sets, by the module that holds them; modules in the order in which they run."""
        groups = self.parameter_groups.items()
        return {module: sum(self._whole.get_parameter(name).numel() for name in names) for module, names in groups}

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The trained parameters by name, in the order in which they run; one that is used twice may have two names."""
        return {name: self._whole.get_parameter(name) for names in self.parameter_groups.values() for name in names}

    @property
    def normalisations(self) -> tuple[tuple[str, str], ...]:
        """The names of the parameters, scale and shift, of each batch normalisation, in the order in which they run."""
        return graph.normalisations(self._whole)

    @property
    def running_variances(self) -> dict[str, Tensor]:
        """The running variance of each of these normalisations, by the name of its scale."""
        return graph.running_variances(self._whole)

    def with_parameters(self, values: Mapping[str, Tensor]) -> "Network":
        """A new network with copies of these values in place of its own; it shares all others, and has no model card.

        Raises:
            UnknownNameError: if it has no such parameter.
            ModelError: if a value has another shape.

        >>> small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
        >>> network = Network.from_module(small, (8, 8))
        >>> network.with_parameters({"3.weight": torch.zeros(2, 144), "3.bias": torch.ones(2)})(torch.rand(1, 3, 8, 8))
        tensor([[1., 1.]])
        """
        own, copies = self.parameters, dict[int, Tensor]()
        for name, value in values.items():
            if name not in own:
                raise unknown_name("parameter", name, own)
            if value.shape != own[name].shape:
                raise ModelError(f"the parameter {name} is {tuple(own[name].shape)}, not {tuple(value.shape)}")
            copies.setdefault(id(own[name]), torch.empty_like(own[name]).copy_(value.detach()))  # laid out as it was
        changed = graph.with_parameters(self._own, {name: copies[id(own[name])] for name in values})
        return self._like(changed, card=None)

    def bounded(self, bounds: Mapping[str, GivenBounds]) -> "Network":
        """The same network, weights shared, in which feature maps of these layers are at most so large: `min(A^k, z^k)`.

        Bounds are parameters (`bound_names`). They are part of the graph that is saved as `.pt2`, and can be changed as all
        parameters: an infinite bound is none. Layers show their feature maps as they are before the bound; all that comes after
        sees them bounded.

        Raises:
            UnknownNameError: if there is no such layer.
            ModelError: if there is not one bound for each feature map, or a layer of tokens or pixels is bounded, or one that is
                bounded already.

        >>> small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2, bias=False))
        >>> Network.from_module(small, (8, 8)).bounded({"0": torch.zeros(4)})(torch.rand(1, 3, 8, 8))
        tensor([[0., 0.]])
        """
        own = {name: self.layer(name) for name in bounds}
        places = limits.checked(bounds, self.boundable, own)
        return self._like(limits.bounded(self._own, places, self.device), card=None)

    @property
    def boundable(self) -> tuple[str, ...]:
        """The layers whose feature maps can be bounded: those of convolutions that are not bounded yet."""
        return limits.boundable(self._own.graph, self.layers)

    @property
    def bound_names(self) -> dict[str, str]:
        """The name of the parameter that bounds each bounded layer."""
        names = limits.parameters_of(self._own.graph)
        return {name: names[layer.activation] for name, layer in self.layers.items() if layer.activation in names}

    @property
    def bounds(self) -> dict[str, Float[Tensor, " k"]]:
        """What the feature maps of each bounded layer are bounded by; layers that end in one sum have one bound."""
        own = self.parameters
        return {layer: own[name].flatten() for layer, name in self.bound_names.items()}

    def with_random_layers(self, modules: Iterable[str], seed: int = 0) -> "Network":
        """A new network in which the parameters of these modules are shuffled; this one stays as it is.

        `modules` are names in `parameter_groups`: convolutions, dense layers, normalisations. Every parameter keeps its
        values, and with them its scale, but loses their places (so one whose values are all equal stays). How it is
        shuffled depends on its name and the seed alone, not on which others are. Running statistics stay; untouched
        weights are shared; the new network has no model card.

        Raises:
            UnknownNameError: if a module does not exist or has no parameters.
        """
        shuffled: dict[str, Tensor] = {}
        for module in modules:
            if module not in self.parameter_groups:
                raise unknown_name("module with parameters", module, self.parameter_groups)
            for name in self.parameter_groups[module]:
                shuffled[name] = _shuffled(self._whole.get_parameter(name), f"{seed}:{name}")
        changed = graph.with_parameters(self._own, shuffled)
        return self._like(changed, name=f"{self.name}, in part random", card=None, notes=())


def _taken_by(module: nn.Module, size: int | tuple[int, int], output: Output) -> InputSpecification:
    """Colours, but grey where the first convolution takes one channel and the module does not make it of three itself."""
    colours = InputSpecification(size=size)  # type: ignore[arg-type]  # the side of a square is taken, too
    if channels_of(module) != 1:
        return colours
    try:
        classifier(module, colours, output)
    except SeveralOutputsError:  # it takes colours, then
        return colours
    except ModelError:
        return colours.model_copy(update={"channels": "grey"})
    return colours


def _numbered(classes: int) -> tuple[str, ...]:
    """What classes without names are called."""
    return tuple(f"class {number}" for number in range(classes))


def _shuffled(values: Tensor, key: str) -> Tensor:
    """The values in other places, each handed to the next of one random cycle: none stays where it was."""
    cycle = Draws(zlib.crc32(key.encode()), values.device).permutation(values.numel())
    shuffled = torch.empty_like(values, memory_format=torch.contiguous_format).flatten()
    shuffled[cycle] = values.detach().flatten()[cycle.roll(1)]
    return shuffled.view(values.shape)
