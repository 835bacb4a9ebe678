"""Rehearsal: an image's logits may depend on nothing but that image, neither on others, nor on their number, nor on the run.

What acts in training only is left out while a module becomes a graph, and said. The module itself is run twice on the same
images: numbers that Python draws or counts would be constants of its graph. The graph is then tried on each of seven images
alone, on two of them, and on all: what still makes the answers differ is found, and named in the refusal.
"""

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trojancam.errors import ModelError
from trojancam.network.devices import device_of
from trojancam.network.input import InputSpecification

aten = torch.ops.aten

PAIR, MOST = 2, 7  # images, beside one alone
TOLERANCE = 1e-3  # of the largest logit: what rounding may differ between batches
RANDOM = torch.Tag.nondeterministic_seeded
INERT = {"dropout_p": 0, "train": 0, "training": 0}  # what says that an operation which can draw numbers does not
DROPOUTS = {
    functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d, functional.alpha_dropout,
    functional.feature_alpha_dropout, torch.dropout, torch.dropout_, torch.feature_dropout, torch.feature_dropout_,
    torch.alpha_dropout, torch.alpha_dropout_, torch.feature_alpha_dropout, torch.feature_alpha_dropout_,
}  # fmt: skip
NORMALISATIONS = {functional.batch_norm: ("training", 5, 1), torch.batch_norm: ("training", 5, 3)}
"""What says that a normalisation acts as in training: a name and a place; and the place of its running mean."""
SQUEEZES = {aten.squeeze.default, aten.squeeze_copy.default}


class WithoutTraining(TorchFunctionMode):
    """Leaves out what acts in training only, wherever a module asks for it; `notes` say what that was."""

    def __init__(self) -> None:
        self.notes: tuple[str, ...] = ()
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function, in evaluation."""
        named = dict(kwargs or {})
        if func in DROPOUTS and (named.get("training") or named.get("train") or args[2:3] == (True,)):
            self._say("dropout that acts outside of training was left out")
            return args[0]
        if func in NORMALISATIONS:
            args, named = self._evaluated(func, args, named)
        return func(*args, **named)

    def _evaluated(self, func: Any, args: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """A normalisation's arguments, by its running statistics where it has any."""
        name, place, mean = NORMALISATIONS[func]
        acts = named.get(name, args[place] if len(args) > place else False)
        if not acts or (args[mean] if len(args) > mean else named.get("running_mean")) is None:
            return args, named
        self._say("a normalisation by the statistics of the batch was made one by its running statistics")
        if name in named:
            return args, {**named, name: False}
        return (*args[:place], False, *args[place + 1 :]), named

    def _say(self, sentence: str) -> None:
        self.notes = tuple(dict.fromkeys((*self.notes, sentence)))


def keep_images_axis(graph: fx.Graph) -> None:
    """A squeeze takes away the axes that the exporter saw to be 1, and never that of the images, of which there may be one."""
    for node in graph.nodes:
        if node.target in SQUEEZES:
            shape = node.all_input_nodes[0].meta["val"].shape
            single = [axis for axis, extent in enumerate(shape) if axis and isinstance(extent, int) and extent == 1]
            node.target, node.args = aten.squeeze.dims, (node.args[0], single)


def without_state(whole: fx.GraphModule, logits: fx.Node) -> None:
    """Take out what a graph writes into its own weights, where its logits do not depend on them.

    Raises:
        ModelError: if they do.
    """
    writes = [node for node in whole.graph.nodes if node.target is aten.copy_.default and node.args[0].op == "get_attr"]
    needed = _before(logits)
    for node in writes:
        if node.args[0] in needed:
            raise ModelError(
                f"this module changes its own {node.args[0].target} as it runs, so its answers depend on the run; leave that "
                "out of forward() in evaluation mode"
            )
        node.replace_all_uses_with(node.args[1])
        whole.graph.erase_node(node)


def check_each_image_alone(whole: fx.GraphModule, logits: fx.Node, specification: InputSpecification) -> None:
    """Refuse a graph whose logits of an image depend on the other images, on how many there are, or on the run.

    Raises:
        ModelError: if they do; it names the operation, and its place in the module's code.
    """
    needed = _before(logits)
    drawn = next((node for node in whole.graph.nodes if node in needed and _is_random(node)), None)
    if drawn is not None:
        raise ModelError(
            f"this module draws random numbers as it runs ({_place(drawn)}), so its answers depend on the run; leave that out "
            "of forward() in evaluation mode"
        )
    device = device_of((*whole.parameters(), *whole.buffers()))
    if device.type == "meta":  # there are no numbers to compare
        return
    images = tried_images(specification).to(device)
    with torch.inference_mode(False), torch.no_grad():
        alone = torch.cat([_value(whole, logits, image) for image in images.split(1)])
        for among in (images[:PAIR], images):
            several = _value(whole, logits, among)
            if len(several) != len(among):
                rows = f"{len(several)} rows of logits for {len(among)} images, not one for each"
                raise ModelError(
                    f"this module gives {rows} ({_folding(needed, logits)}); is this the size of its images?"
                )
            for row, answer in enumerate(several.split(1)):
                if not _alike(answer, alone[row : row + 1]):
                    place = _first_difference(whole, needed, among, row)
                    raise ModelError(
                        f"this module's answer to an image depends on the other images ({place}), so it means nothing alone; "
                        "give running statistics to its normalisations, and keep the axis of the images apart"
                    )


def check_runs_alike(runs: Sequence[Tensor]) -> None:
    """Refuse a module whose answers to the same images differ from run to run.

    Raises:
        ModelError: if they do.
    """
    if not all(_alike(run, runs[0]) for run in runs):
        raise ModelError(
            "this module answers otherwise when it is run again on the same images, so its answers depend on the run; leave "
            "out of forward() what is random or counted, in evaluation mode"
        )


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """What the module and its parts set of themselves inside of this block is undone."""
    owners = [owner for part in module.modules() for owner in (vars(part), part._buffers)]
    before = [dict(owner) for owner in owners]
    held = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for owner, own in zip(owners, before, strict=True):
            for name in [name for name in owner if name not in own]:
                del owner[name]
            owner.update({name: value for name, value in own.items() if owner.get(name) is not value})
        for buffer, values in held:
            if not buffer.is_meta and not buffer.equal(values):  # without values there is nothing to undo
                buffer.copy_(values)


def tried_images(specification: InputSpecification) -> Float[Tensor, "n c h w"]:
    """As many images as are tried, fed as the network is; the first is darker and has less contrast than all others."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(MOST, 3, *specification.size, generator=generator)
    pixels[0] = 0.2 + 0.4 * pixels[0]  # its extremes and its mean are not those of the others
    return specification.normalise(pixels)


def _value(whole: fx.GraphModule, logits: fx.Node, images: Tensor) -> Tensor:
    """The logits of these images."""
    for node, value in values(whole, images, {logits}):
        if node is logits and isinstance(value, Tensor):
            return value
    raise AssertionError("the logits are a node of the graph")


def values(whole: fx.GraphModule, images: Tensor, wanted: set[fx.Node]) -> Iterator[tuple[fx.Node, Any]]:
    """The value of each wanted node of a graph that is given these images, in the order in which they run."""
    interpreter = fx.Interpreter(whole)
    interpreter.args_iter = iter([images])
    last = {source: node for node in whole.graph.nodes for source in node.all_input_nodes}
    for node in whole.graph.nodes:
        if node.op == "output":
            return
        interpreter.env[node] = interpreter.run_node(node)
        if node in wanted:
            yield node, interpreter.env[node]
        for source in node.all_input_nodes:
            if last[source] is node:
                del interpreter.env[source]


def _first_difference(whole: fx.GraphModule, needed: set[fx.Node], images: Tensor, row: int) -> str:
    """Where the value of one of these images differs for the first time between itself alone and among the others."""
    one = images[row : row + 1]
    pairs = zip(values(whole, one, needed), values(whole, images, needed), strict=True)
    for (node, alone), (_, among) in pairs:
        if not isinstance(alone, Tensor) or not alone.is_floating_point() or not alone.ndim or node.op == "get_attr":
            continue
        rows = len(alone)  # several for each image where places or heads are rows of their own
        own = among[row * rows : (row + 1) * rows] if len(among) == rows * len(images) else alone
        if among.shape[1:] != alone.shape[1:] or not _alike(own, alone):
            return _place(node)
    return "the whole of it"


def _folding(needed: set[fx.Node], logits: fx.Node) -> str:
    """The last operation that changes how many rows there are."""
    node = logits
    while node.all_input_nodes:
        before = next((each for each in node.all_input_nodes if each in needed and each.op != "get_attr"), None)
        if before is None or _rows(before) != _rows(node):
            return _place(node)
        node = before
    return _place(node)


def _rows(node: fx.Node) -> str:
    value = node.meta.get("val")
    return str(value.shape[0]) if isinstance(value, Tensor) and value.ndim else ""


def _alike(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    if not bool(one.isfinite().all()) or not bool(other.isfinite().all()):
        return True  # nothing can be said; numbers that are not finite are refused where they are used
    largest = float(other.abs().max()) if other.numel() else 0.0
    return bool(((one - other).abs() <= TOLERANCE * largest + 1e-6).all())


def _is_random(node: fx.Node) -> bool:
    """Whether it draws random numbers: attention and dropout can, but not with a probability of 0, or in evaluation."""
    if not isinstance(node.target, torch._ops.OpOverload) or RANDOM not in node.target.tags:
        return False
    schema = node.target._schema.arguments
    said = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    said |= dict(zip((argument.name for argument in schema), node.args, strict=False)) | node.kwargs
    return all(said.get(name, inert + 1) != inert for name, inert in INERT.items())


def _place(node: fx.Node) -> str:
    """What an operation is called, and the line of the module's own code that asks for it."""
    while node.target is operator.getitem:
        node = node.all_input_nodes[0]
    name = node.target._schema.name.partition("::")[2] if hasattr(node.target, "_schema") else str(node.target)
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines() if line.strip()]
    return f"{name}: {lines[-1]:.80}" if lines and not lines[-1].startswith("File ") else name


def _before(node: fx.Node) -> set[fx.Node]:
    """The node and all that it is computed from."""
    found, waiting = {node}, [node]
    while waiting:
        new = [source for source in waiting.pop().all_input_nodes if source not in found]
        found.update(new)
        waiting += new
    return found


@contextmanager
def in_evaluation() -> Iterator[WithoutTraining]:
    """What acts in training only does not act inside of this block."""
    with WithoutTraining() as mode:
        yield mode
