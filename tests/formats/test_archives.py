"""Archives: what zips of models look like goes through, what leads out of them or swells does not."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.formats.hostile_pytorch import (
    bomb,
    countless,
    joined,
    listed_otherwise,
    member,
    members,
    overlapping,
    plain_program,
    plain_zip,
    renamed_member,
    with_member,
    zipped,
)

from trojancam.errors import ModelError
from trojancam.formats.archives import archive


def opened_names(path: Path) -> list[str]:
    with archive(path) as opened:
        return list(opened.members)


def refused(path: Path, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        opened_names(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("make", [plain_zip, plain_program], ids=["torch.save", "torch.export.save"])
def test_members_are_those_that_the_standard_library_sees(tmp_path: Path, make: Callable[[], bytes]) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(make())
    with archive(path) as opened:
        assert {name: opened.read(name) for name in opened.members} == members(make())
        opened.check_stored()
        for name, member in opened.members.items():
            assert make()[member.start : member.start + member.packed] == opened.read(name)


def test_an_archive_in_an_archive_is_opened_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "outer.zip"
    path.write_bytes(zipped({"inner": plain_zip()}))
    with archive(path) as outer, archive(path, io.BytesIO(outer.read("inner"))) as inner:
        assert list(inner.members) == list(members(plain_zip()))


def test_an_archive_with_the_ends_of_large_files_is_read(tmp_path: Path) -> None:
    """Archives of more than four gigabytes end twice; so does a small one that was written for them."""
    path, content = tmp_path / "m.zip", zipped(members(plain_zip()))  # type: ignore[arg-type]
    end = content.rindex(b"PK\5\6")
    count, size, offset = struct.unpack("<HII", content[end + 10 : end + 20])
    large = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, end, 1)
    small = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(content[:end] + large + locator + small)
    assert opened_names(path) == list(members(content))
    contradicting = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(content[:end] + large + locator + contradicting)
    refused(path, "contradict each other")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (with_member("../evil"), "leads out of the archive"),
        (with_member("/etc/passwd"), "leads out of the archive"),
        (with_member("a\\..\\b"), "leads out of the archive"),
        (with_member("C:/evil"), "leads out of the archive"),
        (with_member("a\nb"), "leads out of the archive"),
        (with_member("link", b"/etc/passwd", 0o120777), "is a link to another place"),
        (with_member("archive/data.pkl"), "two members called"),
        (with_member("archive/DATA.pkl"), "two members called"),
        (
            with_member("archive/\N{LATIN SMALL LETTER LONG S}", content_of=lambda: zipped({"archive/s": b"x"})),
            "two members called",
        ),
        (renamed_member, "a second name for its member 'archive/other.pkl'"),
        (listed_otherwise(name="archive/data.pk1"), "describes its member 'archive/data.pk1' twice"),
        (listed_otherwise(sizes=(9, 9)), "describes its member 'archive/data.pkl' twice"),
        (listed_otherwise(method=8), "describes its member 'archive/data.pkl' twice"),
        (listed_otherwise(flags=0x800), "describes its member 'archive/data.pkl' twice"),
        (listed_otherwise(flags=0x20, local_flags=0x20), "compressed in a way that no model is"),
        (bomb, "claim to unpack to 67108864, as in a zip bomb"),
        (overlapping, "members that overlap"),
        (countless, "contradict each other"),
        (lambda _: b"MZ" + plain_zip(), "something before"),
        (lambda _: plain_zip() + b"more", "does not end as one"),
        (lambda _: plain_zip()[:-1], "does not end as one"),
        (lambda _: b"", "does not end as one"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_refused(tmp_path: Path, make: Callable[[Path], bytes], sentence: str) -> None:
    path = tmp_path / "m.zip"
    path.write_bytes(make(tmp_path))
    refused(path, sentence)


def test_nothing_lies_between_members(tmp_path: Path) -> None:
    """A reader that goes from header to header would find what the list does not name."""
    (first, one), (second, two) = member("a/b", b"x"), member("a/c", b"y")
    for gap, sentence in ((16, ""), (24, ""), (25, "something before 'a/c'")):
        (tmp_path / "m.zip").write_bytes(joined([(first + bytes(gap), one), (second, two)]))
        if sentence:
            refused(tmp_path / "m.zip", sentence)
        else:
            assert opened_names(tmp_path / "m.zip") == ["a/b", "a/c"]
    (tmp_path / "m.zip").write_bytes(joined([(first, one), (second + bytes(30), two)]))
    refused(tmp_path / "m.zip", "something before its list of members")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.zip", "there is no model file .*check the path")
    refused(tmp_path, "is a folder, not a model file")


def test_a_member_is_read_up_to_a_limit_and_checked(tmp_path: Path) -> None:
    path, content = tmp_path / "m.zip", bytearray(zipped({"a": b"0123456789", "b": b"x"}))
    path.write_bytes(content)
    with archive(path) as opened:
        assert opened.read("a", 10) == b"0123456789"
        assert opened.start("a", 3) == b"012"
        with pytest.raises(ModelError, match="claims 10 bytes for a, more than the 9 allowed"):
            opened.read("a", 9)
        with pytest.raises(ModelError, match="lacks 'c'"):
            opened.read("c")
    content[content.index(b"0123456789")] ^= 1
    path.write_bytes(content)
    with archive(path) as opened, pytest.raises(ModelError, match="Bad CRC"):
        opened.read("a")


def test_packed_members_are_read_but_not_taken_for_pytorch_s(tmp_path: Path) -> None:
    path = tmp_path / "m.zip"
    path.write_bytes(zipped({"a/data.pkl": b"0" * 10_000}, zipfile.ZIP_DEFLATED))
    with archive(path) as opened:
        assert opened.read("a/data.pkl") == b"0" * 10_000
        with pytest.raises(ModelError, match="is compressed .*which PyTorch never does"):
            opened.check_stored()


def test_an_encrypted_member(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"x"}))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "m.zip").write_bytes(content)
    refused(tmp_path / "m.zip", "is encrypted")


def test_what_goes_wrong_inside_the_block_is_not_blamed_on_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "m.zip"
    torch.save({}, path)
    with pytest.raises(RuntimeError, match="mine"), archive(path):
        raise RuntimeError("mine")


def test_the_file_is_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "m.zip"
    path.write_bytes(plain_zip())
    file = io.BytesIO(plain_zip())
    with archive(path, file):
        pass
    assert file.closed
