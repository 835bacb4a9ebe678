"""Every operation against onnxruntime, in graphs of one node or a few."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper
from tests.formats.onnx_graphs import graph, reads_alike

from trojancam.formats.onnx.allowed import OPERATIONS

RANDOM = np.random.default_rng(0)


def weights(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def positive(*shape: int) -> Any:
    return RANDOM.uniform(0.5, 2, size=shape).astype(np.float32)


def whole(*values: int) -> Any:
    return np.array(values, np.int64)


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def node(operation: str, *inputs: str, **attributes: Any) -> Any:
    return operation, inputs, attributes


CONVOLUTION = weights(4, 3, 3, 3)
# An operation, its inputs after the images, its attributes; the constants by name; the operator set.
CASES: list[tuple[Any, dict[str, Any], int]] = [
    # activations
    *(
        (node(name), {}, 18)
        for name in ("Relu", "Elu", "Selu", "Celu", "HardSigmoid", "HardSwish", "Sigmoid", "Tanh", "Softplus", "Softsign")
    ),
    (node("Mish"), {}, 18),
    (node("Gelu"), {}, 20),
    (node("Gelu", approximate="tanh"), {}, 20),
    (node("LeakyRelu", alpha=0.3), {}, 13),
    (node("ThresholdedRelu", alpha=0.4), {}, 13),
    (node("Elu", alpha=0.5), {}, 13),
    (node("Celu", alpha=2.0), {}, 13),
    (node("Selu", alpha=1.5, gamma=1.2), {}, 13),
    (node("HardSigmoid", alpha=1 / 6, beta=0.5), {}, 13),
    (node("PRelu", "s"), {"s": weights(3, 1, 1)}, 13),
    (node("PRelu", "s"), {"s": weights(1)}, 13),
    (node("PRelu", "s"), {"s": weights(8, 8)}, 13),
    (node("Clip", "low", "high"), {"low": np.float32(0), "high": np.float32(6)}, 13),
    (node("Clip", "low"), {"low": np.float32(0)}, 13),
    (node("Clip", "", "high"), {"high": np.float32(0.3)}, 13),
    (node("Clip", min=-0.5, max=0.5), {}, 10),
    (node("Softmax"), {}, 13),
    (node("Softmax", axis=1), {}, 13),
    (node("Softmax", axis=1), {}, 11),
    (node("LogSoftmax", axis=2), {}, 18),
    (node("Softmax", axis=2), {}, 11),
    # arithmetic
    *((node(name), {}, 18) for name in ("Abs", "Neg", "Exp", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Erf")),
    *((node(name, "w"), {"w": positive(3, 1, 1)}, 18) for name in ("Add", "Sub", "Mul", "Div", "Min", "Max", "Sum", "Mean")),
    *((node(name, "w"), {"w": np.float32(0.3)}, 13) for name in ("Add", "Sub", "Mul", "Div", "Min", "Max")),
    (node("Pow", "w"), {"w": np.float32(2)}, 13),
    (node("Mod", "w", fmod=1), {"w": positive(3, 1, 1)}, 13),
    (node("Max", "w", "v"), {"w": weights(8), "v": weights(3, 1, 1)}, 13),
    (node("Dropout"), {}, 13),
    (node("Identity"), {}, 13),
    # convolutions
    (node("Conv", "w", "b"), {"w": CONVOLUTION, "b": weights(4)}, 13),
    (node("Conv", "w", pads=[1, 0, 2, 3]), {"w": CONVOLUTION}, 13),
    (node("Conv", "w", pads=[1, 1, 1, 1], strides=[2, 1], dilations=[2, 3]), {"w": CONVOLUTION}, 13),
    (node("Conv", "w", group=3, kernel_shape=[3, 3]), {"w": weights(6, 1, 3, 3)}, 13),
    *((node("Conv", "w", auto_pad=pad, strides=[2, 3]), {"w": weights(4, 3, 4, 5)}, 13) for pad in ("SAME_UPPER", "SAME_LOWER")),
    (node("Conv", "w", auto_pad="VALID", strides=[3, 2]), {"w": CONVOLUTION}, 13),
    (node("ConvTranspose", "w", strides=[2, 2], pads=[1, 1, 1, 1]), {"w": weights(3, 4, 3, 3)}, 13),
    (node("ConvTranspose", "w", strides=[2, 2], pads=[0, 1, 1, 0], output_padding=[1, 1]), {"w": weights(3, 4, 3, 3)}, 13),
    # poolings
    *(
        (node(name, kernel_shape=[3, 2], **more), {}, 19)
        for name in ("MaxPool", "AveragePool")
        for more in (
            {},
            {"strides": [2, 2]},
            {"strides": [2, 3], "ceil_mode": 1},
            {"strides": [2, 2], "pads": [1, 1, 1, 1]},
            {"strides": [2, 2], "pads": [0, 0, 1, 1]},
            {"strides": [3, 2], "pads": [1, 0, 0, 1], "ceil_mode": 1},
            {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
            {"strides": [2, 3], "auto_pad": "SAME_LOWER"},
            {"strides": [2, 2], "auto_pad": "VALID"},
        )
    ),
    (node("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]), {}, 13),
    (node("MaxPool", kernel_shape=[2, 2], pads=[1, 1, 1, 1], dilations=[3, 2], strides=[2, 1]), {}, 13),
    (node("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1), {}, 13),
    (node("AveragePool", kernel_shape=[3, 3], pads=[1, 0, 0, 1], count_include_pad=1), {}, 13),
    (node("AveragePool", kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1, ceil_mode=1), {}, 19),
    (node("GlobalAveragePool"), {}, 13),
    (node("GlobalMaxPool"), {}, 13),
    # normalisations
    (
        node("BatchNormalization", "s", "b", "m", "v", epsilon=0.01),
        {"s": weights(3), "b": weights(3), "m": weights(3), "v": positive(3)},
        15,
    ),
    (node("InstanceNormalization", "s", "b"), {"s": weights(3), "b": weights(3)}, 13),
    (node("LayerNormalization", "s", "b", axis=-1), {"s": weights(8), "b": weights(8)}, 17),
    (node("LayerNormalization", "s", axis=1), {"s": weights(3, 8, 8)}, 17),
    (node("LRN", size=3, alpha=0.1, beta=0.6, bias=1.5), {}, 13),
    (node("LpNormalization", axis=1, p=2), {}, 13),
    # dense
    (node("MatMul", "w"), {"w": weights(8, 5)}, 13),
    (node("MatMul", "w"), {"w": weights(3, 8, 5)}, 13),
    # shapes
    (node("Transpose", perm=[0, 2, 3, 1]), {}, 13),
    (node("Transpose", perm=[0, 3, 2, 1]), {}, 13),
    (node("Reshape", "s"), {"s": whole(0, -1, 4)}, 13),
    (node("Reshape", "s"), {"s": whole(-1, 3, 64)}, 13),
    (node("Flatten", axis=1), {}, 13),
    (node("Flatten", axis=-3), {}, 13),
    (node("Unsqueeze", "a"), {"a": whole(-1, 1)}, 13),
    (node("Unsqueeze", axes=[2]), {}, 11),
    (node("Slice", "s", "e", "a", "t"), {"s": whole(1, -1), "e": whole(2**63 - 1, -9), "a": whole(2, 3), "t": whole(2, -2)}, 13),
    (node("Slice", "s", "e"), {"s": whole(0, 1), "e": whole(9, -1)}, 13),
    (node("Slice", starts=[1], ends=[-1], axes=[3]), {}, 9),
    (node("Gather", "i", axis=2), {"i": whole(3, -1, 0)}, 13),
    (node("Gather", "i", axis=1), {"i": np.int64(-1)}, 13),
    (node("Gather", "i", axis=3), {"i": np.array([[1, 2], [3, 4]])}, 13),
    (node("Tile", "s"), {"s": whole(1, 2, 1, 3)}, 13),
    (node("Pad", "p", "v"), {"p": whole(0, 0, 1, 2, 0, 0, 3, -1), "v": np.float32(0.5)}, 13),
    (node("Pad", "p", "", "a"), {"p": whole(1, 2, 0, 1), "a": whole(3, 2)}, 18),
    (node("Pad", "p", mode="reflect"), {"p": whole(0, 0, 1, 2, 0, 0, 3, 1)}, 13),
    (node("Pad", "p", mode="edge"), {"p": whole(0, 0, 1, 2, 0, 0, 3, 1)}, 13),
    (node("Pad", pads=[0, 0, 1, 2, 0, 0, 3, 1], value=1.5), {}, 10),
    (node("DepthToSpace", blocksize=2), {}, 13),
    (node("DepthToSpace", blocksize=2, mode="CRD"), {}, 13),
    (node("SpaceToDepth", blocksize=2), {}, 13),
    # resizing
    (node("Resize", "", "s", mode="nearest"), {"s": floats(1, 1, 2, 3)}, 13),
    (
        node("Resize", "", "s", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        {"s": floats(1, 1, 0.5, 1.5)},
        13,
    ),
    (node("Resize", "", "s", mode="linear"), {"s": floats(1, 1, 2, 1.5)}, 13),
    (node("Resize", "s", mode="nearest"), {"s": floats(1, 1, 2, 2)}, 10),
    (node("Upsample", "s", mode="nearest"), {"s": floats(1, 1, 2, 2)}, 9),
    # reductions
    *(
        (node(name, axes=[2, 3], keepdims=keep), {}, 11)
        for name in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceProd")
        for keep in (0, 1)
    ),
    (node("ReduceMean", "a"), {"a": whole(-1)}, 18),
    (node("ReduceSum", "a", keepdims=0), {"a": whole(1, -1)}, 13),
    (node("ReduceSum", noop_with_empty_axes=1), {}, 13),
    (node("ReduceLogSumExp", axes=[1]), {}, 13),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0][0]}-{case[0][2]}-{case[2]}")
def test_an_operation_gives_what_onnxruntime_gives(tmp_path: Path, case: Any) -> None:
    (operation, inputs, attributes), constants, opset = case
    maps = 4 if operation == "DepthToSpace" else 3
    nodes = [
        helper.make_node(operation, ["x", *inputs], ["mid"], **attributes),
        helper.make_node("Flatten", ["mid"], ["y"], axis=1),
    ]
    reads_alike(graph(tmp_path / "x.onnx", nodes, constants, opset, ("n", maps, 8, 8)))


# Named values by name: operation, inputs, outputs, attributes; the constants; the operator set.
Chain = tuple[list[Any], dict[str, Any], int]
CHAINS: dict[str, Chain] = {
    "dense": (
        [("Flatten", ["x"], ["f"], {}), ("Gemm", ["f", "w", "b"], ["y"], {"transB": 1, "alpha": 0.5, "beta": 2.0})],
        {"w": weights(5, 192), "b": weights(5)},
        13,
    ),
    "dense, not transposed": (
        [("Flatten", ["x"], ["f"], {}), ("Gemm", ["f", "w", "b"], ["y"], {})],
        {"w": weights(192, 5), "b": weights(5)},
        13,
    ),
    "dense without bias": (
        [("Flatten", ["x"], ["f"], {}), ("Gemm", ["f", "w"], ["y"], {"transB": 1, "alpha": 0.5})],
        {"w": weights(5, 192)},
        13,
    ),
    "groups": (
        [
            ("Conv", ["x", "w"], ["c"], {}),
            ("GroupNormalization", ["c", "s", "b"], ["g"], {"num_groups": 2}),
            ("Flatten", ["g"], ["y"], {}),
        ],
        {"w": CONVOLUTION, "s": weights(4), "b": weights(4)},
        21,
    ),
    "square roots": (
        [
            ("Abs", ["x"], ["a"], {}),
            ("Add", ["a", "o"], ["p"], {}),
            ("Sqrt", ["p"], ["q"], {}),
            ("Log", ["q"], ["l"], {}),
            ("Reciprocal", ["p"], ["r"], {}),
            ("Concat", ["q", "l", "r"], ["c"], {"axis": 1}),
            ("Flatten", ["c"], ["y"], {}),
        ],
        {"o": np.float32(1)},
        13,
    ),
    "choices": (
        [
            ("Greater", ["x", "o"], ["g"], {}),
            ("Less", ["x", "p"], ["l"], {}),
            ("GreaterOrEqual", ["x", "z"], ["ge"], {}),
            ("LessOrEqual", ["x", "p"], ["le"], {}),
            ("Or", ["g", "l"], ["or"], {}),
            ("And", ["ge", "le"], ["and"], {}),
            ("Not", ["and"], ["not"], {}),
            ("Where", ["or", "x", "v"], ["w"], {}),
            ("Where", ["not", "w", "x"], ["u"], {}),
            ("Cast", ["g"], ["c"], {"to": 1}),
            ("Equal", ["c", "o"], ["eq"], {}),
            ("Cast", ["eq"], ["e"], {"to": 1}),
            ("Concat", ["u", "e"], ["cat"], {"axis": 1}),
            ("Flatten", ["cat"], ["y"], {}),
        ],
        {"o": np.float32(1), "p": np.float32(-1), "z": np.float32(0), "v": weights(8)},
        16,
    ),
    "split in half": (
        [
            ("Split", ["x"], ["a", "b"], {"axis": 2, "num_outputs": 2}),
            ("Mul", ["a", "b"], ["m"], {}),
            ("Flatten", ["m"], ["y"], {}),
        ],
        {},
        18,
    ),
    "split unevenly": (
        [
            ("Split", ["x", "s"], ["a", "b"], {"axis": 1}),
            ("Mul", ["a", "b"], ["m"], {}),
            ("Flatten", ["m"], ["y"], {}),
        ],
        {"s": whole(1, 2)},
        13,
    ),
    "split, as an attribute": (
        [
            ("Split", ["x"], ["a", "b"], {"axis": 1, "split": [2, 1]}),
            ("Mul", ["a", "b"], ["m"], {}),
            ("Flatten", ["m"], ["y"], {}),
        ],
        {},
        11,
    ),
    "split, the second part unused": (
        [("Split", ["x", "s"], ["a", "b"], {"axis": 1}), ("Flatten", ["b"], ["y"], {})],
        {"s": whole(1, 2)},
        13,
    ),
    "squeezed": (
        [("GlobalAveragePool", ["x"], ["p"], {}), ("Squeeze", ["p", "a"], ["y"], {})],
        {"a": whole(2, -1)},
        13,
    ),
    "expanded": (
        [("GlobalMaxPool", ["x"], ["p"], {}), ("Expand", ["p", "s"], ["e"], {}), ("Flatten", ["e"], ["y"], {})],
        {"s": whole(3, 2, 5)},
        13,
    ),
    "in 64 bits": (
        [
            ("Cast", ["x"], ["d"], {"to": 11}),
            ("Mul", ["d", "w"], ["m"], {}),
            ("Cast", ["m"], ["f"], {"to": 1}),
            ("Flatten", ["f"], ["y"], {}),
        ],
        {"w": weights(3, 1, 1).astype(np.float64)},
        13,
    ),
    "flattened by its shape": (
        [
            ("Shape", ["x"], ["s"], {}),
            ("Gather", ["s", "zero"], ["n"], {"axis": 0}),
            ("Unsqueeze", ["n", "axis"], ["u"], {}),
            ("Concat", ["u", "rest"], ["t"], {"axis": 0}),
            ("Reshape", ["x", "t"], ["y"], {}),
        ],
        {"zero": np.int64(0), "axis": whole(0), "rest": whole(-1)},
        13,
    ),
    "flattened by the product of its shape": (
        [
            ("Shape", ["x"], ["n"], {"start": 0, "end": 1}),
            ("Shape", ["x"], ["s"], {"start": 1}),
            ("ReduceProd", ["s"], ["p"], {"keepdims": 1}),
            ("Concat", ["n", "p"], ["t"], {"axis": 0}),
            ("Reshape", ["x", "t"], ["y"], {}),
        ],
        {},
        15,
    ),
    "sized by arithmetic": (
        [
            ("Shape", ["x"], ["s"], {}),
            ("Slice", ["s", "two", "four"], ["hw"], {}),
            ("Cast", ["hw"], ["f"], {"to": 1}),
            ("Mul", ["f", "twice"], ["d"], {}),
            ("Floor", ["d"], ["fl"], {}),
            ("Cast", ["fl"], ["i"], {"to": 7}),
            ("Slice", ["s", "zero", "two"], ["nc"], {}),
            ("Concat", ["nc", "i"], ["t"], {"axis": 0}),
            ("Resize", ["x", "", "", "t"], ["r"], {"mode": "linear"}),
            ("Flatten", ["r"], ["y"], {}),
        ],
        {"zero": whole(0), "two": whole(2), "four": whole(4), "twice": floats(2, 1.5)},
        13,
    ),
    "divided by its size": (
        [
            ("Size", ["x"], ["s"], {}),
            ("Shape", ["x"], ["sh"], {}),
            ("Gather", ["sh", "zero"], ["n"], {"axis": 0}),
            ("Div", ["s", "n"], ["each"], {}),
            ("Cast", ["each"], ["f"], {"to": 1}),
            ("Div", ["x", "f"], ["d"], {}),
            ("Flatten", ["d"], ["y"], {}),
        ],
        {"zero": np.int64(0)},
        13,
    ),
    "expanded as exporters do": (
        [
            ("Shape", ["x"], ["s"], {}),
            ("Constant", [], ["t"], {"value_ints": [-1, 3, 8, 8]}),
            ("Constant", [], ["m"], {"value_int": -1}),
            ("Equal", ["t", "m"], ["e"], {}),
            ("Where", ["e", "s", "t"], ["w"], {}),
            ("Expand", ["b", "w"], ["ex"], {}),
            ("Add", ["x", "ex"], ["a"], {}),
            ("Flatten", ["a"], ["y"], {}),
        ],
        {"b": weights(1, 3, 1, 1)},
        13,
    ),
    "counted": (
        [
            ("Range", ["zero", "eight", "one"], ["r"], {}),
            ("Cast", ["r"], ["f"], {"to": 1}),
            ("Mul", ["x", "f"], ["m"], {}),
            ("Flatten", ["m"], ["y"], {}),
        ],
        {"zero": np.int64(0), "eight": np.int64(8), "one": np.int64(1)},
        13,
    ),
    "filled by shape": (
        [
            ("Shape", ["x"], ["s"], {}),
            ("ConstantOfShape", ["s"], ["c"], {"value": helper.make_tensor("v", 1, [1], [2.0])}),
            ("Mul", ["x", "c"], ["m"], {}),
            ("Flatten", ["m"], ["y"], {}),
        ],
        {},
        13,
    ),
    "two of the images' own products": (
        [
            ("Transpose", ["x"], ["t"], {"perm": [0, 1, 3, 2]}),
            ("MatMul", ["x", "t"], ["m"], {}),
            ("Flatten", ["m"], ["y"], {}),
        ],
        {},
        13,
    ),
    "axes in several orders": (
        [
            ("Transpose", ["x"], ["t"], {"perm": [0, 2, 3, 1]}),
            ("Mul", ["t", "w"], ["m"], {}),
            ("Concat", ["m", "t"], ["c"], {"axis": -1}),
            ("PRelu", ["c", "s"], ["p"], {}),
            ("Transpose", ["x"], ["u"], {"perm": [0, 3, 2, 1]}),
            ("Add", ["t", "u"], ["a"], {}),
            ("Flatten", ["p"], ["left"], {}),
            ("Flatten", ["a"], ["right"], {}),
            ("Concat", ["left", "right"], ["y"], {"axis": 1}),
        ],
        {"w": weights(3), "s": weights(6)},
        13,
    ),
    "swish": ([("Swish", ["x"], ["s"], {"alpha": 1.0}), ("Flatten", ["s"], ["y"], {})], {}, 24),
}
# Made for a fixed number of images, which stands in the graph: it must run for any number all the same.
FIXED: dict[str, tuple[int, Chain]] = {
    "flattened": (1, ([("Reshape", ["x", "s"], ["y"], {})], {"s": whole(1, 192)}, 13)),
    "flattened, rest open": (1, ([("Reshape", ["x", "s"], ["y"], {})], {"s": whole(1, -1)}, 13)),
    "flattened, two of them": (2, ([("Reshape", ["x", "s"], ["y"], {})], {"s": whole(2, -1)}, 13)),
    "shuffled": (
        4,
        (
            [
                ("Reshape", ["x", "s"], ["r"], {}),
                ("Transpose", ["r"], ["t"], {"perm": [0, 2, 1, 3, 4]}),
                ("Reshape", ["t", "e"], ["z"], {}),
                ("Flatten", ["z"], ["y"], {}),
            ],
            {"s": whole(4, 3, 2, 4, 8), "e": whole(4, 6, 4, 8)},
            13,
        ),
    ),
    "images on the second axis": (
        1,
        (
            [
                ("Transpose", ["x"], ["t"], {"perm": [1, 0, 2, 3]}),
                ("Reshape", ["t", "s"], ["r"], {}),
                ("ReduceSum", ["r", "a"], ["z"], {"keepdims": 0}),
                ("Identity", ["z"], ["y"], {}),
            ],
            {"s": whole(3, 1, 64), "a": whole(0)},
            13,
        ),
    ),
    "squeezed, no axes given": (2, ([("GlobalAveragePool", ["x"], ["p"], {}), ("Squeeze", ["p"], ["y"], {})], {}, 13)),
    "expanded": (
        1,
        (
            [("GlobalMaxPool", ["x"], ["p"], {}), ("Expand", ["p", "s"], ["e"], {}), ("Flatten", ["e"], ["y"], {})],
            {"s": whole(1, 3, 2, 5)},
            13,
        ),
    ),
    "resized": (
        1,
        (
            [("Resize", ["x", "", "", "s"], ["r"], {"mode": "linear"}), ("Flatten", ["r"], ["y"], {})],
            {"s": whole(1, 3, 5, 11)},
            13,
        ),
    ),
    "resized between corners": (
        1,
        (
            [
                (
                    "Resize",
                    ["x", "", "", "s"],
                    ["r"],
                    {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
                ),
                ("Flatten", ["r"], ["y"], {}),
            ],
            {"s": whole(1, 3, 5, 11)},
            13,
        ),
    ),
}


def write_chain(path: Path, chain: Chain, images: int | str) -> Path:
    parts, constants, opset = chain
    nodes = [helper.make_node(kind, inputs, outputs, **attributes) for kind, inputs, outputs, attributes in parts]
    return graph(path, nodes, constants, opset, (images, 3, 8, 8))


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_gives_what_onnxruntime_gives(tmp_path: Path, name: str) -> None:
    reads_alike(write_chain(tmp_path / "x.onnx", CHAINS[name], "n"))


@pytest.mark.parametrize("name", FIXED)
def test_what_is_made_for_a_fixed_number_of_images_runs_for_any(tmp_path: Path, name: str) -> None:
    images, chain = FIXED[name]
    opened = reads_alike(write_chain(tmp_path / "x.onnx", chain, images))
    assert f"it was made for {images} image(s) at a time; here it takes any number" in opened.notes


def test_every_operation_is_compared() -> None:
    compared = {case[0][0] for case in CASES} | {kind for chain, _, _ in CHAINS.values() for kind, *_ in chain}
    assert set(OPERATIONS) <= compared


def test_one_dimensional_and_three_dimensional_convolutions(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["f"]),
        helper.make_node("Conv", ["f", "w"], ["c"], pads=[0, 2]),
        helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[3], strides=[2]),
        helper.make_node("Unsqueeze", ["x", "one"], ["v"]),
        helper.make_node("Conv", ["v", "w3"], ["c3"]),
        helper.make_node("AveragePool", ["c3"], ["p3"], kernel_shape=[1, 2, 2]),
        helper.make_node("Flatten", ["p"], ["left"]),
        helper.make_node("Flatten", ["p3"], ["right"]),
        helper.make_node("Concat", ["left", "right"], ["y"], axis=1),
    ]
    constants = {"flat": whole(0, 3, 64), "w": weights(2, 3, 4), "one": whole(1), "w3": weights(2, 1, 2, 3, 3)}
    reads_alike(graph(tmp_path / "x.onnx", nodes, constants, 13))


@pytest.mark.parametrize("seed", range(8))
def test_random_windows_are_laid_as_onnxruntime_lays_them(tmp_path: Path, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=draw))

    kernel, nodes, ends = [number(1, 4), number(1, 4)], [], []
    window = {"kernel_shape": kernel, "strides": [number(1, 3), number(1, 3)]}
    pads = [number(0, size - 1) for size in (*kernel, *kernel)]
    for place, (operation, more) in enumerate(
        [
            ("Conv", {"dilations": [number(1, 2), number(1, 2)]}),
            ("MaxPool", {"ceil_mode": number(0, 1)}),
            ("AveragePool", {"ceil_mode": number(0, 1), "count_include_pad": number(0, 1)}),
        ]
    ):
        inputs = ["x", "w"] if operation == "Conv" else ["x"]
        nodes.append(helper.make_node(operation, inputs, [f"p{place}"], **window, pads=pads, **more))
        nodes.append(helper.make_node("Flatten", [f"p{place}"], [f"f{place}"]))
        ends.append(f"f{place}")
    nodes.append(helper.make_node("Concat", ends, ["y"], axis=1))
    reads_alike(graph(tmp_path / "x.onnx", nodes, {"w": weights(2, 3, *kernel)}, 19, ("n", 3, 9, 10)), (9, 10))
