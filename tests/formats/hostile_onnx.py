"""Hostile ONNX files: each function writes one that would read other files, fill the memory, never end, or mislead.

`HOSTILE` is the list of them by name. Run as a program on a folder, it writes and reads them one after the other and
prints what came of each: that is how tests measure time and memory in a process of their own.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Generator = Callable[[Path], Path]
RANDOM = np.random.default_rng(0)
WHOLE_MAX = 2**63 - 1


def whole(*values: int) -> Any:
    return np.array(values, np.int64)


def network() -> onnx.ModelProto:
    """The network that these files pretend to hold: a convolution, ReLU, a mean, a dense layer."""
    weights = {
        "conv.weight": RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "dense.weight": RANDOM.normal(size=(2, 4)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "dense.weight"], ["y"], "dense", transB=1),
    ]
    return _model(nodes, [numpy_helper.from_array(values, name) for name, values in weights.items()])


def _model(nodes: Sequence[onnx.NodeProto], weights: Sequence[TensorProto] = ()) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "classes"])],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def written(folder: Path, content: onnx.ModelProto | bytes) -> Path:
    path = folder / "hostile.onnx"
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path


def edited(edit: Callable[[onnx.ModelProto], Any]) -> Generator:
    """The network with something done to it."""

    def write(folder: Path) -> Path:
        model = network()
        edit(model)
        return written(folder, model)

    return write


def asking(operation: str, *inputs: Any, opset: int = 18, **attributes: Any) -> Generator:
    """The images, and then one node that asks for too much or for nonsense; its result is added to what is computed."""

    def write(folder: Path) -> Path:
        weights = {f"input{place}": value for place, value in enumerate(inputs) if not isinstance(value, str)}
        names = [value if isinstance(value, str) else f"input{place}" for place, value in enumerate(inputs)]
        nodes = [
            helper.make_node(operation, names, ["asked"], "asking", **attributes),
            helper.make_node("Cast", ["asked"], ["float"], "cast", to=1),
            helper.make_node("ReduceMax", ["float"], ["one"], "max", keepdims=0),
            helper.make_node("Flatten", ["x"], ["flat"], "flatten"),
            helper.make_node("Add", ["flat", "one"], ["y"], "add"),
        ]
        model = _model(nodes, [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()])
        model.opset_import[0].version = opset
        return written(folder, model)

    return write


# --- data in other files ---


def outside(location: str, **more: str) -> Generator:
    def edit(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            tensor.external_data.add(key=key, value=value)

    return edited(edit)


def through_a_link(folder: Path) -> Path:
    """The name lies in the folder, what it links to does not."""
    secret = folder.parent / "secret.bin"
    secret.write_bytes(bytes(432))
    (folder / "weights.bin").symlink_to(secret)
    return outside("weights.bin")(folder)


def through_a_linked_folder(folder: Path) -> Path:
    (folder.parent / "elsewhere").mkdir(exist_ok=True)
    (folder.parent / "elsewhere" / "weights.bin").write_bytes(bytes(432))
    (folder / "data").symlink_to(folder.parent / "elsewhere")
    return outside("data/weights.bin")(folder)


def beyond_the_end(folder: Path) -> Path:
    (folder / "weights.bin").write_bytes(bytes(431))
    return outside("weights.bin")(folder)


def another_length(folder: Path) -> Path:
    (folder / "weights.bin").write_bytes(bytes(4096))
    return outside("weights.bin", length="4096")(folder)


def again_and_again(folder: Path) -> Path:
    """Five hundred tensors take the same megabyte, each of which would become eight."""
    (folder / "weights.bin").write_bytes(bytes(2**20))

    def edit(model: onnx.ModelProto) -> None:
        for place in range(500):
            tensor = model.graph.initializer.add(name=f"more{place}", data_type=TensorProto.UINT8, dims=[2**20])
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="./" * place + "weights.bin")

    return edited(edit)(folder)


def a_pipe(folder: Path) -> Path:
    """Reading it would never end."""
    os.mkfifo(folder / "weights.bin")
    return outside("weights.bin")(folder)


def in_a_circle(folder: Path) -> Path:
    (folder / "weights.bin").symlink_to(folder / "weights.bin")
    return outside("weights.bin")(folder)


# --- sizes that are claimed ---


def claiming(*dims: int, kind: int = TensorProto.FLOAT, **data: Any) -> Generator:
    def edit(model: onnx.ModelProto) -> None:
        claimed = TensorProto(name="conv.weight", dims=dims, data_type=kind, **(data or {"raw_data": bytes(16)}))
        model.graph.initializer[0].CopyFrom(claimed)

    return edited(edit)


def varint(number: int) -> bytes:
    pieces = bytearray()
    while number > 0x7F:
        pieces.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*pieces, number])


def field(number: int, content: bytes, length: int | None = None) -> bytes:
    """A field of bytes as protobuf writes it, of the length that it has or claims."""
    return varint(number << 3 | 2) + varint(len(content) if length is None else length) + content


GRAPH, NODE, WEIGHT = 7, 1, 5


def claiming_two_gigabytes(folder: Path) -> Path:
    return written(folder, field(GRAPH, field(NODE, b"\0" * 64, 2**31 - 64), 2**31 - 16))


def two_gigabytes_of_nothing(folder: Path) -> Path:
    """A file with holes: it takes no place on the disk, but would take 3 GB of memory."""
    path = written(folder, network())
    with path.open("r+b") as file:
        file.truncate(3 * 2**30)
    return path


def a_gigabyte_of_zeros_that_decode_to_eight(folder: Path) -> Path:
    path = written(folder, b"")
    numbers = 2**30
    tensor = varint(7 << 3 | 2) + varint(numbers)
    inner = varint(WEIGHT << 3 | 2) + varint(len(tensor) + numbers) + tensor
    with path.open("r+b") as file:
        file.write(varint(GRAPH << 3 | 2) + varint(len(inner) + numbers) + inner)
        file.truncate(file.tell() + numbers)
    return path


def a_million_empty_nodes(folder: Path) -> Path:
    return written(folder, field(GRAPH, field(NODE, b"") * 1_000_000))


def many_outputs(folder: Path) -> Path:
    model = network()
    model.graph.output.extend(
        helper.make_tensor_value_info(f"y{number}", TensorProto.FLOAT, ["n", 2]) for number in range(100_000)
    )
    return written(folder, model.SerializeToString())


def a_million_empty_strings(folder: Path) -> Path:
    return written(folder, field(GRAPH, field(NODE, field(1, b"") * 1_000_000)))


def deeply_nested(folder: Path) -> Path:
    """Graphs in the attributes of nodes in graphs, a 3000 times."""
    content = b""
    for _ in range(3000):
        content = field(NODE, field(5, field(6, content)))
    return written(folder, field(GRAPH, content))


def nested_types(folder: Path) -> Path:
    content = b""
    for _ in range(2000):
        content = field(4, field(1, content))
    return written(folder, field(GRAPH, field(11, field(1, b"x") + field(2, content))))


# --- damaged ---


def cut_after(share: float) -> Generator:
    def write(folder: Path) -> Path:
        whole_file = network().SerializeToString()
        return written(folder, whole_file[: int(len(whole_file) * share)])

    return write


def named_in_no_language(folder: Path) -> Path:
    """A name that is no text: the decoder lets it pass."""
    return written(folder, network().SerializeToString().replace(b"\x05dense", b"\x05\xff\xfe\xff\xff\xff"))


# --- graphs ---


def circle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "r"


def small_circle(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "r"


def cut_graph(model: onnx.ModelProto) -> None:
    del model.graph.node[1]


def made_twice(model: onnx.ModelProto) -> None:
    model.graph.node[1].output[0] = "c"


def same_name_twice(model: onnx.ModelProto) -> None:
    model.graph.initializer.add().CopyFrom(model.graph.initializer[0])


def with_weights(*values: float) -> Generator:
    def edit(model: onnx.ModelProto) -> None:
        filled = np.resize(np.array(values, np.float32), (4, 3, 3, 3))
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(filled, "conv.weight"))

    return edited(edit)


def overflowing(model: onnx.ModelProto) -> None:
    """Finite in 64 bits, infinite in 32."""
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((4, 3, 3, 3), 1e300), "conv.weight"))


def not_a_number_later(model: onnx.ModelProto) -> None:
    """The weights become so when constants are computed."""
    model.graph.initializer.add().CopyFrom(numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.float32), "zeros"))
    model.graph.node[0].input[1] = "quotient"
    model.graph.node.insert(0, helper.make_node("Div", ["zeros", "zeros"], ["quotient"], "div"))


def branching(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([helper.make_node("Relu", ["c"], ["inner"])], "inner", [], [])
    model.graph.node[1].CopyFrom(helper.make_node("If", ["c"], ["r"], "if", then_branch=inner, else_branch=inner))


def foreign(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.example"
    model.graph.node[1].op_type = "RunMe"
    model.opset_import.add(domain="com.example", version=1)


def own_function(model: onnx.ModelProto) -> None:
    call = [helper.make_node("Own", ["a"], ["b"], domain="own")]
    function = helper.make_function("own", "Own", ["a"], ["b"], call, [helper.make_opsetid("own", 1)])
    model.functions.append(function)
    model.opset_import.add(domain="own", version=1)
    model.graph.node[1].CopyFrom(helper.make_node("Own", ["c"], ["r"], domain="own"))


def training(model: onnx.ModelProto) -> None:
    model.training_info.add()


def sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


def quantised(model: onnx.ModelProto) -> None:
    model.graph.node[1].CopyFrom(helper.make_node("DequantizeLinear", ["c", "dense.weight"], ["r"], "dequantize"))


def classes_only(model: onnx.ModelProto) -> None:
    model.graph.node[-1].CopyFrom(helper.make_node("ArgMax", ["f"], ["y"], "argmax"))


def unknown_operation(model: onnx.ModelProto) -> None:
    model.graph.node[1].CopyFrom(helper.make_node("Frobnicate", ["c"], ["r"], "what"))


def long_names(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "A" * 1_000_000
    model.graph.node[1].name = "B" * 1_000_000


def two_inputs(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 3]))


def no_images(model: onnx.ModelProto) -> None:
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 12]))


def huge_images(model: onnx.ModelProto) -> None:
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 2**40, 2**40]))


def words(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(TensorProto(name="conv.weight", dims=[1], data_type=8, string_data=[b"word"]))


def future(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 999


def nothing_of_the_images(model: onnx.ModelProto) -> None:
    """The logits do not depend on the images."""
    model.graph.node[-1].CopyFrom(helper.make_node("Identity", ["dense.weight"], ["y"], "constant"))


def one_image_only(model: onnx.ModelProto) -> None:
    """Takes the first image, whatever comes after."""
    model.graph.initializer.add().CopyFrom(numpy_helper.from_array(whole(0), "first"))
    model.graph.node.insert(0, helper.make_node("Gather", ["x", "first"], ["image"], "gather", axis=0))
    model.graph.node[1].input[0] = "image"


def no_output(model: onnx.ModelProto) -> None:
    del model.graph.output[:]


def wrong_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("strides", "two"))


def doubling(folder: Path) -> Path:
    """A constant, joined with itself forty times over."""
    nodes = [helper.make_node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], f"concat{i}", axis=0) for i in range(40)]
    nodes += [
        helper.make_node("ReduceMax", ["c40"], ["one"], "max"),
        helper.make_node("Add", ["x", "one"], ["y"], "add"),
    ]
    return written(folder, _model(nodes, [numpy_helper.from_array(np.ones(1024, np.float32), "c0")]))


def doubling_images(folder: Path) -> Path:
    """The images, joined with themselves forty times over."""
    nodes = [helper.make_node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], f"concat{i}", axis=2) for i in range(40)]
    nodes[0].input[:] = ["x", "x"]
    nodes += [
        helper.make_node("GlobalMaxPool", ["c40"], ["p"], "max"),
        helper.make_node("Flatten", ["p"], ["y"], "flatten"),
    ]
    return written(folder, _model(nodes))


def numbers_that_grow(folder: Path) -> Path:
    """The extents of the images, multiplied with themselves again and again: numbers of millions of digits."""
    nodes = [helper.make_node("Shape", ["x"], ["n0"], "shape")]
    nodes += [helper.make_node("Mul", [f"n{i}", f"n{i}"], [f"n{i + 1}"], f"square{i}") for i in range(60)]
    nodes += [helper.make_node("Cast", ["n60"], ["f"], to=1), helper.make_node("ReduceMax", ["f"], ["m"], keepdims=0)]
    return written(folder, _model([*nodes, helper.make_node("Add", ["x", "m"], ["y"])]))


def numbers_that_multiply(folder: Path) -> Path:
    """The extents of the images, joined with themselves again and again."""
    nodes = [helper.make_node("Shape", ["x"], ["n0"], "shape")]
    nodes += [helper.make_node("Concat", [f"n{i}"] * 100, [f"n{i + 1}"], f"join{i}", axis=0) for i in range(10)]
    nodes += [helper.make_node("Cast", ["n10"], ["f"], to=1), helper.make_node("ReduceMax", ["f"], ["m"], keepdims=0)]
    return written(folder, _model([*nodes, helper.make_node("Add", ["x", "m"], ["y"])]))


def many_large_constants(folder: Path) -> Path:
    """Each is just small enough."""
    nodes = []
    for place in range(2000):
        nodes.append(helper.make_node("ConstantOfShape", ["extent"], [f"c{place}"], f"constant{place}"))
        nodes.append(helper.make_node("ReduceMax", [f"c{place}"], [f"m{place}"], f"max{place}", keepdims=0))
    nodes.append(helper.make_node("Sum", ["x", *(f"m{place}" for place in range(2000))], ["y"], "sum"))
    return written(folder, _model(nodes, [numpy_helper.from_array(whole(2**23), "extent")]))


def heavy_constants(folder: Path) -> Path:
    """Products of large matrices, which would take hours before an image is seen."""
    nodes = [helper.make_node("Expand", ["one", "extents"], ["m0"], "expand")]
    nodes += [helper.make_node("MatMul", [f"m{i}", f"m{i}"], [f"m{i + 1}"], f"product{i}") for i in range(1000)]
    nodes += [
        helper.make_node("ReduceMax", ["m1000"], ["max"], "max"),
        helper.make_node("Add", ["x", "max"], ["y"], "add"),
    ]
    weights = [
        numpy_helper.from_array(np.ones((1, 1), np.float32), "one"),
        numpy_helper.from_array(whole(4000, 4000), "extents"),
    ]
    return written(folder, _model(nodes, weights))


def folding_again_and_again(folder: Path) -> Path:
    """A large constant, reduced to one number ten thousand times: each time little remains of it."""
    nodes = [helper.make_node("ReduceMax", ["large"], [f"m{i}"], f"max{i}", keepdims=0) for i in range(10_000)]
    nodes.append(helper.make_node("Sum", ["x", *(f"m{i}" for i in range(10_000))], ["y"], "sum"))
    nodes.insert(0, helper.make_node("ConstantOfShape", ["extent"], ["large"], "large"))
    return written(folder, _model(nodes, [numpy_helper.from_array(whole(2**22), "extent")]))


def knowing_again_and_again(folder: Path) -> Path:
    """The same long list of places, for every one of many nodes."""
    nodes = [helper.make_node("Gather", [f"v{i}", "places"], [f"v{i + 1}"], f"gather{i}", axis=3) for i in range(3_000)]
    nodes[0].input[0], nodes[-1].output[0] = "x", "y"
    return written(folder, _model(nodes, [numpy_helper.from_array(np.zeros(60_000, np.int64), "places")]))


def weighing_again_and_again(folder: Path) -> Path:
    """The same large weights in every one of many nodes: they are looked at once."""
    nodes = [helper.make_node("Add", [f"v{i}", "weights"], [f"v{i + 1}"], f"add{i}") for i in range(3_000)]
    nodes[0].input[0] = "x"
    nodes.append(helper.make_node("Frobnicate", ["v3000"], ["y"], "what"))
    return written(
        folder, _model(nodes, [numpy_helper.from_array(np.zeros((2**14, 1, 3, 8, 8), np.float32), "weights")])
    )


def half_a_million_inputs_left_out(folder: Path) -> Path:
    node = field(1, b"x") + field(1, b"") * 500_000 + field(2, b"y") + field(4, b"Frobnicate")
    model = network()
    del model.graph.node[:]
    graph = model.graph.SerializeToString() + field(NODE, node)
    model.ClearField("graph")
    return written(folder, model.SerializeToString() + field(GRAPH, graph))


def a_name_of_a_gigabyte(folder: Path) -> Path:
    path, length = written(folder, b""), 2**30
    with path.open("r+b") as file:
        file.write(varint(2 << 3 | 2) + varint(length))
        file.truncate(file.tell() + length)
    return path


def too_many_nodes(folder: Path) -> Path:
    nodes = [helper.make_node("Relu", [f"v{place}"], [f"v{place + 1}"]) for place in range(30_000)]
    nodes[0].input[0], nodes[-1].output[0] = "x", "y"
    return written(folder, _model(nodes))


def long_and_then_nonsense(folder: Path) -> Path:
    """For images of any size, so that several sizes may be tried."""
    nodes = [helper.make_node("Relu", [f"v{place}"], [f"v{place + 1}"]) for place in range(3_400)]
    nodes[0].input[0] = "x"
    model = _model([*nodes, helper.make_node("Frobnicate", ["v3400"], ["y"])])
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"]))
    return written(folder, model)


HUGE = 2**40
IDEAS: dict[str, dict[str, Generator]] = {
    "data in other files, outside the model's folder": {
        "data at an absolute path": outside("/etc/passwd"),
        "data in the folder above": outside("../secret.bin"),
        "data in the folder above, hidden": outside("data/../../secret.bin"),
        "data in the folder above, as Windows writes it": outside("..\\secret.bin"),
        "data on a drive of Windows": outside("C:\\secret.bin"),
        "data behind a symlink": through_a_link,
        "data behind a symlinked folder": through_a_linked_folder,
    },
    "data in other files that cannot be read to an end": {
        "data in a pipe": a_pipe,
        "data in a circle of symlinks": in_a_circle,
        "data in a folder": outside("."),
        "data without a name": outside(""),
        "data with a name cut by a zero": outside("weights.bin\0.txt"),
        "data with an overlong name": outside("w" * 5000),
        "data that is missing": outside("missing.bin"),
    },
    "data in other files that do not hold what is claimed": {
        "data beyond the end of its file": beyond_the_end,
        "data of another length": another_length,
        "data at a negative offset": outside("hostile.onnx", offset="-1"),
        "data at an offset that is no number": outside("hostile.onnx", offset="1e9"),
        "data at a huge offset": outside("hostile.onnx", offset="9" * 5000),
        "the same data for hundreds of tensors": again_and_again,
    },
    "tensors that claim another size than they have": {
        "huge size, tiny data": claiming(2**20, 2**20),
        "huge size, no data": claiming(2**14, 2**14, raw_data=b""),
        "huge size, a list of three numbers": claiming(2**14, 2**14, float_data=[1, 2, 3]),
        "size that overflows": claiming(2**32, 2**32, 2**32),
        "negative size": claiming(-4, 3, -3, 3),
        "size with a thousand axes": claiming(*[1] * 1000, raw_data=bytes(4)),
        "size with a zero and a huge extent": claiming(0, 2**62, 2**62, 2**62, raw_data=b""),
    },
    "tensors of a type that no network needs": {
        "type that does not exist": claiming(4, 3, 3, 3, kind=99),
        "eight-bit floats": claiming(4, 3, 3, 3, kind=17, raw_data=bytes(108)),
        "words as weights": edited(words),
    },
    "messages that would fill the memory when they are decoded": {
        "a million empty nodes": a_million_empty_nodes,
        "a million empty strings": a_million_empty_strings,
        "graph that claims two gigabytes": claiming_two_gigabytes,
        "file of three gigabytes": two_gigabytes_of_nothing,
        "zeros that would decode to eight gigabytes": a_gigabyte_of_zeros_that_decode_to_eight,
        "name of a gigabyte": a_name_of_a_gigabyte,
        "half a million inputs left out": half_a_million_inputs_left_out,
    },
    "messages nested deeply": {
        "deeply nested graphs": deeply_nested,
        "deeply nested types": nested_types,
    },
    "graphs that would take hours": {
        "too many nodes": too_many_nodes,
        "a hundred thousand outputs": many_outputs,
        "long, and then nonsense": long_and_then_nonsense,
        "constants folded again and again": folding_again_and_again,
        "places known again and again": knowing_again_and_again,
        "large weights again and again": weighing_again_and_again,
        "products of large constants": heavy_constants,
    },
    "what is no message, or not a whole one": {
        "message without a graph": lambda folder: written(folder, b"\x08\x09"),
        "empty file": lambda folder: written(folder, b""),
        "text": lambda folder: written(folder, b"import os; os.system('true')\n"),
        "random bytes": lambda folder: written(folder, np.random.default_rng(1).bytes(5000)),
        "zeros": lambda folder: written(folder, bytes(5000)),
        "a folder": lambda folder: folder,
        "cut after a tenth": cut_after(0.1),
        "cut in the middle": cut_after(0.5),
        "cut before the end": cut_after(0.99),
        "names that are no text": named_in_no_language,
    },
    "graphs that run in a circle, or are cut": {
        "graph that runs in a circle": edited(circle),
        "node that takes what it gives": edited(small_circle),
        "graph that is cut": edited(cut_graph),
        "value that is made twice": edited(made_twice),
        "tensor that is there twice": edited(same_name_twice),
    },
    "weights that are no numbers": {
        "weights that are no numbers": with_weights(0.5, float("nan")),
        "weights that are infinite": with_weights(0.5, -np.inf),
        "weights that are infinite in 32 bits": edited(overflowing),
        "weights that come out as no numbers": edited(not_a_number_later),
    },
    "more than a plain graph": {
        "control flow": edited(branching),
        "operation of somebody else": edited(foreign),
        "function that calls itself": edited(own_function),
        "instructions for training": edited(training),
        "sparse weights": edited(sparse),
        "quantised": edited(quantised),
    },
    "no classifier of images": {
        "classes instead of logits": edited(classes_only),
        "unknown operation": edited(unknown_operation),
        "names of a megabyte": edited(long_names),
        "two inputs": edited(two_inputs),
        "input that is no image": edited(no_images),
        "images of a trillion pixels a side": edited(huge_images),
        "operator set of the future": edited(future),
        "logits that are a constant": edited(nothing_of_the_images),
        "for the first image only": edited(one_image_only),
        "no output": edited(no_output),
        "attribute of the wrong type": edited(wrong_attribute),
    },
    "constants that grow as they are computed": {
        "constant joined with itself": doubling,
        "images joined with themselves": doubling_images,
        "numbers that grow": numbers_that_grow,
        "numbers that multiply": numbers_that_multiply,
        "many large constants": many_large_constants,
    },
    "operations that ask for more memory than there is": {
        "Conv with large padding": asking("Conv", "x", np.ones((4, 3, 3, 3), np.float32), pads=[2**19] * 4),
        "ConstantOfShape, huge": asking("ConstantOfShape", whole(HUGE, HUGE)),
        "ConstantOfShape, large": asking("ConstantOfShape", whole(2**30)),
        "Expand, huge": asking("Expand", np.float32(1), whole(2**31, 2**20)),
        "Expand of the images, huge": asking("Expand", "x", whole(HUGE, 1, 3, 8, 8)),
        "Range, huge": asking("Range", np.int64(0), np.int64(WHOLE_MAX), np.int64(1)),
        "Range, huge, of floats": asking("Range", np.float32(0), np.float32(1e30), np.float32(1e-30)),
        "Pad, huge": asking("Pad", "x", whole(0, 0, HUGE, HUGE, 0, 0, 0, 0)),
        "Pad, largest number": asking("Pad", "x", whole(0, 0, WHOLE_MAX, 0, 0, 0, WHOLE_MAX, 0)),
        "Resize, huge": asking("Resize", "x", "", "", whole(1, 3, 2**30, 2**30), mode="linear"),
        "Resize by infinity": asking("Resize", "x", "", np.array([1, 1, np.inf, 1], np.float32), mode="nearest"),
        "Upsample, huge": asking("Upsample", "x", np.array([1, 1, 1e9, 1e9], np.float32), mode="nearest", opset=9),
        "Tile, huge": asking("Tile", "x", whole(1, 1, HUGE, HUGE)),
        "Tile, largest numbers": asking("Tile", "x", whole(1, 1, WHOLE_MAX, WHOLE_MAX)),
        "Unsqueeze, a million axes": asking("Unsqueeze", "x", np.arange(1_000_000)),
        "DepthToSpace, huge": asking("DepthToSpace", "x", blocksize=WHOLE_MAX),
        "Conv with huge padding": asking("Conv", "x", np.ones((4, 3, 3, 3), np.float32), pads=[HUGE] * 4),
        "Conv with huge gaps": asking("Conv", "x", np.ones((4, 3, 3, 3), np.float32), dilations=[WHOLE_MAX] * 2),
        "MaxPool with a huge window": asking("MaxPool", "x", kernel_shape=[WHOLE_MAX] * 2),
        "LRN over everything": asking("LRN", "x", size=WHOLE_MAX),
    },
    "operations with impossible arguments": {
        "Conv without groups": asking("Conv", "x", np.ones((4, 3, 3, 3), np.float32), group=0),
        "ConstantOfShape, negative": asking("ConstantOfShape", whole(-5)),
        "Range without steps": asking("Range", np.int64(0), np.int64(5), np.int64(0)),
        "Pad, negative": asking("Pad", "x", whole(0, 0, -100, 0, 0, 0, 0, 0)),
        "Slice in steps of zero": asking("Slice", "x", whole(0), whole(5), whole(2), whole(0)),
        "Gather from nowhere": asking("Gather", "x", whole(WHOLE_MAX), axis=1),
        "Transpose, axes that do not exist": asking("Transpose", "x", perm=[0, 1, 2, 99]),
        "DepthToSpace of zero": asking("DepthToSpace", "x", blocksize=0),
        "Conv in steps of zero": asking("Conv", "x", np.ones((4, 3, 3, 3), np.float32), strides=[0, 1]),
        "Conv without a kernel": asking("Conv", "x", np.ones((4, 3, 0, 0), np.float32)),
        "MaxPool with a window of zero": asking("MaxPool", "x", kernel_shape=[0, 0]),
        "AveragePool with a negative window": asking("AveragePool", "x", kernel_shape=[-1, -1]),
        "Cast to something else": asking("Cast", "x", to=8),
        "Reshape to nonsense": asking("Reshape", "x", whole(-1, -1, 7)),
        "Reshape by the pixels": asking("Reshape", "x", "x"),
        "Constant without a value": asking("Constant"),
        "GroupNormalization of no groups": asking(
            "GroupNormalization", "x", np.ones(3, np.float32), np.ones(3, np.float32), num_groups=0
        ),
        "Split in nothing": asking("Split", "x", whole(0, 0, 0), axis=1),
    },
}
HOSTILE: dict[str, Generator] = {name: write for files in IDEAS.values() for name, write in files.items()}
