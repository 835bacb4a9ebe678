"""What a file would run if it were loaded carelessly: found wherever in the file it lies, and never run."""

import gzip
import io
import lzma
import os
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.formats.hostile_pytorch import (
    CARELESS,
    HOSTILE,
    code,
    joined,
    member,
    members,
    plain_program,
    plain_zip,
    small,
    torch_saved,
    weights,
    zipped,
)

from trojancam.errors import ModelError
from trojancam.formats.code_inside import BROKEN_OFF, NOT_LISTED, NOT_SEEN, would_run
from trojancam.formats.inspection import inspection


def names(tmp_path: Path, content: bytes, suffix: str = ".pt") -> tuple[str, ...]:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    return would_run(path)


@pytest.mark.parametrize("name", CARELESS)
def test_code_is_found_and_not_run(tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    found = would_run(CARELESS[name](tmp_path, canary))
    assert found
    assert not canary.exists()
    expected = {
        "code in eval": "__builtin__.eval",
        "code in __setstate__": "tests.formats.hostile_pytorch.Restored",
    }
    words = " ".join(found)
    assert expected.get(name, "system") in words or "__import__" in words


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("zipped_", [True, False])
def test_plain_weights_run_nothing(tmp_path: Path, zipped_: bool, protocol: int) -> None:
    state = {"model": weights(), "epoch": 3, "optimizer": {"lr": 0.1, "betas": (0.9, 0.999)}}
    torch.save(state, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped_, pickle_protocol=protocol)
    assert would_run(tmp_path / "m.pt") == ()


def test_other_plain_files_run_nothing(tmp_path: Path) -> None:
    assert names(tmp_path, plain_program(), ".pt2") == ()
    assert names(tmp_path, safetensors.torch.save(small().state_dict()), ".safetensors") == ()
    assert names(tmp_path, b"just some text", ".txt") == ()
    assert names(tmp_path, b"") == ()
    for save in (np.save, np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, np.arange(100.0))
        assert names(tmp_path, buffer.getvalue(), ".npy") == ()


def test_random_numbers_are_not_taken_for_code(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    for _ in range(100):
        parts = {f"archive/data/{i}": numbers.bytes(200) for i in range(10)} | {"archive/data.pkl": pickle.dumps({})}
        assert names(tmp_path, zipped(parts)) == ()


def test_what_pytorch_calls_harmless_is_what_its_own_loader_takes(tmp_path: Path) -> None:
    for value in (
        weights(),
        torch.ones(2, dtype=torch.bfloat16),
        torch.nn.Parameter(torch.ones(1)),
        {"a": {1, 2}},
        torch.Size([1]),
    ):
        torch.save(value, tmp_path / "m.pt")
        torch.load(tmp_path / "m.pt", weights_only=True)
        assert would_run(tmp_path / "m.pt") == ()
    for value in (small(), len, os.getpid):
        torch.save(value, tmp_path / "m.pt")
        with pytest.raises(pickle.UnpicklingError):
            torch.load(tmp_path / "m.pt", weights_only=True)
        assert would_run(tmp_path / "m.pt") != ()


@pytest.mark.parametrize(
    "pack", [gzip.compress, zlib.compress, lambda content: lzma.compress(content, preset=0)], ids=["gzip", "zlib", "xz"]
)
def test_packed_pickles(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    assert names(tmp_path, pack(pickle.dumps(code(tmp_path))), ".pkl") == ("posix.system",)
    assert names(tmp_path, pack(bytes(80 << 20)), ".pkl") == ()
    assert names(tmp_path, pack(b"x")[:-3], ".pkl") == ()


def test_arrays_between_pickles_as_joblib_writes_them(tmp_path: Path) -> None:
    content = pickle.dumps({"a": code(tmp_path)})[:-1] + np.arange(5.0).tobytes() + b"."
    found = names(tmp_path, content, ".joblib")
    assert found[0] == "posix.system"


def test_what_breaks_off_is_said(tmp_path: Path) -> None:
    assert names(tmp_path, pickle.dumps(code(tmp_path))[:-5], ".pkl") == ("posix.system", BROKEN_OFF)
    assert names(tmp_path, b"\x80\x04\xff", ".pkl") == (BROKEN_OFF,)


def test_pickles_without_end_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when there are many of them: the bound is for the file. How long it takes is measured with the hostile files."""
    monkeypatch.setattr("trojancam.formats.code_inside.MOST_STEPS", 2_000)
    assert NOT_SEEN in names(tmp_path, b"\x80\x02" + b"]0" * 4_000 + b".", ".pkl")
    many = zipped({f"a/{i}.pkl": b"\x80\x02" + b"]0" * 200 + b"N." for i in range(20)})
    assert NOT_SEEN in names(tmp_path, many)
    assert NOT_SEEN not in names(tmp_path, zipped({"a/0.pkl": b"\x80\x02" + b"]0" * 200 + b"N."}))


def test_archives_in_archives(tmp_path: Path) -> None:
    inner = torch_saved(code(tmp_path))
    assert names(tmp_path, zipped({"a/inner": inner})) == ("posix.system",)
    for _ in range(4):
        inner = zipped({"a/inner": inner})
    with pytest.raises(ModelError, match="archives in archives"):
        names(tmp_path, inner)


def test_sample_inputs_of_an_exported_program(tmp_path: Path) -> None:
    parts = members(plain_program())
    sample = next(name for name in parts if "sample_inputs" in name)
    assert names(tmp_path, zipped({**parts, sample: torch_saved(code(tmp_path))}), ".pt2") == ("posix.system",)  # type: ignore[dict-item]


def test_packed_pickles_of_one_file_unpack_to_so_much_together(tmp_path: Path) -> None:
    packed = gzip.compress(bytes(40 << 20))
    (tmp_path / "m.pt").write_bytes(zipped({f"{place}.pkl": packed for place in range(3)}))
    assert would_run(tmp_path / "m.pt") == (NOT_SEEN,)


def test_an_array_of_python_2_says_nothing_on_the_side(tmp_path: Path) -> None:
    head = b"{'descr': '|O', 'fortran_order': False, 'shape': (1L,)}\n"
    content = b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head + pickle.dumps(print)
    (tmp_path / "a.npy").write_bytes(content)
    assert would_run(tmp_path / "a.npy") == ("builtins.print",)  # warnings are errors here


def test_scripts_are_named_by_their_files(tmp_path: Path) -> None:
    found = would_run(HOSTILE["TorchScript"](tmp_path, tmp_path / "canary"))
    assert "TorchScript script/code/__torch__/torch/nn/modules/conv.py" in found
    assert "__torch__.torch.nn.modules.conv.Conv2d" in found


def test_calls_of_a_program_beyond_operations(tmp_path: Path) -> None:
    assert would_run(HOSTILE["a pt2 that calls os.system"](tmp_path, tmp_path / "canary")) == ("torch.os.system",)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        would_run(tmp_path / "nowhere.pt")


@pytest.mark.parametrize("name", ["data.pkl", "data/0"])
def test_a_flipped_bit_in_a_member(tmp_path: Path, name: str) -> None:
    """Found by damage at random: the check sum of a small member is looked at when it is read."""
    content = bytearray(plain_zip())
    member = members(plain_zip())[f"archive/{name}"]
    content[content.index(member) + len(member) - 1] ^= 1
    with pytest.raises(ModelError, match=f"is not a whole zip archive .archive/{name}: Bad CRC-32") as caught:
        names(tmp_path, bytes(content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("called", ["data", "OTHER.PKL", "numbers.bin", "readme.txt", "config.json"])
@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_member_s_content_tells_that_it_is_a_pickle(tmp_path: Path, called: str, protocol: int) -> None:
    """Those of old protocols have no head."""
    parts = {"archive/data.pkl": pickle.dumps({}), f"archive/{called}": pickle.dumps(os.getpid, protocol)}
    assert names(tmp_path, zipped(parts)) == ("posix.getpid",)  # type: ignore[arg-type]


def seen_through(tmp_path: Path, content: bytes) -> tuple[tuple[str, ...], str]:
    """The names in an archive that is refused, and the first reason for that."""
    path = tmp_path / "m.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError) as refused:
        would_run(path)
    problems = list[str]()
    found = would_run(path, problems)
    assert problems[0] == str(refused.value)
    assert found == tuple(inspection(path).would_run)
    return found, problems[0]


EVIL = b"cposix\nsystem\n(S'touch canary'\ntR."


@pytest.mark.parametrize("called", ["archive/DATA.PKL", "Archive/data.pkl", "archive/data.pkl", "archive/DATA"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_both_of_two_members_of_one_name_are_looked_at(
    tmp_path: Path, called: str, first: bool, compression: int
) -> None:
    """Which of them a reader takes differs, so the archive is refused, and the code in either is named."""
    beside = [*members(plain_zip()).items(), ("archive/data", b"")]
    found, problem = seen_through(
        tmp_path, zipped([(called, EVIL), *beside] if first else [*beside, (called, EVIL)], compression)
    )
    assert found == ("posix.system",)
    assert "has two members called" in problem


def plain_members() -> list[tuple[bytes, bytes]]:
    return [member(name, content) for name, content in members(plain_zip()).items()]


CALLS_SYSTEM = b'{"class_name": "function", "module": "posix", "config": "system"}'


def nested(times: int) -> bytes:
    content = b""
    for _ in range(times):
        content = zipped({"a/b": content})
    return content


def broken_off() -> bytes:
    """A packed pickle that ends before the damage: unpicklers that read from the archive have run it by then."""
    packed = zipped({"a/data.pkl": EVIL + os.urandom(300)}, zipfile.ZIP_DEFLATED)
    place = packed.index(b"a/data.pkl") + len("a/data.pkl")
    shallow = zlib.compressobj(9, zlib.DEFLATED, -15)
    begun = shallow.compress(EVIL) + shallow.flush(zlib.Z_SYNC_FLUSH) + b"\xff" * 9
    return packed[:place] + begun + packed[place + len(begun) :]


REFUSED: dict[str, Callable[[], bytes]] = {
    "a name that leads out": lambda: joined([*plain_members(), member("/archive/other", EVIL)]),
    "listed by another name": lambda: joined([*plain_members(), member("archive/data/9", EVIL, name="archive/x")]),
    "listed as encrypted": lambda: joined([*plain_members(), member("archive/x", EVIL, flags=1, local_flags=1)]),
    "listed as packed in an unknown way": lambda: joined([*plain_members(), member("archive/x", EVIL, method=99)]),
    "listed as empty": lambda: joined([*plain_members(), member("archive/x", EVIL, sizes=(len(EVIL), 0))]),
    "listed as huge": lambda: joined([*plain_members(), member("archive/x", EVIL, sizes=(len(EVIL), 1 << 31))]),
    "before something else": lambda: zipped({"archive/x": EVIL}) + b"something else",
    "in an archive that is refused": lambda: zipped({"a/b": zipped({"/c": EVIL}), "a/d": b""}),
    "beside archives in archives": lambda: zipped({"a/b": nested(5), "a/d": EVIL}),
    "two configurations of Keras": lambda: zipped({"config.json": b"{}", "CONFIG.JSON": CALLS_SYSTEM}),
    "with a script in capitals": lambda: zipped({"a/CODE/x.PY": b"", "a/code/x.py": b""}),
    "damaged after the pickle": broken_off,
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_the_code_in_an_archive_that_is_refused_is_named(tmp_path: Path, name: str) -> None:
    found, _ = seen_through(tmp_path, REFUSED[name]())
    assert found[0] in ("posix.system", "TorchScript a/CODE/x.PY")


def test_a_list_of_too_many_members_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"a/data.pkl": EVIL, **{f"a/{place}": b"" for place in range(20)}}
    monkeypatch.setattr("trojancam.formats.unchecked_members.MOST_MEMBERS", 10)
    assert names(tmp_path, zipped(parts)) == ("posix.system", NOT_SEEN)
    monkeypatch.setattr("trojancam.formats.unchecked_members.LARGEST_DIRECTORY", 100)
    (tmp_path / "m.pt").write_bytes(zipped(parts))
    with pytest.raises(ModelError, match="is not a whole zip archive .its members cannot be listed"):
        would_run(tmp_path / "m.pt")


def test_an_archive_whose_members_cannot_be_listed_is_not_called_harmless(tmp_path: Path) -> None:
    """The list is cut off here: a loader that looks for the members themselves still finds the code."""
    whole = zipped({"a/data.pkl": EVIL, "a/version": b"3"})
    (tmp_path / "m.pt").write_bytes(whole[: whole.rindex(b"PK\x05\x06")])
    problems: list[str] = []
    assert would_run(tmp_path / "m.pt", problems) == (NOT_LISTED,)
    assert len(problems) == 1
    assert "is not a whole zip archive" in problems[0]
    (tmp_path / "n.pt").write_bytes(zipped({"a/inner": (tmp_path / "m.pt").read_bytes()}))
    assert NOT_LISTED in would_run(tmp_path / "n.pt", [])


def test_values_that_only_make_data_are_no_code(tmp_path: Path) -> None:
    torch.save({"model": weights(), "lr": np.float64(3), "out": Path("a"), "cut": slice(1)}, tmp_path / "m.pt")
    assert would_run(tmp_path / "m.pt") == ()
