"""Steps of an exported program: what its file says that it computes, one known operation after another.

PyTorch's own loader evaluates expressions, looks up any name and unpickles what lies beside. This reads the same JSON and
takes from it numbers, the names of values, and operations from a list; everything else is refused.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from trojancam.errors import ModelError
from trojancam.models.readers.program_expressions import Json, code_in
from trojancam.models.readers.program_operations import is_assertion, operation

MOST_STEPS = 8_000
LARGEST_NUMBER = 1 << 40
ENDLESS_SLICE = (1 << 63) - 1  # the end of a slice that goes to the end
WHAT_ODD_JSON_RAISES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

MODULE = re.compile(r"\w+(\.\w+)*", re.ASCII)
TRAINING = ("training", "train")  # what operations call the argument that says so
NUMBERS = {1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 12: torch.bool}
FLOATS = {6: torch.float16, 7: torch.float32, 8: torch.float64, 13: torch.bfloat16}
MEMORY = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}
ENDLESS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


@dataclass(frozen=True)
class Value:
    """A value by its name: that of a weight, of the images, or of what an earlier step gave."""

    name: str


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
    `fixed` those that hold for no others; `firsts` says how many rows values had, where the file does.
    """

    steps: tuple[Step, ...]
    weights: dict[str, str]
    trained: frozenset[str]
    constants: dict[str, Any]
    images: str
    sizes: tuple[int | None, ...]
    fixed: tuple[bool, ...]
    outputs: tuple[str, ...]
    firsts: dict[str, int] = field(default_factory=dict)


def program_in(path: Path, text: bytes) -> Program:
    """The program in the JSON of an exported program.

    Raises:
        ModelError: if it is damaged, has code in its expressions, uses operations that are not on the list, or is no
            classifier in evaluation mode.
    """
    try:
        whole = json.loads(text)
        for code in code_in(whole):
            raise ModelError(
                f"{path} has code where sizes should be ({code!r:.80}), which PyTorch's own loader would run; "
                "nothing of it was run; do not use this file"
            )
        module = whole["graph_module"]
        return _Reader(path, module["graph"]).program(module["signature"])
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

    def program(self, signature: Json) -> Program:
        weights, constants, images = self._inputs(signature["input_specs"])
        meta = self.graph["tensor_values"][images]
        if meta["dtype"] not in FLOATS:
            raise self.unfit("takes images that are whole numbers", "export it with images of floats")
        if len(self.graph["nodes"]) > MOST_STEPS:
            raise self.unfit(f"has {len(self.graph['nodes'])} steps", "a classifier has a few hundred")
        return Program(
            steps=tuple(step for node in self.graph["nodes"] for step in self._steps(node)),
            weights=weights,
            trained=self._trained(signature["input_specs"]),
            constants=constants,
            images=images,
            sizes=tuple(_extent(size) for size in meta["sizes"]),
            fixed=tuple("as_int" in size for size in meta["sizes"]),
            outputs=self._outputs(signature["output_specs"]),
            firsts=dict(self._firsts()),
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
                weights[_text(said["arg"]["name"])] = self._tensor_name(said[f"{kind}_name"])
            elif kind == "constant_input":
                ((_, constant),) = said["value"].items()
                constants[_text(said["name"])] = None if "as_none" in said["value"] else constant
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

    def _outputs(self, specifications: list[Json]) -> tuple[str, ...]:
        for specification in specifications:
            if "user_output" not in specification:
                raise self.training()
        names = [_only_tensor(specification["user_output"]["arg"]) for specification in specifications]
        if not any(names):
            raise self.unfit("returns no tensor", "export a module that returns logits")
        return tuple(name for name in names if name)

    def training(self) -> ModelError:
        return self.unfit(
            "changes itself as it runs, as networks in training do", "export the module after module.eval()"
        )

    def _firsts(self) -> Iterator[tuple[str, int]]:
        for name, meta in self.graph["tensor_values"].items():
            if meta["sizes"] and "as_int" in meta["sizes"][0]:
                yield name, int(meta["sizes"][0]["as_int"])

    def _steps(self, node: Json) -> Iterator[Step]:
        target = _text(node["target"])
        if is_assertion(target):
            return
        function = self._function(target)
        arguments, named = self._arguments(function, node["inputs"])
        results = tuple(_result(output) for output in node["outputs"])
        single = results[0] if len(results) == 1 else results
        yield Step(function, arguments, named, single or (), _module(node["metadata"]))

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
        said = [(_text(given["name"]), self._argument(given["arg"])) for given in inputs]
        schema = getattr(function, "_schema", None)
        if schema is None:
            return tuple(value for _, value in said), {}
        given = dict(said)
        if len(given) < len(said) or not given.keys() <= {argument.name for argument in schema.arguments}:
            raise ValueError(f"arguments of {schema.name}")
        if any(given.get(name) is True for name in TRAINING) and given.get("running_mean", True) is not None:
            raise self.training()
        arguments = []
        for argument in schema.arguments:
            if argument.kwarg_only or argument.name not in given:
                break
            arguments.append(given.pop(argument.name))
        return tuple(arguments), given

    def _argument(self, argument: Json) -> Any:
        ((kind, said),) = argument.items()
        if kind in _PLAIN:
            return _PLAIN[kind](said)
        if kind in _LISTS:
            return [_LISTS[kind](item) for item in said]
        raise self.unfit(
            f"uses a {kind.removeprefix('as_')[:40]}, which classifiers do not",
            "save the module's state_dict, and name the architecture",
        )


def _extent(size: Json) -> int | None:
    """How large an axis of the images was when the program was exported."""
    hint = size if "as_int" in size else (size["as_expr"].get("hint") or {})
    return _whole(hint["as_int"]) if "as_int" in hint else None


def _text(said: Any) -> str:
    if not isinstance(said, str):
        raise TypeError("text")
    return said


def _whole(said: Any) -> int:
    if type(said) is not int or (abs(said) > LARGEST_NUMBER and said != ENDLESS_SLICE):
        raise ValueError("a whole number of some size")
    return said


def _float(said: Any) -> float:
    if isinstance(said, str):
        return ENDLESS[said]
    if type(said) not in (int, float):
        raise TypeError("a number")
    return float(said)


def _bool(said: Any) -> bool:
    if type(said) is not bool:
        raise TypeError("true or false")
    return said


def _number_or_value(said: Json) -> Any:
    """A size: a number, or the name of one that an earlier step gave."""
    ((kind, what),) = said.items()
    if kind == "as_name":
        return Value(_text(what))
    return {"as_int": _whole, "as_bool": _bool, "as_float": _float}[kind](what)


def _tensor(said: Json) -> Value:
    return Value(_text(said["name"]))


def _optional(said: Json) -> Value | None:
    return _tensor(said["as_tensor"]) if "as_tensor" in said else None


def _kind(said: int) -> torch.dtype:
    """A type of number; all floats become 32-bit ones, as the weights do."""
    return torch.float32 if said in FLOATS else NUMBERS[said]


def _layout(said: int) -> torch.layout:
    if said != 7:
        raise ValueError("a dense layout")
    return torch.strided


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "as_none": lambda _: None,
    "as_tensor": _tensor,
    "as_optional_tensor": _optional,
    "as_int": _whole,
    "as_float": _float,
    "as_bool": _bool,
    "as_string": _text,
    "as_sym_int": _number_or_value,
    "as_sym_bool": _number_or_value,
    "as_sym_float": _number_or_value,
    "as_scalar_type": _kind,
    "as_memory_format": lambda said: MEMORY[said],
    "as_layout": _layout,
    "as_device": lambda _: torch.device("cpu"),
}
_LISTS: dict[str, Callable[[Any], Any]] = {
    "as_tensors": _tensor,
    "as_optional_tensors": _optional,
    "as_ints": _whole,
    "as_floats": _float,
    "as_bools": _bool,
    "as_sym_ints": _number_or_value,
    "as_sym_bools": _number_or_value,
    "as_sym_floats": _number_or_value,
}


def _only_tensor(argument: Json) -> str | None:
    """The name of a tensor that goes in or out; None for what is no tensor."""
    ((kind, said),) = argument.items()
    return _text(said["name"]) if kind == "as_tensor" else None


def _result(output: Json) -> Any:
    """The name of what a step gives, or the names of a list of tensors."""
    ((kind, said),) = output.items()
    if kind == "as_tensors":
        return tuple(_text(item["name"]) for item in said)
    value = _PLAIN[kind](said)
    return value.name if isinstance(value, Value) else None


def _module(metadata: Json) -> str:
    """The dotted name of the module in which its author ran a step: the innermost one of the stack."""
    stack = metadata.get("nn_module_stack") or ""
    _, _, rest = _text(stack).rpartition(";")[2].partition(",")
    path = rest.partition(",")[0].partition("@")[0]
    return path if MODULE.fullmatch(path) else ""
