"""What a file would run if it were loaded carelessly: the names its pickles would import, wherever in it they lie.

Nothing is loaded. `inspect` shows what is found; the readers do not rely on it, each has stricter checks of its own.
"""

import bz2
import lzma
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase, BytesIO
from pathlib import Path
from tokenize import TokenError

import numpy as np

from trojancam.errors import ModelError
from trojancam.formats.archives import check_archive, damaged, is_archive
from trojancam.formats.exported_program.allowed import operation
from trojancam.formats.exported_program.expressions import code_in
from trojancam.formats.json_text import json_in
from trojancam.formats.keras.embedded_code import code_in_config
from trojancam.formats.model_file import opened_file
from trojancam.formats.unchecked_members import UncheckedMembers
from trojancam.formats.weights.inert import is_harmless
from trojancam.formats.weights.pickles import (
    LARGEST,
    LEGACY,
    LEGACY_PICKLES,
    MOST_STEPS,
    NoPickleError,
    Pickle,
    look_at,
)

DEEPEST = 3  # archives in archives
NUMPY = b"\x93NUMPY"
PROGRAM = re.compile(r"(^|/)(models/[^/]+|serialized_exported_program)\.json$", re.IGNORECASE)
KERAS = re.compile(r"(^|/)config\.json$", re.IGNORECASE)
PICKLES = (".pkl", ".pickle", ".p", ".joblib", ".sav")
BEGINNING, FIRST_STEPS = 4096, 1000  # bytes of a member, and steps in them, that tell whether it is a pickle
IMPORTABLE = re.compile(r"[\w.]+")
MOST_BYTES = 512 << 20  # of members that are looked at
LARGEST_PROGRAM = 24 << 20  # bytes of the JSON of an exported program
NOT_SEEN = "something after more than is looked at"
NOT_LISTED = "something in an archive whose members cannot be listed"
BROKEN_OFF = "something that cannot be read as a pickle to its end"


Unpack = Callable[[bytes, int], bytes]  # at most so many bytes of what is packed

PACKED: dict[bytes, Unpack] = {  # as joblib packs pickles
    b"\x1f\x8b": lambda packed, most: zlib.decompressobj(31).decompress(packed, most),
    b"\x78": lambda packed, most: zlib.decompressobj().decompress(packed, most),
    b"BZh": lambda packed, most: bz2.BZ2Decompressor().decompress(packed, most),
    b"\xfd7zXZ": lambda packed, most: lzma.LZMADecompressor().decompress(packed, most),
    b"\x5d\x00\x00": lambda packed, most: lzma.LZMADecompressor().decompress(packed, most),
}


def would_run(path: str | Path, problems: list[str] | None = None) -> tuple[str, ...]:
    """The names that a careless loader would import from a file, beyond those that PyTorch takes for harmless.

    Careless loaders do not refuse what is refused here. So all members of a refused archive are looked at, too, if a list
    of `problems` is given: it is told why, and the search goes on.

    It looks into pickles (also several, one after another), zip archives of PyTorch, TorchScript, `.pt2` and `.npz` and the
    archives in them, `.npy` files of objects, and packed pickles. TorchScript's own code is named by its place in the
    archive, code in the expressions of a `.pt2` is given as it stands, and so is that in a Keras configuration. Where a pickle
    breaks off, or is too long to look at, that is among the names.

    Raises:
        ModelError: if the file cannot be read, or, without `problems`, is or holds an archive that is damaged or hostile as
            such.
    """
    path, search = Path(path), _Search(Path(path))
    with opened_file(path) as file:
        found = list(search.names(file, path.name))
    if search.problems and problems is None:
        raise ModelError(search.problems[0])
    if problems is not None:
        problems += search.problems
    return tuple(dict.fromkeys(name for name in found if not is_harmless(name)))


class _Search:
    """A search through one file, however much is in it, in a bounded number of steps and bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps = MOST_STEPS
        self.bytes = MOST_BYTES
        self.unpacked = LARGEST  # bytes of packed pickles
        self.problems = list[str]()

    def names(self, file: BufferedIOBase, name: str, depth: int = DEEPEST) -> Iterator[str]:
        """The names in a file, or in a member of an archive."""
        head = file.read(16)
        file.seek(0)
        unpacks = [unpack for magic, unpack in PACKED.items() if head.startswith(magic)]
        if is_archive(head):
            yield from self._in_archive(file, depth)
        elif head.startswith(NUMPY):
            yield from self._in_array(file)
        elif unpacks:
            yield from self._in_packed(file, unpacks[0])
        else:
            yield from self._in_pickles(file.read(LARGEST), certain=name.lower().endswith(PICKLES))

    def _in_archive(self, file: BufferedIOBase, depth: int) -> Iterator[str]:
        if depth == 0:
            self.problems.append(
                f"{self.path} holds archives in archives in archives, as no model does; do not unpack it"
            )
            return
        try:
            check_archive(self.path, file)
            refused = False
        except ModelError as error:
            refused = True
            self.problems.append(str(error))
        try:
            members = UncheckedMembers(self.path, file)
        except ModelError as error:
            self.problems += [] if refused else [str(error)]
            yield NOT_LISTED  # a loader that reads it otherwise may find what is not seen here
            return
        for line in members.lines:
            yield from self._in_member(members, line, depth)
        if not members.all_listed:
            yield NOT_SEEN

    def _in_member(self, members: UncheckedMembers, line: zipfile.ZipInfo, depth: int) -> Iterator[str]:
        name = line.orig_filename
        if _is_script(name):
            yield f"TorchScript {name}"
            return
        text = bool(PROGRAM.search(name) or KERAS.search(name))
        start = members.start(line, BEGINNING)
        pickles = self._may_hold_pickles(name, start)
        if not (text or pickles):
            self._check(line, start, BEGINNING)
            return
        most = LARGEST_PROGRAM if text else LARGEST
        content = members.start(line, most + 1) if self.bytes > 0 else b""
        self.bytes -= len(content)
        if len(content) > most or self.bytes <= 0:
            yield NOT_SEEN
            return
        self._check(line, content, most)
        if KERAS.search(name):
            yield from code_in_config(content)
        elif text:
            yield from _in_program(content)
        if pickles:
            yield from self.names(BytesIO(content), name, depth - 1)

    def _check(self, line: zipfile.ZipInfo, content: bytes, most: int) -> None:
        """Whether a member, read up to so many bytes, is whole; `torch.save` can be told to write zeros for check sums."""
        damage = ""
        if len(content) < min(line.file_size, most):
            damage = " breaks off"
        elif len(content) == line.file_size and line.CRC and zlib.crc32(content) != line.CRC:
            damage = ": Bad CRC-32"
        if damage and not self.problems:
            self.problems.append(str(damaged(self.path, f"{line.orig_filename}{damage}")))

    def _may_hold_pickles(self, name: str, start: bytes) -> bool:
        """Whether a member is a pickle, or an archive or array that may hold one; most are the numbers of tensors.

        Its content tells, not its name: the pickles of old Pythons begin with their first step. Numbers break off there.
        """
        if name.lower().endswith(PICKLES):
            return True
        return is_archive(start) or start.startswith((NUMPY, b"\x80", *PACKED)) or self._begins_as_pickle(start)

    def _begins_as_pickle(self, start: bytes) -> bool:
        stream = BytesIO(start)
        try:
            self._counted(look_at(stream, min(self.steps, FIRST_STEPS)))
        except NoPickleError as error:
            seen = self._counted(error.found)
            to_its_end = stream.tell() >= len(start) == BEGINNING
            return bool(seen.names) or seen.steps > FIRST_STEPS or to_its_end
        return True

    def _in_packed(self, file: BufferedIOBase, unpack: Unpack) -> Iterator[str]:
        """The names in packed pickles: those of one file may unpack to so much together, as few bytes do it."""
        if self.unpacked <= 0:
            yield NOT_SEEN
            return
        content = _unpacked(file, unpack, self.unpacked)
        self.unpacked -= len(content)
        yield from self._in_pickles(content, certain=False)

    def _in_array(self, file: BufferedIOBase) -> Iterator[str]:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of how Python 2 wrote it
                holds_objects = read(file)[2].hasobject
        except (ValueError, TypeError, KeyError, SyntaxError, TokenError, EOFError, RecursionError, MemoryError):
            return
        if holds_objects:
            yield from self._in_pickles(file.read(LARGEST), certain=True)

    def _in_pickles(self, content: bytes, certain: bool) -> Iterator[str]:
        """The names in one pickle after another."""
        stream, left = BytesIO(content), len(content)
        while left and stream.tell() < len(content):
            start = stream.tell()
            try:
                pickle = self._counted(look_at(stream, self.steps))
                yield from pickle.names
                left = LEGACY_PICKLES if pickle.value == LEGACY else left
                left -= 1
            except NoPickleError as error:
                found = self._counted(error.found).names
                names = tuple(name for name in found if (name.isprintable() if certain else IMPORTABLE.fullmatch(name)))
                yield from names
                if self.steps <= 0:
                    yield NOT_SEEN
                elif names or (certain and start == 0):
                    yield BROKEN_OFF
                return

    def _counted(self, pickle: Pickle) -> Pickle:
        self.steps -= pickle.steps
        return pickle


def _is_script(name: str) -> bool:
    """Whether a member of an archive is a part of TorchScript's code."""
    return name.lower().endswith(".py") and "/code/" in f"/{name.lower()}"


def _in_program(text: bytes) -> Iterator[str]:
    """Expressions of an exported program that are code, and what it would call beyond operations on tensors."""
    try:
        program = json_in(text)
        targets = [str(node["target"]) for node in program["graph_module"]["graph"]["nodes"]]
        yield from code_in(program)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return
    yield from (target for target in targets if not (target.startswith("torch.ops.") or operation(target)))


def _unpacked(file: BufferedIOBase, unpack: Unpack, most: int) -> bytes:
    try:
        return unpack(file.read(LARGEST), most)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
        return b""
