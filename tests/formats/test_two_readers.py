"""Archives that are taken are the same to every reader: PyTorch's, Python's, and newer Pythons', which follow a second name."""

import io
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.formats.hostile_pytorch import in_another_case, joined, member, members, plain_zip, renamed_member, small

from trojancam.errors import ModelError
from trojancam.formats.archives import archive
from trojancam.formats.weights.reader import read_state_dict

PARTS = members(plain_zip())
OTHER = pickle.dumps({"0.weight": 1}, protocol=2)
NAMES = [*PARTS, "archive/DATA.PKL", "archive/Data/0", "archive/data/9", "ARCHIVE/version", "archive/data.pkl "]
EXAMPLES = 400


def second_name(name: str, right_checksum: bool, first: str) -> bytes:
    """The field that Info-ZIP writes for names in Unicode; it counts where the checksum is that of the first name."""
    check = zlib.crc32(first.encode()) ^ (not right_checksum)
    return struct.pack("<HHBI", 0x7075, 5 + len(name.encode()), 1, check) + name.encode()


@st.composite
def described(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """One member of many kinds: most are as they should be."""
    name = draw(st.sampled_from(NAMES))
    content = PARTS.get(name, OTHER) if draw(st.integers(0, 5)) else draw(st.binary(max_size=40))
    said: dict[str, Any] = {}
    if not draw(st.integers(0, 4)):
        kind = draw(st.sampled_from(["name", "sizes", "method", "flags", "local_flags", "both", "extra"]))
        flags = draw(st.sampled_from([0x1, 0x8, 0x20, 0x40, 0x800, 0x2000]))
        said = {
            "name": {"name": draw(st.sampled_from(NAMES))},
            "sizes": {"sizes": draw(st.tuples(st.integers(0, 50), st.integers(0, 50)))},
            "method": {"method": draw(st.sampled_from([8, 12, 99]))},
            "flags": {"flags": flags},
            "local_flags": {"local_flags": flags},
            "both": {"flags": flags, "local_flags": flags},
            "extra": {"extra": second_name(draw(st.sampled_from(NAMES)), draw(st.booleans()), name)},
        }[kind]
    return member(name, content, **said)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """The weights' members in any order, some of them changed, some more beside them."""
    whole = [member(name, content) for name, content in PARTS.items()]
    more = draw(st.lists(described(), max_size=3))
    kept = [part for part in whole if draw(st.integers(0, 9))]
    return joined(draw(st.permutations([*kept, *more])))


def as_pytorch_reads(content: bytes) -> dict[str, bytes] | None:
    """Every record of the archive by PyTorch's own reader; None if it refuses the archive."""
    try:
        reader = torch._C.PyTorchFileReader(io.BytesIO(content))
        return {name: reader.get_record(name) for name in reader.get_all_records()}
    except RuntimeError:
        return None


def as_newer_pythons_name(entry: zipfile.ZipInfo) -> str:
    """The name that Python 3.13 and later give a member: that of the field 0x7075, if its checksum is right."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == 0x7075 and struct.unpack("<I", extra[5:9])[0] == zlib.crc32(entry.orig_filename.encode()):
            return extra[9 : 4 + length].decode()
        extra = extra[4 + length :]
    return entry.orig_filename


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(content=archives())
def test_all_readers_see_the_same_bytes_or_the_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(content)
    try:
        with archive(path) as opened:
            ours = {name: opened.read(name) for name in opened.members}
            root = opened.root
    except ModelError:
        return
    with zipfile.ZipFile(path) as python:
        assert {entry.orig_filename: python.read(entry) for entry in python.infolist()} == ours
        assert {as_newer_pythons_name(entry) for entry in python.infolist()} == set(ours)
    theirs = as_pytorch_reads(content)
    if theirs is not None:
        assert {f"{root}/{name}": record for name, record in theirs.items()} == {
            name: record for name, record in ours.items() if name.startswith(f"{root}/")
        }


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(content=archives())
def test_weights_are_those_that_pytorch_loads_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(content)
    try:
        ours = read_state_dict(path)
    except ModelError:
        return
    theirs = torch.load(path, weights_only=True)
    assert list(ours) == list(theirs)
    assert all(ours[name].equal(theirs[name]) for name in ours)


def test_some_archives_are_taken_and_some_are_refused(tmp_path: Path) -> None:
    """Else the two tests above could not fail."""
    outcomes = set()

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(content=archives())
    def walk(content: bytes) -> None:
        (tmp_path / "m.pt").write_bytes(content)
        try:
            outcomes.add(len(read_state_dict(tmp_path / "m.pt")))
        except ModelError as error:
            outcomes.add(str(error).partition("m.pt")[2][:25])

    walk()
    assert len(small().state_dict()) in outcomes
    assert len(outcomes) > 5


@pytest.mark.parametrize("make", [in_another_case, renamed_member])
def test_the_two_that_were_found(tmp_path: Path, make: Any) -> None:
    (tmp_path / "m.pt").write_bytes(make(tmp_path / "canary"))
    with pytest.raises(ModelError, match="do not trust either"):
        read_state_dict(tmp_path / "m.pt")
