"""Saving: a network whose weights were changed goes back into the kind of file that it came from, under the same names."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from trojancam.errors import ModelError, SeveralOutputsError, TrojanCamError
from trojancam.files import written_whole
from trojancam.formats.keras.writing_back import keras_arrays, write_keras
from trojancam.formats.kinds import kind_of
from trojancam.formats.onnx.from_network import check_exporter, write_network
from trojancam.formats.onnx.writing_back import onnx_arrays, write_onnx
from trojancam.formats.safetensors import CARD, read_card
from trojancam.formats.weights.architecture import builder_of, skeleton_of
from trojancam.formats.weights.fitting import best_fit
from trojancam.formats.weights.reader import read_checkpoint, read_metadata
from trojancam.network.devices import CPU
from trojancam.network.network import Network
from trojancam.opening.open import ModelFile, opened
from trojancam.opening.placed_weights import Place, places, told_apart
from trojancam.showing import Brief

PROGRAM, ONNX = ".pt2", ".onnx"
ANY = (PROGRAM, ONNX)  # what every network can be written as
SUFFIXES = {"safetensors": (".safetensors",), "torch": (".pt", ".pth", ".bin")}
INSIDE = "inside."  # what a graph puts before the names of some modules
Arrays = Mapping[str, NDArray[Any]]
# Files that hold their weights as arrays: what reads them all, and what writes a copy with others.
ARRAYS: dict[str, tuple[Callable[[Path], Arrays], Callable[[Path, Arrays, Path], None]]] = {
    "onnx": (onnx_arrays, write_onnx),
    "keras": (keras_arrays, write_keras),
}
ALIKE = 1e-3  # of the largest logit, between a network and its file: 16-bit weights are told apart as other numbers are


@dataclass(frozen=True)
class _Names(Brief):
    """The tensors of a file of weights as they are, the keys that lead to them, and the network's name for each that it has."""

    tensors: Mapping[str, Tensor]
    way: tuple[str, ...]
    own: Mapping[str, str]


def check_saveable(network: Network, file: ModelFile, out: Path, edited: bool = False) -> None:
    """Refuse to begin what could not be saved: an exported program can always be written, other kinds where they came from it.

    `edited`: the network that is to be saved will have another graph than this one.

    Raises:
        ModelError: if the file cannot be of the kind that its name says, or the network's weights are not those of the file.
    """
    kind = kind_of(file.path)
    if out.suffix == PROGRAM:
        return
    if out.suffix == ONNX and (edited or kind != "onnx"):
        check_exporter()
    elif edited:
        raise _of_weights_alone(out)
    elif out.suffix not in _suffixes(file.path, kind):
        known = " or ".join((*ANY, *(suffix for suffix in _suffixes(file.path, kind) if suffix not in ANY)))
        raise ModelError(
            f"{file.path} cannot be written back as {out.suffix or 'a file without a suffix'}; call the file "
            f"{out.stem}{PROGRAM}, or end its name in {known.removeprefix(f'{PROGRAM} or ')}"
        )
    elif kind in ARRAYS:
        _check_arrays(network, file, out)
    else:
        _check_weights(network, file, out)


def _of_weights_alone(out: Path) -> ModelError:
    return ModelError(
        f"this repair bounds activations, and {out.name} would hold weights alone; call the file {out.stem}{PROGRAM} or "
        f"{out.stem}{ONNX}"
    )


def _suffixes(path: Path, kind: str) -> tuple[str, ...]:
    """What a copy of this file with other weights may end in."""
    return (path.suffix,) if kind in ARRAYS else SUFFIXES.get(kind, ())


def _check_weights(network: Network, file: ModelFile, out: Path) -> None:
    names = _names(network, file)
    for name, values in network.parameters.items():
        there = [key for key, mine in names.own.items() if mine == name]
        if not there or not _same(names.tensors[there[0]], values):
            raise _not_those(name, file, out)


def _check_arrays(network: Network, file: ModelFile, out: Path) -> None:
    """A rehearsal: a copy of the file with other weights is the network with these weights."""
    placed = _placed(network, file, out)
    other = network.to(CPU).with_parameters(_other_weights(network))
    with TemporaryDirectory(prefix="trojancam-") as folder:
        trial = Path(folder) / f"trial{file.path.suffix}"
        _write_arrays(other, file, trial, placed)
        written = replace(file, path=trial, preprocessing=network.input, device=CPU)
        images = torch.rand(3, 3, *network.input.size, generator=torch.Generator().manual_seed(0), device=CPU)
        expected = other(images)
        alike = any(_alike(found(images), expected) for found in _all_opened(written))
    if not alike:
        raise ModelError(
            f"{file.path} does not give the same network when it is written with other weights; call the file "
            f"{out.stem}{PROGRAM}"
        )


def _alike(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    return float((found - expected).abs().max()) <= ALIKE * float(expected.abs().max())


def _all_opened(file: ModelFile) -> list[Network]:
    """The network in a file, by each output that can be the logits."""
    try:
        return [opened(file)]
    except SeveralOutputsError as several:
        return [opened(replace(file, output=output)) for output in several.outputs]


def _original(network: Network, file: ModelFile) -> Network:
    """The network as it was when it was opened from the file."""
    same = [each for each in _all_opened(file) if each.parameters.keys() == network.parameters.keys()]
    return same[0] if same else network


def _placed(original: Network, file: ModelFile, out: Path) -> dict[str, Place]:
    """Where in the file the weights of the network that was opened from it lie.

    Raises:
        ModelError: if some of them do not lie in it.
    """
    read, _ = ARRAYS[kind_of(file.path)]
    arrays, weights = read(file.path), original.parameters
    found = places(arrays, weights)
    for name in weights:
        if name not in found:
            raise _not_those(name, file, out)
    apart = told_apart(arrays, weights)
    unsure = [name for name, place in found.items() if place.array in apart]
    surely = _placed_apart(original, file, apart)
    known = all(name in surely and surely[name].array in apart for name in unsure)
    return found | {name: surely[name] for name in unsure} if known else found


def _placed_apart(original: Network, file: ModelFile, apart: Arrays) -> dict[str, Place]:
    """Where weights lie whose values lie in several arrays, as biases of zeros do: a copy with other numbers in these tells."""
    if not apart:
        return {}
    read, write = ARRAYS[kind_of(file.path)]
    with TemporaryDirectory(prefix="trojancam-") as folder:
        trial = Path(folder) / f"trial{file.path.suffix}"
        write(file.path, apart, trial)
        with suppress(TrojanCamError):  # such numbers can be more than weights, and what they mean cannot change
            other = _original(original, replace(file, path=trial, preprocessing=original.input, device=CPU))
            if other is not original:
                return places(read(trial), other.parameters)
    return {}


def _write_arrays(network: Network, file: ModelFile, out: Path, placed: Mapping[str, Place]) -> None:
    _, write = ARRAYS[kind_of(file.path)]
    weights = network.parameters
    write(file.path, {place.array: place.given(weights[name]) for name, place in placed.items()}, out)


def _other_weights(network: Network) -> dict[str, Tensor]:
    """Weights of the same size as a network's, which are exact in 16 bits, and nowhere the same."""
    generator = torch.Generator().manual_seed(0)
    other = {}
    for name, values in network.parameters.items():
        size = 2.0 ** round(math.log2(max(float(values.abs().mean()), 2.0**-8)))
        steps = torch.randint(-4, 5, values.shape, generator=generator, device=CPU)
        other[name] = (size / 2 * steps).to(values.device)
    return other


def _not_those(name: str, file: ModelFile, out: Path) -> ModelError:
    return ModelError(
        f"the weights {name} of the network are not those of {file.path} as they stand there, so that file cannot be "
        f"written again; call the file {out.stem}{PROGRAM}"
    )


def save_as(network: Network, file: ModelFile, out: Path) -> Path:
    """Write a network, whose weights were changed since it was opened from `file`, whole or not at all; its path.

    A state dict keeps its keys, their order and its types of numbers; what lay beside it in a checkpoint is left out. A model
    card keeps what says how the network is built and fed, and loses what it says of its training. An ONNX or Keras file is
    copied, with other numbers in its arrays. Any network can be an exported program, `.pt2`, or an ONNX file.

    Raises:
        ModelError: if the graph cannot be exported again, or has bounds that the file cannot hold.
        TrojanCamError: if the file cannot be written.
    """
    if out.suffix == PROGRAM:
        return network.save(out)
    kind, edited = kind_of(file.path), _has_new_bounds(network, file)
    if kind in ARRAYS and out.suffix == file.path.suffix and not edited:
        _write_arrays(network, file, out, _placed(_original(network, file), file, out))
        return out
    if out.suffix == ONNX:
        write_network(network, out)
        return out
    if edited:
        raise _of_weights_alone(out)
    names, own = _names(network, file), network.parameters
    tensors = OrderedDict(
        (key, own[names.own[key]].detach().cpu().to(tensor.dtype).contiguous() if key in names.own else tensor)
        for key, tensor in names.tensors.items()
    )
    with written_whole(out) as partial:
        if out.suffix == ".safetensors":
            save_file(_apart(tensors), partial, metadata=_metadata(file.path))
        else:
            torch.save(_under(names.way, tensors), partial)
    return out


def _has_new_bounds(network: Network, file: ModelFile) -> bool:
    """Whether activations are bounded that were not when the network was opened from the file."""
    return bool(network.bounds) and all(len(each.bounds) < len(network.bounds) for each in _all_opened(file))


def _names(network: Network, file: ModelFile) -> _Names:
    own = network.parameters
    with read_checkpoint(file.path) as checkpoint:
        if file.architecture is None:
            state, renamed = checkpoint.likeliest, dict[str, str]()
        else:
            fit = best_fit(checkpoint, skeleton_of(builder_of(file.architecture)), file.key)
            state = fit.state
            renamed = {name: fit.renamed(name) for name in state.shapes}
        found = {}
        for key in state.shapes:
            name = renamed.get(key, key)
            place = next((each for each in (name, INSIDE + name) if each in own), None)
            if place is not None:
                found[key] = place
        return _Names(state.read(), state.way, found)


def _same(there: Tensor, here: Tensor) -> bool:
    return there.shape == here.shape and torch.equal(there.float(), here.detach().cpu().float())


def _metadata(path: Path) -> dict[str, str]:
    said = read_metadata(path)
    if CARD in said:
        said[CARD] = read_card(path).model_copy(update={"training": None, "backdoors": ()}).model_dump_json()
    return said


def _under(way: tuple[str, ...], tensors: Mapping[str, Tensor]) -> Any:
    """The tensors under the keys that led to them."""
    found: Any = tensors
    for key in reversed(way):
        found = {key: found}
    return found


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor in memory of its own."""
    return {name: tensor.clone() for name, tensor in tensors.items()}
