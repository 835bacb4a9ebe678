"""Hostile paths: what stands where a model file should, and would never end, or is nothing that can be read."""

import os
from collections.abc import Callable
from pathlib import Path

Generator = Callable[[Path, Path], Path]
SUFFIXES = (".pt", ".safetensors", ".pt2", ".onnx", ".keras", ".h5")


def missing(folder: Path, _: Path) -> Path:
    return folder / "m.pt"


def a_folder(folder: Path, _: Path) -> Path:
    (folder / "m.onnx").mkdir()
    return folder / "m.onnx"


def a_pipe(folder: Path, _: Path) -> Path:
    os.mkfifo(folder / "m.pt")
    return folder / "m.pt"


def an_endless_device(_: Path, __: Path) -> Path:
    return Path("/dev/zero")


def a_link_to_a_device(folder: Path, _: Path) -> Path:
    (folder / "m.pt").symlink_to("/dev/zero")
    return folder / "m.pt"


def a_link_to_itself(folder: Path, _: Path) -> Path:
    (folder / "m.pt").symlink_to(folder / "m.pt")
    return folder / "m.pt"


def a_very_long_name(folder: Path, _: Path) -> Path:
    return folder / f"m{'.' * 5000}pt"


def a_name_with_a_zero(folder: Path, _: Path) -> Path:
    return folder / "m\0.pt"


def holding(name: str, content: bytes) -> Generator:
    def write(folder: Path, _: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def with_holes(name: str, size: int) -> Generator:
    """A file of zeros that takes no place on the disk."""

    def write(folder: Path, _: Path) -> Path:
        with (folder / name).open("wb") as file:
            file.truncate(size)
        return folder / name

    return write


IDEAS: dict[str, dict[str, Generator]] = {
    "nothing that can be read to an end": {
        "missing": missing,
        "a folder": a_folder,
        "a pipe": a_pipe,
        "an endless device": an_endless_device,
        "a link to a device": a_link_to_a_device,
        "a link to itself": a_link_to_itself,
        "an overlong name": a_very_long_name,
        "a name with a zero byte": a_name_with_a_zero,
    },
    "an empty file": {f"empty {suffix}": holding(f"m{suffix}", b"") for suffix in SUFFIXES},
    "a file of a few bytes": {f"three bytes {suffix}": holding(f"m{suffix}", b"PK\3") for suffix in SUFFIXES},
    "text": {f"text {suffix}": holding(f"m{suffix}", b"import os; os.system('true')\n") for suffix in SUFFIXES},
    "eight gigabytes of zeros": {f"zeros {suffix}": with_holes(f"m{suffix}", 8 << 30) for suffix in SUFFIXES},
    "another kind of file": {
        "a program": holding("m.pt", b"\x7fELF" + bytes(1000)),
        "a NumPy array": holding("m.pt", b"\x93NUMPY\1\0v\0{'descr': '<f4'}"),
        "an archive of nothing": holding("m.pt", b"PK\5\6" + bytes(18)),
    },
}
HOSTILE = {name: write for files in IDEAS.values() for name, write in files.items()}
