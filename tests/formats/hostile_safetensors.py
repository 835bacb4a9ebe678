"""Hostile safetensors files: each function writes one whose header, tensors or model card lie, or ask for too much."""

import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from tests.formats.hostile_pytorch import flipped, small, written

from trojancam.architectures import architecture
from trojancam.formats.safetensors import CARD

Json = dict[str, Any]
Make = Callable[[Path], bytes]


def headed(header: Any, body: bytes = b"", length: int | None = None) -> Make:
    """A file with this header, of the length that it has or claims; a large one is made by a function when it is written."""

    def make(_: Path) -> bytes:
        said = header() if callable(header) else header
        text = said if isinstance(said, bytes) else json.dumps(said).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + body

    return make


def entry(kind: str, shape: list[int], *places: int) -> Json:
    return {"dtype": kind, "shape": shape, "data_offsets": list(places)}


@cache
def plain() -> bytes:
    """The weights of the small network."""
    content: bytes = safetensors.torch.save(small().state_dict())
    return content


def spoilt(value: float) -> Make:
    """The weights, one of which is no number."""
    return lambda _: safetensors.torch.save({**small().state_dict(), "3.bias": torch.tensor([0.0, value])})


def numbers_without_bytes(_: Path) -> bytes:
    """A last layer of a billion classes, each of which has no weights at all."""
    return safetensors.torch.save({"dense.weight": torch.empty(1_000_000_000, 0)})


# --- with a model card: the file itself names its architecture ---


def card(**changed: Any) -> str:
    said: Json = {"architecture": "basic", "class_names": ["stop", "yield"], "input": {"size": [32, 32]}, **changed}
    return json.dumps({"format_version": 1, **said})


@cache
def basic() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(architecture("basic").build(2).state_dict())


def carded(text: str | Callable[[], str], **changed: torch.Tensor) -> Make:
    """A whole file with this card; tensors are changed by their names, with `__` for a dot."""
    return lambda _: safetensors.torch.save(
        {**basic(), **{name.replace("__", "."): tensor for name, tensor in changed.items()}},
        {CARD: text() if callable(text) else text},
    )


def at(suffix: str, make: Make) -> Callable[[Path, Path], Path]:
    return written(f"m.{suffix}", make)


def safetensor(make: Make) -> Callable[[Path, Path], Path]:
    return at("safetensors", make)


CARDLESS = {
    "a header that is larger than any model's": {
        "a huge header": safetensor(headed(b"{}", length=1 << 60)),
        "a header of eighty megabytes": safetensor(headed(lambda: b"{" + b" " * (80 << 20) + b"}")),
        "a header longer than the file": safetensor(headed(b"{}", length=1_000_000)),
    },
    "a header that is not what a reader expects": {
        "a header nested deeply": safetensor(headed(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)),
        "fifty thousand empty tensors": safetensor(
            headed(lambda: {str(number): entry("F32", [0], 0, 0) for number in range(50_000)})
        ),
        "a header that is no text": safetensor(headed(b"{\xff\xfe\xfd}")),
        "a number of a million digits": safetensor(
            headed(b'{"a":{"dtype":"F32","shape":[' + b"9" * 1_000_000 + b'],"data_offsets":[0,8]}}', bytes(8))
        ),
        "no tensors": safetensor(headed({})),
        "a tensor of an unknown type": safetensor(headed({"a": entry("X99", [2], 0, 8)}, bytes(8))),
    },
    "tensors that are not where, or as large as, the header says": {
        "a tensor larger than the file": safetensor(headed({"a": entry("F32", [1 << 40], 0, 1 << 42)}, bytes(8))),
        "tensors that overlap": safetensor(
            headed({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12))
        ),
        "a tensor whose shape contradicts its bytes": safetensor(headed({"a": entry("F32", [3], 0, 8)}, bytes(8))),
        "a shape that overflows": safetensor(headed({"a": entry("F32", [1 << 62, 1 << 62], 0, 8)}, bytes(8))),
        "bytes that no tensor claims": safetensor(headed({"a": entry("F32", [2], 0, 8)}, bytes(80))),
    },
    "weights that are no numbers, or of a kind that no classifier has": {
        "weights that are not a number": safetensor(spoilt(float("nan"))),
        "weights that are infinite": safetensor(spoilt(float("inf"))),
        "complex weights": safetensor(headed({"a": entry("C64", [1], 0, 8)}, bytes(8))),
        "weights of four bits": safetensor(headed({"a": entry("F4", [2], 0, 1)}, bytes(1))),
    },
    "damage": {
        "a truncated file": safetensor(lambda _: plain()[:-100]),
        "a flipped bit in the header": safetensor(lambda _: flipped(plain(), 0.02)),
        "a flipped bit in the header's length": safetensor(lambda _: flipped(plain(), 0.001)),
    },
}
CLAIMING = {
    "weights without bytes for a billion classes": {"a billion classes": safetensor(numbers_without_bytes)},
}
CARDED = {
    "a model card that is damaged, or asks for more than there are weights for": {
        "a card of another architecture": safetensor(carded(card(architecture="vgg"))),
        "a card of an unknown architecture": safetensor(carded(card(architecture="os:system"))),
        "a card with half a million classes": safetensor(carded(lambda: card(class_names=["a"] * 500_000))),
        "a card with no class": safetensor(carded(card(class_names=[]))),
        "a card with images of a million pixels a side": safetensor(carded(card(input={"size": [10**6, 10**6]}))),
        "a card with images of 8192 pixels a side": safetensor(carded(card(input={"size": [8192, 8192]}))),
        "a card with scaling that is no number": safetensor(
            carded(card().replace('"size"', '"mean": [NaN, 0, 0], "size"'))
        ),
        "a card nested deeply": safetensor(carded('{"a":' * 50_000 + "1" + "}" * 50_000)),
        "a card with a number of a million digits": safetensor(carded(card().replace("[32", f"[{'9' * 1_000_000}"))),
        "a card with a million epochs": safetensor(carded(lambda: card(training={"history": [{}] * 1_000_000}))),
        "a card that is no JSON": safetensor(carded("import os")),
        "a card of the future": safetensor(carded(card(format_version=99))),
    },
    "a header that is larger than any model's, in a file that is opened without an architecture": {
        "eighty megabytes, no architecture": safetensor(headed(lambda: b"{" + b" " * (80 << 20) + b"}")),
        "a huge header, no architecture": safetensor(headed(b"{}", length=1 << 60)),
    },
    "weights that are no numbers, beside a card": {
        "a card, and weights that are not a number": safetensor(
            carded(card(), dense_3__bias=torch.tensor([0.0, float("nan")]))
        ),
        "a card, and weights that are infinite in 32 bits": safetensor(
            carded(card(), dense_3__bias=torch.tensor([0.0, 1e300], dtype=torch.float64))
        ),
        "a card, and complex weights": safetensor(carded(card(), dense_3__bias=torch.ones(2, dtype=torch.complex64))),
    },
    "a file without a card": {"no card": safetensor(lambda _: plain())},
}
HOSTILE = {
    name: write for ideas in (CARDLESS, CLAIMING, CARDED) for files in ideas.values() for name, write in files.items()
}
