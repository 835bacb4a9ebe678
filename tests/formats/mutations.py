"""Damage with a sense of structure: bytes of a valid file in, bytes of a file that is nearly valid out.

A flipped bit rarely comes further than the first check of a reader. So the parts that a format consists of are changed as
what they are: members of archives, steps of pickles, values of JSON, fields of protocol buffers, and what HDF5 holds.
"""

import copy
import io
import json
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import h5py
import numpy as np

Damage = Callable[[bytes, Random], bytes]
WHOLES = (0, -1, 1, 2, 3, 7, 255, 65535, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 10**40)
BITS_OF_VARINT = 70
WORDS = (
    "", "x", "\x1b[31mred", "../../outside", "/etc/hostname", "a" * 5000, "\udcff", "é\u202e", "None", "nan", "1e999",
    "relu", "conv2d", "Conv", "Gemm", "Resize", "Reshape", "Softmax", "Flatten", "Dense", "Lambda", "torch.ops.aten.view.default",
    "torch.ops.aten.relu.default", "torch.ops.aten.mean.dim", "float32", "int64", "channels_first", "F32", "I64", "BF16",
    "torch FloatStorage", "torch._utils _rebuild_tensor_v2", "posix system", "collections OrderedDict", "s0*s1", "valid",
)  # fmt: skip
OTHERS = (None, True, False, [], {}, 0.5, -0.0, 1e308, 1e-320, float("inf"), float("nan"), [[]], {"": {}}, [0] * 300)


def raw(content: bytes, draw: Random) -> bytes:
    """A few bytes flipped, overwritten, cut out, put in or repeated, most of them near the beginning or the end."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        place, length = _place(len(changed), draw), draw.choice((1, 2, 4, 8, 32, 500))
        kind = draw.randrange(7)
        if kind == 0 and changed:
            changed[min(place, len(changed) - 1)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            changed[place : place + length] = draw.randbytes(length)
        elif kind == 2:
            del changed[place : place + length]
        elif kind == 3:
            changed[place:place] = draw.randbytes(length)
        elif kind == 4:
            changed[place:place] = changed[place : place + length] * draw.choice((1, 2, 50))
        elif kind == 5:
            form = draw.choice(("<B", "<H", "<I", "<Q", ">I"))
            size = struct.calcsize(form)
            changed[place : place + size] = struct.pack(form, draw.choice(WHOLES) % (1 << (8 * size)))
        else:
            other = _place(len(changed), draw)
            changed[place : place + length] = changed[other : other + length]
    return bytes(changed)


def cut(content: bytes, draw: Random) -> bytes:
    """The end is missing, or there is more behind it."""
    place = _place(len(content), draw)
    return content[:place] if draw.random() < 0.7 else content + draw.randbytes(draw.choice((1, 30, 3000)))


def _place(length: int, draw: Random) -> int:
    share = draw.random()
    return round(length * draw.choice((share, share**4, 1 - share**4)))


def as_json(content: bytes, draw: Random) -> bytes:
    """A few values of a JSON document are changed, moved, repeated or left out."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return raw(content, draw)
    for _ in range(draw.choice((1, 1, 2, 5))):
        document = _changed(document, draw, _values(document))
    if draw.random() < 0.03:
        depth = draw.choice((50, 900, 100_000))
        return json.dumps(document).replace("null", "[" * depth + "]" * depth, 1).encode(errors="surrogatepass")
    return json.dumps(document).encode(errors="surrogatepass")


def _values(document: Any) -> list[tuple[Any, Any]]:
    """Every place in a document: what holds it, and its name or number there."""
    found: list[tuple[Any, Any]] = []
    ahead = [document]
    while ahead:
        holder = ahead.pop()
        names = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        found += [(holder, name) for name in names]
        ahead += [holder[name] for name in names]
    return found


def _changed(document: Any, draw: Random, places: list[tuple[Any, Any]]) -> Any:
    if not places:
        return copy.deepcopy(draw.choice(OTHERS))
    holder, name = draw.choice(places)
    kind = draw.randrange(6)
    if kind == 0:
        del holder[name]
    elif kind == 1 and isinstance(holder, dict):
        holder[draw.choice((*WORDS, str(name) + "_"))] = holder.pop(name)
    elif kind == 2:
        other, there = draw.choice(places)
        with suppress(LookupError):
            holder[name] = json.loads(json.dumps(other[there]))
    elif kind == 3 and isinstance(holder, list):
        holder[name:name] = [holder[name]] * draw.choice((1, 3, 200))
    else:
        holder[name] = _another(holder[name], draw)
    return document


def _another(value: Any, draw: Random) -> Any:  # noqa: PLR0911 - one for each kind
    """Another value, of the same kind in most cases."""
    if draw.random() < 0.3:
        return copy.deepcopy(draw.choice((*OTHERS, *WHOLES, *WORDS)))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw.choice((*WHOLES, value + 1, value - 1, -value, value * 1000, float(value)))
    if isinstance(value, float):
        return draw.choice((-value, value * 1e30, 1e308, float("nan"), float("inf"), 0))
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            inner = json.loads(value)
            if isinstance(inner, dict | list):  # JSON within JSON, such as a model card
                return as_json(value.encode(errors="replace"), draw).decode(errors="replace")
        return draw.choice((*WORDS, value * 2, value[:-1], value.upper(), value + "\x00"))
    return copy.deepcopy(draw.choice((*OTHERS, [value], {"a": value})))


def as_pickle(content: bytes, draw: Random) -> bytes:
    """A few steps of a pickle are left out, repeated, swapped, or get another argument."""
    try:
        places = [place for _, _, place in pickletools.genops(content)]
    except Exception:
        return raw(content, draw)
    steps = [content[begin:end] for begin, end in zip(places, [*places[1:], len(content)], strict=True)]
    for _ in range(draw.choice((1, 1, 2, 4))):
        number, other = draw.randrange(len(steps)), draw.randrange(len(steps))
        kind = draw.randrange(6)
        if kind == 0:
            steps[number] = b""
        elif kind == 1:
            steps.insert(other, steps[number] * draw.choice((1, 2, 1000)))
        elif kind == 2:
            steps[number], steps[other] = steps[other], steps[number]
        elif kind == 3:
            steps.insert(
                number, draw.choice(pickletools.opcodes).code.encode("latin-1") + draw.randbytes(draw.randrange(5))
            )
        elif kind == 4:
            steps[number] = _step(draw)
        else:
            steps[number] = steps[number][:1] + raw(steps[number][1:], draw)
    return b"".join(steps)


def _step(draw: Random) -> bytes:
    """A step that puts something odd where something else was expected."""
    number, word = draw.choice(WHOLES), draw.choice(WORDS).encode(errors="replace")
    long = number.to_bytes(20, "little", signed=True)
    return draw.choice(
        (
            b"J" + struct.pack("<i", max(-(1 << 31), min(number, (1 << 31) - 1))),
            b"\x8a" + bytes([len(long)]) + long,
            b"X" + struct.pack("<I", len(word)) + word,
            b"c" + word.replace(b"\n", b"").replace(b" ", b"\n", 1) + b"\n" + b"\n",
            b"G" + struct.pack(">d", draw.choice((1e308, float("nan"), -0.5))),
            b"N", b")", b"]", b"}", b"R", b"Q", b"o", b"b", b"0", b"2", b"(", b"1", b"u", b"s", b"t", b"\x85", b"\x94",
        )
    )  # fmt: skip


def as_protobuf(content: bytes, draw: Random, depth: int = 0) -> bytes:
    """A few fields of a message, or of messages in it, are left out, repeated, swapped, renumbered or changed."""
    fields = _fields(content)
    if not fields:
        return raw(content, draw)
    for _ in range(1 if depth else draw.choice((1, 1, 2, 4))):
        number = draw.randrange(len(fields))
        key, wire, value = fields[number]
        kind = draw.randrange(10)
        if kind == 0:
            del fields[number]
        elif kind == 1:
            fields[number:number] = [fields[number]] * draw.choice((1, 2, 100))
        elif kind == 2:
            other = draw.randrange(len(fields))
            fields[number], fields[other] = fields[other], fields[number]
        elif kind == 3 and depth:
            fields[number] = (draw.randrange(1, 30), wire, value)
        elif isinstance(value, int):
            fields[number] = (key, wire, draw.choice((*WHOLES, value + 1, value - 1)))
        elif wire == 2 and depth < 6 and _fields(value):
            fields[number] = (key, wire, as_protobuf(value, draw, depth + 1))
        else:
            word = draw.choice(WORDS).encode(errors="replace")
            fields[number] = (key, wire, draw.choice((raw(value, draw), word)) if wire == 2 else value)
        if not fields:
            break
    return b"".join(_field(*field) for field in fields)


Field = tuple[int, int, "int | bytes"]


def _fields(content: bytes) -> list[Any]:
    """The fields of a message: number, kind of coding, value; none if it is no message."""
    found, place = [], 0
    while place < len(content):
        key, place = _varint(content, place)
        number, wire = key >> 3, key & 7
        if not 0 < number < 100_000:
            return []
        if wire == 0:
            value, place = _varint(content, place)
            if place > len(content):
                return []
            found.append((number, wire, value))
            continue
        length = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            length, place = _varint(content, place)
        if length is None or place + length > len(content):
            return []
        found.append((number, wire, content[place : place + length]))
        place += length
    return found


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(content) and shift < BITS_OF_VARINT:
        byte = content[place]
        value, place, shift = value | (byte & 127) << shift, place + 1, shift + 7
        if byte < 128:
            return value, place
    return 0, len(content) + 1


def _field(number: int, wire: int, value: Any) -> bytes:
    key = _written(number << 3 | wire)
    if wire == 0:
        return key + _written(value % (1 << 64))
    return key + (_written(len(value)) if wire == 2 else b"") + bytes(value)


def _written(value: int) -> bytes:
    content = b""
    while value > 127:
        content, value = content + bytes([value & 127 | 128]), value >> 7
    return content + bytes([value])


def as_hdf5(content: bytes, draw: Random) -> bytes:
    """Attributes, data sets and groups are changed, left out, renamed, or lead somewhere else."""
    buffer = io.BytesIO(content)
    try:
        with h5py.File(buffer, "r+") as file:
            for _ in range(draw.choice((1, 1, 2, 3))):
                _in_hdf5(file, draw)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return raw(content, draw)
    return buffer.getvalue()


def _in_hdf5(file: h5py.File, draw: Random) -> None:
    names: list[str] = []
    file.visit(names.append)
    holder = file[draw.choice(names)] if names and draw.random() < 0.6 else file
    attributes, name = list(holder.attrs), draw.choice(names or ["x"])
    kind = draw.randrange(9)
    if kind <= 2 and attributes:
        chosen = draw.choice(attributes)
        value = holder.attrs[chosen]
        text = value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None
        if text is None:
            holder.attrs[chosen] = draw.choice((7, "x", b"\xff\xfe", [1.0, 2.0], np.zeros((3, 3))))
        else:
            holder.attrs[chosen] = as_json(text, draw).decode(errors="replace")
    elif kind == 3 and attributes:
        del holder.attrs[draw.choice(attributes)]
    elif kind == 4:
        holder.attrs.create(
            draw.choice((b"\xff\xfe", b"x", b"layer_names")), draw.choice((b"\xff", 1, [b"\xe9", b"b"]))
        )
    elif kind == 5 and names:
        del file[name]
    elif kind == 6 and names:
        file.move(name, draw.choice((name + "_", "x/y", "layers/é", name.upper())))
    elif kind == 7 and names:
        del file[name]
        shape = draw.choice(((), (0,), (1,), (3, 3, 3, 2), (5,), (1 << 20, 1 << 10)))
        file.create_dataset(name, shape, draw.choice(("f4", "f8", "i8", "S3", "f2", "c8", "u1")))
    else:
        link = draw.choice((h5py.SoftLink("/"), h5py.SoftLink("/nowhere"), h5py.ExternalLink("/etc/hostname", "/")))
        file[name + "_link"] = link


def as_safetensors(content: bytes, draw: Random) -> bytes:
    """The header is changed as JSON; its length is right in most cases."""
    (length,) = struct.unpack("<Q", content[:8])
    header = as_json(content[8 : 8 + length], draw)
    claimed = len(header) if draw.random() < 0.9 else draw.choice(WHOLES) % (1 << 64)
    return struct.pack("<Q", claimed) + header + content[8 + length :]


def as_archive(content: bytes, draw: Random) -> bytes:
    """A member is changed as what it is, or renamed, left out, repeated or packed otherwise."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            members = [(info.filename, opened.read(info), info.compress_type) for info in opened.infolist()]
    except Exception:
        return raw(content, draw)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        number = draw.randrange(len(members))
        name, inside, packed = members[number]
        kind = draw.randrange(12)
        if kind == 0 and len(members) > 1:
            del members[number]
        elif kind == 1:
            members.append(
                (draw.choice((name, name.upper(), "../" + name, name + "\x00", draw.choice(WORDS))), inside, packed)
            )
        elif kind == 2:
            members[number] = (name, inside, draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)))
        else:
            members[number] = (name, by_content(inside, draw), packed)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as opened:
        warnings.simplefilter("ignore")
        for name, inside, packed in members:
            with suppress(ValueError):  # a name that cannot be written
                opened.writestr(zipfile.ZipInfo(name.encode(errors="replace").decode()), inside, packed)
    return buffer.getvalue()


def by_content(content: bytes, draw: Random) -> bytes:
    """Changed as whatever it begins like."""
    head = content[:8].lstrip()
    if content.startswith(b"PK"):
        return as_archive(content, draw)
    if content.startswith(b"\x89HDF"):
        return as_hdf5(content, draw)
    if head[:1] in (b"{", b"["):
        return as_json(content, draw)
    if content[:1] == b"\x80" or content[-1:] == b".":
        return as_pickle(content, draw)
    if content[8:9] == b"{":
        return as_safetensors(content, draw)
    return as_protobuf(content, draw) if content[:1] == b"\x08" else raw(content, draw)


def damaged(content: bytes, others: list[bytes], draw: Random) -> bytes:
    """One of all of these, with parts of other valid files now and then."""
    kind = draw.random()
    if kind < 0.7:
        content = by_content(content, draw)
    if kind > 0.6 and draw.random() < 0.85:
        content = raw(content, draw)
    if draw.random() < 0.05:
        content = cut(content, draw)
    if draw.random() < 0.03:
        other = draw.choice(others)
        content = content[: _place(len(content), draw)] + other[_place(len(other), draw) :]
    return content
