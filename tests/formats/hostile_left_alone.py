"""Files that are opened, and in which something hostile lies where no reader looks: none of it may run."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import safetensors.torch
from onnx import ModelProto
from tests.formats import hostile_keras, hostile_onnx
from tests.formats.hostile_pytorch import (
    code,
    members,
    payload,
    plain_program,
    plain_zip,
    small,
    torch_saved,
    written,
    zipped,
)
from tests.formats.hostile_safetensors import card, carded, safetensor

Generator = Callable[[Path, Path], Path]
ESCAPES = "\x1b]0;owned\x07\x1b[31m[bold]red[/]\u202e"


def in_quotes(canary: Path) -> str:
    """Ends a string in code, does something, and begins another: harmless only where nobody writes names into code."""
    path = str(canary).encode().hex()
    return f"""__class__"), getattr(open(getattr(bytes, 'fromhex')('{path}'), 'w'), 'close')(), (\""""


def beside(content: Callable[[], bytes], name: str, evil: Callable[[Path], bytes]) -> Callable[[Path], bytes]:
    """An archive with one more member."""

    def make(canary: Path) -> bytes:
        parts = members(content())
        root = next(iter(parts)).partition("/")[0]
        return zipped({**parts, f"{root}/{name}": evil(canary)})  # type: ignore[dict-item]

    return make


def samples(canary: Path) -> bytes:
    """An exported program whose sample inputs are code."""
    parts = members(plain_program())
    sample = next(name for name in parts if "sample_inputs" in name)
    return zipped({**parts, sample: torch_saved(code(canary))})  # type: ignore[dict-item]


def in_archives(canary: Path) -> bytes:
    inner = torch_saved(code(canary))
    for _ in range(5):
        inner = zipped({"a/inner.zip": inner})
    return inner


def onnx(change: Callable[[ModelProto, Path], None]) -> Generator:
    def write(folder: Path, canary: Path) -> Path:
        model = hostile_onnx.network()
        change(model, canary)
        return hostile_onnx.written(folder, model)

    return write


def code_in_names(model: ModelProto, canary: Path) -> None:
    evil = in_quotes(canary)
    model.graph.node[0].name = evil
    model.graph.node[0].input[1] = model.graph.initializer[0].name = f"{evil}.weight"


def code_as_classes(model: ModelProto, canary: Path) -> None:
    model.metadata_props.add(key="names", value=payload(canary))


def nested_classes(model: ModelProto, _: Path) -> None:
    model.metadata_props.add(key="names", value="[" * 60_000)


def escapes(model: ModelProto, _: Path) -> None:
    model.producer_name = model.graph.node[0].name = model.graph.doc_string = ESCAPES
    model.metadata_props.add(key="names", value=json.dumps([ESCAPES, "[/]"]))


def keras_name(name: Callable[[Path], str]) -> Generator:
    def write(folder: Path, canary: Path) -> Path:
        config = hostile_keras.small()
        config["config"]["layers"][1]["config"]["name"] = name(canary)
        return hostile_keras.zipped(folder / "m.keras", config)

    return write


def keras_training(folder: Path, canary: Path) -> Path:
    config = hostile_keras.small()
    config["compile_config"] = {"optimizer": hostile_keras.marshalled(canary), "loss": payload(canary)}
    return hostile_keras.zipped(folder / "m.keras", config)


def pickled_attribute(folder: Path, canary: Path) -> Path:
    def change(file: h5py.File) -> None:
        file.attrs["training_config"] = payload(canary)
        file.attrs["optimizer"] = np.void(pickle.dumps(code(canary)))

    return hostile_keras.old(folder / "m.h5", change=change)


def remarks(canary: Path) -> bytes:
    content: bytes = safetensors.torch.save(small().state_dict(), {"format": "pt", "code": payload(canary)})
    return content


PYTORCH: dict[str, Generator] = {
    "a pickle with code beside the weights": written(
        "m.pt", beside(plain_zip, "evil.pkl", lambda c: pickle.dumps(code(c)))
    ),
    "archives in archives beside the weights": written("m.pt", beside(plain_zip, "evil.zip", in_archives)),
    "code in remarks of a safetensors file": written("m.safetensors", remarks),
}
OTHERS: dict[str, Generator] = {
    "terminal escapes in class names": safetensor(carded(card(class_names=[ESCAPES, "[/]"]))),
    "code in the sample inputs of a .pt2": written("m.pt2", samples),
    "a name that is code in ONNX": onnx(code_in_names),
    "class names that are code in ONNX": onnx(code_as_classes),
    "class names nested deeply in ONNX": onnx(nested_classes),
    "terminal escapes in ONNX": onnx(escapes),
    "a name that is code in Keras": keras_name(in_quotes),
    "how it was trained is code in Keras": keras_training,
    "a pickle in an attribute of an HDF5 file": pickled_attribute,
}  # fmt: skip
