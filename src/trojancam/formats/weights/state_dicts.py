"""Checkpoints: the dictionaries of tensors that a file of weights holds, wherever in it they lie."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from trojancam.errors import ModelError, unknown_name
from trojancam.formats.weights.plain_data import entries_of, in_words, versions_of, view_of
from trojancam.formats.weights.tensors import View, made

USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "weights")  # what checkpoints call the weights
DEEPEST = 4  # dictionaries in dictionaries
MOST_SEARCHED = 20_000  # values; the state of an optimiser has a few for each weight


@dataclass(frozen=True)
class StateDict:
    """One dictionary of tensors: the keys that lead to it, its tensors' shapes, and how to read them.

    `others` counts its entries that are no tensors; `versions` are those that its modules had, by their names. `part` is what the
    names begin with where only some of the tensors are meant.
    """

    way: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    read: Callable[[], dict[str, Tensor]] = field(repr=False)
    others: int = 0
    versions: Mapping[str, int] = field(default_factory=dict)
    part: str = ""

    def only(self, prefix: str) -> "StateDict":
        """What of it has names that begin so: one network of several that were saved in one dictionary."""
        shapes = {name: shape for name, shape in self.shapes.items() if name.startswith(prefix)}
        versions = {name: version for name, version in self.versions.items() if f"{name}.".startswith(prefix)}

        def read() -> dict[str, Tensor]:
            return {name: tensor for name, tensor in self.read().items() if name in shapes}

        return StateDict(self.way, shapes, read, 0, versions, prefix)

    @property
    def key(self) -> str:
        """The keys that lead to it, as `--key` takes them."""
        return "/".join(self.way)

    @property
    def notes(self) -> list[str]:
        """Sentences: where it lies, and what beside its tensors was left out."""
        notes = [f"the weights are those that the checkpoint calls {' / '.join(self.way)}"] if self.way else []
        if self.part:
            notes.append(f"of them, those whose names begin with {self.part[:60]!r}")
        if self.others:
            notes.append(f"{self.others} entries beside the weights are no tensors and were left out")
        return notes


@dataclass(frozen=True)
class Checkpoint:
    """All dictionaries of tensors in a file of weights, the one that is most likely meant first."""

    path: Path
    format: str
    found: tuple[StateDict, ...]

    @property
    def likeliest(self) -> StateDict:
        """The one that is meant, as far as the file alone tells."""
        return self.found[0]

    def under(self, key: str) -> StateDict:
        """The one that these keys lead to, with slashes between; the last may be what names in a dictionary begin with.

        Raises:
            UnknownNameError: if there is none; it lists those there are.
        """
        wanted = key.strip("/")
        for state in self.found:
            if state.key == wanted:
                return state
        for state in self.found:
            inside = f"{state.key}/" if state.key else ""
            prefix = f"{wanted.removeprefix(inside)}."
            if wanted.startswith(inside) and any(name.startswith(prefix) for name in state.shapes):
                return state.only(prefix)
        raise unknown_name(f"key in {self.path}", key, [state.key or "(the whole file)" for state in self.found[:12]])


def checkpoint_in(path: Path, value: Any, numbers: Callable[[str], bytearray]) -> Checkpoint:
    """The dictionaries of tensors in what a pickle holds; `numbers(key)` reads the bytes of a storage.

    Raises:
        ModelError: if there is none, or one has tensors of a kind that is not read.
    """
    found = [_state_dict(path, way, held, value, numbers) for way, held, value in _dictionaries(value)]
    able = [state for state in found if state.shapes]
    if not able:
        raise ModelError(f"{path} holds no state dict, but {in_words(value)}; save module.state_dict()")
    return Checkpoint(path, "PyTorch state dict", tuple(sorted(able, key=_likelihood)))


def _dictionaries(value: Any) -> Iterator[tuple[tuple[str, ...], dict[Any, Any], Any]]:
    """Every dictionary with the keys that lead to it, outer ones first."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    for way, inside in waiting:
        held = entries_of(inside)
        if held is not None:
            yield way, held, inside
        parts = held.items() if held is not None else enumerate(inside) if isinstance(inside, list | tuple) else ()
        if len(way) < DEEPEST and len(waiting) < MOST_SEARCHED:
            containers = ((key, part) for key, part in parts if isinstance(part, list | tuple) or entries_of(part))
            waiting += [((*way, str(key)[:200]), part) for key, part in containers][: MOST_SEARCHED - len(waiting)]


def _state_dict(
    path: Path, way: tuple[str, ...], held: dict[Any, Any], value: Any, numbers: Callable[[str], bytearray]
) -> StateDict:
    views: dict[str, View] = {}
    for name, item in held.items():
        view = view_of(path, item) if isinstance(name, str) else None
        if view is not None:
            views[name] = view
    shapes = {name: view.sizes for name, view in views.items()}
    return StateDict(way, shapes, lambda: made(views, numbers), len(held) - len(views), versions_of(value))


def _likelihood(state: StateDict) -> tuple[int, int]:
    """The most tensors; of as many, the one under a usual key."""
    last = state.way[-1] if state.way else ""
    return -len(state.shapes), USUAL.index(last) if last in USUAL else len(USUAL)
