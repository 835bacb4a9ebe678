"""The node tests of the `onnx` package as classifiers of images: each case's inputs are the pixels, its outputs the logits."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter

Array = NDArray[Any]
PARTS = ("pytorch-converted", "pytorch-operator", "simple")
_WIDEST = 8000  # pixels of one row
_INTO_FLOATS = 2**24  # whole numbers up to here are floats without loss


@dataclass(frozen=True)
class Case:
    """A graph with the inputs and the outputs that are stored for it."""

    name: str
    model: onnx.ModelProto
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]

    @property
    def operations(self) -> set[str]:
        return {node.op_type for node in self.model.graph.node}


@cache
def stored_cases() -> dict[str, Case]:
    """All cases of one graph, tensors in and tensors out: written by the package's own code, or lying beside it."""
    return {case.name: case for case in (*_generated(), *_on_disk())}


def _generated() -> list[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases overflow on purpose
        from onnx.backend.test.case.node import collect_testcases

        tests = collect_testcases(None)
    return [
        Case(test.name, test.model, tuple(inputs), tuple(outputs))
        for test in tests
        if test.model is not None
        for inputs, outputs in test.data_sets[:1]
        if all(isinstance(value, np.ndarray) for value in (*inputs, *outputs)) and inputs
    ]


def _on_disk() -> list[Case]:
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    files = [path for part in PARTS for path in sorted((folder / part).glob("*/model.onnx"))]
    cases = [Case(path.parent.name, _renewed(path), *_data(path.parent / "test_data_set_0")) for path in files]
    return [case for case in cases if case.inputs and case.outputs]


def _renewed(path: Path) -> onnx.ModelProto:
    """A graph of an operator set that readers no longer know, brought to one that they do where the package can."""
    model = onnx.load(path)
    try:
        return version_converter.convert_version(model, 13) if model.opset_import[0].version < 7 else model
    except Exception:  # operations that became others
        return model


def _data(folder: Path) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    inputs, outputs = (
        tuple(array for path in sorted(folder.glob(f"{end}_*.pb")) if (array := _array(path)) is not None)
        for end in ("input", "output")
    )
    return inputs, outputs


def _array(path: Path) -> Array | None:
    try:
        return numpy_helper.to_array(onnx.load_tensor_from_string(path.read_bytes()))
    except Exception:  # sequences and optional values are no tensors
        return None


def as_classifier(path: Path, case: Case, dynamic: Sequence[int], output: int = 0) -> torch.Tensor:
    """Write a case so that the inputs `dynamic` are the pixels of one image and the other ones constants; give the image.

    The largest of the one image takes its axis away, so that the case's own first axis is none of images. What comes out is
    made a row of logits, one for each image there is.
    """
    graph = case.model.graph
    names = _free_inputs(case)
    with np.errstate(over="ignore"):
        pixels = np.concatenate([case.inputs[place].astype(np.float32).ravel() for place in dynamic])
    rows = 1 + len(pixels) // _WIDEST
    pixels = np.append(pixels, np.zeros(-len(pixels) % rows, np.float32))
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    opset = next((entry.version for entry in case.model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    nodes, constants = _unpacked(case, dynamic, names, kinds, opset)
    outcome = graph.output[output].name
    extents = int(np.prod(case.outputs[output].shape))
    nodes += list(graph.node)
    nodes += [
        helper.make_node("Cast", [outcome], ["__floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["__floats", "__row"], ["__one"]),
        helper.make_node("Shape", ["__images"], ["__extents"]),
        helper.make_node("Gather", ["__extents", "__first"], ["__count"], axis=0),
        helper.make_node("Concat", ["__count", "__classes"], ["__wanted"], axis=0),
        helper.make_node("Expand", ["__one", "__wanted"], ["__logits"]),
    ]
    whole = {"__row": [1, extents], "__first": [0], "__classes": [extents]}
    constants += [numpy_helper.from_array(np.array(values, np.int64), name) for name, values in whole.items()]
    constants += [
        numpy_helper.from_array(value, name)
        for place, (name, value) in enumerate(zip(names, case.inputs, strict=True))
        if place not in dynamic
    ]
    _write(path, case, nodes, constants, ["n", 1, rows, len(pixels) // rows], ["n", extents])
    return torch.from_numpy(pixels).reshape(1, 1, rows, -1)


def as_it_is(path: Path, case: Case, output: int = 0) -> torch.Tensor:
    """Write a case whose first input has the axes of images, with that as images and the others as constants."""
    graph, names = case.model.graph, _free_inputs(case)
    nodes = [*graph.node, helper.make_node("Flatten", [graph.output[output].name], ["__logits"], axis=1)]
    constants = [numpy_helper.from_array(value, name) for name, value in zip(names[1:], case.inputs[1:], strict=True)]
    _write(path, case, nodes, constants, list(case.inputs[0].shape), ["n", "classes"], names[0])
    return torch.from_numpy(case.inputs[0].astype(np.float32))


def _free_inputs(case: Case) -> list[str]:
    held = {tensor.name for tensor in case.model.graph.initializer}
    return [value.name for value in case.model.graph.input if value.name not in held]


def _unpacked(
    case: Case, dynamic: Sequence[int], names: Sequence[str], kinds: dict[str, int], opset: int
) -> tuple[list[Any], list[Any]]:
    """The nodes that make a case's inputs of the pixels, and the constants that they need."""
    nodes = [helper.make_node("ReduceMax", ["__images"], ["__pixels"], axes=[0, 1], keepdims=0)]
    constants, start = [numpy_helper.from_array(np.array([-1], np.int64), "__all")], 0
    if opset >= 18:
        nodes = [helper.make_node("ReduceMax", ["__images", "__axes"], ["__pixels"], keepdims=0)]
        constants.append(numpy_helper.from_array(np.array([0, 1], np.int64), "__axes"))
    nodes.append(helper.make_node("Reshape", ["__pixels", "__all"], ["__flat"]))
    for place in dynamic:
        name, shape, count = names[place], case.inputs[place].shape, case.inputs[place].size
        ends = {"starts": [start], "ends": [start + count]}
        if opset < 10:
            nodes.append(helper.make_node("Slice", ["__flat"], [f"__part_{place}"], **ends, axes=[0]))
        else:
            for end, values in ends.items():
                constants.append(numpy_helper.from_array(np.array(values, np.int64), f"__{end}_{place}"))
            inputs = ["__flat", f"__starts_{place}", f"__ends_{place}"]
            nodes.append(helper.make_node("Slice", inputs, [f"__part_{place}"]))
        constants.append(numpy_helper.from_array(np.array(shape, np.int64), f"__shape_{place}"))
        nodes.append(helper.make_node("Cast", [f"__part_{place}"], [f"__typed_{place}"], to=kinds[name]))
        nodes.append(helper.make_node("Reshape", [f"__typed_{place}", f"__shape_{place}"], [name]))
        start += count
    return nodes, constants


def _write(
    path: Path,
    case: Case,
    nodes: Sequence[Any],
    constants: Sequence[Any],
    takes: Sequence[Any],
    gives: Sequence[Any],
    name: str = "__images",
) -> None:
    graph = helper.make_graph(
        list(nodes),
        "case",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, takes)],
        [helper.make_tensor_value_info("__logits", TensorProto.FLOAT, gives)],
        [*case.model.graph.initializer, *constants],
    )
    model = helper.make_model(graph, opset_imports=case.model.opset_import, functions=case.model.functions)
    onnx.save(model, path)


def exact_in_floats(values: Array) -> bool:
    """Whether 32-bit floats can hold these numbers: else a case cannot come in as pixels."""
    if values.dtype.kind in "iub":
        return bool(np.all(np.abs(values.astype(np.float64)) <= _INTO_FLOATS))
    return values.dtype.kind == "f"
