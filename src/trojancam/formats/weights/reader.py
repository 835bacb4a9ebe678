"""State dicts: the tensors in PyTorch's own files and in safetensors files. Nothing that such a file says is run."""

import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from trojancam.errors import ModelError
from trojancam.formats.archives import Archive, archive, is_archive, opened_file
from trojancam.formats.code_inside import LEGACY
from trojancam.formats.weights.pickles import LARGEST, NoPickleError, Pickle, look_at
from trojancam.formats.weights.weights_only import check_weights_only

LARGEST_HEADER = 8 << 20  # bytes of a safetensors file that name its tensors
INSIDE = ("state_dict", "model_state_dict", "model", "net", "network", "weights")  # what checkpoints call it
PREFIXES = {"module.": "nn.DataParallel", "_orig_mod.": "torch.compile"}


@dataclass(frozen=True)
class Weights:
    """The tensors in a file by their names, what kind of file it is, and what was done to get them."""

    tensors: dict[str, Tensor]
    format: str
    notes: tuple[str, ...] = ()


def read_weights(path: str | Path) -> Weights:
    """The tensors of a safetensors file or of a PyTorch file (`.pt`, `.pth`, `.bin`), whatever it is called.

    Raises:
        ModelError: as `read_tensors` and `read_state_dict`.
    """
    path = Path(path)
    head = _start(path, 16)
    if head[8:9] == b"{" and not is_archive(head):
        return Weights(read_tensors(path), "safetensors")
    return _pytorch_weights(path, head)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors in a PyTorch file: a state dict, or a checkpoint that holds one.

    It is loaded with `weights_only`, after everything that it would do has been looked at.

    Raises:
        ModelError: if the file is damaged, holds code or a pickled module, or tensors other than plain ones.
    """
    path = Path(path)
    return _pytorch_weights(path, _start(path, 16)).tensors


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
        with safetensors.safe_open(path, framework="pt") as file:
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
    _check_archive(path, BytesIO(content))
    found = _loaded(path, BytesIO(content), mmap=False)
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no state dict, but {_described(found)}; save module.state_dict()")
    return _tensors(path, found)[0] if found else {}


def _pytorch_weights(path: Path, head: bytes) -> Weights:
    zipped = is_archive(head)
    if zipped:
        _check_archive(path)
    else:
        _check_legacy(path)
    found, where = _state_dict(path, _loaded(path, path, mmap=zipped))
    tensors, notes = _tensors(path, found)
    return Weights(tensors, "PyTorch state dict", (*where, *notes))


def _check_archive(path: Path, file: BufferedIOBase | None = None) -> None:
    """The zip files of `torch.save`: one folder, a pickle, and the numbers beside it."""
    with archive(path, file) as opened:
        root = next(iter(opened.members), "").partition("/")[0]
        if any(not name.startswith(f"{root}/") for name in opened.members):
            raise ModelError(f"{path} is a zip archive, but not one of PyTorch's; name a file that torch.save wrote")
        if f"{root}/constants.pkl" in opened.members:
            raise ModelError(
                f"{path} holds TorchScript, which is code; save the module's state_dict, or use torch.export.save"
            )
        if any(name.startswith(f"{root}/models/") for name in opened.members):
            raise ModelError(f"{path} holds an exported program, not a state dict; give it the suffix .pt2")
        opened.check_stored()
        check_weights_only(path, _pickle_in(opened, f"{root}/data.pkl"), _sizes_in(opened, root))


def _pickle_in(opened: Archive, name: str) -> Pickle:
    try:
        return look_at(BytesIO(opened.read(name, LARGEST)))
    except NoPickleError as error:
        raise _damaged(opened.path, error) from None


def _sizes_in(opened: Archive, root: str) -> Callable[[str, int], int]:
    def bytes_for(key: str, _: int) -> int:
        member = opened.members.get(f"{root}/data/{key}")
        return member.size if member else -1

    return bytes_for


def _check_legacy(path: Path) -> None:
    """PyTorch's files of before 2020: five pickles, the fourth of which is the object, and then the numbers."""
    with path.open("rb") as file:
        content = file.read(LARGEST)
        left = file.seek(0, 2)
    stream, claimed = BytesIO(content), dict[str, int]()

    def bytes_for(key: str, size: int) -> int:
        claimed[key] = max(size, claimed.get(key, 0))
        return left - sum(claimed.values()) + claimed[key]

    for number in range(5):
        try:
            pickle = look_at(stream)
        except NoPickleError as error:
            if error.found.globals:
                check_weights_only(path, error.found, bytes_for)
            raise _damaged(path, error if number else "it is neither a zip archive nor a pickle") from None
        check_weights_only(path, pickle, bytes_for)
        if number == 0 and pickle.value != LEGACY:
            raise ModelError(
                f"{path} is a pickle, but not one of torch.save; save the state_dict with torch.save or safetensors"
            )


def _loaded(path: Path, file: Any, mmap: bool) -> Any:
    """What PyTorch makes of a file, after it has been looked at; with `mmap` its numbers stay on disk until needed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # what a damaged file makes PyTorch raise is not documented
        raise _damaged(path, error) from None


def _state_dict(path: Path, loaded: Any) -> tuple[dict[Any, Any], list[str]]:
    """The state dict in a checkpoint, and by what way it was found."""
    way: list[str] = []
    while isinstance(loaded, dict) and not any(isinstance(value, Tensor) for value in dict.values(loaded)):
        inside = next((key for key in INSIDE if isinstance(dict.get(loaded, key), dict)), None)
        if inside is None or len(way) > 3:
            break
        loaded = dict.__getitem__(loaded, inside)
        way.append(inside)
    if not isinstance(loaded, dict) or not loaded:
        raise ModelError(f"{path} holds no state dict, but {_described(loaded)}; save module.state_dict()")
    return loaded, [f"the weights are those that the checkpoint calls {' / '.join(way)}"] if way else []


def _tensors(path: Path, found: dict[Any, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors by name, without a wrapper's prefix, and notes of what was left out."""
    tensors = {name: value for name, value in dict.items(found) if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise ModelError(f"{path} holds no state dict, but {_described(found)}; save module.state_dict()")
    for name, tensor in tensors.items():
        _check_plain(path, name, tensor)
    notes = []
    if len(tensors) < len(found):
        notes.append(f"{len(found) - len(tensors)} entries beside the weights are no tensors and were left out")
    for prefix, wrapper in PREFIXES.items():
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            notes.append(f"the prefix {prefix!r} that {wrapper} put before all names was left out")
    return {name: tensor.detach() for name, tensor in tensors.items()}, notes


def _check_plain(path: Path, name: str, tensor: Tensor) -> None:
    plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout is torch.strided
    if not plain or tensor.is_quantized or tensor.device.type != "cpu":
        raise ModelError(
            f"the weights {name} in {path} are no plain tensor; save them dense, on the CPU, not quantised"
        )


def _described(value: Any) -> str:
    if isinstance(value, dict):
        keys = ", ".join(str(key)[:40] for key in list(dict.keys(value))[:5])
        return f"a dict of {keys}" if keys else "an empty dict"
    return f"a {type(value).__name__}"


def _start(path: Path, length: int) -> bytes:
    with opened_file(path) as file:
        return file.read(length)


def _damaged(path: Path, reason: object) -> ModelError:
    return ModelError(f"{path} is not a whole PyTorch file ({_first_line(reason)}); get it again from its source")


def _first_line(reason: object) -> str:
    line = next((line.strip() for line in str(reason).splitlines() if line.strip()), type(reason).__name__)
    line = line.partition("(Could this error message")[0].strip()  # PyTorch asks for reports
    return line.rstrip(".")[:200]
