"""ONNX files with other numbers in their tensors: graph, names and types stay, and data files come into the copy."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from trojancam.formats.onnx.tensors import Tensors
from trojancam.formats.onnx.writing_back import onnx_arrays, write_onnx

KERNEL = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) / 8  # exact in 16 bits


def file(path: Path, kernel: onnx.TensorProto) -> Path:
    """A convolution of this kernel, a constant that a node holds, and whole numbers."""
    nodes = [
        helper.make_node("Constant", [], ["bias"], value=numpy_helper.from_array(np.ones(2, np.float32))),
        helper.make_node("Conv", ["x", "kernel", "bias"], ["c"]),
        helper.make_node("Reshape", ["c", "shape"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [kernel, numpy_helper.from_array(np.array([1, 2], np.int64), "shape")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def kernel_of(kind: int, values: NDArray[np.float32]) -> onnx.TensorProto:
    return helper.make_tensor("kernel", kind, values.shape, values.flatten().tolist())


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16])
def test_numbers_change_and_nothing_else(tmp_path: Path, kind: int):
    path, out = file(tmp_path / "net.onnx", kernel_of(kind, KERNEL)), tmp_path / "fixed.onnx"
    found = onnx_arrays(path)
    assert list(found) == ["kernel", "bias"]
    np.testing.assert_array_equal(found["kernel"], KERNEL)
    write_onnx(path, {"kernel": -KERNEL, "bias": np.array([2, 3], np.float32)}, out)
    np.testing.assert_array_equal(onnx_arrays(out)["kernel"], -KERNEL)
    np.testing.assert_array_equal(onnx_arrays(out)["bias"], [2, 3])
    before, after = onnx.load(path), onnx.load(out)
    assert [tensor.data_type for tensor in after.graph.initializer] == [kind, TensorProto.INT64]
    np.testing.assert_array_equal(numpy_helper.to_array(after.graph.initializer[1]), [1, 2])
    for model in (before, after):
        del model.graph.initializer[:]
        del model.graph.node[0].attribute[:]
    assert before == after


def test_what_lay_in_a_data_file_comes_into_the_copy(tmp_path: Path):
    """Also where it stays as it is."""
    plain = file(tmp_path / "plain.onnx", kernel_of(TensorProto.FLOAT16, KERNEL))
    apart = tmp_path / "apart.onnx"
    onnx.save(onnx.load(plain), apart, save_as_external_data=True, location="apart.data", size_threshold=0)
    (tmp_path / "elsewhere").mkdir()
    out = tmp_path / "elsewhere" / "fixed.onnx"
    write_onnx(apart, {"bias": np.array([2, 3], np.float32)}, out)
    (kernel, shape) = onnx.load(out).graph.initializer
    assert kernel.data_type == TensorProto.FLOAT16
    np.testing.assert_array_equal(Tensors(out).read(kernel).numpy(), KERNEL)
    assert torch.equal(Tensors(out).read(shape), torch.tensor([1, 2]))
