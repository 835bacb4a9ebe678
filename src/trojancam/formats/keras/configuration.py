"""Keras configurations: what a file says its layers are, rebuilt from a list of what layers may be.

Keras builds whatever its configurations name: that is how files run code. So Keras never sees a file's configuration,
only one that is written here, in which every class is on the list, every value is plain, and nothing is left over.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trojancam.formats.keras.allowed import (
    ACTIVATION_LAYERS,
    ACTIVATIONS,
    ALIASES,
    IDLE,
    LAYERS,
    MODELS,
    NEUTRAL,
    NOT_NEEDED,
    NUMBER_TYPES,
    OPERATIONS,
    OWN_CLASSES,
    PREPROCESSING,
    WRAPPERS,
)
from trojancam.formats.keras.calls import MOST_CALLS, call_of_layer, references
from trojancam.formats.keras.plain_values import (
    OWN_CODE,
    Config,
    RefusedError,
    check_key,
    is_integer,
    mapping,
    plain,
    plain_name,
    sequence,
    shown,
)

MOST_LAYERS, DEEPEST = 2_000, 8
LARGEST_SIDE = 8192
_OF_TENSORFLOW = {"SlicingOpLambda", "TFOpLambda", "TensorFlowOpLayer"}


@dataclass
class Rebuilding:
    """What is gathered on the way: `weights` is how Keras is to make room for weights."""

    weights: Callable[..., Any]
    layers: int = 0
    formats: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    preprocessing: list[str] = field(default_factory=list)
    types: set[str] = field(default_factory=set)


def rebuilt(config: object, gathered: Rebuilding) -> Config:
    """The configuration of a whole model, with nothing in it that is not known to be harmless.

    Raises:
        RefusedError: if there is anything else in it.
    """
    entry = mapping(config, "its configuration")
    name = str(entry.get("class_name"))
    if ALIASES.get(name, name) not in MODELS:
        raise RefusedError(f"is of the class {name[:60]!r}, not Sequential or Functional; {OWN_CODE}")
    model, calls = _layer(entry, gathered, depth=0)
    if calls > MOST_CALLS:
        raise RefusedError(f"runs its layers {calls} times, more than any classifier does; do not use it")
    return model


def _layer(entry: object, gathered: Rebuilding, depth: int) -> tuple[Config, int]:
    """The configuration of one layer or model within a model, and how often layers run when it is run once."""
    layer = mapping(entry, "a layer")
    gathered.layers += 1
    if gathered.layers > MOST_LAYERS or depth > DEEPEST:
        raise RefusedError("has more layers, or models in models, than any classifier; do not use it")
    name, module = _class_name(layer)
    if module == "keras.layers":
        config, calls = mapping(layer.get("config"), f"the layer {shown(layer.get('name'))}"), 1
        name, config = (
            _wrapper(name, config, gathered, depth) if name in WRAPPERS else _plain_layer(name, config, gathered)
        )
    elif name in MODELS:
        config, calls = _model(name, layer, gathered, depth)
    else:
        config, calls = _arguments(name, mapping(layer.get("config"), "an operation"), gathered), 1
    canonical: Config = {
        "module": module,
        "class_name": name,
        "config": config,
        "registered_name": OWN_CLASSES.get(name),
    }
    if "inbound_nodes" in layer:
        nodes = [call_of_layer(node) for node in sequence(layer["inbound_nodes"])]
        canonical |= {"name": plain_name(layer.get("name", config.get("name"))), "inbound_nodes": nodes}
        calls *= max(1, len(nodes))
    return canonical, calls


def _class_name(layer: Mapping[str, Any]) -> tuple[str, str]:
    """The class of a layer and the module to take it from; the one in the file must be within Keras, but is not used."""
    name, module = _class_or_function(layer)
    if module in OPERATIONS and name in OPERATIONS[module]:
        return name, module
    name = ALIASES.get(name, name)
    if name in MODELS:
        return name, MODELS[name]
    if name in _OF_TENSORFLOW:
        raise RefusedError(
            f"holds a {name}, a step written in TensorFlow, which Keras 3 cannot run; replace it by a layer of Keras or "
            "an operation of keras.ops and save it again, or export the model to ONNX with tf2onnx"
        )
    known = name in LAYERS or name in IDLE or name in WRAPPERS
    if not known and any(name in operations for operations in OPERATIONS.values()):
        raise RefusedError(
            f"holds the operation {shown(name)} in a format that has layers only; save it with Keras 3 as .keras"
        )
    if not known:
        raise RefusedError(f"holds a layer of the class {shown(name)}, which is not one that may be loaded; {OWN_CODE}")
    return name, "keras.layers"


def _class_or_function(entry: Mapping[str, Any]) -> tuple[str, str]:
    """What an entry says that Keras should look up, and where; only what is Keras' own passes."""
    name, module, registered = entry.get("class_name"), entry.get("module"), entry.get("registered_name")
    if name == "function":
        name = entry.get("config")
    if not isinstance(name, str) or (module is not None and not _is_kerasic(module)):
        raise RefusedError(f"holds {shown(name)} from {shown(module)}, which runs its author's own code; {OWN_CODE}")
    if registered not in (None, name) or name.startswith("__"):
        raise RefusedError(f"holds a {shown(name)} that is registered as {shown(registered)}; {OWN_CODE}")
    return name, str(module)


def _is_kerasic(module: object) -> bool:
    return isinstance(module, str) and re.fullmatch(r"(tf_)?keras(\.[a-z0-9_]+)*", module) is not None


def _plain_layer(name: str, config: Mapping[str, Any], gathered: Rebuilding) -> tuple[str, Config]:
    if name == "InputLayer":
        return name, _input(config)
    if name in IDLE:
        if IDLE[name]:
            gathered.idle.append(name)
        return "Identity", {"name": plain_name(config.get("name"))}
    if name in PREPROCESSING:
        gathered.preprocessing.append(name)
    room = {f"{weight}_initializer": gathered.weights for weight in LAYERS[name]}
    return name, {"dtype": "float32"} | _arguments(name, config, gathered) | room


def _wrapper(name: str, config: Mapping[str, Any], gathered: Rebuilding, depth: int) -> tuple[str, Config]:
    """A layer around another one, whose configuration lies within its own."""
    inner, _ = _layer(config.get("layer"), gathered, depth + 1)
    if (
        inner["module"] != "keras.layers"
        or inner["class_name"] in WRAPPERS
        or "kernel" not in LAYERS.get(inner["class_name"], ())
    ):
        raise RefusedError(
            f"has a {name} around a {inner['class_name']}, which has no kernel; save it again with Keras"
        )
    own = {key: value for key, value in config.items() if key != "layer"}
    return name, {"dtype": "float32", "layer": inner} | _arguments(name, own, gathered)


def _input(config: Mapping[str, Any]) -> Config:
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    if config.get("sparse") or config.get("ragged") or shape is None:
        raise RefusedError("takes something else than images; give a classifier of images")
    return {"name": plain_name(config.get("name")), "batch_shape": _shape(shape), "dtype": "float32"}


def _shape(value: object) -> list[int | None]:
    """A shape for any number of images."""
    sides = sequence(value)
    if not all(side is None or (is_integer(side) and 0 < side <= LARGEST_SIDE) for side in sides[1:]) or not sides:
        raise RefusedError(f"declares inputs of the shape {shown(value)}; give a classifier of images")
    return [None, *sides[1:]]


def _model(name: str, layer: Mapping[str, Any], gathered: Rebuilding, depth: int) -> tuple[Config, int]:
    config = layer.get("config")
    config = {"name": "sequential", "layers": config} if isinstance(config, list) else mapping(config, "a model")
    entries = _with_input(config, layer) if name == "Sequential" else sequence(config.get("layers"))
    _note_type(config, gathered)
    layers, calls = [], 0
    for entry in entries:
        canonical, more = _layer(entry, gathered, depth + 1)
        layers.append(canonical)
        calls += more
    rebuilt: Config = {"name": plain_name(config.get("name", name.lower())), "layers": layers}
    if name == "Functional":
        rebuilt |= {key: references(config.get(key)) for key in ("input_layers", "output_layers")}
    return rebuilt, calls


def _with_input(config: Mapping[str, Any], layer: Mapping[str, Any]) -> list[Any]:
    """The layers of a Sequential, an input before them: some files say elsewhere what it takes."""
    entries = sequence(config.get("layers"))
    first = mapping(entries[0], "a layer") if entries else {}
    if first.get("class_name") == "InputLayer":
        return entries
    within, build = (
        part if isinstance(part, dict) else {} for part in (first.get("config"), layer.get("build_config"))
    )
    places = (config.get("build_input_shape"), build.get("input_shape"), within.get("batch_input_shape"))
    shape = next((place for place in (*places, _input_of_first(within)) if place is not None), None)
    if shape is None:
        raise RefusedError("does not say what it takes; call the model on images, and save it again")
    given = {"name": f"input_of_{config.get('name', 'sequential')}", "batch_shape": shape}
    return [{"class_name": "InputLayer", "config": given}, *entries]


def _input_of_first(model: Mapping[str, Any]) -> Any:
    """What the model that a Sequential begins with takes."""
    layers = model.get("layers")
    first = layers[0] if isinstance(layers, list) and layers else None
    config = first.get("config") if isinstance(first, dict) else None
    return config.get("batch_shape", config.get("batch_input_shape")) if isinstance(config, dict) else None


def _arguments(name: str, config: Mapping[str, Any], gathered: Rebuilding) -> Config:
    """The arguments of a layer or operation: plain values and its activation, nothing that makes or trains weights."""
    _note_type(config, gathered)
    arguments: Config = {}
    for key, value in config.items():
        check_key(key)
        if key == "name":
            arguments[key] = plain_name(value)
        elif key == "activation":
            arguments[key] = _activation(value)
        elif key == "dropout":
            arguments[key] = 0.0
        elif key == "data_format":
            arguments[key] = "channels_first" if value == "channels_first" else "channels_last"
            gathered.formats.append(arguments[key])
        elif key == "axis" and isinstance(value, list) and len(value) == 1:
            arguments[key] = plain(value[0], name)
        elif key.endswith(NOT_NEEDED):
            _check_left_out(value)
        elif not _is_neutral(name, key, value):
            arguments[key] = plain(value, name)
    return arguments


def _check_left_out(value: object) -> None:
    """Refuse what would run code of its author's own if Keras were to see it, though it does not."""
    if isinstance(value, dict):
        _class_or_function(value)


def _is_neutral(name: str, key: str, value: object) -> bool:
    """Whether an argument, which some versions of Keras do not know, asks for what all others do."""
    known = next((each for each in (key, f"{name}.{key}") if each in NEUTRAL), None)
    if known is not None and value != NEUTRAL[known]:
        raise RefusedError(f"holds a layer {name} with {key}={shown(value)}, which is not read here; {OWN_CODE}")
    return known is not None


def _note_type(config: Mapping[str, Any], gathered: Rebuilding) -> None:
    """Types of numbers: all layers will compute in 32 bits, but some types mean that weights are something else."""
    policy = config.get("dtype")
    within = policy.get("config") if isinstance(policy, dict) else None
    name = within.get("name") if isinstance(within, dict) else policy
    if isinstance(policy, dict) and policy.get("class_name") not in ("DTypePolicy", "Policy"):
        name = policy.get("class_name")
    if name is not None and str(name) not in NUMBER_TYPES:
        raise RefusedError(f"computes in {shown(name)}; save it with floating-point weights")
    if name not in (None, "float32"):
        gathered.types.add(str(name))


def _activation(value: object) -> Any:
    """The name of an activation, or a layer that is one."""
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    if value is None or (isinstance(value, str) and value in ACTIVATIONS):
        return value
    name = value.get("class_name") if isinstance(value, dict) else value
    if not isinstance(value, dict) or str(name) not in ACTIVATION_LAYERS:
        raise RefusedError(f"holds the activation {shown(name)}, which is not one that may be loaded; {OWN_CODE}")
    config = mapping(value.get("config"), "an activation")
    kept = {check_key(key): each for key, each in config.items() if key not in ("dtype", "trainable")}
    arguments = {key: plain(each, str(name)) for key, each in kept.items()}
    return {"module": "keras.layers", "class_name": name, "config": arguments, "registered_name": None}
