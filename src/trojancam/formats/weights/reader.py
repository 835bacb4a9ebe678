"""State dicts: the tensors in PyTorch's own files and in safetensors files. Nothing that such a file says is run."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from trojancam.errors import ModelError
from trojancam.files import named_in_text
from trojancam.formats.archives import Archive, archive, is_archive
from trojancam.formats.model_file import opened_file
from trojancam.formats.weights.pickles import LARGEST, LEGACY, LEGACY_PICKLES, NoPickleError, Pickle, look_at
from trojancam.formats.weights.plain_data import check_plain, entries_of, storage
from trojancam.formats.weights.state_dicts import Checkpoint, StateDict, checkpoint_in

LARGEST_HEADER = 8 << 20  # bytes of a safetensors file that name its tensors


@dataclass(frozen=True)
class Weights:
    """The tensors in a file by their names, what kind of file it is, and what was done to get them."""

    tensors: dict[str, Tensor]
    format: str
    notes: tuple[str, ...] = ()


def read_weights(path: str | Path) -> Weights:
    """The tensors of a safetensors file or of a PyTorch file (`.pt`, `.pth`, `.bin`), whatever it is called.

    Of several dictionaries in a checkpoint, the one that is most likely meant.

    Raises:
        ModelError: as `read_tensors` and `read_state_dict`.
    """
    with read_checkpoint(path) as checkpoint:
        state = checkpoint.likeliest
        return Weights(state.read(), checkpoint.format, tuple(state.notes))


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors in a PyTorch file: a state dict, or a checkpoint that holds one.

    Everything that its pickle would do is looked at first; then the tensors are built here, from the bytes that were
    checked. Neither PyTorch's nor Python's unpickler sees the file.

    Raises:
        ModelError: if the file is damaged, holds code or a pickled module, or tensors other than plain ones.
    """
    path = Path(path)
    with _pytorch_checkpoint(path, _start(path, 16)) as checkpoint:
        return checkpoint.likeliest.read()


@contextmanager
def read_checkpoint(path: str | Path) -> Iterator[Checkpoint]:
    """All dictionaries of tensors in a safetensors or PyTorch file; tensors are read when they are asked for.

    Raises:
        ModelError: as `read_tensors` and `read_state_dict`.
    """
    path = Path(path)
    head = _start(path, 16)
    if head[8:9] == b"{" and not is_archive(head):
        tensors = read_tensors(path)
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        yield Checkpoint(path, "safetensors", (StateDict((), shapes, lambda: tensors),))
        return
    with _pytorch_checkpoint(path, head) as checkpoint:
        yield checkpoint


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file, whoever wrote it.

    Raises:
        ModelError: as `read_safetensors`.
    """
    return read_safetensors(path)[0]


def read_safetensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors in a safetensors file, whoever wrote it, and what it says of itself beside them.

    Raises:
        ModelError: if the file is missing or damaged, or its header is larger than any model needs.
    """
    with _safetensors(Path(path)) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        return tensors, dict(file.metadata() or {})


def read_metadata(path: str | Path) -> dict[str, str]:
    """What a safetensors file says of itself beside its tensors, which are not read.

    Raises:
        ModelError: as `read_safetensors`.
    """
    with _safetensors(Path(path)) as file:
        return dict(file.metadata() or {})


@contextmanager
def _safetensors(path: Path) -> Iterator[Any]:
    (length,) = struct.unpack("<Q", _start(path, 8).ljust(8, b"\0"))
    if length > LARGEST_HEADER:
        raise ModelError(f"{path} is not a whole safetensors file (it claims a header of {length} bytes); get it again")
    try:
        with named_in_text(path) as named, safetensors.safe_open(named, framework="pt") as file:
            yield file
    except (
        safetensors.SafetensorError,
        ArithmeticError,
        AttributeError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelError(
            f"{path} is not a whole safetensors file ({_first_line(error)}); get it again from its source"
        ) from None


def tensors_in(path: Path, content: bytes) -> dict[str, Tensor]:
    """The tensors in a state dict that lies whole inside of another file; there may be none.

    Raises:
        ModelError: as `read_state_dict`.
    """
    with archive(path, BytesIO(content)) as opened:
        value = _value_in(opened)
        if entries_of(value) == {}:
            return {}
        found = checkpoint_in(path, value, lambda key: _numbers_in(opened, key))
        return next((state.read() for state in found.found if not state.way), {})


@contextmanager
def _pytorch_checkpoint(path: Path, head: bytes) -> Iterator[Checkpoint]:
    if is_archive(head):
        with archive(path) as opened:
            yield checkpoint_in(path, _value_in(opened), lambda key: _numbers_in(opened, key))
        return
    value, places = _legacy(path)
    yield checkpoint_in(path, value, lambda key: _at(path, places[key]))


def _value_in(opened: Archive) -> Any:
    """What the pickle in a zip file of `torch.save` holds, on paper: one folder, that pickle, and the numbers beside it."""
    path, root = opened.path, opened.root
    if any(not name.startswith(f"{root}/") for name in opened.members):
        raise ModelError(f"{path} is a zip archive, but not one of PyTorch's; name a file that torch.save wrote")
    if f"{root}/constants.pkl" in opened.members:
        raise ModelError(
            f"{path} holds TorchScript, which is code; save the module's state_dict, or use torch.export.save"
        )
    if any(name.startswith(f"{root}/models/") for name in opened.members):
        raise ModelError(f"{path} holds an exported program, not a state dict; give it the suffix .pt2")
    opened.check_stored()
    _check_byte_order(opened)
    try:
        pickle = look_at(BytesIO(opened.read(f"{root}/data.pkl", LARGEST)))
    except NoPickleError as error:
        raise _damaged(path, error) from None
    check_plain(path, pickle, lambda key, claimed: _size_of_numbers(opened, key, claimed))
    return pickle.value


def _size_of_numbers(opened: Archive, key: str, claimed: int) -> int:
    member = opened.members.get(f"{opened.root}/data/{key}")
    size = member.size if member else -1
    if size > claimed:
        raise ModelError(f"{opened.path} claims {claimed} bytes for the numbers {key!r}, but holds more; it is damaged")
    return size


def _check_byte_order(opened: Archive) -> None:
    name = f"{opened.root}/byteorder"
    if name in opened.members and opened.read(name, 10) != b"little":
        raise ModelError(f"{opened.path} was written on a big-endian machine; save the weights again on another")


def _numbers_in(opened: Archive, key: str) -> bytearray:
    return opened.numbers(f"{opened.root}/data/{key}")


Places = dict[str, tuple[int, int]]  # by the key of a storage: where its bytes begin, and how many they are


def _legacy(path: Path) -> tuple[Any, Places]:
    """PyTorch's files of before 2020: five pickles, the fourth of which is the object, and then the numbers."""
    with opened_file(path) as file:
        content = file.read(LARGEST)
        end = file.seek(0, 2)
    stream, claimed, left = BytesIO(content), dict[str, int](), end

    def bytes_for(key: str, size: int) -> int:
        nonlocal left
        left -= size if key not in claimed else 0
        claimed.setdefault(key, size)
        return left + claimed[key]

    pickles = []
    for number in range(LEGACY_PICKLES):
        try:
            pickle = look_at(stream)
        except NoPickleError as error:
            if error.found.globals:
                check_plain(path, error.found, bytes_for)
            raise _damaged(path, error if number else "it is neither a zip archive nor a pickle") from None
        check_plain(path, pickle, bytes_for)
        if number == 0 and pickle.value != LEGACY:
            raise ModelError(
                f"{path} is a pickle, but not one of torch.save; save the state_dict with torch.save or safetensors"
            )
        pickles.append(pickle)
    return pickles[3].value, _places(path, pickles[4].value, stream.tell(), claimed, pickles[3])


def _places(path: Path, keys: Any, place: int, claimed: dict[str, int], pickle: Pickle) -> Places:
    """Where the numbers of each storage lie: in the order of the keys, each after how many they are."""
    sizes = {key: kind.itemsize for key, _, kind in (storage(path, reference) for reference in pickle.references)}
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(sizes):
        raise _damaged(path, "its list of numbers is not that of its tensors")
    places: Places = {}
    with opened_file(path) as file:
        for key in keys:
            file.seek(place)
            (count,) = struct.unpack("<q", file.read(8).ljust(8, b"\xff"))
            if count * sizes[key] != claimed[key]:
                raise _damaged(path, f"it holds {count} numbers for {key!r:.40}")
            places[key] = place + 8, claimed[key]
            place += 8 + claimed[key]
    return places


def _at(path: Path, place: tuple[int, int]) -> bytearray:
    start, length = place
    content = bytearray(length)
    with opened_file(path) as file:
        file.seek(start)
        if file.readinto(content) < length:
            raise _damaged(path, "it breaks off")
    return content


def _start(path: Path, length: int) -> bytes:
    with opened_file(path) as file:
        return file.read(length)


def _damaged(path: Path, reason: object) -> ModelError:
    return ModelError(f"{path} is not a whole PyTorch file ({_first_line(reason)}); get it again from its source")


def _first_line(reason: object) -> str:
    line = next((line.strip() for line in str(reason).splitlines() if line.strip()), type(reason).__name__)
    return line.rstrip(".")[:200]
