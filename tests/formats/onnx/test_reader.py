"""What the ONNX reader makes of a file: its shape and layout, its names, its outputs, its types, one activation as one node."""

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from onnx import NodeProto, TensorProto, helper
from tests.formats.onnx_graphs import by_onnxruntime, difference, exported, graph, reads_alike
from torch import nn

from trojancam.errors import ModelError, UnknownNameError
from trojancam.formats.onnx.reader import read_onnx
from trojancam.network.classifier import classifier
from trojancam.network.input import InputSpecification
from trojancam.network.layers import find_layers
from trojancam.network.network import Network
from trojancam.network.recording import record

RANDOM = np.random.default_rng(3)
aten = torch.ops.aten


def weights(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def node(operation: str, inputs: str, output: str, name: str = "", **attributes: Any) -> NodeProto:
    return helper.make_node(operation, inputs.split(), output.split(), name, **attributes)


CONSTANTS = {"conv.weight": weights(4, 3, 3, 3), "dense.weight": weights(2, 4)}
HEAD = [node("GlobalAveragePool", "r", "p"), node("Flatten", "p", "f"), node("Gemm", "f dense.weight", "y", transB=1)]


def plain(path: Path, **more: Any) -> Path:
    """A convolution, ReLU, a mean, a dense layer."""
    return graph(path, [node("Conv", "x conv.weight", "c"), node("Relu", "c", "r"), *HEAD], CONSTANTS, **more)


def after_convolution(path: Path, nodes: Sequence[NodeProto], constants: dict[str, Any], opset: int = 13) -> Path:
    """A convolution that gives `c`, some nodes that make `r` of it, a head."""
    return graph(path, [node("Conv", "x conv.weight", "c"), *nodes, *HEAD], {**CONSTANTS, **constants}, opset)


def operations(module: nn.Module, size: tuple[int, int] = (8, 8)) -> list[Any]:
    """The operations of the exported graph, in their order."""
    whole, _ = classifier(module, InputSpecification(size=size))
    return [node.target for node in whole.graph.nodes if node.op == "call_function"]


def layers_of(module: nn.Module, size: tuple[int, int]) -> list[str]:
    return list(find_layers(classifier(module, InputSpecification(size=size))[0].graph, size))


# --- input ---


def test_size_and_channels_are_those_of_the_file(tmp_path: Path) -> None:
    opened = read_onnx(plain(tmp_path / "net.onnx", images=("n", 3, 20, 12)))
    assert (opened.size, opened.channels, opened.name, opened.format) == ((20, 12), 3, "net", "ONNX")
    assert opened.class_names is None
    assert opened.input is None
    assert not opened.module.training


def test_a_size_that_is_left_open_stays_open(tmp_path: Path) -> None:
    path = plain(tmp_path / "net.onnx", images=("n", "c", "h", "w"))
    opened = read_onnx(path)
    assert opened.size is None
    assert opened.channels == 3
    for size in ((9, 11), (32, 32)):
        assert difference(path, opened, size) < 1e-5


def test_a_size_that_only_fits_the_dense_layer_is_found(tmp_path: Path) -> None:
    """Flattened maps fit a dense layer at one size of image only: that size is tried."""
    nodes = [
        node("Conv", "x conv.weight", "c"),
        node("Flatten", "c", "f"),
        node("Gemm", "f dense.weight", "y", transB=1),
    ]
    constants = {**CONSTANTS, "dense.weight": weights(2, 4 * 26 * 26)}
    path = graph(tmp_path / "net.onnx", nodes, constants, 13, ("n", 3, "h", "w"))
    assert difference(path, read_onnx(path), (28, 28)) < 1e-5


def test_grey_images(tmp_path: Path) -> None:
    nodes = [node("Conv", "x conv.weight", "c"), node("Relu", "c", "r"), *HEAD]
    constants = {**CONSTANTS, "conv.weight": weights(4, 1, 3, 3)}
    assert reads_alike(graph(tmp_path / "net.onnx", nodes, constants, images=("n", 1, 8, 8))).channels == 1


def test_bytes_are_fed_as_floats(tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "float", to=1), node("Conv", "float conv.weight", "c"), node("Relu", "c", "r"), *HEAD]
    path = graph(tmp_path / "net.onnx", nodes, CONSTANTS, kind=TensorProto.UINT8)
    opened = read_onnx(path)
    assert any("bytes" in note for note in opened.notes)
    assert opened.module(torch.full((2, 3, 8, 8), 255.0)).shape == (2, 2)


TENSORFLOW = {
    "model/first/Conv2D/ReadVariableOp:0": weights(4, 3, 3, 3),
    "model/first/bias:0": weights(1, 1, 1, 4),
    "model/block/second/Conv2D/ReadVariableOp:0": weights(6, 4, 3, 3),
    "bias2": weights(6),
    "shape": np.array([-1, 6 * 2 * 2], np.int64),
    "kernel": weights(24, 3),
    "bias3": weights(3),
}


def tensorflow(path: Path, images: Sequence[int | str] = ("n", 16, 16, 3)) -> Path:
    """As tf2onnx writes a Keras network: channels last outside the convolutions, padding that keeps the size, softmax."""
    first, second = "model/first/Conv2D/ReadVariableOp:0", "model/block/second/Conv2D/ReadVariableOp:0"
    nodes = [
        node("Transpose", "x", "t", "model/first/Conv2D__6", perm=[0, 3, 1, 2]),
        node(
            "Conv", f"t {first}", "c1", "model/first/Conv2D", auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3]
        ),
        node("Transpose", "c1", "t1", "model/first/Conv2D__7", perm=[0, 2, 3, 1]),
        node("Add", "t1 model/first/bias:0", "b1", "model/first/BiasAdd"),
        node("Relu", "b1", "r1", "model/first/Relu"),
        node("Transpose", "r1", "t2", "model/pool__8", perm=[0, 3, 1, 2]),
        node("MaxPool", "t2", "p", "model/pool/MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", f"p {second} bias2", "c2", "model/block/second/BiasAdd", pads=[0, 0, 1, 1], strides=[2, 2]),
        node("Transpose", "c2", "t3", "model/block/second/BiasAdd__9", perm=[0, 2, 3, 1]),
        node("Relu", "t3", "r2", "model/block/second/Relu"),
        node("Reshape", "r2 shape", "flat", "model/flatten/Reshape"),
        node("MatMul", "flat kernel", "m", "model/dense/MatMul"),
        node("Add", "m bias3", "a", "model/dense/BiasAdd"),
        node("Softmax", "a", "y", "model/dense/Softmax"),
    ]
    return graph(path, nodes, TENSORFLOW, 13, images)


@pytest.mark.parametrize("images", [(1, 16, 16, 3), ("n", None, None, 3), ("n", None, None, None)])
def test_channels_that_come_last(tmp_path: Path, images: Sequence[Any]) -> None:
    path = tensorflow(tmp_path / "net.onnx", images)
    opened = read_onnx(path, size=(16, 16))
    assert difference(path, opened, (16, 16)) < 1e-5
    assert (opened.size, opened.channels) == ((16, 16), 3)
    whole, notes = classifier(opened.module, InputSpecification(size=(16, 16)))
    assert "it ends in a softmax" in notes[0]
    layers = find_layers(whole.graph, (16, 16))
    assert [(name, layer.feature_maps) for name, layer in layers.items()] == [("first", 4), ("block.second", 6)]
    assert all("relu" in layer.activation for layer in layers.values())
    found = [node.target for node in whole.graph.nodes if node.op == "call_function"]
    assert found.count(aten.permute.default) == 1  # where maps are flattened: all others cancel out
    assert found[-1] is aten.linear.default  # the logits, taken before the softmax that the file ends in


MOBILE = {
    "net/stem/Conv2D/ReadVariableOp:0": weights(4, 3, 3, 3),
    "scale": np.abs(weights(4)), "shift": weights(4), "mean": weights(4), "variance": np.abs(weights(4)) + 0.5,
    "net/depthwise/depthwise:0": weights(4, 1, 3, 3),
    "net/wide/Conv2D:0": weights(6, 8, 1, 1), "net/wide/bias:0": weights(6),
    "net/head/kernel:0": weights(6, 3), "net/head/bias:0": weights(3),
    "low": np.float32(0), "high": np.float32(6), "pads": np.array([0, 0, 0, 0, 0, 1, 1, 0], np.int64),
    "rows and columns": np.array([1, 2], np.int64), "one": np.array([1.0], np.float32),
}  # fmt: skip


def tensorflow_mobile(path: Path, opset: int) -> Path:
    """More of what tf2onnx writes: all between convolutions happens with the channels last, joins, padding and means too."""
    reduced = node("ReduceMean", "swish rows_and_columns", "g", "net/gap/Mean", keepdims=0)
    if opset < 18:
        reduced = node("ReduceMean", "swish", "g", "net/gap/Mean", keepdims=0, axes=[1, 2])
    first, last = [0, 3, 1, 2], [0, 2, 3, 1]
    nodes = [
        node("Pad", "x pads low", "padded", "net/pad/Pad"),
        node("Transpose", "padded", "t0", "net/stem/Conv2D__1", perm=first),
        node("Conv", "t0 net/stem/Conv2D/ReadVariableOp:0", "c0", "net/stem/Conv2D", strides=[2, 2]),
        node("BatchNormalization", "c0 scale shift mean variance", "n0", "net/norm/FusedBatchNormV3", epsilon=1e-3),
        node("Transpose", "n0", "l0", "net/norm/FusedBatchNormV3__2", perm=last),
        node("Clip", "l0 low high", "r0", "net/relu6/Relu6"),
        node("Transpose", "r0", "t1", "net/depthwise__3", perm=first),
        node("Conv", "t1 net/depthwise/depthwise:0", "c1", "net/depthwise/depthwise", group=4, auto_pad="SAME_UPPER"),
        node("Transpose", "c1", "l1", "net/depthwise__4", perm=last),
        node("LeakyRelu", "l1", "r1", "net/leaky/LeakyRelu", alpha=0.2),
        node("Concat", "r0 r1", "joined", "net/join/concat", axis=3),
        node("Transpose", "joined", "t2", "net/wide__5", perm=first),
        node("Conv", "t2 net/wide/Conv2D:0 net/wide/bias:0", "c2", "net/wide/Conv2D"),
        node("Transpose", "c2", "l2", "net/wide__6", perm=last),
        node("Sigmoid", "l2", "gate", "net/swish/Sigmoid"),
        node("Mul", "l2 gate", "swish", "net/swish/mul"),
        reduced,
        node("MatMul", "g net/head/kernel:0", "m", "net/head/MatMul"),
        node("Add", "m net/head/bias:0", "y", "net/head/BiasAdd"),
    ]
    constants = {name.replace(" ", "_"): values for name, values in MOBILE.items()}
    return graph(path, nodes, constants, opset, ("n", 15, 15, 3))


@pytest.mark.parametrize("opset", [13, 18])
def test_all_that_happens_with_the_channels_last(tmp_path: Path, opset: int) -> None:
    path = tensorflow_mobile(tmp_path / "net.onnx", opset)
    opened = read_onnx(path)
    assert difference(path, opened, (15, 15)) < 1e-5
    network = Network.from_module(opened.module, (15, 15))
    assert list(network.layers) == ["stem", "depthwise", "wide"]
    ends = [layer.activation.rstrip("_0123456789") for layer in network.layers.values()]
    assert ends == ["clamp", "leaky_relu", "silu"]
    whole, _ = classifier(opened.module, InputSpecification(size=(15, 15)))
    assert not [each for each in whole.graph.nodes if each.target is aten.permute.default]
    assert all(layer.placement.rows.stride == 2 for layer in network.layers.values())


@pytest.mark.parametrize("opset", range(13, 21))
def test_every_operator_set_of_the_exporter(tmp_path: Path, opset: int) -> None:
    """What changed between them: axes as inputs, what dropout, clipping, resizing and the normalisations say."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Hardswish(), nn.Upsample(scale_factor=2), nn.Dropout(),
        nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.GroupNorm(2, 6), nn.GELU(), nn.AvgPool2d(2, ceil_mode=True),
        nn.Conv2d(6, 4, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    ).eval()  # fmt: skip
    path = exported(tmp_path / "net.onnx", module, (8, 8), dynamo=False, opset=opset)
    opened = reads_alike(path)
    assert f"it uses ONNX's operator set {opset}" in opened.notes
    network = Network.from_module(opened.module, (8, 8))
    assert list(network.layers) == ["0", "5", "9"]
    ends = [layer.activation.rstrip("_0123456789") for layer in network.layers.values()]
    assert ends == ["hardswish", "gelu", "clamp"]


def test_dropout_that_was_left_on_is_left_out(tmp_path: Path) -> None:
    nodes = [node("Conv", "x conv.weight", "c"), node("Relu", "c", "d"), node("Dropout", "d ratio on", "r"), *HEAD]
    constants = {**CONSTANTS, "ratio": np.float32(0.9), "on": np.array(True)}
    opened = read_onnx(graph(tmp_path / "net.onnx", nodes, constants))
    assert "it was exported in training; what acts there only is left out: dropout" in opened.notes
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(opened.module(images), read_onnx(plain(tmp_path / "plain.onnx")).module(images))


def test_a_size_that_the_file_leaves_open_and_that_is_none_of_the_usual_ones(tmp_path: Path) -> None:
    """Its flattened maps fit images of one size only."""
    with pytest.raises(ModelError, match="leaves the size of its images open.*say which it takes"):
        read_onnx(tensorflow(tmp_path / "net.onnx", ("n", None, None, 3)))


def test_a_size_that_is_not_that_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="takes images of 8x8 pixels, not 16x16"):
        read_onnx(plain(tmp_path / "net.onnx"), size=(16, 16))


def test_an_unknown_layout_is_told_by_the_first_node(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t conv.weight", "c"),
        node("Relu", "c", "r"),
        *HEAD,
    ]
    path = graph(tmp_path / "net.onnx", nodes, CONSTANTS, 13, ("n", "h", "w", "c"))
    opened = read_onnx(path)
    assert opened.size is None
    assert difference(path, opened, (10, 9)) < 1e-5


def test_a_network_that_keras_exports(tmp_path: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")
        layers = keras.layers
        network = keras.Sequential(
            [
                layers.Input((16, 16, 3)),
                layers.Conv2D(4, 3, padding="same"),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Conv2D(6, 3, strides=2, padding="same", activation="gelu"),
                layers.DepthwiseConv2D(3),
                layers.Flatten(),
                layers.Dense(5, activation="softmax"),
            ]
        )
        network(torch.zeros(1, 16, 16, 3))
        network.export(path, format="onnx", verbose=False)
    opened = reads_alike(path, (16, 16))
    assert opened.size == (16, 16)
    read = Network.from_module(opened.module, (16, 16))
    recording = record(read, torch.rand(2, 3, 16, 16))
    assert [values.activations.shape[1] for values in recording.layers.values()] == [4, 6, 6]
    assert "gelu" in read.layer(list(read.layers)[1]).activation
    assert list(read.layers) == ["Conv", "Conv_1", "Conv_2"]  # Keras leaves out its own names here


# --- outputs, class names ---


def two_outputs(path: Path) -> Path:
    nodes = [node("Conv", "x conv.weight", "c"), node("Relu", "c", "r"), *HEAD, node("Softmax", "y", "z")]
    outputs = {"r": ("n", 4, 6, 6), "z": ("n", 2), "y": ("n", 2)}
    return graph(path, nodes, CONSTANTS, outputs=outputs)


def test_of_logits_and_their_probabilities_the_logits_are_taken_unless_one_is_named(tmp_path: Path) -> None:
    path = two_outputs(tmp_path / "net.onnx")
    images = torch.rand(2, 3, 8, 8)
    probabilities, logits = read_onnx(path, output="z"), read_onnx(path)
    assert "of its outputs (r, z, y) 'z' is taken for the logits" in probabilities.notes
    assert "of its outputs (r, z, y) 'y' is taken for the logits" in logits.notes
    assert read_onnx(path, output=2).notes == logits.notes
    torch.testing.assert_close(probabilities.module(images), by_onnxruntime(path, images, output="z"))
    torch.testing.assert_close(logits.module(images), by_onnxruntime(path, images, output="y"))


def test_an_output_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean|known: r, z, y"):
        read_onnx(two_outputs(tmp_path / "net.onnx"), output="logits")


def test_maps_are_no_logits(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\(3, 4, 6, 6\) for 3 images"):
        read_onnx(two_outputs(tmp_path / "net.onnx"), output="r")


def test_logits_with_a_height_and_a_width_of_one(tmp_path: Path) -> None:
    nodes = [node("Conv", "x conv.weight", "c"), node("GlobalAveragePool", "c", "y")]
    opened = reads_alike(graph(tmp_path / "net.onnx", nodes, CONSTANTS, outputs={"y": ("n", 4, 1, 1)}))
    assert any("height and a width of 1" in note for note in opened.notes)
    assert opened.module(torch.rand(2, 3, 8, 8)).shape == (2, 4)


@pytest.mark.parametrize(
    "metadata",
    [
        {"names": '["stop", "go"]'},
        {"Classes": "('stop', 'go')"},
        {"names": "{0: 'stop', 1: 'go'}"},
        {"labels": '{"0": "stop", "1": "go"}'},
    ],
)
def test_class_names_from_the_metadata(tmp_path: Path, metadata: dict[str, str]) -> None:
    assert read_onnx(plain(tmp_path / "net.onnx", **metadata)).class_names == ("stop", "go")


@pytest.mark.parametrize("names", ["['stop']", "[1, 2]", "__import__('os').getcwd()", "[" * 10_000, "9" * 10_000, ""])
def test_metadata_that_are_no_class_names(tmp_path: Path, names: str) -> None:
    opened = read_onnx(plain(tmp_path / "net.onnx", names=names))
    assert opened.class_names is None
    assert any("numbered" in note for note in opened.notes)


# --- names ---


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            [("/conv1/Conv", "onnx::Conv_1"), ("/layer1/layer1.0/conv2/Conv", "onnx::Conv_2")],
            ["conv1", "layer1.0.conv2"],
        ),
        ([("node_conv2d", "stem.weight"), ("node_conv2d_1", "stages.0.weight")], ["stem", "stages.0"]),
        ([("", "a"), ("", "b:0")], ["a", "b_0"]),
        ([("same", "w1"), ("same", "w2")], ["same", "same_2"]),
        ([("/shared/Conv", "w1"), ("/shared/Conv_1", "w2")], ["shared", "shared_2"]),
        ([("forward", "w1"), ("train", "w2")], ["forward_2", "train_2"]),
        ([("a.weight", "a.weight"), ("", "a.b.weight")], ["a", "a.b"]),
        ([("", "outer.weight.weight"), ("", "outer.weight")], ["outer.weight_2", "outer"]),
        ([("Straße 1", "w1"), ("../x", "w2")], ["Straße_1", "x"]),
    ],
)
def test_layers_bear_the_names_their_author_gave(
    tmp_path: Path, given: list[tuple[str, str]], expected: list[str]
) -> None:
    nodes, constants, source = [], {"dense.weight": CONSTANTS["dense.weight"]}, "x"
    for place, (name, weight) in enumerate(given):
        constants[weight] = weights(4, 4 if place else 3, 3, 3)
        nodes.append(helper.make_node("Conv", [source, weight], [f"v{place}"], name))
        source = f"v{place}"
    nodes.append(node("Relu", source, "r"))
    opened = read_onnx(graph(tmp_path / "net.onnx", [*nodes, *HEAD], constants, images=("n", 3, 16, 16)))
    assert layers_of(opened.module, (16, 16)) == expected


def test_weights_that_two_nodes_share_are_one_parameter(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x first", "a", "one"),
        node("Conv", "a again", "b", "two", pads=[1, 1, 1, 1]),
        node("Conv", "b again", "r", "three", pads=[1, 1, 1, 1]),
    ]
    constants = {**CONSTANTS, "first": weights(4, 3, 3, 3), "again": weights(4, 4, 3, 3)}
    opened = reads_alike(graph(tmp_path / "net.onnx", [*nodes, *HEAD], constants))
    assert opened.module.get_submodule("two").weight is opened.module.get_submodule("three").weight
    assert layers_of(opened.module, (8, 8)) == ["one", "two", "three"]


# --- types ---


@pytest.mark.parametrize("kind", [np.float16, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("raw", [True, False])
def test_weights_of_other_widths_become_32_bits(tmp_path: Path, kind: Any, raw: bool) -> None:
    narrow = {name: values.astype(kind) for name, values in CONSTANTS.items()}
    wide = plain(tmp_path / "wide.onnx")
    model = onnx.load(wide)
    for tensor in model.graph.initializer:
        values = narrow[tensor.name]
        number = helper.np_dtype_to_tensor_dtype(values.dtype)
        content = values.tobytes() if raw else values.astype(np.float64).flatten()
        tensor.CopyFrom(helper.make_tensor(tensor.name, number, values.shape, content, raw=raw))
    onnx.save(model, tmp_path / "narrow.onnx")
    opened = read_onnx(tmp_path / "narrow.onnx")
    assert {parameter.dtype for parameter in opened.module.parameters()} == {torch.float32}
    assert f"weights in {np.dtype(kind).name} were made 32-bit floats" in opened.notes
    for name, values in narrow.items():
        torch.testing.assert_close(
            opened.module.get_parameter(name), torch.from_numpy(values.astype(np.float32)), rtol=0, atol=0
        )


def test_a_network_in_16_bits(tmp_path: Path) -> None:
    nodes = [node("Conv", "x conv.weight", "c"), node("Relu", "c", "r"), *HEAD]
    half = {name: values.astype(np.float16) for name, values in CONSTANTS.items()}
    path = graph(tmp_path / "net.onnx", nodes, half, kind=TensorProto.FLOAT16)
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, path)
    assert difference(path, read_onnx(path), (8, 8)) < 0.01


def test_data_in_a_file_of_their_own(tmp_path: Path) -> None:
    model = onnx.load(plain(tmp_path / "net.onnx"))
    expected = read_onnx(tmp_path / "net.onnx").module(torch.ones(1, 3, 8, 8))
    onnx.save(
        model, tmp_path / "split.onnx", save_as_external_data=True, location="split.data", size_threshold=0
    )  # fmt: skip
    assert (tmp_path / "split.data").is_file()
    torch.testing.assert_close(
        read_onnx(tmp_path / "split.onnx").module(torch.ones(1, 3, 8, 8)), expected, rtol=0, atol=0
    )


def test_reading_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = plain(tmp_path / "net.onnx")
    before = path.read_bytes()
    read_onnx(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# --- groups of nodes that are one operation ---

HALF, ONE, THREE, SIX, ROOT = (np.float32(value) for value in (0.5, 1, 3, 6, np.sqrt(2)))
GROUPS: dict[str, tuple[list[NodeProto], dict[str, Any], Any]] = {
    "silu": ([node("Sigmoid", "c", "s"), node("Mul", "s c", "r")], {}, aten.silu.default),
    "hard swish of a hard sigmoid": (
        [node("HardSigmoid", "c", "s", alpha=1 / 6, beta=0.5), node("Mul", "c s", "r")],
        {},
        aten.hardswish.default,
    ),
    "hard swish": (
        [
            node("Add", "c three", "a"),
            node("Clip", "a zero six", "k"),
            node("Mul", "c k", "m"),
            node("Div", "m six", "r"),
        ],
        {"three": THREE, "zero": np.float32(0), "six": SIX},
        aten.hardswish.default,
    ),
    "hard swish, divided first": (
        [
            node("Add", "c three", "a"),
            node("Clip", "a zero six", "k"),
            node("Div", "k six", "d"),
            node("Mul", "d c", "r"),
        ],
        {"three": THREE, "zero": np.float32(0), "six": SIX},
        aten.hardswish.default,
    ),
    "mish": ([node("Softplus", "c", "s"), node("Tanh", "s", "t"), node("Mul", "c t", "r")], {}, aten.mish.default),
    "gelu": (
        [
            node("Div", "c root", "d"),
            node("Erf", "d", "e"),
            node("Add", "e one", "a"),
            node("Mul", "c a", "m"),
            node("Mul", "m half", "r"),
        ],
        {"root": ROOT, "one": ONE, "half": HALF},
        aten.gelu.default,
    ),
    "gelu, halved first": (
        [
            node("Mul", "c root", "d"),
            node("Erf", "d", "e"),
            node("Add", "one e", "a"),
            node("Mul", "half c", "h"),
            node("Mul", "h a", "r"),
        ],
        {"root": np.float32(np.sqrt(0.5)), "one": ONE, "half": HALF},
        aten.gelu.default,
    ),
    "batch normalisation": (
        [node("Sub", "c mean", "s"), node("Mul", "s scale", "m"), node("Add", "m bias", "b"), node("Relu", "b", "r")],
        {"mean": weights(4, 1, 1), "scale": weights(1, 4, 1, 1), "bias": weights(4, 1, 1)},
        aten._native_batch_norm_legit_no_training.default,
    ),
    "batch normalisation, channels last": (
        [
            node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
            node("Mul", "t scale", "m"),
            node("Add", "m bias", "b"),
            node("Relu", "b", "u"),
            node("Transpose", "u", "r", perm=[0, 3, 1, 2]),
        ],
        {"scale": weights(4), "bias": weights(4)},
        aten._native_batch_norm_legit_no_training.default,
    ),
    "group normalisation": (
        [
            node("Reshape", "c groups", "g"),
            node("InstanceNormalization", "g ones zeros", "i"),
            node("Shape", "c", "shape"),
            node("Reshape", "i shape", "n"),
            node("Mul", "n scale", "m"),
            node("Add", "m bias", "b"),
            node("Relu", "b", "r"),
        ],
        {
            "groups": np.array([0, 2, -1], np.int64),
            "ones": np.ones(2, np.float32),
            "zeros": np.zeros(2, np.float32),
            "scale": weights(4, 1, 1),
            "bias": weights(4, 1, 1),
        },
        aten.group_norm.default,
    ),
}


@pytest.mark.parametrize("name", GROUPS)
def test_nodes_that_are_one_operation_become_one(tmp_path: Path, name: str) -> None:
    nodes, constants, expected = GROUPS[name]
    opened = reads_alike(after_convolution(tmp_path / "net.onnx", nodes, constants))
    whole, _ = classifier(opened.module, InputSpecification(size=(8, 8)))
    found = [node.target for node in whole.graph.nodes]
    assert found.count(expected) == 1
    assert not {aten.sigmoid.default, aten.erf.default, aten.tanh.default, aten.permute.default}.intersection(found)
    activation = find_layers(whole.graph, (8, 8))["conv"].activation
    assert any(part in activation for part in ("silu", "hardswish", "mish", "gelu", "relu"))


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("Sigmoid", "c", "s"), node("Mul", "s c", "m"), node("Add", "m s", "r")], {}),
        ([node("Sigmoid", "c", "s"), node("Mul", "s s", "r")], {}),
        ([node("Sigmoid", "c", "s"), node("Mul", "s c", "m"), node("Mul", "m c", "r")], {}),
        ([node("HardSigmoid", "c", "s", alpha=0.3), node("Mul", "s c", "r")], {}),
        ([node("Softplus", "c", "s"), node("Tanh", "s", "t"), node("Mul", "t s", "r")], {}),
        ([node("Erf", "c", "e"), node("Add", "e one", "a"), node("Mul", "a c", "m"), node("Mul", "m half", "r")],
         {"one": ONE, "half": HALF}),
        ([node("Sub", "mean c", "s"), node("Mul", "s scale", "m"), node("Add", "m mean", "r")],
         {"mean": weights(4, 1, 1), "scale": weights(4, 1, 1)}),
        ([node("Mul", "c wide", "m"), node("Add", "m bias", "r")], {"wide": weights(6), "bias": weights(4, 1, 1)}),
        ([node("Add", "c c", "r")], {}),
        ([node("Sigmoid", "c", "s"), node("Div", "s six", "d"), node("Mul", "d c", "r")], {"six": SIX}),
    ],
)  # fmt: skip
def test_what_only_looks_like_one_operation_stays_what_it_is(
    tmp_path: Path, nodes: list[NodeProto], constants: dict[str, Any]
) -> None:
    reads_alike(after_convolution(tmp_path / "net.onnx", nodes, constants))


def test_biases_that_are_added_belong_to_their_layers(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x conv.weight", "c", "conv"),
        node("Add", "bias c", "b"),
        node("Relu", "b", "r"),
        *HEAD[:2],
        node("MatMul", "f kernel", "m", "dense"),
        node("Add", "m offset", "y"),
    ]
    constants = {
        "conv.weight": CONSTANTS["conv.weight"],
        "bias": weights(1, 4, 1, 1),
        "kernel": weights(4, 2),
        "offset": weights(2),
    }
    opened = reads_alike(graph(tmp_path / "net.onnx", nodes, constants, 13))
    assert set(dict(opened.module.named_parameters())) == {"conv.weight", "conv.bias", "dense.weight", "dense.bias"}
    assert aten.add.Tensor not in operations(opened.module)


# --- what is missing ---


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plain(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match=r"needs the extra 'onnx'; install it: pip install 'trojancam\[onnx\]'"):
        read_onnx(path)


def test_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        read_onnx(tmp_path / "net.onnx")
