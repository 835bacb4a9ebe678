"""Files: a classifier written in each format that can hold it, and that framework's own way to load, run and export it."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram

from benchmarks import classifiers
from trojancam.formats.safetensors import save_model
from trojancam.network.card import ModelCard
from trojancam.network.input import InputSpecification

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Example:
    """A classifier to be written: a PyTorch module or a Keras model, and how it is fed.

    `builder` is the name under which whoever has its code builds it.
    """

    name: str
    model: Any
    input: InputSpecification
    builder: str
    build: Callable[[], nn.Module] | None = None

    def inputs(self, count: int) -> Tensor:
        """Zeros as it takes them, channels first."""
        return torch.zeros(count, self.input.number_of_channels, *self.input.size)

    @property
    def convolutions(self) -> set[str]:
        """The names of its convolutions, as its author sees them."""
        if isinstance(self.model, nn.Module) and not hasattr(self.model, "get_layer"):
            return {name for name, part in self.model.named_modules() if isinstance(part, nn.Conv2d)}
        return {layer.name for layer in self.model.layers if type(layer).__name__ in ("Conv2D", "DepthwiseConv2D")}


@dataclass(frozen=True)
class Format:
    """A kind of model file.

    `write` makes the file, `own` loads it with what made it and gives how that runs it (on inputs `n c h w`), `floor` loads
    it likewise and exports the network as a graph for any number of images. `needs_builder` is true of weights alone.
    """

    suffix: str
    framework: str
    write: Callable[[Example, Path], object]
    own: Callable[[Example, Path], Run]
    floor: Callable[[Example, Path], object]
    needs_builder: bool = False
    only: tuple[str, ...] = classifiers.NAMES


def example(name: str, framework: str, small: bool = True, size: int = 32) -> Example:
    """A classifier of `classifiers.py` in a framework, `torch` or `keras`."""
    space = "small" if small else "published"
    specification = classifiers.input_of(name, size)
    builder = f"benchmarks.classifiers:{space}.{name}"
    if framework == "keras":
        from benchmarks import keras_classifiers

        return Example(name, keras_classifiers.build(name, small, size), specification, builder)
    networks = getattr(classifiers, space)
    build = partial(vars(networks)[name], classifiers.CLASSES)
    return Example(name, classifiers.build(name, networks, size), specification, builder, build)


def as_graph(module: nn.Module, inputs: Tensor) -> fx.GraphModule:
    """What PyTorch itself makes of a module: a functional graph for any number of images, in its basic operations."""
    with _quiet():
        program = torch.export.export(module, (inputs,), dynamic_shapes=({0: Dim("n")},))
        return program.run_decompositions({}).module()


def _quiet() -> warnings.catch_warnings:
    return warnings.catch_warnings(action="ignore")


def _program(example: Example) -> ExportedProgram:
    with _quiet():
        return torch.export.export(example.model, (example.inputs(2),), dynamic_shapes=({0: Dim("n")},))


def _eager(example: Example, _: Path) -> Run:
    module: nn.Module = example.model
    return module


def _write_safetensors(example: Example, path: Path) -> None:
    names = tuple(f"class {number}" for number in range(classifiers.CLASSES))
    save_model(path, example.model, ModelCard(architecture=example.name, class_names=names, input=example.input))


def _filled(example: Example, path: Path) -> nn.Module:
    assert example.build is not None
    module = example.build()
    weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    module.load_state_dict(weights)
    return module.eval()


def _floor_of_weights(example: Example, path: Path) -> fx.GraphModule:
    return as_graph(_filled(example, path), example.inputs(2))


def _floor_of_program(example: Example, path: Path) -> fx.GraphModule:
    with _quiet():
        program = torch.export.load(path)
    return as_graph(program.module(), example.inputs(2))


def _write_onnx(example: Example, path: Path, dynamo: bool) -> None:
    free: dict[str, Any] = (
        {"dynamic_shapes": ({0: Dim("n")},)} if dynamo else {"dynamic_axes": {"images": {0: "n"}}, "opset_version": 17}
    )
    with _quiet():
        torch.onnx.export(
            example.model,
            (example.inputs(2),),
            path,
            dynamo=dynamo,
            input_names=["images"],
            external_data=False,
            verbose=False,
            **free,
        )


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _by_onnxruntime(_: Example, path: Path) -> Run:
    session = _session(path)
    return lambda inputs: torch.from_numpy(session.run(None, {"images": inputs.contiguous().numpy()})[0])


def _floor_of_onnx(example: Example, path: Path) -> fx.GraphModule:
    """onnxruntime exports nothing, so what is exported is the module that the file was made of."""
    _session(path)
    return as_graph(example.model, example.inputs(2))


def _write_keras(example: Example, path: Path) -> None:
    with _quiet():
        example.model.save(path)


def _loaded_by_keras(path: Path) -> Any:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    with _quiet():
        return keras.saving.load_model(path, compile=False)


def _by_keras(_: Example, path: Path) -> Run:
    model = _loaded_by_keras(path)
    return lambda inputs: model(inputs.permute(0, 2, 3, 1), training=False)


class Calling(nn.Module):
    """A Keras model with one argument, as PyTorch's exporter wants it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images, training=False)


def _floor_of_keras(example: Example, path: Path) -> fx.GraphModule:
    return as_graph(Calling(_loaded_by_keras(path)), example.inputs(2).permute(0, 2, 3, 1))


FORMATS = {
    "safetensors": Format(
        ".safetensors", "torch", _write_safetensors, _eager, _floor_of_weights, only=tuple(classifiers.STUDY)
    ),
    "PyTorch weights": Format(
        ".pt",
        "torch",
        lambda example, path: torch.save(example.model.state_dict(), path),
        _eager,
        _floor_of_weights,
        needs_builder=True,
    ),
    "exported program": Format(
        ".pt2",
        "torch",
        lambda example, path: torch.export.save(_program(example), path),
        _eager,
        _floor_of_program,
    ),
    "ONNX, TorchScript": Format(".onnx", "torch", partial(_write_onnx, dynamo=False), _by_onnxruntime, _floor_of_onnx),
    "ONNX, dynamo": Format(".onnx", "torch", partial(_write_onnx, dynamo=True), _by_onnxruntime, _floor_of_onnx),
    "Keras": Format(".keras", "keras", _write_keras, _by_keras, _floor_of_keras),
    "Keras, HDF5": Format(".h5", "keras", _write_keras, _by_keras, _floor_of_keras),
}
