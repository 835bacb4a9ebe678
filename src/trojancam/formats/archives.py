"""Archives: a zip is looked at from outside, member by member, before anything in it is read.

Readers of zips differ: in whether names are compared by case, in which of two headers counts, in whether an extra field
renames a member. An archive that two of them could take for two different ones is refused.
"""

import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from trojancam.errors import ModelError
from trojancam.formats.model_file import opened_file

END, END_64, LOCATOR_64, LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\3\4"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # Python unpacks others without end, whatever size they claim
MOST_MEMBERS = 20_000
LARGEST_DIRECTORY = 8 << 20  # bytes that list the members
GROWTH, ALLOWANCE = 20, 16 << 20  # compressed members may grow to 20 times the file, and 16 MB more
LINK, KIND = 0o120000, 0o170000  # in the upper half of a member's attributes
UNICODE_PATH = 0x7075  # an extra field: a second name, which newer Pythons and Info-ZIP use in place of the first
LATER, NAME_IS_UTF8 = 0x8, 0x800  # flags; the first: sizes come after the content, and may be zero in the header before
FLAGS = LATER | NAME_IS_UTF8 | 0x6  # and how well it is packed
DESCRIPTOR = 24  # bytes at most: those sizes
FULL = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)  # what stands in small fields where larger ones count
WHAT_ZIPS_RAISE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Member:
    """One file in an archive: its size unpacked and packed, where its header begins, and where its bytes do.

    `entry` is its line in the list of members: it is opened by that, and never by its name.
    """

    name: str
    size: int
    packed: int
    header: int
    start: int
    compressed: bool
    entry: zipfile.ZipInfo


class Archive:
    """A zip whose members have been looked at: their names lead nowhere else, and they are as large as they say."""

    def __init__(self, path: Path, stream: BufferedIOBase, opened: zipfile.ZipFile, members: Sequence[Member]) -> None:
        self.path = path
        self.members = {member.name: member for member in members}
        self._stream, self._opened = stream, opened
        # torch.save can be told to write no checksums, and writes zeros then
        self._checksums = any(member.compressed or member.entry.CRC for member in members)

    @property
    def root(self) -> str:
        """The folder of the first member; all members of PyTorch's archives lie in it."""
        return next(iter(self.members), "").partition("/")[0]

    def size(self, name: str) -> int:
        """How many bytes a member has.

        Raises:
            ModelError: if there is no such member.
        """
        if name not in self.members:
            raise ModelError(f"{self.path} is not whole: it lacks {name!r:.80}; get it again from its source")
        return self.members[name].size

    def read(self, name: str, most: int = 1 << 40) -> bytes:
        """The bytes of a member.

        Raises:
            ModelError: if there is no such member, it is larger than `most` bytes, or it is damaged.
        """
        if self.size(name) > most:
            raise ModelError(f"{self.path} claims {self.size(name)} bytes for {name}, more than the {most} allowed")
        return self.start(name, self.size(name))

    def start(self, name: str, length: int) -> bytes:
        """The first bytes of a member.

        Raises:
            ModelError: if there is no such member, or it is damaged.
        """
        self.size(name)
        content = bytearray(min(length, self.size(name)))
        self._into(name, memoryview(content))
        return bytes(content)

    def numbers(self, name: str) -> bytearray:
        """The bytes of a member, to be written to.

        Raises:
            ModelError: if there is no such member, or it is damaged.
        """
        content = bytearray(self.size(name))
        self._into(name, memoryview(content))
        return content

    def _into(self, name: str, content: memoryview) -> None:
        """Read as much of a member as fits; its checksum is compared where that is all of it."""
        member = self.members[name]
        try:
            if member.compressed:
                with self._opened.open(member.entry) as file:
                    read = _filled(file, content)
            else:
                self._stream.seek(member.start)
                read = _filled(self._stream, content)
        except WHAT_ZIPS_RAISE as error:
            raise damaged(self.path, f"{name}: {_first_line(error)}") from None
        if read < len(content):
            raise damaged(self.path, f"{name} breaks off")
        if len(content) == member.size and self._checksums and zlib.crc32(content) != member.entry.CRC:
            raise damaged(self.path, f"{name}: Bad CRC-32")

    def check_stored(self) -> None:
        """Refuse an archive with a member that is compressed: PyTorch never does that, and reads all of it at once.

        Raises:
            ModelError: if there is one.
        """
        for member in self.members.values():
            if member.compressed:
                raise ModelError(
                    f"{self.path} is compressed ({member.name!r:.80}), which PyTorch never does; save the model again"
                )


@contextmanager
def archive(path: Path, file: BufferedIOBase | None = None) -> Iterator[Archive]:
    """Open a zip (or `file`, a zip inside of `path`), once all its members have been found harmless.

    Raises:
        ModelError: if it is damaged, a member's name leads out of it, is a link or comes twice, members overlap, or they
            are many more, or much larger unpacked, than the file lets expect.
    """
    with file or opened_file(path) as stream:
        opened, members = _looked_at(path, stream)
        with opened:
            yield Archive(path, stream, opened, members)


def check_archive(path: Path, stream: BufferedIOBase) -> None:
    """Refuse what `archive` refuses, and leave the stream open.

    Raises:
        ModelError: as `archive`.
    """
    _looked_at(path, stream)


def led_astray(path: str | Path) -> tuple[str, ...]:
    """The members of an archive that an unpacker would write elsewhere, and links; nothing is unpacked.

    A file that is no archive, or too damaged for its members to be listed, has none.
    """
    try:
        with opened_file(Path(path)) as stream:
            if not is_archive(stream.read(4)):
                return ()
            _check_end(Path(path), stream, stream.seek(0, 2))
            with zipfile.ZipFile(stream) as opened:
                return tuple(told for told in (_astray(info) for info in opened.infolist()) if told)
    except (ModelError, *WHAT_ZIPS_RAISE):
        return ()


def _astray(info: zipfile.ZipInfo) -> str:
    if _leads_out(info.orig_filename):
        return f"the member {info.orig_filename[:200]!r}, outside the folder that the archive is unpacked to"
    return f"the member {info.orig_filename[:200]!r}, a link to another place" if _is_link(info) else ""


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so is a zip."""
    return head.startswith((LOCAL, END))


def _looked_at(path: Path, stream: BufferedIOBase) -> tuple[zipfile.ZipFile, list[Member]]:
    try:
        end = stream.seek(0, 2)
        _check_end(path, stream, end)
        opened = zipfile.ZipFile(stream)
        members = [_member(path, stream, info) for info in opened.infolist()]
    except WHAT_ZIPS_RAISE as error:
        raise damaged(path, _first_line(error)) from None
    _check_places(path, members, opened.start_dir)
    _check_sizes(path, members, end)
    return opened, members


def _check_end(path: Path, stream: BufferedIOBase, end: int) -> None:
    """The list of members must end where the file does: other readers then see the same list as we do."""
    tail = _at(stream, max(end - 98, 0), 98).rjust(98, b"\0")
    if tail[-22:-18] != END or tail[-2:] != b"\0\0":
        raise damaged(path, "it does not end as one")
    count, size, offset = struct.unpack("<HII", tail[-12:-2])
    closing = 22
    if tail[-42:-38] == LOCATOR_64:
        if tail[:4] != END_64:
            raise damaged(path, "its two ends contradict each other")
        closing, small = 98, (count, size, offset)
        count, size, offset = struct.unpack("<QQQ", tail[32:56])
        if any(
            short not in (long, limit) for short, long, limit in zip(small, (count, size, offset), FULL, strict=True)
        ):
            raise damaged(path, "its two ends contradict each other")
    if count > MOST_MEMBERS or size > LARGEST_DIRECTORY:
        raise ModelError(f"{path} claims {count} members, more than a model has; do not unpack it")
    if offset + size != end - closing:
        raise damaged(path, "there is something before, or in between")


def _member(path: Path, stream: BufferedIOBase, info: zipfile.ZipInfo) -> Member:
    name = info.orig_filename
    if _leads_out(name):
        raise ModelError(f"{path} has a member whose name leads out of the archive ({name!r:.80}); do not unpack it")
    if _is_link(info):
        raise ModelError(f"{path} has a member that is a link to another place ({name!r:.80}); do not unpack it")
    if info.flag_bits & 1:
        raise ModelError(f"{path} is encrypted; unpack and pack it again without a password")
    if info.compress_type not in METHODS or info.flag_bits & ~FLAGS:
        raise ModelError(f"{path} is compressed in a way that no model is ({name!r:.80}); pack it again as a plain zip")
    start = _start_of(path, stream, info)
    return Member(
        name,
        info.file_size,
        info.compress_size,
        info.header_offset,
        start,
        info.compress_type != zipfile.ZIP_STORED,
        info,
    )


def _start_of(path: Path, stream: BufferedIOBase, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin; the header before them must say what the list of members says."""
    name, head = info.orig_filename, _at(stream, info.header_offset, 30)
    if len(head) < 30 or not head.startswith(LOCAL):
        raise damaged(path, f"{name} is not where it should be")
    flags, method, _, _, *numbers, name_length, extra_length = struct.unpack("<HHHHIIIHH", head[6:30])
    beside = stream.read(name_length + extra_length)
    later, listed = bool(flags & LATER), (info.CRC, info.compress_size, info.file_size)
    alike = all(
        said == long or (said == 0 and later) or (said == FULL[1] and place > 0)
        for place, (said, long) in enumerate(zip(numbers, listed, strict=True))
    )
    encoded = name.encode("utf-8" if flags & NAME_IS_UTF8 else "cp437")
    if not alike or (flags, method, beside[:name_length]) != (info.flag_bits, info.compress_type, encoded):
        raise ModelError(f"{path} describes its member {name!r:.80} twice, and differently; do not trust either")
    for extra in (info.extra, beside[name_length:]):
        _check_extra(path, name, extra)
    return info.header_offset + 30 + int(name_length) + int(extra_length)


def _check_extra(path: Path, name: str, extra: bytes) -> None:
    """Refuse a second name for a member, in a field that some readers of zips honour and others do not."""
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == UNICODE_PATH and extra[9 : 4 + length] != name.encode():
            raise ModelError(f"{path} has a second name for its member {name!r:.80}; do not trust either")
        extra = extra[4 + length :]


def _leads_out(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    outside = name.startswith("/") or "\\" in name or ".." in parts or ":" in parts[0]
    return outside or not name or not name.isprintable()


def _is_link(info: zipfile.ZipInfo) -> bool:
    return (info.external_attr >> 16) & KIND == LINK


def _check_places(path: Path, members: Sequence[Member], directory: int) -> None:
    """At least one member, no two of one name (be it in upper or lower case), and no two in one place."""
    if not members:
        raise ModelError(f"{path} is an empty archive; get it again from its source")
    names = set[str]()
    for member in members:
        alike = unicodedata.normalize("NFKC", member.name).casefold()
        if alike in names:
            raise ModelError(f"{path} has two members called {member.name!r:.80}; do not trust either")
        names.add(alike)
    ordered = sorted(members, key=lambda member: member.header)
    place = 0
    for member, after in zip(ordered, [*(other.header for other in ordered[1:]), directory], strict=True):
        if member.start + member.packed > after:
            raise ModelError(
                f"{path} has members that overlap ({member.name!r:.80}), as in a zip bomb; do not unpack it"
            )
        if member.header > place + DESCRIPTOR * (place > 0):
            raise damaged(path, f"there is something before {member.name!r:.80}")
        place = member.start + member.packed
    if directory > place + DESCRIPTOR:
        raise damaged(path, "there is something before its list of members")


def _check_sizes(path: Path, members: Sequence[Member], end: int) -> None:
    for member in members:
        if not member.compressed and member.size != member.packed:
            raise damaged(path, f"{member.name} has two sizes")
    unpacked = sum(member.size for member in members)
    if unpacked > GROWTH * end + ALLOWANCE:
        raise ModelError(
            f"{path} holds {end} bytes that claim to unpack to {unpacked}, as in a zip bomb; do not unpack it"
        )


def _filled(file: Any, content: memoryview) -> int:
    """How many bytes could be read into this."""
    place = 0
    while place < len(content):
        read = int(file.readinto(content[place:]))
        if not read:
            break
        place += read
    return place


def _at(stream: BufferedIOBase, place: int, length: int) -> bytes:
    stream.seek(place)
    return stream.read(length)


def damaged(path: Path, reason: str) -> ModelError:
    """An archive that is not whole, and in what."""
    return ModelError(f"{path} is not a whole zip archive ({reason}); get it again from its source")


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
