"""State dicts: the tensors of PyTorch's and safetensors files come back to the last bit, whatever they are wrapped in."""

import argparse
import collections
import datetime
import decimal
import os
import pickle
import struct
import sys
import uuid
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.formats.hostile_pytorch import members, plain_program, plain_zip, small, torch_saved, zipped
from tests.nets import NETS, build
from torch import Tensor, nn

from trojancam.errors import ModelError
from trojancam.formats.weights.reader import read_checkpoint, read_state_dict, read_tensors, read_weights


def assert_same(read: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(read) == list(expected)
    for name, tensor in read.items():
        assert tensor.dtype == expected[name].dtype
        assert tensor.equal(expected[name]), name
        assert not tensor.requires_grad


def saved(path: Path, value: Any, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


def refused(path: Path, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("zipped_", [True, False], ids=["zip", "legacy"])
def test_tensors_come_back_to_the_last_bit(tmp_path: Path, name: str, zipped_: bool) -> None:
    state = build(name).state_dict()
    path = saved(tmp_path / "m.pth", state, _use_new_zipfile_serialization=zipped_)
    assert_same(read_state_dict(path), state)
    assert read_weights(path).notes == ()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".model"])
def test_the_content_counts_and_not_the_suffix(tmp_path: Path, suffix: str) -> None:
    state = small().state_dict()
    assert read_weights(saved(tmp_path / f"a{suffix}", state)).format == "PyTorch state dict"
    safetensors.torch.save_file(state, tmp_path / f"b{suffix}")
    assert read_weights(tmp_path / f"b{suffix}").format == "safetensors"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool])
def test_every_kind_of_number(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {
        "a": torch.arange(6).reshape(2, 3).to(dtype),
        "b": torch.ones((), dtype=dtype),
        "c": torch.ones(0, dtype=dtype),
    }
    assert_same(read_state_dict(saved(tmp_path / "m.pt", state)), state)
    assert_same(read_state_dict(saved(tmp_path / "m.pt", state, _use_new_zipfile_serialization=False)), state)
    safetensors.torch.save_file(state, tmp_path / "m.safetensors")
    assert set(read_tensors(tmp_path / "m.safetensors")) == set(state)


def test_views_and_parameters(tmp_path: Path) -> None:
    base = torch.arange(24.0)
    state = {"a": base[3:9].view(2, 3).t(), "b": base[::2], "c": nn.Parameter(base[:4]), "d": base.view(2, 3, 4)[:, 1]}
    assert_same(
        read_state_dict(saved(tmp_path / "m.pt", state)), {name: tensor.detach() for name, tensor in state.items()}
    )


def test_weights_that_modules_share(tmp_path: Path) -> None:
    """Under many names, and as parts of one tensor; only many parts that overlap are suspicious."""
    whole = torch.rand(100)
    state = {**{f"name{place}": whole for place in range(20)}, "part": whole[:50].reshape(5, 10), "other": whole[50:]}
    assert_same(read_state_dict(saved(tmp_path / "m.pt", state)), state)
    refused(saved(tmp_path / "n.pt", {**state, "more": whole[1:]}), "uses its numbers '0' again and again")


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "net"])
def test_checkpoints(tmp_path: Path, key: str) -> None:
    state = small().state_dict()
    optimiser = torch.optim.Adam(small().parameters())
    checkpoint = {"epoch": 3, key: state, "optimizer": optimiser.state_dict(), "loss": 0.5, "args": {"lr": 1e-3}}
    weights = read_weights(saved(tmp_path / "m.pt", checkpoint))
    assert_same(weights.tensors, state)
    assert weights.notes == (f"the weights are those that the checkpoint calls {key}",)


def test_a_checkpoint_in_a_checkpoint(tmp_path: Path) -> None:
    weights = read_weights(saved(tmp_path / "m.pt", {"model": {"state_dict": small().state_dict(), "name": "x"}}))
    assert_same(weights.tensors, small().state_dict())
    assert "model / state_dict" in weights.notes[0]


def test_what_is_no_tensor_is_left_out_and_said(tmp_path: Path) -> None:
    weights = read_weights(saved(tmp_path / "m.pt", {**small().state_dict(), "epoch": 3, "name": "a"}))
    assert_same(weights.tensors, small().state_dict())
    assert weights.notes == ("2 entries beside the weights are no tensors and were left out",)


class Hiding:
    """Is pickled as an OrderedDict whose methods are numbers: its state is whatever the file says."""

    def __reduce__(self) -> Any:
        return OrderedDict, (), {"items": 3, "keys": 3, "get": 3, "values": 3}, None, iter(small().state_dict().items())


def test_a_dict_that_hides_its_items(tmp_path: Path) -> None:
    assert_same(read_state_dict(saved(tmp_path / "m.pt", Hiding())), small().state_dict())
    assert_same(read_state_dict(saved(tmp_path / "m.pt", {"model": Hiding()})), small().state_dict())


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (small(), r"holds a pickled module \(torch.nn.modules.*runs code when loaded; save its state_dict instead"),
        ({"model": small()}, "holds a pickled module"),
        (torch.ones(3), "holds no state dict, but a Tensor"),
        ({}, "holds no state dict, but an empty dict|a dict"),
        ({"epoch": 3, "lr": 0.1}, "holds no state dict, but a dict of epoch, lr"),
        ([torch.ones(3)], "holds no state dict, but a list"),
        (Path("a"), "holds no state dict, but a PosixPath"),
        (os.getpid, "would import posix.getpid .*nothing of it was run"),
        ({"a": torch.eye(3).to_sparse()}, "plain weights never do"),
        ({"a": torch.ones(3, dtype=torch.uint16)}, "plain weights never do|not read here"),
    ],
)
def test_what_is_no_state_dict(tmp_path: Path, value: Any, sentence: str) -> None:
    refused(saved(tmp_path / "m.pt", value), sentence)


def test_other_archives(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(plain_program())
    refused(path, r"holds an exported program, not a state dict; give it the suffix .pt2")
    path.write_bytes(zipped({"a.txt": b"x", "b.txt": b"y"}))
    refused(path, "a zip archive, but not one of PyTorch's")
    path.write_bytes(zipped({"a/b.txt": b"x"}))
    refused(path, "lacks 'a/data.pkl'")


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    for content in (b"", b"hello", b"\xff" * 100, b"x" * 10_000):
        path.write_bytes(content)
        refused(path, "neither a zip archive nor a pickle")
    path.write_bytes(pickle.dumps({"a": 1}))
    refused(path, "is a pickle, but not one of torch.save")
    refused(tmp_path / "nowhere.pt", "there is no model file")
    refused(tmp_path, "is a folder, not a model file")


def test_numbers_that_are_missing(tmp_path: Path) -> None:
    parts = members(plain_zip())
    path = tmp_path / "m.pt"
    path.write_bytes(zipped({name: content for name, content in parts.items() if not name.endswith("data/0")}))
    refused(path, "claims 432 bytes for the numbers '0', but holds fewer")
    path.write_bytes(zipped({**parts, "archive/data/0": b"1234"}))  # type: ignore[dict-item]
    refused(path, "claims 432 bytes for the numbers '0', but holds fewer")


def test_reading_leaves_the_random_numbers_and_the_file_alone(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pt", small().state_dict())
    before, state = path.read_bytes(), torch.get_rng_state()
    tensors = read_state_dict(path)
    for tensor in tensors.values():
        tensor.zero_()
    assert path.read_bytes() == before
    assert torch.get_rng_state().equal(state)


def test_a_header_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    with pytest.raises(ModelError, match="claims a header of 1099511627776 bytes"):
        read_tensors(tmp_path / "m.safetensors")


def test_a_state_dict_that_lies_in_another_file_is_checked_too(tmp_path: Path) -> None:
    from trojancam.formats.weights.reader import tensors_in

    assert_same(tensors_in(tmp_path, torch_saved(small().state_dict())), small().state_dict())
    assert tensors_in(tmp_path, torch_saved({})) == {}
    with pytest.raises(ModelError, match="holds a pickled module"):
        tensors_in(tmp_path, torch_saved(small()))


@pytest.mark.parametrize("zipped_", [True, False], ids=["zip", "legacy"])
def test_no_other_loader_sees_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped_: bool) -> None:
    """Neither PyTorch's nor Python's unpickler is asked: what was looked at on paper is what is built."""
    state = small().state_dict()
    path = saved(tmp_path / "m.pt", {"model": state, "lr": np.float64(0.1)}, _use_new_zipfile_serialization=zipped_)

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a loader was asked")

    monkeypatch.setattr(torch, "load", never)
    monkeypatch.setattr(torch._C, "PyTorchFileReader", never)
    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, never)
    assert_same(read_state_dict(path), state)


def test_files_without_checksums(tmp_path: Path) -> None:
    """PyTorch can be told to write none; then zeros stand in their place."""
    state = small().state_dict()
    torch.serialization.set_crc32_options(False)
    try:
        saved(tmp_path / "m.pt", state)
    finally:
        torch.serialization.set_crc32_options(True)
    assert_same(read_state_dict(tmp_path / "m.pt"), state)


def test_a_flipped_bit_among_the_numbers(tmp_path: Path) -> None:
    content = bytearray(plain_zip())
    content[content.index(members(plain_zip())["archive/data/0"]) + 100] ^= 1
    (tmp_path / "m.pt").write_bytes(content)
    refused(tmp_path / "m.pt", "archive/data/0: Bad CRC-32")


def test_values_beside_the_weights_are_read_as_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is imported for them, and nothing of them is called."""
    beside = {
        "args": argparse.Namespace(lr=0.1, out=Path("a")),
        "numbers": [np.float32(1), np.int64(2), np.arange(3), np.bool_(True), complex(1, 2), slice(1, 2)],
        "counts": collections.Counter("aab"),
        "when": datetime.datetime(2020, 1, 1),
        "plain": [range(3), bytearray(b"x"), decimal.Decimal("1.5"), uuid.UUID(int=1)],
        "text": [np.str_("a"), np.bytes_(b"a"), np.complex64(1), np.datetime64("2020-01-01"), np.timedelta64(1)],
        "more": [collections.deque([1]), collections.defaultdict(list, a=[1]), frozenset({1}), {2}, b"x", 1 << 70],
    }
    for protocol in (2, 4, 5):
        path = saved(tmp_path / "m.pt", {**beside, "model": small().state_dict()}, pickle_protocol=protocol)
        for module in ("argparse", "numpy", "collections", "datetime"):
            monkeypatch.setitem(sys.modules, module, sys.modules[module])
        assert_same(read_state_dict(path), small().state_dict())


@pytest.mark.parametrize("more", [{"best": torch.tensor(71.3)}, {"epoch": torch.tensor(4), "grid": torch.zeros(9, 9)}])
def test_a_state_dict_beside_tensors(tmp_path: Path, more: dict[str, Tensor]) -> None:
    weights = read_weights(saved(tmp_path / "m.pt", {"anything": small().state_dict(), **more}))
    assert_same(weights.tensors, small().state_dict())
    assert weights.notes == ("the weights are those that the checkpoint calls anything",)


def test_a_dict_made_of_pairs_as_python_2_made_it(tmp_path: Path) -> None:
    """Pairs that are added after the call do not count: the dict was made before."""
    state = small().state_dict()
    pairs = [list(pair) for pair in state.items()]

    class Old:
        def __reduce__(self) -> Any:
            return OrderedDict, (pairs,)

    assert_same(read_state_dict(saved(tmp_path / "m.pt", Old())), state)


def test_modules_know_the_version_they_were_saved_with(tmp_path: Path) -> None:
    with read_checkpoint(saved(tmp_path / "m.pt", build("residual").state_dict())) as checkpoint:
        expected = {name: about["version"] for name, about in build("residual").state_dict()._metadata.items()}
        assert checkpoint.likeliest.versions == expected
        assert 2 in expected.values()  # that of a batch normalisation


def test_names_that_others_called_safe_are_still_refused(tmp_path: Path) -> None:
    """A program around us may have widened PyTorch's list; ours stays as it is."""
    path = saved(tmp_path / "m.pt", small())
    with torch.serialization.safe_globals([nn.Sequential, nn.Conv2d]):
        refused(path, "holds a pickled module")
