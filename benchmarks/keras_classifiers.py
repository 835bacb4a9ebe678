"""The classifiers of `classifiers.py` once more, in Keras: channels last, with random weights and statistics of a batch."""

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks import classifiers
from benchmarks.classifiers import (
    CLASSES,
    EFFICIENTNET_B0,
    EFFICIENTNET_KERNELS,
    HELD_OUT,
    LIVED,
    MOBILENET_V2,
    SPREAD,
    Stages,
)

os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers as kl


def sequential(module: nn.Sequential, name: str, size: int) -> Any:
    """A chain of PyTorch's layers as one of Keras, under the same names."""
    first = next(part for part in module if isinstance(part, nn.Conv2d))
    model = keras.Sequential([keras.Input((size, size, first.in_channels))], name=name)
    for part_name, part in module.named_children():
        model.add(_layer(part, part_name))
    return model


def _layer(part: nn.Module, name: str) -> Any:
    if isinstance(part, nn.Conv2d):
        padding = "same" if part.padding != (0, 0) else "valid"
        return kl.Conv2D(
            part.out_channels, part.kernel_size, part.stride, padding, use_bias=part.bias is not None, name=name
        )
    if isinstance(part, nn.Linear):
        return kl.Dense(part.out_features, name=name)
    if isinstance(part, nn.Dropout):
        return kl.Dropout(part.p, name=name)
    simple: dict[type[nn.Module], Callable[..., Any]] = {
        nn.ReLU: kl.ReLU,
        nn.Tanh: lambda name: kl.Activation("tanh", name=name),
        nn.BatchNorm1d: kl.BatchNormalization,
        nn.BatchNorm2d: kl.BatchNormalization,
        nn.MaxPool2d: partial(kl.MaxPooling2D, 2),
        nn.AvgPool2d: partial(kl.AveragePooling2D, 2),
        nn.AdaptiveAvgPool2d: kl.GlobalAveragePooling2D,
        nn.Flatten: kl.Flatten,
    }
    return simple[type(part)](name=name)


def _unit(x: Any, maps: int, kernel: int, name: str, stride: int = 1, activation: str | None = "relu") -> Any:
    x = kl.Conv2D(maps, kernel, stride, "same", use_bias=False, name=f"{name}_conv")(x)
    x = kl.BatchNormalization(name=f"{name}_norm")(x)
    return kl.Activation(activation, name=f"{name}_act")(x) if activation else x


def resnet(size: int, width: int = 64, blocks: Sequence[int] = (2, 2, 2, 2)) -> Any:
    inputs = keras.Input((size, size, 3))
    x = _unit(inputs, width, 7, "stem", 2)
    x = kl.MaxPooling2D(3, 2, "same", name="pool")(x)
    for stage, times in enumerate(blocks):
        for block in range(times):
            name, maps, stride = f"layer{stage + 1}_{block}", width << stage, 2 if stage and not block else 1
            changed = _unit(_unit(x, maps, 3, f"{name}_first", stride), maps, 3, f"{name}_second", activation=None)
            skip = _unit(x, maps, 1, f"{name}_downsample", stride, None) if stride > 1 else x
            x = kl.ReLU(name=f"{name}_relu")(kl.Add(name=f"{name}_add")([changed, skip]))
    return _classified(inputs, x, "resnet")


def mobilenet(size: int, stem: int = 32, stages: Stages = MOBILENET_V2, last: int = 1280) -> Any:
    return _inverted("mobilenet", size, stem, stages, (3,) * len(stages), last, "relu6", gated=False)


def efficientnet(
    size: int,
    stem: int = 32,
    stages: Stages = EFFICIENTNET_B0,
    kernels: Sequence[int] = EFFICIENTNET_KERNELS,
    last: int = 1280,
) -> Any:
    return _inverted("efficientnet", size, stem, stages, kernels, last, "silu", gated=True)


def _inverted(
    name: str, size: int, stem: int, stages: Stages, kernels: Sequence[int], last: int, activation: str, gated: bool
) -> Any:
    inputs = keras.Input((size, size, 3))
    x = _unit(inputs, stem, 3, "stem", 2, activation)
    for number, ((expansion, maps, times, stride), kernel) in enumerate(zip(stages, kernels, strict=True), start=1):
        for place in range(times):
            step = stride if place == 0 else 1
            x = _inverted_residual(x, f"stage{number}_{place}", maps, step, expansion, kernel, activation, gated)
    return _classified(inputs, _unit(x, last, 1, "last", 1, activation), name)


def _inverted_residual(
    x: Any, name: str, maps: int, stride: int, expansion: int, kernel: int, activation: str, gated: bool
) -> Any:
    inputs = x.shape[-1]
    y = _unit(x, inputs * expansion, 1, f"{name}_expand", 1, activation) if expansion > 1 else x
    y = kl.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{name}_depthwise")(y)
    y = kl.Activation(activation, name=f"{name}_act")(kl.BatchNormalization(name=f"{name}_norm")(y))
    if gated:
        gate = kl.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(y)
        gate = kl.Conv2D(max(1, inputs // 4), 1, activation="silu", name=f"{name}_gate_reduce")(gate)
        gate = kl.Conv2D(y.shape[-1], 1, activation="sigmoid", name=f"{name}_gate_expand")(gate)
        y = kl.Multiply(name=f"{name}_gated")([y, gate])
    y = _unit(y, maps, 1, f"{name}_project", activation=None)
    return kl.Add(name=f"{name}_add")([x, y]) if stride == 1 and inputs == maps else y


def densenet(size: int, growth: int = 32, blocks: Sequence[int] = (6, 12, 6, 4)) -> Any:
    inputs = keras.Input((size, size, 3))
    x = kl.MaxPooling2D(3, 2, "same", name="pool")(_unit(inputs, 2 * growth, 7, "stem", 2))
    for number, layers in enumerate(blocks, start=1):
        for place in range(layers):
            name = f"block{number}_{place}"
            y = kl.ReLU(name=f"{name}_relu1")(kl.BatchNormalization(name=f"{name}_norm1")(x))
            y = _unit(y, 4 * growth, 1, f"{name}_narrow")
            y = kl.Conv2D(growth, 3, padding="same", use_bias=False, name=f"{name}_conv2")(y)
            x = kl.Concatenate(name=f"{name}_join")([x, y])
        x = kl.ReLU(name=f"relu{number}")(kl.BatchNormalization(name=f"norm{number}")(x))
        if number < len(blocks):
            x = kl.Conv2D(x.shape[-1] // 2, 1, use_bias=False, name=f"transition{number}")(x)
            x = kl.AveragePooling2D(2, name=f"halved{number}")(x)
    return _classified(inputs, x, "densenet")


def squeezenet(size: int, stem: int = 64, fires: Sequence[tuple[int, int]] = classifiers.SQUEEZENET_1_1) -> Any:
    inputs = keras.Input((size, size, 3))
    x = kl.Conv2D(stem, 3, 2, activation="relu", name="stem")(inputs)
    for number, (narrow, wide) in enumerate(fires):
        if number in (0, 2, 4):
            x = kl.MaxPooling2D(3, 2, "same", name=f"pool{number // 2 + 1}")(x)
        x = kl.Conv2D(narrow, 1, activation="relu", name=f"fire{number + 1}_squeeze")(x)
        branches = [
            kl.Conv2D(
                wide, kernel, padding="same", activation="relu", name=f"fire{number + 1}_expand{kernel}x{kernel}"
            )(x)
            for kernel in (1, 3)
        ]
        x = kl.Concatenate(name=f"fire{number + 1}_join")(branches)
    x = kl.Conv2D(CLASSES, 1, activation="relu", name="classifier")(kl.Dropout(0.5, name="dropout")(x))
    return keras.Model(inputs, kl.GlobalAveragePooling2D(name="mean")(x), name="squeezenet")


def _classified(inputs: Any, x: Any, name: str) -> Any:
    x = kl.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, kl.Dense(CLASSES, name="dense")(x), name=name)


BRANCHED: dict[str, Callable[..., Any]] = {
    "resnet": resnet,
    "mobilenet": mobilenet,
    "densenet": densenet,
    "squeezenet": squeezenet,
    "efficientnet": efficientnet,
}


def build(name: str, small: bool = True, size: int = 32, seed: int = 0) -> Any:
    """A model by name with the same weights each time; it takes images as `classifiers.input_of` says, channels last."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    networks = classifiers.small if small else classifiers.published
    if name in BRANCHED:
        model = BRANCHED[name](size, **(vars(networks)[name].keywords if small else {}))
    else:
        model = sequential(vars(networks)[name](CLASSES), name, classifiers.size_of(name, size)[0])
    inputs = classifiers.input_of(name, size).normalise(classifiers.blots(LIVED, classifiers.size_of(name, size)))
    return _lived_in(model, inputs.permute(0, 2, 3, 1))


def _lived_in(model: Any, inputs: torch.Tensor) -> Any:
    """The model as if it had been trained: as `classifiers.lived_in`."""
    norms = [layer for layer in model.layers if isinstance(layer, kl.BatchNormalization)]
    for variable in model.weights:
        shape = tuple(variable.shape)
        if variable.path.endswith("kernel"):
            fan_in = math.prod(shape[:2] if "depthwise" in variable.path else shape[:-1])
            variable.assign(torch.randn(shape) * (2 / fan_in) ** 0.5)
        elif variable.path.endswith("gamma"):
            low, high = (0.2, 0.5) if "project" in variable.path else (0.6, 1.4)
            variable.assign(torch.empty(shape).uniform_(low, high))
        elif variable.path.endswith(("bias", "beta")):
            variable.assign(torch.randn(shape) * 0.2)
    for layer in norms:
        layer.momentum = 0.0
    held_out = inputs[-HELD_OUT:]
    last = [layer for layer in model.layers if isinstance(layer, kl.Conv2D | kl.Dense)][-1]
    with torch.no_grad():
        model(inputs[:-HELD_OUT], training=True)  # the statistics become those of these images
        factor = SPREAD / model(held_out, training=False).std(0).mean()
        last.kernel.assign(last.kernel.value * factor)
        if isinstance(last, kl.Dense):
            last.bias.assign(last.bias.value - model(held_out, training=False).mean(0))
    for layer in norms:
        layer.momentum = 0.99
    return model
