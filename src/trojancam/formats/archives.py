"""Archives: a zip is looked at from outside, member by member, before anything in it is read."""

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from trojancam.errors import ModelError

END, END_64, LOCATOR_64, LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\3\4"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # Python unpacks others without end, whatever size they claim
MOST_MEMBERS = 20_000
LARGEST_DIRECTORY = 8 << 20  # bytes that list the members
GROWTH, ALLOWANCE = 20, 16 << 20  # compressed members may grow to 20 times the file, and 16 MB more
LINK, KIND = 0o120000, 0o170000  # in the upper half of a member's attributes
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
    """One file in an archive: its size unpacked and packed, where its header begins, and where its bytes do."""

    name: str
    size: int
    packed: int
    header: int
    start: int
    compressed: bool


class Archive:
    """A zip whose members have been looked at: their names lead nowhere else, and they are as large as they say."""

    def __init__(self, path: Path, opened: zipfile.ZipFile, members: Sequence[Member]) -> None:
        self.path = path
        self.members = {member.name: member for member in members}
        self._opened = opened

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
        try:
            with self._opened.open(name) as file:
                return file.read(length)
        except WHAT_ZIPS_RAISE as error:
            raise _damaged(self.path, f"{name}: {_first_line(error)}") from None

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


def opened_file(path: Path) -> BufferedIOBase:
    """The file, opened for reading; pipes and devices, which may never end, are not touched.

    Raises:
        ModelError: if there is no such file, or it cannot be read.
    """
    reason = "it is no file"
    try:
        if path.is_file():
            return path.open("rb")
        path.lstat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise ModelError(f"there is no model file {path} that can be read ({reason}); check the path")


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
            yield Archive(path, opened, members)


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
        raise _damaged(path, _first_line(error)) from None
    _check_places(path, members, opened.start_dir)
    _check_sizes(path, members, end)
    return opened, members


def _check_end(path: Path, stream: BufferedIOBase, end: int) -> None:
    """The list of members must end where the file does: other readers then see the same list as we do."""
    tail = _at(stream, max(end - 98, 0), 98).rjust(98, b"\0")
    if tail[-22:-18] != END or tail[-2:] != b"\0\0":
        raise _damaged(path, "it does not end as one")
    count, size, offset = struct.unpack("<HII", tail[-12:-2])
    closing = 22
    if tail[-42:-38] == LOCATOR_64:
        if tail[:4] != END_64:
            raise _damaged(path, "its two ends contradict each other")
        closing, small = 98, (count, size, offset)
        count, size, offset = struct.unpack("<QQQ", tail[32:56])
        if any(
            short not in (long, limit) for short, long, limit in zip(small, (count, size, offset), _FULL, strict=True)
        ):
            raise _damaged(path, "its two ends contradict each other")
    if count > MOST_MEMBERS or size > LARGEST_DIRECTORY:
        raise ModelError(f"{path} claims {count} members, more than a model has; do not unpack it")
    if offset + size != end - closing:
        raise _damaged(path, "there is something before, or in between")


_FULL = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)  # what stands in the small fields where the large ones count


def _member(path: Path, stream: BufferedIOBase, info: zipfile.ZipInfo) -> Member:
    name = info.orig_filename
    if _leads_out(name):
        raise ModelError(f"{path} has a member whose name leads out of the archive ({name!r:.80}); do not unpack it")
    if _is_link(info):
        raise ModelError(f"{path} has a member that is a link to another place ({name!r:.80}); do not unpack it")
    if info.flag_bits & 1:
        raise ModelError(f"{path} is encrypted; unpack and pack it again without a password")
    if info.compress_type not in METHODS:
        raise ModelError(f"{path} is compressed in a way that no model is ({name!r:.80}); pack it again as a plain zip")
    head = _at(stream, info.header_offset, 30)
    if len(head) < 30 or not head.startswith(LOCAL):
        raise _damaged(path, f"{name} is not where it should be")
    start = info.header_offset + 30 + sum(struct.unpack("<HH", head[26:30]))
    return Member(
        name, info.file_size, info.compress_size, info.header_offset, start, info.compress_type != zipfile.ZIP_STORED
    )


def _leads_out(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    outside = name.startswith("/") or "\\" in name or ".." in parts or ":" in parts[0]
    return outside or not name or not name.isprintable()


def _is_link(info: zipfile.ZipInfo) -> bool:
    return (info.external_attr >> 16) & KIND == LINK


def _check_places(path: Path, members: Sequence[Member], directory: int) -> None:
    """At least one member, no two of one name, and no two in one place."""
    if not members:
        raise ModelError(f"{path} is an empty archive; get it again from its source")
    names = set[str]()
    for member in members:
        if member.name in names:
            raise ModelError(f"{path} has two members called {member.name!r:.80}; do not trust either")
        names.add(member.name)
    ordered = sorted(members, key=lambda member: member.header)
    for member, after in zip(ordered, [*(other.header for other in ordered[1:]), directory], strict=True):
        if member.start + member.packed > after:
            raise ModelError(
                f"{path} has members that overlap ({member.name!r:.80}), as in a zip bomb; do not unpack it"
            )


def _check_sizes(path: Path, members: Sequence[Member], end: int) -> None:
    for member in members:
        if not member.compressed and member.size != member.packed:
            raise _damaged(path, f"{member.name} has two sizes")
    unpacked = sum(member.size for member in members)
    if unpacked > GROWTH * end + ALLOWANCE:
        raise ModelError(
            f"{path} holds {end} bytes that claim to unpack to {unpacked}, as in a zip bomb; do not unpack it"
        )


def _at(stream: BufferedIOBase, place: int, length: int) -> bytes:
    stream.seek(place)
    return stream.read(length)


def _damaged(path: Path, reason: str) -> ModelError:
    return ModelError(f"{path} is not a whole zip archive ({reason}); get it again from its source")


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
