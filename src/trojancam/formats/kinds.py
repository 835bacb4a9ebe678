"""Opening: the reader for a model file, by what its bytes say that it is; its name decides only where they say nothing."""

import shlex
import struct
from dataclasses import replace
from pathlib import Path

from trojancam.architectures import ARCHITECTURES
from trojancam.errors import ModelError, Remedy
from trojancam.formats.archives import archive
from trojancam.formats.exported_program.reader import read_exported_program
from trojancam.formats.keras.reader import read_keras
from trojancam.formats.model_file import opened_file, refuse_folder
from trojancam.formats.onnx.reader import read_onnx
from trojancam.formats.opened import OpenedModel
from trojancam.formats.safetensors import read_model
from trojancam.formats.weights.architecture import Architecture, read_with_architecture
from trojancam.formats.weights.reader import read_weights
from trojancam.network.outputs import Output

WEIGHTS = ("safetensors", "torch")  # formats that may hold weights without a network
KNOWN = "safetensors, PyTorch weights (.pt, .pth), exported programs (.pt2), ONNX, and Keras (.keras, .h5)"


def open_model(
    path: str | Path,
    architecture: Architecture | None = None,
    output: Output = None,
    size: tuple[int, int] | None = None,
    key: str | None = None,
) -> OpenedModel:
    """The module in a model file of any known format; nothing that the file says is run.

    `architecture` builds the network for a file of weights alone (see `read_with_architecture`), `output` chooses among
    several, `size` is the (height, width) of the images where the file leaves it open, `key` the dictionary of weights in a
    checkpoint of several.

    Raises:
        ModelError: if the file is missing, damaged, hostile or of no known format, or its format needs an architecture
            and none is given, or has its own and one is given.
        UnknownNameError: if there is no such architecture, output or key.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind in WEIGHTS and architecture is not None:
        return replace(read_with_architecture(path, architecture, key=key), output=output)
    if architecture is not None:
        raise ModelError(
            f"{path} holds a network of its own, so no architecture can be chosen for it", Remedy.NO_ARCHITECTURE
        )
    if kind == "torch":
        read_weights(path)  # what is damaged, hostile or no weights at all is refused for that
        raise ModelError(
            f"{path} holds weights without a network", Remedy.ARCHITECTURE, detail=", ".join(ARCHITECTURES)
        )
    if key is not None:
        raise ModelError(f"{path} holds one network, and no dictionaries of weights to choose from", Remedy.NO_KEY)
    if kind == "safetensors":
        return replace(_with_card(path), output=output)
    if kind == "onnx":
        return read_onnx(path, output, size)
    return read_keras(path, output) if kind == "keras" else read_exported_program(path, output)


def kind_of(path: Path) -> str:
    """Which kind of model file this is: `safetensors`, `torch`, `pt2`, `keras` or `onnx`.

    Raises:
        ModelError: if it is missing, or of no known kind.
    """
    with opened_file(path) as stream:
        start = stream.read(16)
    if start[4:8] == b"TFL3":
        raise ModelError(
            f"{path} is a TensorFlow Lite model, which is not read; convert it: python -m tf2onnx.convert --tflite "
            f"{shlex.quote(str(path))} --output {shlex.quote(path.stem)}.onnx"
        )
    if path.name == "saved_model.pb":
        refuse_folder(path.parent)
    if start.startswith(b"PK"):
        return _kind_of_archive(path)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if path.suffix == ".safetensors" or _starts_as_safetensors(start, path.stat().st_size):
        return "safetensors"
    if start[:1] == b"\x80" or path.suffix in (".pt", ".pth", ".bin", ".pkl"):
        return "torch"
    if path.suffix == ".onnx" or start[:1] == b"\x08":
        return "onnx"
    raise ModelError(f"{path} is no model file of a known kind; known: {KNOWN}")


def _kind_of_archive(path: Path) -> str:
    with archive(path) as opened:
        names = list(opened.members)
    last = {name.rpartition("/")[2] for name in names}
    if "config.json" in names or path.suffix == ".keras":
        return "keras"
    if "archive_format" in last or "serialized_exported_program.json" in last or path.suffix == ".pt2":
        return "pt2"
    if "data.pkl" in last or "constants.pkl" in last:
        return "torch"
    raise ModelError(f"{path} is an archive, but of no model of a known kind; known: {KNOWN}")


def _starts_as_safetensors(start: bytes, size: int) -> bool:
    return len(start) > 9 and start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] <= size


def _with_card(path: Path) -> OpenedModel:
    module, card = read_model(path)
    return OpenedModel(
        module,
        "safetensors",
        card.architecture,
        card.input.size,
        input=card.input,
        class_names=card.class_names,
        card=card,
    )
