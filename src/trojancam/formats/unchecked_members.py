"""Unchecked members: all that an archive lists, to be looked at also where the archive is refused.

Readers that are careless take what they find. So names may come twice, and sizes, flags and check sums are not believed.
"""

import struct
import zipfile
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from trojancam.formats.archives import LARGEST_DIRECTORY, LOCAL, MOST_MEMBERS, WHAT_ZIPS_RAISE, damaged

MOST_DAMAGED = 4 << 20  # packed bytes of an archive that are unpacked one by one, to find where the damage begins


class UncheckedMembers:
    """The members of an archive by their lines in its list: none is found by its name, and nothing is unpacked to a file.

    `all_listed`: whether `lines` are all of them.

    Raises:
        ModelError: if the archive has no list that can be read.
    """

    def __init__(self, path: Path, stream: BufferedIOBase) -> None:
        self._stream, self._damaged = stream, MOST_DAMAGED
        listed: Any = _Portions(stream)
        try:
            with zipfile.ZipFile(listed) as opened:
                lines = opened.infolist()
        except WHAT_ZIPS_RAISE:
            raise damaged(path, "its members cannot be listed") from None
        self.lines = tuple(lines[:MOST_MEMBERS])
        self.all_listed = len(lines) <= MOST_MEMBERS

    def start(self, line: zipfile.ZipInfo, most: int) -> bytes:
        """The first bytes of a member, `most` at most: as many as come before the damage, if there is any."""
        try:
            self._stream.seek(line.header_offset)
            head = self._stream.read(30)
            if len(head) < 30 or not head.startswith(LOCAL):
                return b""
            self._stream.seek(sum(struct.unpack("<HH", head[26:])), 1)
            packed = self._stream.read(min(line.compress_size, most + most // 64 + 1024))
        except (OSError, ValueError):
            return b""
        return self._inflated(packed, most) if line.compress_type == zipfile.ZIP_DEFLATED else packed[:most]

    def _inflated(self, packed: bytes, most: int) -> bytes:
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
        except zlib.error:
            return self._before_the_damage(packed, most)

    def _before_the_damage(self, packed: bytes, most: int) -> bytes:
        """An unpickler that reads from the archive runs what comes first before it meets the damage."""
        content, unpack = bytearray(), zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for place in range(min(len(packed), self._damaged)):
                self._damaged -= 1
                content += unpack.decompress(packed[place : place + 1], most - len(content))
                if len(content) >= most:
                    break
        except zlib.error:
            pass
        return bytes(content)


class _Portions:
    """A stream that does not give more at once than the longest list of members that is taken."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, length: int = -1) -> bytes:
        """So many bytes, or those that are left."""
        if length > LARGEST_DIRECTORY:
            raise zipfile.BadZipFile("the list of its members is longer than any model's")
        return self._stream.read(LARGEST_DIRECTORY if length < 0 else length)
