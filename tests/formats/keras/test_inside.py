"""What authors write inside Keras models, beside layers: channels turned round, a mean that is subtracted, TensorFlow's steps."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trojancam.errors import ModelError
from trojancam.formats.keras.configuration import Rebuilding, rebuilt
from trojancam.formats.keras.plain_values import RefusedError
from trojancam.formats.keras.reader import read_keras
from trojancam.network.network import Network

os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers as kl

MEAN = np.array([103.9, 116.7, 123.6], np.float32)
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, when it saves


def saved(tmp_path: Path, before: Any, size: int = 12) -> tuple[Any, Path]:
    """A classifier of which `before` makes what its first convolution takes; Keras on PyTorch cannot run all of these."""
    inputs = keras.Input((size, size, 3))
    x = kl.Conv2D(4, 3, activation="relu", name="conv")(before(inputs))
    model = keras.Model(inputs, kl.Dense(5, name="dense")(kl.GlobalAveragePooling2D()(x)), name="inside")
    model.save(tmp_path / "inside.keras")
    return model, tmp_path / "inside.keras"


def after(model: Any, fed: Tensor) -> Tensor:
    """What the model makes of what its first convolution takes, by PyTorch."""
    conv, dense = model.get_layer("conv"), model.get_layer("dense")
    with torch.no_grad():
        maps = torch.conv2d(fed, conv.kernel.value.permute(3, 2, 0, 1), conv.bias.value).relu()
        return maps.mean((2, 3)) @ dense.kernel.value + dense.bias.value


def each(values: Any) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float32)[:, None, None]


WAYS: dict[str, tuple[Any, Any]] = {
    "turned, less a mean": (lambda x: x[..., ::-1] - MEAN, lambda x: x.flip(1) - each(MEAN)),
    "less whole numbers": (lambda x: x - np.array([104, 117, 124]), lambda x: x - each([104, 117, 124])),
    "over a tensor": (lambda x: x / keras.ops.convert_to_tensor(MEAN), lambda x: x / each(MEAN)),
    "flipped": (lambda x: keras.ops.flip(x, axis=-1), lambda x: x.flip(1)),
    "cut": (lambda x: x[:, 1:, :-2], lambda x: x[:, :, 1:, :-2]),
    "every second row, upwards": (lambda x: x[:, 10:1:-2], lambda x: x[:, :, [10, 8, 6, 4, 2]]),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_before_the_first_layer_is_computed(way: str, tmp_path: Path) -> None:
    before, by_hand = WAYS[way]
    model, path = saved(tmp_path, before)
    network = Network.from_module(read_keras(path).module, (12, 12))
    assert list(network.layers) == ["conv"]
    for count in (1, 3):
        images = torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(count))
        torch.testing.assert_close(network(images), after(model, by_hand(images)), rtol=1e-5, atol=1e-5)


def changed(path: Path, change: Any) -> Path:
    """The same file with another configuration."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    other = path.with_name("changed.keras")
    with zipfile.ZipFile(other, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else content)
    return other


def argument(config: Any, layer: str, place: int) -> Any:
    (found,) = [each for each in config["config"]["layers"] if each["class_name"] == layer]
    return found["inbound_nodes"][0]["args"][place]


@pytest.mark.parametrize(
    ("layer", "change", "says"),
    [
        ("GetItem", lambda key: key[1]["config"].update(step="os.system"), "takes a part of its images from"),
        ("GetItem", lambda key: key[1]["config"].update(stop=10**12), "takes a part of its images from"),
        ("Subtract", lambda mean: mean["config"].update(value=[[1.0], [2.0, 3.0]]), "are no whole array"),
        ("Subtract", lambda mean: mean["config"].update(value="x"), "are no whole array"),
        ("Subtract", lambda mean: mean["config"].update(value=[float(10**9)] * 3), "that is no plain one"),
        ("Subtract", lambda mean: mean["config"].update(dtype="object"), "holds numbers of the type 'object'"),
        ("Subtract", lambda mean: mean.update(class_name="__lambda__"), "hands its layers '__lambda__'"),
    ],
)
def test_what_is_no_plain_number_or_part_is_refused(layer: str, change: Any, says: str, tmp_path: Path) -> None:
    _, path = saved(tmp_path, WAYS["turned, less a mean"][0])
    with pytest.raises(ModelError, match=says):
        read_keras(changed(path, lambda config: change(argument(config, layer, 1))))


@pytest.mark.parametrize("name", ["TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"])
def test_steps_of_tensorflow_are_refused_with_what_to_do(name: str) -> None:
    layer = {"class_name": name, "config": {"name": "step", "function": "math.subtract"}, "inbound_nodes": []}
    config = {"class_name": "Functional", "config": {"layers": [layer], "input_layers": [], "output_layers": []}}
    with pytest.raises(RefusedError, match=r"which Keras 3 cannot run; replace it .* or export the model to ONNX"):
        rebuilt(config, Rebuilding(torch.zeros))


def test_attention_between_too_many_places_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((128, 128, 3))
    x = kl.Reshape((128 * 128, 3))(inputs)
    x = kl.MultiHeadAttention(1, 2)(x, x)
    model = keras.Model(inputs, kl.Dense(3)(kl.GlobalAveragePooling1D()(x)))
    model.save(tmp_path / "large.keras")
    with pytest.raises(ModelError, match="compares 16384 places with each other"):
        read_keras(tmp_path / "large.keras")


def test_a_wrapper_around_what_has_no_kernel_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    x = kl.SpectralNormalization(kl.Conv2D(2, 3), name="wrapped")(inputs)
    keras.Model(inputs, kl.Dense(3)(kl.Flatten()(x))).save(tmp_path / "wrapped.keras")

    def change(config: Any) -> None:
        (wrapped,) = [each for each in config["config"]["layers"] if each["name"] == "wrapped"]
        wrapped["config"]["layer"] = {
            "class_name": "Dropout",
            "module": "keras.layers",
            "config": {"name": "d", "rate": 0.5},
        }

    with pytest.raises(ModelError, match="a SpectralNormalization around a Identity, which has no kernel"):
        read_keras(changed(tmp_path / "wrapped.keras", change))
