"""ONNX graphs that tests build by hand or export, and the comparison with onnxruntime that they share."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from trojancam.formats.onnx.reader import read_onnx
from trojancam.formats.opened import OpenedModel

Shape = Sequence[int | str]


def graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, Any],
    opset: int = 18,
    images: Shape = ("n", 3, 8, 8),
    outputs: Mapping[str, Shape | None] | None = None,
    kind: int = TensorProto.FLOAT,
    **metadata: str,
) -> Path:
    """Write a graph that takes `x` and gives `y`, or the outputs that are named."""
    given = {"y": ("n", "classes")} if outputs is None else outputs
    model = helper.make_model(
        helper.make_graph(
            list(nodes),
            "by hand",
            [helper.make_tensor_value_info("x", kind, images)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in given.items()],
            [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=9,
    )
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def exported(
    path: Path, module: nn.Module, size: tuple[int, int], *, dynamo: bool, opset: int, batch: int | None = None
) -> Path:
    """Write a module as PyTorch's exporters do, for a fixed number of images or for any."""
    free: dict[str, Any] = (
        {"dynamic_shapes": ({0: torch.export.Dim("n")},)} if dynamo else {"dynamic_axes": {"x": {0: "n"}}}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (torch.rand(batch or 2, 3, *size),),
            path,
            dynamo=dynamo,
            opset_version=opset,
            input_names=["x"],
            verbose=False,
            **({} if batch else free),
        )
    return path


def by_onnxruntime(path: Path, images: Tensor, channels_last: bool = False, output: str | None = None) -> Tensor:
    """The logits as onnxruntime computes them; a file for a fixed number of images is fed as many copies of each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (takes,) = session.get_inputs()
    fed = (images.permute(0, 2, 3, 1) if channels_last else images).contiguous().numpy()
    kinds = {"tensor(float16)": np.float16, "tensor(double)": np.float64}
    fed = fed.astype(kinds.get(takes.type, np.float32))
    names = [output] if output else None
    if not isinstance(takes.shape[0], int):
        return torch.from_numpy(session.run(names, {takes.name: fed})[0]).float()
    copies = (np.repeat(image[None], takes.shape[0], 0) for image in fed)
    return torch.from_numpy(np.concatenate([session.run(names, {takes.name: copy})[0][:1] for copy in copies])).float()


def difference(
    path: Path, opened: OpenedModel, size: tuple[int, int], output: str | None = None, seed: int = 0
) -> float:
    """The largest difference to onnxruntime over batches of 1, 2 and 5 images, as a share of the largest value above 1."""
    last = any("channels last" in note for note in opened.notes)
    worst = 0.0
    for count in (1, 2, 5):
        images = torch.randn(count, opened.channels, *size, generator=torch.Generator().manual_seed(seed + count))
        with torch.no_grad():
            ours = opened.module(images)
        theirs = by_onnxruntime(path, images, last, output)
        assert ours.shape == theirs.flatten(1).shape
        finite = theirs.flatten(1).isfinite()
        assert bool((ours.isfinite() == finite).all())
        scale = max(1.0, float(theirs.flatten(1)[finite].abs().max()))
        worst = max(worst, float((ours - theirs.flatten(1))[finite].abs().max()) / scale)
    return worst


def reads_alike(path: Path, size: tuple[int, int] = (8, 8), within: float = 1e-5) -> OpenedModel:
    """Read a file, and see that it computes what onnxruntime computes."""
    opened = read_onnx(path)
    assert difference(path, opened, size) <= within
    return opened
