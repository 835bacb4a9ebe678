"""Steps of an exported program: what its file says that it computes, one known operation after another.

PyTorch's own loader evaluates expressions, looks up any name and unpickles what lies beside. This reads the same JSON and
takes from it numbers, the names of values, and operations from a list; everything else is refused.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from trojancam.errors import ModelError
from trojancam.formats.exported_program.allowed import is_assertion, operation
from trojancam.formats.exported_program.arguments import FLOATS, LISTS, PLAIN, Value, filled, text, whole
from trojancam.formats.exported_program.expressions import Json, code_in
from trojancam.formats.exported_program.output_names import names_of_outputs
from trojancam.formats.json_text import json_in

MOST_STEPS = 8_000
MOST_BLOCKS = 100
WHAT_ODD_JSON_RAISES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

MODULE = re.compile(r"\w+(\.\w+)*", re.ASCII)
TRAINING = ("training", "train")  # what operations call the argument that says so
DROPOUTS = {"aten::alpha_dropout", "aten::dropout", "aten::feature_dropout", "aten::native_dropout"}
BLOCK = "torch.ops.higher_order.wrap_with_set_grad_enabled"  # a part that was run with gradients on, or off


@dataclass(frozen=True)
class Step:
    """One operation: what it is called with, the names of what it gives, and the module in which its author ran it.

    `results` is one name, or one for each of several values (None where nobody wants it).
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    results: str | tuple[str | None, ...]
    module: str


@dataclass(frozen=True)
class Program:
    """An exported program: its steps, which values are weights, which are the images, and which it returns.

    `weights` are the names of tensors by those of their values, `trained` those of them that are parameters, `constants`
    plain values; `sizes` are the sizes of the images that it was exported with (None where the file does not say),
    `fixed` those that hold for no others; `names` are what its author calls the outputs; `firsts` says how many rows values
    had, where the file does; `left_out` is what acts in training only.
    """

    steps: tuple[Step, ...]
    weights: dict[str, str]
    trained: frozenset[str]
    constants: dict[str, Any]
    images: str
    sizes: tuple[int | None, ...]
    fixed: tuple[bool, ...]
    outputs: tuple[str, ...]
    names: tuple[str, ...]
    firsts: dict[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def program_in(path: Path, text: bytes) -> Program:
    """The program in the JSON of an exported program.

    Raises:
        ModelError: if it is damaged, has code in its expressions, uses operations that are not on the list, or is no
            classifier in evaluation mode.
    """
    try:
        whole = json_in(text)
        for code in code_in(whole):
            raise ModelError(
                f"{path} has code where sizes should be ({code!r:.80}), which PyTorch's own loader would run; "
                "nothing of it was run; do not use this file"
            )
        module = whole["graph_module"]
        return _Reader(path, module["graph"]).program(module)
    except WHAT_ODD_JSON_RAISES as error:
        raise ModelError(
            f"the graph in {path} is damaged or of an unknown version ({type(error).__name__}: {str(error)[:80]!r}); "
            "export the module again"
        ) from None


class _Reader:
    """Reads a graph; whatever it does not expect raises what odd JSON raises."""

    def __init__(self, path: Path, graph: Json) -> None:
        self.path = path
        self.graph = graph
        self.firsts = dict(_firsts(graph))
        self.left_out: set[str] = set()
        self.steps = self.blocks = 0

    def program(self, module: Json) -> Program:
        signature = module["signature"]
        weights, constants, images = self._inputs(signature["input_specs"])
        meta = self.graph["tensor_values"][images]
        if meta["dtype"] not in FLOATS:
            raise self.unfit("takes images that are whole numbers", "export it with images of floats")
        steps = tuple(self._steps(self.graph["nodes"]))
        outputs = self._outputs(module)
        return Program(
            steps=steps,
            weights=weights,
            trained=self._trained(signature["input_specs"]),
            constants=constants,
            images=images,
            sizes=tuple(_extent(size) for size in meta["sizes"]),
            fixed=tuple("as_int" in size for size in meta["sizes"]),
            outputs=tuple(output for _, output in outputs),
            names=tuple(name for name, _ in outputs),
            firsts=self.firsts,
            left_out=tuple(sorted(self.left_out)),
        )

    def unfit(self, what: str, remedy: str) -> ModelError:
        return ModelError(f"the program in {self.path} {what}; {remedy}")

    def _inputs(self, specifications: list[Json]) -> tuple[dict[str, str], dict[str, Any], str]:
        weights: dict[str, str] = {}
        constants: dict[str, Any] = {}
        images: list[str] = []
        for specification in specifications:
            ((kind, said),) = specification.items()
            if kind == "user_input":
                images += [name for name in [_only_tensor(said["arg"])] if name]
            elif kind in ("parameter", "buffer", "tensor_constant"):
                weights[text(said["arg"]["name"])] = self._tensor_name(said[f"{kind}_name"])
            elif kind == "constant_input":
                ((_, constant),) = said["value"].items()
                constants[text(said["name"])] = None if "as_none" in said["value"] else constant
            else:
                raise self.unfit(f"wants a {kind} as input", "save the module's state_dict, and name the architecture")
        if len(images) != 1:
            raise self.unfit(f"takes {len(images)} tensors", "export a module that takes one batch of images")
        return weights, constants, images[0]

    def _trained(self, specifications: list[Json]) -> frozenset[str]:
        said = [specification["parameter"] for specification in specifications if "parameter" in specification]
        return frozenset(parameter["parameter_name"] for parameter in said)

    def _tensor_name(self, name: str) -> str:
        """A name that may become that of an attribute: others could be mistaken for code later on."""
        if not MODULE.fullmatch(name):
            raise self.unfit(f"has weights with an impossible name ({name!r:.60})", "export the module again")
        return name

    def _outputs(self, module: Json) -> list[tuple[str, str]]:
        """What its author calls each tensor that is returned, and the name of its value."""
        specifications = module["signature"]["output_specs"]
        for specification in specifications:
            if "user_output" not in specification:
                raise self.training()
        values = [_only_tensor(specification["user_output"]["arg"]) for specification in specifications]
        if not any(values):
            raise self.unfit("returns no tensor", "export a module that returns logits")
        names = names_of_outputs(module, len(values))
        return [(name, value) for name, value in zip(names, values, strict=True) if value]

    def training(self) -> ModelError:
        return self.unfit(
            "changes itself as it runs, as networks in training do", "export the module after module.eval()"
        )

    def _steps(self, nodes: list[Json]) -> Iterator[Step]:
        self.steps += len(nodes)
        if self.steps > MOST_STEPS:
            raise self.unfit(f"has more than {MOST_STEPS} steps", "a classifier has a few hundred")
        for node in nodes:
            target = text(node["target"])
            if target == BLOCK:
                yield from self._block(node)
            elif not is_assertion(target):
                yield self._step(target, node)

    def _step(self, target: str, node: Json) -> Step:
        function = self._function(target)
        arguments, named = self._arguments(function, node["inputs"])
        results = tuple(_result(output) for output in node["outputs"])
        single = results[0] if len(results) == 1 else results
        return Step(function, arguments, named, single or (), _module(node["metadata"]))

    def _block(self, node: Json) -> Iterator[Step]:
        """The steps of a part that was run with gradients on or off, its values under names that no other part has.

        Gradients pass through it here as through all else: heat maps ask what the logits depend on.
        """
        _, block, *given = (entry["arg"] for entry in node["inputs"])
        graph = block["as_graph"]["graph"]
        self.blocks += 1
        if self.blocks > MOST_BLOCKS:
            raise self.unfit(f"has more than {MOST_BLOCKS} parts", "a classifier has a few")
        names = _Inside(f"part {self.blocks}: ")
        names |= {_named(entry): self._argument(each) for entry, each in zip(graph["inputs"], given, strict=True)}
        for inside, outside in zip(graph["outputs"], node["outputs"], strict=True):
            if (own := _named(inside)) in names:  # handed through, or given twice
                yield Step(torch.ops.aten.alias.default, (names[own],), {}, _named(outside), "")
            else:
                names[own] = Value(_named(outside))
        self.firsts |= {names[name].name: first for name, first in _firsts(graph) if isinstance(names[name], Value)}
        for step in self._steps(graph["nodes"]):
            yield _renamed(step, names)

    def _function(self, target: str) -> Callable[..., Any]:
        found = operation(target)
        if found is None:
            raise self.unfit(
                f"uses {target!r:.100}, which is not among the operations of classifiers that are read here",
                "save the module's state_dict, and name the architecture",
            )
        return found

    def _arguments(self, function: Callable[..., Any], inputs: list[Json]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and named arguments, in the order of the operation's schema."""
        said = [(text(given["name"]), self._argument(given["arg"])) for given in inputs]
        schema = getattr(function, "_schema", None)
        if schema is None:
            return tuple(value for _, value in said), {}
        given = dict(said)
        if len(given) < len(said) or not given.keys() <= {argument.name for argument in schema.arguments}:
            raise ValueError(f"arguments of {schema.name}")
        if any(given.get(name) is True for name in TRAINING) and given.get("running_mean", True) is not None:
            if schema.name not in DROPOUTS:
                raise self.training()
            self.left_out.add(schema.name.rpartition(":")[2])
            given |= {name: False for name in TRAINING if name in given}
        arguments = []
        for argument in schema.arguments:
            if argument.kwarg_only or argument.name not in given:
                break
            arguments.append(given.pop(argument.name))
        return tuple(arguments), given

    def _argument(self, argument: Json) -> Any:
        ((kind, said),) = argument.items()
        if kind in PLAIN:
            return PLAIN[kind](said)
        if kind in LISTS:
            return [LISTS[kind](item) for item in said]
        raise self.unfit(
            f"uses a {kind.removeprefix('as_')[:40]}, which classifiers do not",
            "save the module's state_dict, and name the architecture",
        )


class _Inside(dict[str, Any]):
    """What the names of values within a part stand for outside of it."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix

    def __missing__(self, name: str) -> Value:
        """A value of its own."""
        return Value(f"{self.prefix}{name}")


def _renamed(step: Step, names: Mapping[str, Any]) -> Step:
    arguments, named = filled(step.arguments, names), filled(step.named, names)
    if isinstance(step.results, str):
        return replace(step, arguments=arguments, named=named, results=str(names[step.results].name))
    results = tuple(str(names[name].name) if name else None for name in step.results)
    return replace(step, arguments=arguments, named=named, results=results)


def _firsts(graph: Json) -> Iterator[tuple[str, int]]:
    """How many rows the values of a graph have, where that is a number."""
    for name, meta in graph["tensor_values"].items():
        if meta["sizes"] and "as_int" in meta["sizes"][0]:
            yield name, int(meta["sizes"][0]["as_int"])


def _named(entry: Json) -> str:
    """The name of a value that goes into a part, or comes out of it: a tensor or a size."""
    ((kind, said),) = entry.items()
    return text(said["name"] if kind == "as_tensor" else said["as_name"])


def _extent(size: Json) -> int | None:
    """How large an axis of the images was when the program was exported."""
    hint = size if "as_int" in size else (size["as_expr"].get("hint") or {})
    return whole(hint["as_int"]) if "as_int" in hint else None


def _only_tensor(argument: Json) -> str | None:
    """The name of a tensor that goes in or out; None for what is no tensor."""
    ((kind, said),) = argument.items()
    return text(said["name"]) if kind == "as_tensor" else None


def _result(output: Json) -> Any:
    """The name of what a step gives, or the names of a list of tensors."""
    ((kind, said),) = output.items()
    if kind == "as_tensors":
        return tuple(text(item["name"]) for item in said)
    value = PLAIN[kind](said)
    return value.name if isinstance(value, Value) else None


def _module(metadata: Json) -> str:
    """The dotted name of the module in which its author ran a step: the innermost one of the stack."""
    stack = metadata.get("nn_module_stack") or ""
    _, _, rest = text(stack).rpartition(";")[2].partition(",")
    path = rest.partition(",")[0].partition("@")[0]
    return path if MODULE.fullmatch(path) else ""
