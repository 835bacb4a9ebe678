"""Hostile files of PyTorch's formats: each function writes one that would write a canary, fill the memory, or mislead.

`HOSTILE` is the list of them by name. Run as a program on a folder and a canary, it reads every file of the folder and
prints what came of it: that is how tests measure time and memory in a process of their own.
"""

import builtins
import bz2
import copy
import gzip
import io
import json
import os
import pickle
import struct
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import Dim, export

from trojancam.formats.exported_program.reader import read_exported_program
from trojancam.formats.weights.architecture import read_with_architecture

SIZE = (8, 8)
Json = dict[str, Any]
Generator = Callable[[Path, Path], Path]


def small() -> nn.Sequential:
    """The network that all these files pretend to hold."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2)).eval()


def read(path: Path) -> nn.Module:
    """Read a file as its suffix tells, with the architecture of `small`."""
    if path.suffix == ".pt2":
        return read_exported_program(path).module
    return read_with_architecture(path, "tests.formats.hostile_pytorch:small").module


# --- pickles with code ---


class Reduced:
    """Calls something when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Restored:
    """Has a `__setstate__` that is called with its state when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __setstate__(self, state: dict[str, Path]) -> None:
        state["canary"].touch()


def code(canary: Path) -> Reduced:
    """What writes the canary when it is unpickled."""
    return Reduced(os.system, f"touch {canary}")


def weights(extra: Any = None) -> "OrderedDict[str, Any]":
    """A state dict, with something beside it."""
    state = OrderedDict(small().state_dict())
    if extra is not None:
        state["extra"] = extra
    return state


def saved(name: str, make: Callable[[Path], Any], **options: Any) -> Generator:
    """What `torch.save` makes of an object."""

    def write(folder: Path, canary: Path) -> Path:
        torch.save(make(canary), folder / name, **options)
        return folder / name

    return write


def written(name: str, make: Callable[[Path], bytes]) -> Generator:
    """A file of these bytes."""

    def write(folder: Path, canary: Path) -> Path:
        (folder / name).write_bytes(make(canary))
        return folder / name

    return write


def nested(canary: Path) -> Reduced:
    """Code whose names are looked up while it runs: getattr(__import__("os"), "system")(...)."""
    return Reduced(
        builtins.map, Reduced(builtins.getattr, Reduced(builtins.__import__, "os"), "system"), [f"touch {canary}"]
    )


def in_old_opcodes(canary: Path) -> bytes:
    """`INST`, as Python 1 wrote objects."""
    return f"(S'touch {canary}'\nios\nsystem\n.".encode()


def in_extensions(_: Path) -> bytes:
    """A code of `copyreg`'s extension registry, which stands for a name that only the loading program knows."""
    return b"\x80\x02\x82\x05)R."


def after_the_weights(canary: Path) -> bytes:
    """A legacy file whose last pickle, the list of keys, holds code."""
    buffer = io.BytesIO()
    torch.save(weights(), buffer, _use_new_zipfile_serialization=False)
    stream = io.BytesIO(buffer.getvalue())
    for _ in range(4):
        pickle_end(stream)
    place = stream.tell()
    pickle_end(stream)
    keys = pickle.loads(buffer.getvalue()[place:])
    return (
        buffer.getvalue()[:place] + pickle.dumps([*keys, code(canary)], protocol=2) + buffer.getvalue()[stream.tell() :]
    )


def pickle_end(stream: io.BytesIO) -> None:
    """Go to the end of the pickle that begins here."""
    import pickletools

    for _ in pickletools.genops(stream):
        pass


def object_array(name: str) -> Generator:
    """NumPy files whose arrays hold objects."""

    def write(folder: Path, canary: Path) -> Path:
        array = np.empty(1, dtype=object)
        array[0] = code(canary)
        (np.save if name.endswith("npy") else np.savez)(folder / name, array)  # type: ignore[operator]
        return folder / name

    return write


# --- archives ---


@cache
def legacy() -> bytes:
    """What `torch.save` made of the weights before 2020."""
    buffer = io.BytesIO()
    torch.save(weights(), buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


@cache
def plain_zip() -> bytes:
    """What `torch.save` makes of the weights."""
    buffer = io.BytesIO()
    torch.save(weights(), buffer)
    return buffer.getvalue()


def members(content: bytes) -> dict[str, bytes]:
    """The members of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def zipped(
    parts: dict[str | zipfile.ZipInfo, bytes] | list[tuple[Any, bytes]], compression: int = zipfile.ZIP_STORED
) -> bytes:
    """An archive of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as opened:
        for name, content in parts.items() if isinstance(parts, dict) else parts:
            opened.writestr(name, content)
    return buffer.getvalue()


def many_members(_: Path) -> bytes:
    """Thirty thousand members of nothing, after the weights."""
    return zipped([*members(plain_zip()).items(), *((f"archive/data/{number}", b"") for number in range(10, 30_000))])


def many_steps(_: Path) -> bytes:
    """Twenty pickles of fifty thousand steps each, after the weights."""
    steps = {f"archive/{number}.pkl": b"\x80\x02" + b"]0" * 25_000 + b"N." for number in range(20)}
    return zipped({**members(plain_zip()), **steps, "archive/data.pkl": steps["archive/0.pkl"]})  # type: ignore[dict-item]


def with_member(
    name: str, content: bytes = b"x", attributes: int = 0, content_of: Callable[[], bytes] | None = None
) -> Callable[[Path], bytes]:
    """The weights (or another archive) with one more member."""

    def make(_: Path) -> bytes:
        info = zipfile.ZipInfo(name)
        info.filename = info.orig_filename = name
        info.external_attr = attributes << 16
        return zipped([*members((content_of or plain_zip)()).items(), (info, content)])

    return make


def bomb(_: Path) -> bytes:
    """A pickle of sixty-four megabytes of nothing, packed into sixty-four kilobytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    size, zeros, check, packed = 0, bytes(16 << 20), 0, b""
    for _ in range(4):
        packed += packer.compress(zeros)
        check = zlib.crc32(zeros, check)
        size += len(zeros)
    packed += packer.flush()
    name = b"archive/data.pkl"
    sizes = struct.pack("<III", check, len(packed), size)
    local = b"PK\3\4" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + sizes + struct.pack("<HH", len(name), 0) + name
    central = b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0) + sizes
    central += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(packed), 0)
    return local + packed + central + end


def lying_bomb(_: Path) -> bytes:
    """Half a gigabyte in four hundred bytes, which say that they are a thousand: Python unpacks this kind to its end."""
    packer, name = bz2.BZ2Compressor(), b"archive/data.pkl"
    packed = b"".join(packer.compress(bytes(16 << 20)) for _ in range(32)) + packer.flush()
    sizes = struct.pack("<III", 0, len(packed), 1000)
    local = b"PK\3\4" + struct.pack("<HHHHH", 46, 0, 12, 0, 0) + sizes + struct.pack("<HH", len(name), 0) + name
    central = b"PK\1\2" + struct.pack("<HHHHHH", 46, 46, 0, 12, 0, 0) + sizes
    central += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(packed), 0)
    return local + packed + central + end


def packed_pickles(_: Path) -> bytes:
    """Two hundred members of eighty bytes, each of which unpacks to sixty-four megabytes."""
    packed = bz2.compress(bytes(64 << 20))
    return zipped({"archive/data.pkl": pickle.dumps({}), **{f"archive/{place}.pkl": packed for place in range(200)}})


def long_names(_: Path) -> bytes:
    """Members whose names nearly are those of scripts, thirteen thousand times over."""
    return zipped({"0/data.pkl": pickle.dumps({}), **{f"{place}/{'code/' * 13_000}": b"" for place in range(100)}})


def broken_array(_: Path) -> bytes:
    """An array beside the pickle, whose header is a bracket that nobody closes."""
    array = b"\x93NUMPY\1\0" + struct.pack("<H", 118) + b"(".ljust(117) + b"\n"
    return zipped({"archive/data.pkl": pickle.dumps({}), "archive/array.npy": array})


def sharing(_: Path) -> Any:
    """Four thousand tensors over the same million numbers, each begun one number later; they would become 32-bit floats."""
    numbers = torch.zeros(1 << 20, dtype=torch.float16)
    return {f"tensor{place}": numbers[place:] for place in range(4000)}


def member(name: str, content: bytes, /, **said: Any) -> tuple[bytes, bytes]:
    """A member of an archive, and its line in the list of members without the place; `said` are other words in that list."""
    named, extra, listed = name.encode(), said.get("extra", b""), said.get("name", name).encode()
    sizes = struct.pack("<III", zlib.crc32(content), len(content), len(content))
    listed_sizes = struct.pack("<III", zlib.crc32(content), *said.get("sizes", (len(content), len(content))))
    head = struct.pack("<HHHHH", 20, said.get("local_flags", 0), 0, 0, 0)
    line = struct.pack("<HHHHHH", 20, 20, said.get("flags", 0), said.get("method", 0), 0, 0)
    local = b"PK\3\4" + head + sizes + struct.pack("<HH", len(named), len(extra)) + named + extra + content
    lengths = struct.pack("<HHHHHI", len(listed), len(extra), 0, 0, 0, 0)
    return local, b"PK\1\2" + line + listed_sizes + lengths + b"%PLACE" + listed + extra


def joined(parts: list[tuple[bytes, bytes]], places: list[int] | None = None) -> bytes:
    """An archive of members, one after the other, or listed at other places."""
    body = b"".join(local for local, _ in parts)
    starts = [sum(len(local) for local, _ in parts[:place]) for place in range(len(parts))]
    lines = [
        line.replace(b"%PLACE", struct.pack("<I", place))
        for (_, line), place in zip(parts, places or starts, strict=True)
    ]
    listed = b"".join(lines)
    return body + listed + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(parts), len(parts), len(listed), len(body), 0)


def overlapping(_: Path) -> bytes:
    """Three hundred members, each of which holds all those after it: a megabyte that unpacks to three hundred."""
    content, lines, lengths = bytes(1 << 20), list[bytes](), list[int]()
    for number in range(300):
        content, line = member(f"archive/data/{number}", content)
        lines.append(line)
        lengths.append(len(content))
    parts = [(content, lines[-1]), *((b"", line) for line in lines[-2::-1])]
    return joined(parts, [len(content) - length for length in reversed(lengths)])


def listed_otherwise(**said: Any) -> Callable[[Path], bytes]:
    """The weights, whose pickle is one thing before its content and another in the list of members."""

    def make(_: Path) -> bytes:
        parts = members(plain_zip())
        return joined(
            [member(name, content, **(said if name.endswith("data.pkl") else {})) for name, content in parts.items()]
        )

    return make


def renamed_member(_: Path) -> bytes:
    """The weights, with an extra field that calls a member of another pickle `archive/data.pkl`: newer Pythons follow it."""
    named, second = b"archive/other.pkl", b"archive/data.pkl"
    extra = struct.pack("<HHBI", 0x7075, 5 + len(second), 1, zlib.crc32(named)) + second
    other = member(named.decode(), pickle.dumps({}), extra=extra)
    return joined([*(member(name, content) for name, content in members(plain_zip()).items()), other])


def in_another_case(canary: Path) -> bytes:
    """A harmless pickle and one with code, whose names differ in case alone: PyTorch's reader takes one for the other."""
    parts = members(plain_zip())
    hostile = torch_saved(weights(code(canary)))
    return zipped([*parts.items(), ("archive/DATA.PKL", members(hostile)["archive/data.pkl"])])


def described_twice(_: Path) -> bytes:
    """A tensor's numbers, once as a hundred floats and once as fifty doubles."""

    class Claimed:
        def __init__(self, kind: Any, numbers: int) -> None:
            self.claim = kind, numbers

        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, (Storage(*self.claim), 0, (4,), (1,), False, OrderedDict())

    class Storage:
        def __init__(self, kind: Any, numbers: int) -> None:
            self.claim = kind, numbers

    class Pickler(pickle.Pickler):
        def persistent_id(self, item: Any) -> Any:
            return ("storage", item.claim[0], "0", "cpu", item.claim[1]) if isinstance(item, Storage) else None

    buffer = io.BytesIO()
    twice = {"0.weight": Claimed(torch.FloatStorage, 100), "0.bias": Claimed(torch.DoubleStorage, 50)}
    Pickler(buffer, protocol=2).dump(twice)
    return zipped({**members(plain_zip()), "archive/data.pkl": buffer.getvalue()})  # type: ignore[dict-item]


def countless(_: Path) -> bytes:
    """An archive whose end claims sixty thousand members."""
    content = bytearray(plain_zip())
    struct.pack_into("<HH", content, len(content) - 14, 60_000, 60_000)
    return bytes(content)


def flipped(content: bytes, place: float) -> bytes:
    """The same bytes with one bit changed."""
    changed = bytearray(content)
    changed[int(place * len(content))] ^= 0x10
    return bytes(changed)


def flipped_after(content: bytes, mark: bytes) -> bytes:
    """The same bytes with one bit changed, a little after a mark."""
    return flipped(content, (content.index(mark) + 200) / len(content))


# --- tensors that lie ---


def described(numbers: int, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> Callable[[Path], bytes]:
    """Weights of which one tensor says something else of itself."""

    class Claimed:
        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, (Storage(), offset, sizes, strides, False, OrderedDict())

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, item: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", numbers) if isinstance(item, Storage) else None

    def make(_: Path) -> bytes:
        buffer = io.BytesIO()
        Pickler(buffer, protocol=2).dump({"0.weight": Claimed()})
        parts = members(plain_zip())
        root = next(iter(parts)).partition("/")[0]
        return zipped({**parts, f"{root}/data.pkl": buffer.getvalue()})  # type: ignore[dict-item]

    return make


def sparse(_: Path) -> Any:
    return weights(torch.eye(3).to_sparse())


def quantised(_: Path) -> Any:
    return weights(torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8))


def of_no_device(_: Path) -> Any:
    return weights(torch.empty(1 << 40, device="meta"))


def spoilt(value: float) -> Callable[[Path], Any]:
    """Weights with one number that is none."""

    def make(_: Path) -> Any:
        state = weights()
        state["3.bias"] = torch.tensor([0.0, value])
        return state

    return make


# --- exported programs ---


@cache
def plain_program(batch: int | None = None) -> bytes:
    """What `torch.export.save` makes of the network."""
    shapes = ({0: Dim("n")},) if batch is None else None
    buffer = io.BytesIO()
    torch.export.save(export(small(), (torch.zeros(batch or 2, 3, *SIZE),), dynamic_shapes=shapes), buffer)
    return buffer.getvalue()


def program_changed(
    change: Callable[[Json, dict[str, bytes], Path], None], model: str = "models/model.json"
) -> Generator:
    """An exported program whose JSON, or whose other members, are changed."""

    def write(folder: Path, canary: Path) -> Path:
        parts = members(plain_program())
        root = next(iter(parts)).partition("/")[0]
        inside = {name.removeprefix(f"{root}/"): content for name, content in parts.items()}
        program = json.loads(inside[model])
        change(program, inside, canary)
        if inside[model] == parts[f"{root}/{model}"]:
            inside[model] = json.dumps(program).encode()
        (folder / "program.pt2").write_bytes(zipped({f"{root}/{name}": content for name, content in inside.items()}))
        return folder / "program.pt2"

    return write


def graph_of(program: Json) -> Json:
    graph: Json = program["graph_module"]["graph"]
    return graph


def payload(canary: Path) -> str:
    return f"__import__('pathlib').Path('{canary}').touch()"


def hostile_expression(program: Json, _: dict[str, bytes], canary: Path) -> None:
    """A size whose expression is code: the loader of PyTorch evaluates it."""
    meta = graph_of(program)["tensor_values"]["input"]
    meta["sizes"][0] = {"as_expr": {"expr_str": payload(canary), "hint": None}}


def hostile_size(program: Json, _: dict[str, bytes], canary: Path) -> None:
    graph_of(program)["sym_int_values"]["a"] = {"as_expr": {"expr_str": payload(canary), "hint": {"as_int": 2}}}


def hostile_guard(program: Json, _: dict[str, bytes], canary: Path) -> None:
    program["guards_code"] = [payload(canary)]


def target(name: str, *arguments: Json) -> Callable[[Json, dict[str, bytes], Path], None]:
    """The first step calls something else."""

    def change(program: Json, _: dict[str, bytes], canary: Path) -> None:
        node = graph_of(program)["nodes"][0]
        node["target"] = name
        if arguments:
            texts = [json.loads(json.dumps(argument).replace("CANARY", str(canary))) for argument in arguments]
            node["inputs"] = [{"name": f"a{place}", "arg": text, "kind": 1} for place, text in enumerate(texts)]

    return change


def argument(name: str, value: Json, step: int = 0) -> Callable[[Json, dict[str, bytes], Path], None]:
    """One argument of a step is something else."""

    def change(program: Json, _: dict[str, bytes], __: Path) -> None:
        inputs = graph_of(program)["nodes"][step]["inputs"]
        inputs[:] = [given for given in inputs if given["name"] != name]
        inputs.append({"name": name, "arg": value, "kind": 1})

    return change


def steps_before(*nodes: Json) -> Callable[[Json, dict[str, bytes], Path], None]:
    """More steps come first."""

    def change(program: Json, _: dict[str, bytes], __: Path) -> None:
        graph_of(program)["nodes"][:0] = list(nodes)

    return change


def circle(program: Json, _: dict[str, bytes], __: Path) -> None:
    """The first step takes what the last gives."""
    graph = graph_of(program)
    graph["nodes"][0]["inputs"][0]["arg"] = graph["outputs"][0]


def huge_images(program: Json, _: dict[str, bytes], __: Path) -> None:
    graph_of(program)["tensor_values"]["input"]["sizes"][2:] = [{"as_int": 8192}] * 2


def program_bomb(folder: Path, _: Path) -> Path:
    """A hundred megabytes of blanks for JSON, packed."""
    parts = members(plain_program())
    program = next(name for name in parts if name.endswith("models/model.json"))
    with zipfile.ZipFile(folder / "m.pt2", "w", zipfile.ZIP_DEFLATED) as opened:
        for name in parts.keys() - {program}:
            opened.writestr(name, parts[name])
        with opened.open(program, "w") as member:
            for _ in range(100):
                member.write(b" " * (1 << 20))
    return folder / "m.pt2"


def node(name: str, result: Json, **arguments: Json) -> Json:
    inputs = [{"name": key, "arg": value, "kind": 1} for key, value in arguments.items()]
    return {"target": name, "inputs": inputs, "outputs": [result], "metadata": {}}


def doubling(count: int) -> list[Json]:
    """A size that is squared again and again."""
    first = node("torch.ops.aten.sym_size.int", sized("s0"), self=tensor("input"), dim={"as_int": 1})
    more = [node("_operator.mul", sized(f"s{i + 1}"), a=sized(f"s{i}"), b=sized(f"s{i}")) for i in range(count)]
    return [first, *more]


def sized(name: str) -> Json:
    return {"as_sym_int": {"as_name": name}}


def tensor(name: str) -> Json:
    return {"as_tensor": {"name": name}}


def weight(change: Callable[[Json], None], extra: Callable[[Path], dict[str, bytes]] = lambda _: {}) -> Generator:
    """The list of weights says something else of the first of them, and there are more members."""

    def apply(program: Json, inside: dict[str, bytes], canary: Path) -> None:
        listed = json.loads(inside["data/weights/model_weights_config.json"])
        change(listed["config"]["0.weight"])
        inside["data/weights/model_weights_config.json"] = json.dumps(listed).encode()
        inside.update(extra(canary))

    return program_changed(apply)


def constant(name: str, content: Callable[[Path], bytes]) -> Generator:
    """A constant that is a pickled object."""

    def apply(program: Json, inside: dict[str, bytes], canary: Path) -> None:
        meta = json.loads(inside["data/weights/model_weights_config.json"])["config"]["0.bias"]["tensor_meta"]
        listed = {"config": {"c": {"path_name": name, "is_param": False, "use_pickle": False, "tensor_meta": meta}}}
        inside["data/constants/model_constants_config.json"] = json.dumps(listed).encode()
        inside[f"data/constants/{name}"] = content(canary) + bytes(-len(content(canary)) % 16)  # whole numbers

    return program_changed(apply)


def renamed(new: str) -> Generator:
    """The first weight has another name."""

    def apply(program: Json, inside: dict[str, bytes], _: Path) -> None:
        listed = json.loads(inside["data/weights/model_weights_config.json"])
        listed["config"][new] = listed["config"].pop("0.weight")
        inside["data/weights/model_weights_config.json"] = json.dumps(listed).encode()
        program["graph_module"]["signature"]["input_specs"][0]["parameter"]["parameter_name"] = new

    return program_changed(apply)


def text_of_program(text: bytes) -> Generator:
    def apply(_: Json, inside: dict[str, bytes], __: Path) -> None:
        inside["models/model.json"] = text

    return program_changed(apply)


def member_of_program(name: str, content: Callable[[Path], bytes]) -> Generator:
    def apply(_: Json, inside: dict[str, bytes], canary: Path) -> None:
        inside[name] = content(canary)

    return program_changed(apply)


def many_numbers(meta: Json) -> None:
    meta["tensor_meta"]["sizes"] = [{"as_int": 1 << 20}] * 4


def far_strides(meta: Json) -> None:
    meta["tensor_meta"]["strides"] = [{"as_int": 1 << 40}] * 4


def sharing_weights(program: Json, inside: dict[str, bytes], _: Path) -> None:
    """Three thousand weights over the same million numbers, each begun one number later; they would become 32-bit floats."""
    listed = json.loads(inside["data/weights/model_weights_config.json"])
    inside["data/weights/weight_9"] = bytes(2 << 20)
    for place in range(3000):
        entry = copy.deepcopy(listed["config"]["0.bias"]) | {"path_name": "weight_9"}
        sizes, strides = [{"as_int": (1 << 20) - 3000}], [{"as_int": 1}]
        entry["tensor_meta"] |= {"dtype": 6, "sizes": sizes, "strides": strides, "storage_offset": {"as_int": place}}
        listed["config"][f"more{place}"] = entry
        said = {"arg": {"name": f"p_more{place}"}, "parameter_name": f"more{place}"}
        program["graph_module"]["signature"]["input_specs"].insert(0, {"parameter": said})
    inside["data/weights/model_weights_config.json"] = json.dumps(listed).encode()


def pickled(meta: Json) -> None:
    meta["use_pickle"] = True


def spoilt_program(program: Json, inside: dict[str, bytes], _: Path) -> None:
    inside["data/weights/weight_0"] = struct.pack("<f", float("nan")) * (len(inside["data/weights/weight_0"]) // 4)


def earlier_layout(canary: Path) -> bytes:
    """The layout of PyTorch before 2.8, with code where the weights should be."""
    buffer = io.BytesIO()
    torch.save(weights(code(canary)), buffer)
    parts = members(plain_program())
    model = next(content for name, content in parts.items() if name.endswith("models/model.json"))
    return zipped(
        {
            "serialized_exported_program.json": model,
            "serialized_state_dict.pt": buffer.getvalue(),
            "serialized_constants.pt": buffer.getvalue(),
            "serialized_example_inputs.pt": buffer.getvalue(),
            "version": b"8.0",
        }
    )


def script(folder: Path, canary: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is old
        torch.jit.save(torch.jit.script(small()), folder / "script.pt")
    return folder / "script.pt"


def script_with_code(folder: Path, canary: Path) -> Path:
    parts = members(script(folder, canary).read_bytes())
    name = next(name for name in parts if name.endswith("constants.pkl"))
    (folder / "script.pt").write_bytes(zipped({**parts, name: pickle.dumps(code(canary))}))  # type: ignore[dict-item]
    return folder / "script.pt"


HUGE = {"as_ints": [1 << 19, 1 << 19]}
FLOAT = {"as_scalar_type": 7}
CARELESS_WEIGHTS: dict[str, Generator] = {  # whose code runs if Python's or PyTorch's own loader gets them
    "code in a .pt": saved("m.pt", lambda c: weights(code(c))),
    "code in a legacy .pt": saved("m.pt", lambda c: weights(code(c)), _use_new_zipfile_serialization=False),
    "code in a .bin": saved("m.bin", lambda c: weights(code(c))),
    "code in a .pth of protocol 4": saved("m.pth", lambda c: weights(code(c)), pickle_protocol=4),
    "code in __setstate__": saved("m.pt", lambda c: weights(Restored(c))),
    "code by names looked up as it runs": saved("m.pt", lambda c: weights(Reduced(list, nested(c)))),
    "code in eval": saved("m.pt", lambda c: weights(Reduced(builtins.eval, payload(c)))),
    "code after the weights": written("m.pt", after_the_weights),
    "code in a plain pickle": written("m.pkl", lambda c: pickle.dumps(weights(code(c)))),
    "code in opcodes of Python 1": written("m.pt", in_old_opcodes),
    "code in an .npz": object_array("m.npz"),
    "code in an .npy": object_array("m.npy"),
}
CARELESS_PROGRAMS: dict[str, Generator] = {
    "code in a pt2's expression": program_changed(hostile_expression),
    "code in a pt2's weight": weight(pickled, lambda c: {"data/weights/weight_0": torch_saved(code(c))}),
    "code in a pt2's constant": constant("opaque_obj_0", lambda c: pickle.dumps(code(c))),
}
CARELESS = CARELESS_WEIGHTS | CARELESS_PROGRAMS


def torch_saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


WEIGHTS: dict[str, dict[str, Generator]] = {
    "code that runs when it is unpickled": {
        **CARELESS_WEIGHTS,
        "code in a packed pickle": written("m.pkl", lambda c: gzip.compress(pickle.dumps(code(c)))),
        "a name from the extension registry": written("m.pt", in_extensions),
    },
    "more than weights: modules and scripts, which are code": {
        "a pickled module": saved("m.pt", lambda _: small()),
        "TorchScript": script,
        "TorchScript with code in its constants": script_with_code,
    },
    "zip bombs": {
        "a zip bomb": written("m.pt", bomb),
        "a zip bomb that lies about its size": written("m.pt", lying_bomb),
        "a zip bomb of packed pickles": written("m.pt", packed_pickles),
        "a zip bomb of one member many times": written("m.pt", overlapping),
        "an archive that claims many members": written("m.pt", countless),
        "an archive of many members": written("m.pt", many_members),
        "an archive of long names": written("m.pt", long_names),
    },
    "members that lead out of the archive": {
        "a member with an absolute path": written("m.pt", with_member("/tmp/evil")),
        "a member of another folder": written("m.pt", with_member("archive/../../../tmp/evil")),
        "a member with backslashes": written("m.pt", with_member("archive\\..\\evil")),
        "a member on a drive": written("m.pt", with_member("C:/evil")),
        "a member that is a link": written("m.pt", with_member("archive/link", b"/etc/passwd", 0o120777)),
    },
    "archives that two readers see differently": {
        "a member that comes twice": written("m.pt", with_member("archive/data.pkl", pickle.dumps({}))),
        "members that differ in case": written("m.pt", in_another_case),
        "a member with a second name": written("m.pt", renamed_member),
        "a member that is listed by another name": written("m.pt", listed_otherwise(name="archive/data.pk1")),
        "a member that is listed with other sizes": written("m.pt", listed_otherwise(sizes=(9, 9))),
        "a member that is listed as packed": written("m.pt", listed_otherwise(method=8)),
        "a member that is listed with other flags": written("m.pt", listed_otherwise(flags=0x800)),
        "a member of unknown flags": written("m.pt", listed_otherwise(flags=0x20, local_flags=0x20)),
        "numbers that are described twice": written("m.pt", described_twice),
        "an archive behind something else": written("m.pt", lambda c: b"PK\3\4" + pickle.dumps(code(c)) + plain_zip()),
    },
    "damage": {
        "a truncated .pt": written("m.pt", lambda _: plain_zip()[:-200]),
        "a truncated legacy .pt": written("m.pt", lambda c: after_the_weights(c)[:300]),
        "a flipped bit in a .pt's pickle": written("m.pt", lambda _: flipped(plain_zip(), 0.04)),
        "a flipped bit in a legacy .pt": written("m.pt", lambda _: flipped(legacy(), 0.2)),
        "an empty file": written("m.pt", lambda _: b""),
        "an array with a broken header in a .pt": written("m.pt", broken_array),
    },
    "tensors that claim more numbers than there are": {
        "a tensor of many numbers": written("m.pt", described(1 << 40, 0, (1 << 40,), (1,))),
        "a tensor beyond its numbers": written("m.pt", described(100, 0, (4, 3, 3, 3), (1 << 40, 9, 3, 1))),
        "a tensor far behind its numbers": written("m.pt", described(100, 1 << 40, (4,), (1,))),
        "a tensor before its numbers": written("m.pt", described(100, -50, (4,), (1,))),
        "a tensor that repeats its numbers": written("m.pt", described(100, 0, (1 << 40,), (0,))),
        "a tensor of a negative size": written("m.pt", described(100, 0, (-4,), (1,))),
        "thousands of tensors over the same numbers": saved("m.pt", sharing),
    },
    "calls and steps that would take the memory, or never end": {
        "a hundred gigabytes of bytes": saved("m.pt", lambda _: weights(Reduced(bytearray, 100 << 30))),
        "a pickle of a million steps": written("m.pt", lambda _: b"\x80\x02" + b"]0" * 500_000 + b"N."),
        "a pickle of a million marks": written("m.pt", lambda _: b"\x80\x02" + b"(" * 1_000_000 + b"."),
        "a pickle of tuples in tuples": written("m.pt", lambda _: b"\x80\x02)" + b"\x85" * 1_000_000 + b"."),
        "a pickle of endless copies": written("m.pt", lambda _: b"\x80\x02]" + b"2" * 2_000_000 + b"."),
        "pickles of a million steps in an archive": written("m.pt", many_steps),
        "a tensor made by a call": saved("m.pt", lambda _: weights(Reduced(torch.Tensor, 1 << 40))),
    },
    "tensors of a kind that no classifier has": {
        "a sparse tensor": saved("m.pt", sparse),
        "a quantised tensor": saved("m.pt", quantised),
        "a tensor of a terabyte without numbers": saved("m.pt", of_no_device),
    },
    "weights that are no numbers": {
        "weights that are no numbers": saved("m.pt", spoilt(float("nan"))),
        "infinite weights": saved("m.pt", spoilt(float("inf"))),
    },
}
PROGRAMS: dict[str, dict[str, Generator]] = {
    "code where PyTorch's loader would unpickle or evaluate it": {
        **CARELESS_PROGRAMS,
        "code in a pt2's custom object": constant("custom_obj_0", lambda c: torch_saved(code(c))),
        "code in a pt2 of the earlier layout": written("m.pt2", earlier_layout),
        "code in a pt2's size": program_changed(hostile_size),
        "code in a pt2's guard": program_changed(hostile_guard),
        "code in a pt2's target": program_changed(target("__import__('os').system('touch CANARY')")),
    },
    "calls of what is no operation on tensors": {
        "a pt2 that calls os.system": program_changed(target("torch.os.system", {"as_string": "touch CANARY"})),
        "a pt2 that calls torch.load": program_changed(target("torch.load", {"as_string": "CANARY"})),
        "a pt2 that maps a file": program_changed(
            target("torch.ops.aten.from_file.default", {"as_string": "CANARY"}, {"as_bool": True}, {"as_int": 10})
        ),
        "a pt2 with an operation of an extension": program_changed(target("#evil.system")),
        "a pt2 with a graph in its graph": program_changed(target("torch.ops.higher_order.cond")),
        "a pt2 with an operator as argument": program_changed(argument("stride", {"as_operator": "torch.os.system"})),
        "a pt2 with a custom object as argument": program_changed(
            argument("stride", {"as_custom_obj": {"name": "a", "class_fqn": "__torch__.Evil"}})
        ),
        "a pt2 with a library": member_of_program("data/aotinductor/model/evil.so", lambda _: b"\x7fELF"),
    },
    "names that would become code": {
        "a pt2 with a name that is code": renamed('a"]);__import__("os").system("true")#'),
        "a pt2 with the name of a method": renamed("0.forward"),
    },
    "weights that claim more numbers than there are": {
        "a pt2 with a weight of many numbers": weight(many_numbers),
        "a pt2 with a weight beyond its numbers": weight(far_strides),
        "a pt2 with thousands of weights over the same numbers": program_changed(sharing_weights),
    },
    "weights that are no numbers": {
        "a pt2 with weights that are no numbers": program_changed(spoilt_program),
    },
    "steps that would take the memory, or never end": {
        "a pt2 that asks for a terabyte": program_changed(
            steps_before(node("torch.ops.aten.zeros.default", tensor("z"), size=HUGE, dtype=FLOAT))
        ),
        "a pt2 that squares a size": program_changed(steps_before(*doubling(60))),
        "a pt2 of endless steps": program_changed(steps_before(*doubling(9_000))),
        "a pt2 of huge images": program_changed(huge_images),
    },
    "graphs that contradict themselves": {
        "a pt2 with impossible arguments": program_changed(argument("stride", {"as_ints": [0, -1]})),
        "a pt2 that runs in a circle": program_changed(circle),
    },
    "JSON that is none, or too much of it": {
        "a pt2 with twenty megabytes of JSON": text_of_program(b"[" + b"[]," * (7 << 20) + b"[]]"),
        "a pt2 with forty megabytes of JSON": text_of_program(b"[" + b"[]," * (13 << 20) + b"[]]"),
        "a pt2 with JSON nested deeply": text_of_program(b"[" * 200_000),
        "a pt2 with a number of a million digits": text_of_program(b'{"graph_module": ' + b"9" * 1_000_000 + b"}"),
        "a pt2 without JSON": text_of_program(b"\xff\xfe"),
    },
    "hostile archives": {
        "a pt2 that is a zip bomb": program_bomb,
        "a pt2 with a member that is a link": written(
            "m.pt2", with_member("small/link", b"/etc/passwd", 0o120777, plain_program)
        ),
        "a pt2 with a member with an absolute path": written(
            "m.pt2", with_member("/tmp/evil", content_of=plain_program)
        ),
    },
    "damage": {
        "a truncated pt2": written("m.pt2", lambda _: plain_program()[:-500]),
        "a flipped bit in a pt2's weights": written("m.pt2", lambda _: flipped_after(plain_program(), b"weight_0")),
        "a flipped bit in a pt2's program": written("m.pt2", lambda _: flipped_after(plain_program(), b"graph_module")),
    },
}
HOSTILE: dict[str, Generator] = {
    name: write for ideas in (WEIGHTS, PROGRAMS) for files in ideas.values() for name, write in files.items()
}
