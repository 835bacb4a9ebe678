"""Small Keras models that tests share: each shows one thing that real ones do. All but one take 32x32 images.

With each goes what its layers are: for every convolution its name, and the Keras layer whose result ends the layer.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers as kl

CLASSES = 7


@dataclass(frozen=True)
class Net:
    """How a model is built, and its layers: (convolution as TrojanCAM names it, Keras layer that gives the activation)."""

    build: Callable[[], Any]
    layers: tuple[tuple[str, str], ...]


def basic() -> Any:
    """The study's benign network: convolutions with fused activations, normalised afterwards."""
    model = keras.Sequential([keras.Input((32, 32, 3))], name="basic")
    for number, (maps, kernel, pooled) in enumerate(((8, 5, True), (16, 3, False), (16, 3, True), (32, 3, True)), 1):
        model.add(kl.Conv2D(maps, kernel, padding="same", activation="relu", name=f"conv2d_{number}"))
        model.add(kl.BatchNormalization())
        if pooled:
            model.add(kl.MaxPooling2D())
    model.add(kl.Flatten())
    model.add(kl.Dense(16, activation="relu"))
    model.add(kl.BatchNormalization())
    model.add(kl.Dropout(0.5))
    model.add(kl.Dense(CLASSES, activation="softmax"))
    return model


def trojan1() -> Any:
    """Plain: convolution, activation and pooling as layers of their own, logits at the end."""
    model = keras.Sequential([keras.Input((32, 32, 3))], name="trojan1")
    for number, maps in enumerate((4, 8, 4), 1):
        model.add(kl.Conv2D(maps, 5, padding="same", name=f"conv2d_{number}"))
        model.add(kl.Activation("relu", name=f"relu_{number}"))
        model.add(kl.MaxPool2D(2))
    model.add(kl.Flatten())
    model.add(kl.Dense(CLASSES))
    return model


def lenet() -> Any:
    """LeNet-5: no padding, tanh, average pooling."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            kl.Conv2D(6, 5, activation="tanh", name="c1"),
            kl.AveragePooling2D(2),
            kl.Conv2D(16, 5, activation="tanh", name="c3"),
            kl.AveragePooling2D(2),
            kl.Conv2D(20, 5, activation="tanh", name="c5"),
            kl.Flatten(),
            kl.Dense(CLASSES, activation="softmax"),
        ],
        name="lenet",
    )


def residual() -> Any:
    """Residual blocks, one that halves its maps, and global pooling."""
    inputs = keras.Input((32, 32, 3))
    x = kl.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = kl.ReLU(name="stem_out")(kl.BatchNormalization()(x))
    for number, (maps, stride) in enumerate(((6, 1), (8, 2)), 1):
        skip = x
        y = kl.Conv2D(maps, 3, strides=stride, padding="same", name=f"b{number}_conv1")(x)
        y = kl.ReLU(name=f"b{number}_mid")(kl.BatchNormalization()(y))
        y = kl.BatchNormalization()(kl.Conv2D(maps, 3, padding="same", name=f"b{number}_conv2")(y))
        if stride > 1:
            skip = kl.BatchNormalization()(kl.Conv2D(maps, 1, strides=stride, name=f"b{number}_skip")(skip))
        x = kl.ReLU(name=f"b{number}_out")(kl.Add()([y, skip]))
    return keras.Model(inputs, kl.Dense(CLASSES)(kl.GlobalAveragePooling2D()(x)), name="residual")


def mobilenet() -> Any:
    """Depthwise convolutions, ReLU6, padding as a layer of its own, inverted residual blocks."""
    inputs = keras.Input((32, 32, 3))
    x = kl.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = kl.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = kl.Conv2D(6, 3, strides=2, use_bias=False, name="stem")(x)
    x = kl.ReLU(6.0, name="stem_relu")(kl.BatchNormalization(epsilon=1e-3, momentum=0.999)(x))
    for number, stride in ((1, 1), (2, 2)):
        y = kl.Conv2D(12, 1, use_bias=False, name=f"b{number}_expand")(x)
        y = kl.ReLU(6.0, name=f"b{number}_expand_relu")(kl.BatchNormalization()(y))
        y = kl.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"b{number}_depthwise")(y)
        y = kl.ReLU(6.0, name=f"b{number}_depthwise_relu")(kl.BatchNormalization()(y))
        y = kl.Conv2D(6, 1, use_bias=False, name=f"b{number}_project")(y)
        y = kl.BatchNormalization(name=f"b{number}_project_norm")(y)
        x = kl.Add(name=f"b{number}_add")([x, y]) if stride == 1 else y
    x = kl.GlobalAveragePooling2D(keepdims=True)(x)
    return keras.Model(inputs, kl.Dense(CLASSES, activation="softmax")(kl.Flatten()(x)), name="mobilenet")


def densenet() -> Any:
    """Normalise, activate, convolve, and concatenate with all that came before."""
    inputs = keras.Input((32, 32, 3))
    x = kl.Conv2D(6, 3, padding="same", activation="relu", name="stem")(inputs)
    for number in (1, 2):
        y = kl.Activation("relu")(kl.BatchNormalization()(x))
        y = kl.Conv2D(8, 1, activation="relu", name=f"d{number}_bottleneck")(y)
        y = kl.Conv2D(4, 3, padding="same", use_bias=False, name=f"d{number}_conv")(y)
        x = kl.Concatenate(name=f"d{number}_join")([x, y])
    x = kl.AveragePooling2D(3, strides=2, padding="same")(x)
    x = kl.Conv2D(5, 1, activation="relu", name="transition")(x)
    return keras.Model(inputs, kl.Dense(CLASSES)(kl.GlobalMaxPooling2D()(x)), name="densenet")


def squeeze_excite() -> Any:
    """SiLU, gates made of a global mean, preprocessing and augmentation within the model."""
    inputs = keras.Input((32, 32, 3))
    x = kl.RandomRotation(0.1)(kl.RandomFlip()(inputs))
    x = kl.Normalization(mean=[120.0, 110.0, 100.0], variance=[2500.0, 2400.0, 2600.0])(kl.Rescaling(1.0)(x))
    x = kl.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = kl.Activation("swish", name="stem_swish")(kl.BatchNormalization()(x))
    gate = kl.Reshape((1, 1, 6))(kl.GlobalAveragePooling2D()(x))
    gate = kl.Conv2D(2, 1, activation="silu", name="squeeze")(gate)
    gate = kl.Conv2D(6, 1, activation="sigmoid", name="excite")(gate)
    x = kl.Multiply()([x, gate])
    x = kl.SpatialDropout2D(0.2)(x)
    x = kl.SeparableConv2D(8, 3, padding="same", activation="silu", name="separable")(x)
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, kl.Dense(CLASSES, activation="softmax")(kl.GaussianNoise(0.1)(x)), name="squeeze_excite")


def nested() -> Any:
    """A model within a model, a layer that is called twice, a skip connection by a plain plus, activations as layers."""
    backbone = keras.Sequential(
        [keras.Input((32, 32, 3)), kl.Conv2D(4, 3, activation=kl.LeakyReLU(0.1), name="conv"), kl.MaxPooling2D()],
        name="backbone",
    )
    shared = kl.Conv2D(4, 3, padding="same", activation="elu", name="shared")
    inputs = keras.Input((32, 32, 3))
    x = shared(shared(backbone(inputs)))
    x = keras.ops.relu(x + kl.Conv2D(4, 1, name="skip")(x))
    x = kl.Cropping2D(((1, 0), (0, 2)))(x)
    return keras.Model(inputs, kl.Dense(CLASSES)(kl.Flatten()(x)), name="nested")


def channels_first() -> Any:
    """Channels before rows and columns, as Keras has it on request."""
    first = {"data_format": "channels_first"}
    inputs = keras.Input((3, 32, 24))
    x = kl.Conv2D(4, 3, padding="same", activation="relu", name="one", **first)(inputs)
    x = kl.MaxPooling2D(2, **first)(kl.BatchNormalization(axis=1)(x))
    x = kl.Conv2D(6, 3, strides=2, name="two", **first)(x)
    x = kl.ReLU(name="two_relu")(kl.BatchNormalization(axis=1)(x))
    return keras.Model(inputs, kl.Dense(CLASSES)(kl.Flatten(**first)(x)), name="channels_first")


def attentive() -> Any:
    """A convolution and a dense layer that training normalised, and attention between places."""
    inputs = keras.Input((32, 32, 3))
    x = kl.SpectralNormalization(kl.Conv2D(4, 3, strides=4, activation="relu", name="inner"), name="stem")(inputs)
    x = kl.Reshape((64, 4))(x)
    x = kl.Add()([x, kl.MultiHeadAttention(2, 3, dropout=0.1, name="attention")(x, x)])
    x = kl.SpectralNormalization(kl.Dense(6), name="mixed")(kl.LayerNormalization()(x))
    return keras.Model(inputs, kl.Dense(CLASSES)(kl.GlobalAveragePooling1D()(x)), name="attentive")


def _same(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, name) for name in names)


NETS = {
    "basic": Net(basic, _same("conv2d_1", "conv2d_2", "conv2d_3", "conv2d_4")),
    "trojan1": Net(trojan1, (("conv2d_1", "relu_1"), ("conv2d_2", "relu_2"), ("conv2d_3", "relu_3"))),
    "lenet": Net(lenet, _same("c1", "c3", "c5")),
    "residual": Net(
        residual,
        (
            ("stem", "stem_out"), ("b1_conv1", "b1_mid"), ("b1_conv2", "b1_out"),
            ("b2_conv1", "b2_mid"), ("b2_skip", "b2_out"), ("b2_conv2", "b2_out"),
        ),
    ),
    "mobilenet": Net(
        mobilenet,
        (
            ("stem", "stem_relu"), ("b1_expand", "b1_expand_relu"), ("b1_depthwise", "b1_depthwise_relu"),
            ("b1_project", "b1_add"), ("b2_expand", "b2_expand_relu"), ("b2_depthwise", "b2_depthwise_relu"),
            ("b2_project", "b2_project_norm"),
        ),
    ),
    "densenet": Net(
        densenet, _same("stem", "d1_bottleneck", "d1_conv", "d2_bottleneck", "d2_conv", "transition")
    ),
    "squeeze_excite": Net(
        squeeze_excite,
        (("stem", "stem_swish"), *_same("squeeze", "excite"), ("separable.depthwise", ""), ("separable", "separable")),
    ),
    "nested": Net(
        nested, (("backbone.conv", ""), ("shared", ""), ("shared#2", ""), ("skip", ""))
    ),
    "attentive": Net(attentive, (("stem", "stem"), ("branch", ""), ("sum", ""))),
    "channels_first": Net(channels_first, (("one", "one"), ("two", "two_relu"))),
}  # fmt: skip


def built(name: str, seed: int = 0) -> Any:
    """A registered model with random weights and running statistics."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = NETS[name].build()
    draw = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.path.endswith(("moving_mean", "beta", "bias")):
            variable.assign(draw.normal(0, 0.3, variable.shape))
        elif variable.path.endswith(("moving_variance", "gamma")):
            variable.assign(draw.uniform(0.5, 1.5, variable.shape))
    return model
