"""Hostile Keras files: the sentences say what is wrong; damage, and odd configurations, are read or refused."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.formats.hostile_cases import Outcome
from tests.formats.hostile_keras import HOSTILE, harmless, old, small, zipped

from trojancam.errors import ModelError
from trojancam.formats.inspection import inspection
from trojancam.formats.keras.configuration import Rebuilding, rebuilt
from trojancam.formats.keras.plain_values import RefusedError
from trojancam.formats.keras.reader import read_keras

# What a sentence must say, where it matters that it names the reason and not another one.
SAYS = {
    "lambda keras": "a layer of the class 'Lambda'",
    "lambda h5": "a layer of the class 'Lambda'",
    "command as a layer": "'system' from 'os'",
    "command as the model": "'Popen'",
    "command as an initializer": "'exec' from 'builtins'",
    "arguments that are a function": "which no layer has",
    "arguments that are a class": "which no layer has",
    "code as an activation": "the activation '__lambda__'",
    "safety switched off": "'enable_unsafe_deserialization'",
    "words from a file": "a layer of the class 'StringLookup'",
    "layer of its own": "'Conv2D' from 'package.layers', which runs its author's own code",
    "bomb of weights": "zip bomb",
    "path out of the archive": "leads out of the archive",
    "two configurations": "two members called 'config.json'",
    "flipped archive": "Bad CRC-32",
    "calls without number": "runs its layers 20000000 times",
    "huge layer": "declares more weights than it holds",
    "huge layer in itself": "declares more weights than it holds",
    "huge shape": "declares 1000000000000 numbers",
    "huge values": "gives too much",
    "weights without network": "save the whole model with model.save()",
    "external link": "leads elsewhere",
    "numbers in another file": "in other files",
    "not a number": "not finite",
    "endless hdf5": "makes the HDF5 library fail",
}


@pytest.mark.parametrize("name", SAYS)
def test_the_sentence_names_the_reason(name: str, hostile: dict[str, Outcome]) -> None:
    assert SAYS[name] in hostile[f"Keras: {name}"].said


@pytest.mark.parametrize("name", HOSTILE)
def test_each_sentence_says_what_to_do(name: str, hostile: dict[str, Outcome]) -> None:
    assert "; " in hostile[f"Keras: {name}"].said


def test_what_is_not_hostile_is_read(tmp_path: Path) -> None:
    modern, legacy = (read_keras(path) for path in harmless(tmp_path))
    images = torch.rand(3, 3, 8, 8)
    kernel = torch.as_tensor(modern.module.state_dict()["conv.kernel"])
    assert kernel.shape == (3, 3, 3, 2)
    torch.testing.assert_close(modern.module(images), legacy.module(images), rtol=0, atol=0)
    assert legacy.notes == ("saved by Keras 2.11.0",)
    assert (legacy.size, legacy.channels) == ((8, 8), 3)


def test_a_file_that_keras_2_wrote_computes_what_its_weights_say(tmp_path: Path) -> None:
    state = read_keras(harmless(tmp_path)[1]).module.state_dict()
    images = torch.rand(3, 3, 8, 8)
    maps = torch.conv2d(images, state["conv.kernel"].permute(3, 2, 0, 1), state["conv.bias"]).relu()
    expected = maps.permute(0, 2, 3, 1).flatten(1) @ state["dense.kernel"] + state["dense.bias"]
    module = read_keras(tmp_path / "harmless.h5").module
    torch.testing.assert_close(module(images).detach(), expected, rtol=0, atol=1e-5)


def functional(**conv: Any) -> dict[str, Any]:
    """A network of two branches as Keras 2 describes it."""

    def entry(kind: str, name: str, *sources: str, **config: Any) -> dict[str, Any]:
        nodes = [[[source, 0, 0, {}] for source in sources]] if sources else []
        return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}

    layers = [
        entry("InputLayer", "in/put", batch_input_shape=[None, 8, 8, 3], dtype="float32", sparse=False, ragged=False),
        entry("Conv2D", "conv", "in/put", filters=2, kernel_size=[3, 3], data_format="channels_last", **conv),
        entry("ReLU", "left.relu", "conv", max_value=6.0),
        entry("Activation", "right", "conv", activation="tanh", dtype="float32"),
        entry("Add", "add", "left.relu", "right"),
        entry("Flatten", "flatten", "add", data_format="channels_last"),
        entry("Dense", "dense", "flatten", units=4),
    ]  # fmt: skip
    ends = {"input_layers": [["in/put", 0, 0]], "output_layers": [["dense", 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "model", "layers": layers, **ends}}


def test_a_graph_that_keras_2_wrote_is_rebuilt(tmp_path: Path) -> None:
    policy = {"class_name": "Policy", "config": {"name": "float32"}}
    path = old(tmp_path / "two.h5", functional(dtype=policy, groups=1, kernel_initializer={"class_name": "Zeros"}))
    module = read_keras(path).module
    state, images = module.state_dict(), torch.rand(3, 3, 8, 8)
    maps = torch.conv2d(images, state["conv.kernel"].permute(3, 2, 0, 1), state["conv.bias"])
    maps = torch.nn.functional.relu6(maps) + maps.tanh()
    expected = maps.permute(0, 2, 3, 1).flatten(1) @ state["dense.kernel"] + state["dense.bias"]
    torch.testing.assert_close(module(images).detach(), expected, rtol=0, atol=1e-5)


KEYS = ["class_name", "module", "config", "name", "layers", "inbound_nodes", "args", "kwargs"]
TEXTS = ["Lambda", "Dense", "images", "keras.layers", "__lambda__", "function", "os"]
SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(TEXTS)
JSON = st.recursive(
    SIMPLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, found: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values within a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found, *(place for key, each in items for place in places(each, (*found, key)))]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(st.sampled_from([small, functional]), st.data())
def test_a_configuration_is_rebuilt_or_refused_whatever_stands_in_it(make: Any, data: st.DataObject) -> None:
    config = make()
    *way, last = data.draw(st.sampled_from([place for place in places(config) if place]))
    owner = config
    for key in way:
        owner = owner[key]
    owner[last] = data.draw(JSON)
    try:
        made = rebuilt(config, Rebuilding(len))
    except RefusedError:
        return
    assert {entry["module"] for entry in entries(made)} <= {"keras", "keras.layers", "keras.src.models.functional"}
    assert not {entry["class_name"] for entry in entries(made)} & {"Lambda", "__lambda__", "function"}


def entries(value: Any) -> list[dict[str, Any]]:
    """Everything in a rebuilt configuration that Keras would look up."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict) and "module" in value else []
    return own + [entry for each in items for entry in entries(each)]


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bits_are_read_or_refused(seed: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(seed)
    path = (zipped if seed % 2 else old)(tmp_path / ("m.keras" if seed % 2 else "m.h5"))
    content = bytearray(path.read_bytes())
    for place in draw.integers(0, len(content), 1 + seed % 4):
        content[place] ^= 1 << int(draw.integers(8))
    path.write_bytes(content)
    try:
        module = read_keras(path).module
    except ModelError:
        return
    assert all(bool(value.isfinite().all()) for value in module.state_dict().values())


def test_attributes_that_are_no_text_are_no_fault(tmp_path: Path) -> None:
    """Their names and their values: Keras needs none of them, and none stands in the way."""

    def change(file: h5py.File) -> None:
        file.attrs.create(b"caf\xe9", b"\xff\xfe")
        file["model_weights"].attrs.create("backend", b"\xe9")
        file["model_weights"].attrs.create("names", [b"\xe9", b"b"])

    assert read_keras(old(tmp_path / "m.h5", change=change)).size == (8, 8)
    assert inspection(tmp_path / "m.h5").origin["with the backend"] == "\\xe9"
