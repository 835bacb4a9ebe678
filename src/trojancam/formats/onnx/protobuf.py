"""Protobuf's wire format, walked before anything is decoded: how many parts would decoding a file make?

A decoder makes an object of some hundred bytes of every part of a message, and eight bytes of every one-byte number:
a file of a few megabytes can ask for gigabytes. Weights are skipped in one step, so that walking even a large file
takes a moment.
"""

import mmap
from collections.abc import Mapping
from functools import cache
from typing import Any

Buffer = bytes | mmap.mmap

MAX_FIELDS = 600_000  # a network of ten thousand nodes has some 400,000
MAX_PACKED = 2**26  # bytes of numbers that decoding makes up to eight times as large
MAX_TEXT = 2**22
MAX_DEPTH = 24

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_PACKED, _TEXT = "packed", "text"
_STRING = 9  # the descriptor's type for text
_NUMBERS = {3, 4, 5, 8, 13, 14, 17, 18}  # the descriptor's types that are variable-length numbers


class DamagedError(ValueError):
    """Bytes that are no message, or none that a decoder should be trusted with."""


def check_wire(buffer: Buffer, descriptor: Any) -> None:
    """Walk a message, of the kind that the descriptor tells, to its end.

    Raises:
        DamagedError: if it is cut short, is no message, nests too deeply, or is made of too many parts.
    """
    position, fields, packed = 0, 0, 0
    open_messages = [(len(buffer), _kinds(descriptor))]
    while open_messages:
        end, kinds = open_messages[-1]
        if position == end:
            open_messages.pop()
            continue
        tag = buffer[position]
        if tag < 0x80:  # nearly all are of one byte
            position += 1
        else:
            tag, position = _number(buffer, position, end)
        if tag >> 3 == 0:
            raise DamagedError("its bytes are no message")
        length, position = _length(buffer, position, end, tag & 7)
        kind = kinds.get(tag >> 3) if tag & 7 == _LENGTH else None
        fields, packed = fields + 1, packed + (length if kind == _PACKED else 0)
        if position + length > end:
            raise DamagedError("it is cut short")
        if fields > MAX_FIELDS or packed > MAX_PACKED or len(open_messages) > MAX_DEPTH:
            raise DamagedError("it is made of more parts than any network")
        if kind is None or isinstance(kind, str):
            if kind == _TEXT:
                _check_text(buffer[position : position + min(length, MAX_TEXT + 1)])
            position += length
        else:
            open_messages.append((position + length, _kinds(kind)))


def _check_text(content: bytes) -> None:
    """The decoder hands out as bytes what is no text."""
    if len(content) > MAX_TEXT:
        raise DamagedError("a name in it is longer than any")
    try:
        content.decode()
    except UnicodeDecodeError:
        raise DamagedError("a name in it is no text") from None


def _length(buffer: Buffer, position: int, end: int, wire: int) -> tuple[int, int]:
    """How many bytes a field's value takes, and where they start."""
    if wire == _VARINT:
        return 0, _number(buffer, position, end)[1]
    if wire == _LENGTH:
        if position < end and (length := buffer[position]) < 0x80:
            return length, position + 1
        return _number(buffer, position, end)
    if wire in (_EIGHT_BYTES, _FOUR_BYTES):
        return 8 if wire == _EIGHT_BYTES else 4, position
    raise DamagedError("its bytes are no message")


def _number(buffer: Buffer, position: int, end: int) -> tuple[int, int]:
    """The variable-length number at a position, and where it ends."""
    value = shift = 0
    while position < end and shift < 70:
        byte = buffer[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise DamagedError("it is cut short" if position >= end else "its bytes are no message")


@cache
def _kinds(descriptor: Any) -> Mapping[int, Any]:
    """The fields of a message that hold messages, by number, with their descriptors, and those of packed numbers."""
    kinds: dict[int, Any] = {}
    for field in descriptor.fields:
        if field.message_type is not None:
            kinds[field.number] = field.message_type
        elif field.type in _NUMBERS or field.type == _STRING:
            kinds[field.number] = _TEXT if field.type == _STRING else _PACKED
    return kinds
