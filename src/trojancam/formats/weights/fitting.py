"""Fitting: which of a file's dictionaries of tensors an architecture means, under which names, and why none fits."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from trojancam.errors import ModelError
from trojancam.formats.weights.state_dicts import Checkpoint, StateDict

WRAPPERS = {"module.": "nn.DataParallel", "_orig_mod.": "torch.compile"}  # and the prefixes that they put before names
COUNTED = ".num_batches_tracked"  # old files lack it, and nothing depends on it
COUNTS = ("total_ops", "total_params")  # what the profiler thop leaves among the weights
DEEPEST = 6  # parts of a prefix
LISTED, LONGEST = 3, 60  # names in a sentence, characters of each

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Skeleton:
    """The names and shapes of an architecture's own weights, and which axes of which are as long as there are classes."""

    shapes: Mapping[str, Shape]
    classes: tuple[tuple[str, int], ...] = ()

    def fits(self, name: str, shape: Shape) -> bool:
        """Whether weights of this name and shape have a place here, whatever the number of classes."""
        own = self.shapes.get(name)
        if own is None or len(own) != len(shape):
            return False
        open_axes = {axis for other, axis in self.classes if other == name}
        return all(
            mine == theirs or axis in open_axes for axis, (mine, theirs) in enumerate(zip(own, shape, strict=True))
        )


@dataclass(frozen=True)
class Fit:
    """A dictionary of tensors for an architecture, with the prefixes that its names lose and get."""

    state: StateDict
    stripped: str
    added: str
    rivals: tuple[StateDict, ...] = ()

    def renamed(self, name: str) -> str:
        """What the architecture calls these weights."""
        return self.added + name.removeprefix(self.stripped)

    def tensors(self, skeleton: Skeleton) -> tuple[dict[str, Tensor], list[str]]:
        """The tensors by the architecture's names, and sentences of what was done to come to them."""
        read = {self.renamed(name): tensor for name, tensor in self.state.read().items()}
        counts = [name for name in read if name not in skeleton.shapes and name.rpartition(".")[2] in COUNTS]
        notes = [*self.state.notes, *self._prefix_in_words(), *self._rivals_in_words()]
        if counts and skeleton.shapes:
            read = {name: tensor for name, tensor in read.items() if name not in counts}
            notes.append(f"{len(counts)} counts of operations among the weights were left out")
        return read, notes

    @property
    def versions(self) -> dict[str, int]:
        """The versions of the modules, by the architecture's names."""
        said = {f"{module}.": version for module, version in self.state.versions.items() if module}
        kept = {
            self.renamed(name).rstrip("."): version for name, version in said.items() if name.startswith(self.stripped)
        }
        return {name: version for name, version in kept.items() if name}

    def _prefix_in_words(self) -> list[str]:
        notes = []
        if self.stripped:
            parts = [f"{part}." for part in self.stripped.rstrip(".").split(".")]
            known = [WRAPPERS[part] for part in parts if part in WRAPPERS]
            who = (
                f" that {' and '.join(known)} put before all names" if len(known) == len(parts) else " before all names"
            )
            notes.append(f"the prefix {self.stripped[:LONGEST]!r}{who} was left out")
        if self.added:
            notes.append(f"the architecture's prefix {self.added[:LONGEST]!r} was put before all names")
        return notes

    def _rivals_in_words(self) -> list[str]:
        if not self.rivals:
            return []
        named = ", ".join(repr(state.key[:LONGEST]) for state in self.rivals[:LISTED])
        return [f"the file also holds weights of the same shapes under {named}; another can be chosen by its key"]


def best_fit(checkpoint: Checkpoint, skeleton: Skeleton, key: str | None = None) -> Fit:
    """The dictionary of a file that fits an architecture best, or the one under `key`; prefixes go where they are not its own.

    A prefix is one that all names share, in the file or in the architecture.

    Raises:
        UnknownNameError: if there is nothing under this key.
    """
    states = checkpoint.found if key is None else (checkpoint.under(key),)
    fits = [_best_names(state, skeleton) for state in states]
    best = max(score for score, _ in fits)
    first, *others = [fit for score, fit in fits if score == best]
    rivals = tuple(other.state for other in others) if best > (0, 0) else ()
    return Fit(first.state, first.stripped, first.added, rivals)


def check_fit(path: Path, skeleton: Skeleton, tensors: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights of which one has no place in an architecture, or another shape there, or is missing.

    Raises:
        ModelError: if there is such a one; the sentence begins with the likely reason.
    """
    own = skeleton.shapes
    missing = [key for key in own if key not in tensors and not key.endswith(COUNTED)]
    foreign = [key for key in tensors if key not in own and not key.endswith(COUNTED)]
    other = [key for key, shape in own.items() if key in tensors and tuple(tensors[key].shape) != shape]
    if not (missing or foreign or other):
        return
    parts = [*_reason(skeleton, tensors, missing, foreign, other)]
    if missing:
        parts.append(f"{_listed(missing)} {_are(missing)} missing")
    if foreign:
        parts.append(f"{_listed(foreign)} {'has' if len(foreign) == 1 else 'have'} no place in it")
    parts += [
        f"{key[:LONGEST]} is {_short(tensors[key].shape)} in the file and {_short(own[key])} in the architecture"
        for key in other[: 2 if missing or foreign else LISTED]
    ]
    more = f", and {len(other) - LISTED} more" if len(other) > LISTED else ""
    raise ModelError(
        f"the weights in {path} do not fit the architecture {name!r}: {'; '.join(parts)}{more}; "
        "check its name and the number of classes"
    )


def _best_names(state: StateDict, skeleton: Skeleton) -> tuple[tuple[int, int], Fit]:
    """How many weights have a place with their shape, and how many by their names, and under which prefixes most do."""
    scored = []
    for stripped in _shared_prefixes(state.shapes):
        for added in _shared_prefixes(skeleton.shapes):
            fit = Fit(state, stripped, added)
            names = [(fit.renamed(name), shape) for name, shape in state.shapes.items()]
            placed = sum(skeleton.fits(name, shape) for name, shape in names)
            known = sum(name in skeleton.shapes for name, _ in names)
            scored.append(((placed, known), fit))
    return max(scored, key=lambda each: each[0])  # the first of equals: the one with the fewest changes


def _shared_prefixes(names: Iterable[str]) -> Iterator[str]:
    """The prefixes that all names share, none first: `''`, `'module.'`, `'module.net.'`."""
    yield ""
    shared = _counted_out(names)
    first = next(iter(shared), "").split(".")
    for length in range(1, min(len(first), DEEPEST + 1)):
        prefix = ".".join(first[:length]) + "."
        if not all(name.startswith(prefix) for name in shared):
            return
        yield prefix


def _counted_out(names: Iterable[str]) -> list[str]:
    """The names without those of counts that a profiler left."""
    return [name for name in names if name not in COUNTS]


def _reason(
    skeleton: Skeleton, tensors: Mapping[str, Tensor], missing: list[str], foreign: list[str], other: list[str]
) -> Iterator[str]:
    """The likely reason, where there is one."""
    own = skeleton.shapes
    same_shapes = [own[key] for key in missing] == [tuple(tensors[key].shape) for key in foreign]
    if len(missing) > 1 and same_shapes and not other:
        yield "the shapes are the architecture's, but these names are other ones: rename them in the file"
    elif missing and len(missing) == sum(not key.endswith(COUNTED) for key in own):
        yield "no name in the file is one of the architecture's, so it is another architecture or lacks a prefix"
    elif other and not missing and not foreign:
        if all(skeleton.fits(key, tuple(tensors[key].shape)) for key in other):
            yield "the file has another number of classes"
        elif _channels(own) != _channels({key: tuple(tensor.shape) for key, tensor in tensors.items()}):
            theirs, ours = _channels({key: tuple(tensors[key].shape) for key in tensors}), _channels(own)
            yield f"the file's network takes {theirs} channel{'s' * (theirs != 1)} and the architecture {ours}"
        elif _of_the_last_layer(list(own), other):
            theirs, ours = (shapes[other[0]][0] for shapes in ({other[0]: tuple(tensors[other[0]].shape)}, own))
            yield f"the file has {theirs} classes and the architecture {ours}"
    elif missing and not foreign and not other:
        yield "the file holds a part of the architecture's weights"


def _of_the_last_layer(names: list[str], other: list[str]) -> bool:
    """Whether these are the last weights of an architecture, of one layer."""
    return other == names[-len(other) :] and len({name.rpartition(".")[0] for name in other}) == 1


def _channels(shapes: Mapping[str, Shape]) -> int:
    """The channels of images: the second axis of the first kernel."""
    return next((shape[1] for shape in shapes.values() if len(shape) == 4), 0)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{', '.join(name[:LONGEST] for name in names[:LISTED])}{more}"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _short(shape: Iterable[int]) -> str:
    return str(tuple(shape))[:LONGEST]
