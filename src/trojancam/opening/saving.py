"""Saving: a network whose weights were changed goes back into the kind of file that it came from, under the same names."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from trojancam.errors import ModelError
from trojancam.files import written_whole
from trojancam.formats.kinds import WEIGHTS, kind_of
from trojancam.formats.safetensors import CARD, read_card
from trojancam.formats.weights.architecture import builder_of, skeleton_of
from trojancam.formats.weights.fitting import best_fit
from trojancam.formats.weights.reader import read_checkpoint, read_metadata
from trojancam.network.network import Network
from trojancam.opening.open import ModelFile
from trojancam.showing import Brief

PROGRAM = ".pt2"
SUFFIXES = {"safetensors": (".safetensors",), "torch": (".pt", ".pth", ".bin")}
INSIDE = "inside."  # what a graph puts before the names of some modules


@dataclass(frozen=True)
class _Names(Brief):
    """The tensors of a file of weights as they are, the keys that lead to them, and the network's name for each that it has."""

    tensors: Mapping[str, Tensor]
    way: tuple[str, ...]
    own: Mapping[str, str]


def check_saveable(network: Network, file: ModelFile, out: Path) -> None:
    """Refuse to begin what could not be saved: an exported program can always be written, other kinds where they came from it.

    Raises:
        ModelError: if the file cannot be of the kind that its name says, or the network's weights are not those of the file.
    """
    if out.suffix == PROGRAM:
        return
    kind = kind_of(file.path)
    if out.suffix not in SUFFIXES.get(kind, ()):
        known = " or ".join((PROGRAM, *SUFFIXES.get(kind, ())))
        raise ModelError(
            f"{file.path} cannot be written back as {out.suffix or 'a file without a suffix'}; call the file "
            f"{out.stem}{PROGRAM}" + ("" if kind not in WEIGHTS else f", or end its name in {known}")
        )
    names, own = _names(network, file), network.parameters
    for name, values in own.items():
        there = [key for key, mine in names.own.items() if mine == name]
        if not there or not _same(names.tensors[there[0]], values):
            raise ModelError(
                f"the weights {name} of the network are not those of {file.path} as they stand there, so that file cannot be "
                f"written again; call the file {out.stem}{PROGRAM}"
            )


def save_as(network: Network, file: ModelFile, out: Path) -> Path:
    """Write a network, whose weights were changed since it was opened from `file`, whole or not at all; its path.

    A state dict keeps its keys, their order and its types of numbers; what lay beside it in a checkpoint is left out. A model
    card keeps what says how the network is built and fed, and loses what it says of its training.

    Raises:
        ModelError: if the graph cannot be exported again.
        TrojanCamError: if the file cannot be written.
    """
    if out.suffix == PROGRAM:
        return network.save(out)
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
