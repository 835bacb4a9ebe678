"""One valid file of each kind, and more where a reader has several ways through: what fuzzing begins with."""

import gzip
import io
import json
import tempfile
import warnings
from argparse import Namespace
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image
from tests.formats import hostile_keras, hostile_onnx, hostile_safetensors
from tests.formats.hostile_pytorch import SIZE, legacy, plain_program, plain_zip, small, torch_saved, weights

SMALL = "tests.formats.hostile_pytorch:small"
LABELS = np.arange(20) % 4


@dataclass(frozen=True)
class Seed:
    """A valid file, and how a user opens it.

    `command` is what `trojancam` is given, `PATH` for the file; without one it is a data set, which lies in the file's folder.
    """

    file: str
    content: bytes
    command: tuple[str, ...] = ()
    beside: dict[str, bytes] = field(default_factory=dict)

    def write(self, folder: Path, content: bytes) -> Path:
        """Write the file, with this content, and what lies beside it."""
        for name, other in {**self.beside, self.file: content}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(other)
        return folder / self.file


INSPECT = ("inspect", "PATH")
WITH_SMALL = (*INSPECT, "--architecture", SMALL, "--size", "8")


def seeds() -> dict[str, Seed]:
    """All of them by name."""
    return dict(_models()) | dict(_data_sets())


def keep(corpus: dict[str, Seed], path: Path) -> None:
    """Write them to a file, so that a fault can be made again with the very files that it was made of."""
    written = {name: asdict(seed) for name, seed in corpus.items()}
    path.write_text(json.dumps(written, default=lambda content: b64encode(content).decode()), encoding="utf-8")


def kept(path: Path) -> dict[str, Seed]:
    """Those that `keep` wrote."""
    corpus = {}
    for name, said in json.loads(path.read_text(encoding="utf-8")).items():
        beside = {file: b64decode(content) for file, content in said["beside"].items()}
        corpus[name] = Seed(said["file"], b64decode(said["content"]), tuple(said["command"]), beside)
    return corpus


def _models() -> Iterator[tuple[str, Seed]]:
    yield "weights", Seed("m.pt", plain_zip(), WITH_SMALL)
    yield "weights before 2020", Seed("m.pth", legacy(), WITH_SMALL)
    yield "a checkpoint", Seed("m.pt", torch_saved(_checkpoint()), WITH_SMALL)
    yield "weights without an architecture", Seed("m.pt", plain_zip(), INSPECT)
    yield "safetensors", Seed("m.safetensors", hostile_safetensors.plain(), WITH_SMALL)
    yield "safetensors with a card", Seed("m.safetensors", hostile_safetensors.carded(_card())(Path()), INSPECT)
    yield "an exported program", Seed("m.pt2", plain_program(), INSPECT)
    yield "an exported program for two images", Seed("m.pt2", plain_program(2), INSPECT)
    yield "ONNX", Seed("m.onnx", hostile_onnx.network().SerializeToString(), INSPECT)
    for name, dynamo in (("exported", True), ("scripted", False)):
        yield f"ONNX, {name}", Seed("m.onnx", _onnx(dynamo), INSPECT)
    model, data = _with_data()
    yield "ONNX with a data file", Seed("m.onnx", model, INSPECT, {"m.data": data})
    yield "a data file of ONNX", Seed("m.data", data, ("inspect", "FOLDER/m.onnx"), {"m.onnx": model})
    with tempfile.TemporaryDirectory() as folder:
        for path in hostile_keras.harmless(Path(folder)):
            yield f"Keras, {path.suffix}", Seed(f"m{path.suffix}", path.read_bytes(), INSPECT)
        for name in ("nested", "attentive", "squeeze_excite"):
            for suffix in (".keras", ".h5"):
                yield f"Keras, {name}, {suffix}", Seed(f"m{suffix}", _keras(name, Path(folder, f"m{suffix}")), INSPECT)
    fed = json.dumps({"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "channels": "rgb", "crop": 0.875}).encode()
    yield (
        "how a network is fed",
        Seed(
            "fed.json",
            fed,
            ("inspect", "FOLDER/m.pt", *WITH_SMALL[2:], "--preprocessing", "PATH"),
            {"m.pt": plain_zip()},
        ),
    )
    yield "TensorFlow Lite", Seed("m.tflite", b"\x1c\0\0\0TFL3" + bytes(range(64)), INSPECT)


def _checkpoint() -> dict[str, object]:
    optimizer = torch.optim.SGD(small().parameters(), 0.1, momentum=0.9)
    told = Namespace(lr=0.1, classes=2, folder=Path("runs"))
    return {
        "state_dict": weights(),
        "epoch": 3,
        "best": np.float64(0.5),
        "args": told,
        "optimizer": optimizer.state_dict(),
    }


def _card() -> str:
    return hostile_safetensors.card(made_by="a person", input={"size": [32, 32], "mean": [0.5] * 3, "std": [0.2] * 3})


def _onnx(dynamo: bool) -> bytes:
    """A network of many operations, by either of PyTorch's exporters."""
    from tests.formats.onnx_graphs import exported
    from tests.formats.onnx_networks import Shuffled

    with tempfile.TemporaryDirectory() as folder:
        path = exported(Path(folder, "m.onnx"), Shuffled(), (16, 16), dynamo=dynamo, opset=18)
        model = onnx.load(path)  # with its data file
    return bytes(model.SerializeToString())


def _with_data() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.onnx")
        onnx.save(hostile_onnx.network(), path, save_as_external_data=True, location="m.data", size_threshold=0)
        return path.read_bytes(), Path(folder, "m.data").read_bytes()


def _keras(name: str, path: Path) -> bytes:
    from tests.formats.keras_nets import built

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built(name).save(path)
    return path.read_bytes()


def _data_sets() -> Iterator[tuple[str, Seed]]:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    yield "an .npz", Seed("x.npz", _stored(np.savez, images=images, labels=LABELS))
    yield (
        "an .npy",
        Seed(
            "train_images.npy",
            _stored(np.save, images),
            beside={"train_labels.npy": _stored(np.save, LABELS), "test_images.npy": _stored(np.save, images)}
            | {"test_labels.npy": _stored(np.save, LABELS)},
        ),
    )
    head = {"images": b"\0\0\x08\x03" + np.array((20, 8, 8), ">u4").tobytes(), "labels": b"\0\0\x08\x01\0\0\0\x14"}
    labels = head["labels"] + LABELS.astype(np.uint8).tobytes()
    grey = head["images"] + images[..., 0].tobytes()
    idx = {f"{part}-{kind}": content for part in ("train", "t10k") for kind, content in
           (("images-idx3-ubyte", grey), ("labels-idx1-ubyte", labels))}  # fmt: skip
    yield "MNIST's images", Seed("train-images-idx3-ubyte", grey, beside=idx)
    packed = {f"{name}.gz": gzip.compress(content) for name, content in idx.items()}
    yield (
        "MNIST's images, packed",
        Seed("train-images-idx3-ubyte.gz", packed["train-images-idx3-ubyte.gz"], beside=packed),
    )
    rows = b"".join(bytes([label]) + bytes(3072) for label in range(4))
    yield "CIFAR's batches", Seed("data_batch_1.bin", rows, beside={"test_batch.bin": rows, "data_batch_2.bin": rows})
    pictures = {f"{label}/{number}.png": _picture("PNG") for label in "ab" for number in range(3)}
    table = "path,label\n" + "".join(f"{name},{name[0]}\n" for name in pictures)
    yield "a table", Seed("x.csv", table.encode(), beside=pictures)
    for form, suffix in (
        ("PNG", "png"),
        ("JPEG", "jpg"),
        ("PPM", "ppm"),
        ("GIF", "gif"),
        ("BMP", "bmp"),
        ("TIFF", "tif"),
    ):
        yield f"an image, .{suffix}", Seed(f"a/x.{suffix}", _picture(form), beside=pictures)


def _stored(write: Callable[..., None], *arrays: object, **named: object) -> bytes:
    buffer = io.BytesIO()
    write(buffer, *arrays, **named)
    return buffer.getvalue()


def _picture(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(SIZE).convert("RGB").save(buffer, form)
    return buffer.getvalue()
