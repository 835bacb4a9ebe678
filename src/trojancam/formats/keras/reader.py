"""Keras model files, `.keras` and `.h5`: Keras builds what was checked and rebuilt before, on the backend of PyTorch."""

import importlib
import importlib.util
import math
import os
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from trojancam.errors import ModelError, Remedy
from trojancam.formats.keras.arrays import rewrite
from trojancam.formats.keras.configuration import Rebuilding
from trojancam.formats.keras.contents import Contents, contents
from trojancam.formats.keras.module import KerasModule
from trojancam.formats.keras.own_classes import Room, own_classes
from trojancam.formats.keras.plain_values import RefusedError
from trojancam.formats.model_file import check_there
from trojancam.formats.opened import OpenedModel
from trojancam.network.outputs import UNKNOWN, Output, choice_in_words, chosen_output

LARGEST_VALUE = 1 << 27  # numbers that a layer may give for one image: half a gigabyte


def read_keras(path: Path, output: Output = None) -> OpenedModel:
    """The classifier in a Keras file; of several outputs the one that `output` names or numbers, else the first with classes.

    Raises:
        ModelError: if Keras is missing or runs on another backend, or the file is damaged, holds code or layers of its
            author's own, weights without a network, or weights that do not fit it or are not finite.
        UnknownNameError: if the model has no output of that name.
    """
    check_there(path)
    for needed in ("keras", "h5py"):
        if importlib.util.find_spec(needed) is None:
            raise ModelError(f"reading {path} needs the extra 'keras'", Remedy.INSTALL, detail="'trojancam[keras]'")
    room = Room()
    try:
        with TemporaryDirectory(prefix="trojancam-") as folder:
            found = contents(path, Path(folder), Rebuilding(room))
            room.left = found.weights.numbers
            clean = Path(folder) / found.weights_name
            rewrite(found.file, found.weights, clean)
            model = _built(_keras(), found, room, clean)
        return _opened(path, model, found, output)
    except RefusedError as refusal:
        raise ModelError(f"{path} {refusal}") from None
    except RecursionError:
        raise ModelError(f"{path} has a configuration that is nested too deeply; do not use it") from None


def _keras() -> Any:
    """Keras on the backend of PyTorch: which one it uses is decided once, when it is imported."""
    before = os.environ.get("KERAS_BACKEND")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "torch"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            keras: Any = importlib.import_module("keras")
    finally:
        if before is None:
            os.environ.pop("KERAS_BACKEND", None)
        else:
            os.environ["KERAS_BACKEND"] = before
    if keras.backend.backend() != "torch":
        raise ModelError(
            f"Keras runs on {keras.backend.backend()} in this process; set KERAS_BACKEND=torch before it is imported"
        )
    return keras


def _built(keras: Any, found: Contents, room: Room, weights: Path) -> Any:
    """The model that Keras builds of the rebuilt configuration, with its weights."""
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter("ignore")
            model = keras.saving.deserialize_keras_object(found.config, own_classes(keras, room), safe_mode=True)
            _check_sizes(keras, model)
            model.load_weights(weights)
    except RefusedError:
        raise
    except Exception as error:  # what Keras makes of a configuration that contradicts itself can be anything
        if room.exceeded:
            raise RefusedError("declares more weights than it holds; get it again from its source") from None
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise RefusedError(
            f"holds a network that Keras cannot rebuild ({reason[:160]}); save it again with Keras 3"
        ) from None
    for variable in model.weights:
        if not bool(variable.value.isfinite().all()):
            raise RefusedError(f"lacks the weights {variable.path!r}; get it again from its source")
    return model


def _check_sizes(keras: Any, model: Any) -> None:
    """Refuse layers that would give more for one image than memory holds."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            _check_sizes(keras, layer)
            continue
        for tensor in keras.tree.flatten(layer.output):
            if math.prod(side for side in tensor.shape[1:] if side is not None) > LARGEST_VALUE:
                raise RefusedError(f"has a layer {layer.name!r} that gives too much ({tensor.shape}); do not use it")
        if isinstance(layer, keras.layers.MultiHeadAttention):
            _check_scores(keras, layer)


def _check_scores(keras: Any, layer: Any) -> None:
    """Refuse attention that would hold more scores than memory does: one for each head and pair of places."""
    taken = keras.tree.flatten(layer.input)
    places = [math.prod(side or 1 for side in tensor.shape[1:-1]) for tensor in (taken[0], taken[-1])]
    if layer.num_heads * places[0] * places[1] > LARGEST_VALUE:
        raise RefusedError(
            f"has a layer {layer.name!r} that compares {places[0]} places with each other; do not use it"
        )


def _opened(path: Path, model: Any, found: Contents, output: Output) -> OpenedModel:
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        raise RefusedError("takes something else than one batch of images; give a classifier of images")
    formats = found.gathered.formats
    channels_last = not formats or formats[0] == "channels_last"
    shape = model.inputs[0].shape
    height, width, channels = shape[1:] if channels_last else (*shape[2:], shape[1])
    chosen = _output(model, output)
    module = KerasModule(model, channels_last, chosen).eval()
    return OpenedModel(
        module=module,
        format=found.format,
        name=path.stem,
        size=None if height is None or width is None else (height, width),
        channels=3 if channels is None else channels,
        notes=_notes(model, found, chosen),
    )


def _output(model: Any, output: Output) -> int:
    """Which of the outputs gives the classes."""
    widths = [(tensor.shape[1] or UNKNOWN) if len(tensor.shape) == 2 else None for tensor in model.outputs]
    place = chosen_output(_output_names(model), widths, output)
    if widths[place] is None:
        raise RefusedError(
            "has no number for each class in that output; give a classifier of images, or another output"
        )
    return place


def _output_names(model: Any) -> list[str]:
    return list(getattr(model, "output_names", ())) or [model.layers[-1].name]  # a Sequential has one, without a name


def _notes(model: Any, found: Contents, chosen: int) -> tuple[str, ...]:
    gathered = found.gathered
    notes = [f"saved by Keras {found.version}"] if found.version else []
    notes += choice_in_words(_output_names(model), chosen)
    if gathered.preprocessing:
        layers = ", ".join(sorted(set(gathered.preprocessing)))
        notes.append(f"it preprocesses images itself ({layers}): it wants them as its author fed them, often 0 to 255")
    if gathered.idle:
        notes.append(f"layers that act in training only are left out: {', '.join(sorted(set(gathered.idle)))}")
    if gathered.types:
        notes.append(f"made to compute in {', '.join(sorted(gathered.types))}; here it computes in float32")
    return tuple(notes)
