"""Exported programs: `.pt2` files, as `torch.export.save` writes them, read without PyTorch's loader.

That one unpickles what lies beside the program, evaluates its expressions and looks up any name in it. Here the program
is read as JSON, its weights as bytes, and all else that the file holds is left alone.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from trojancam.errors import ModelError
from trojancam.formats.archives import Archive, archive
from trojancam.formats.exported_program.arguments import FLOATS, NUMBERS
from trojancam.formats.exported_program.expressions import Json
from trojancam.formats.exported_program.module import Replayed
from trojancam.formats.exported_program.rehearsal import ANY_NUMBER, check_rows, for_any_number, rehearse
from trojancam.formats.exported_program.steps import WHAT_ODD_JSON_RAISES, Program, program_in
from trojancam.formats.json_text import check_parts, json_in
from trojancam.formats.opened import OpenedModel
from trojancam.formats.weights.reader import tensors_in
from trojancam.formats.weights.tensors import check_shares, single_precision, within
from trojancam.network.card import RECORD, NetworkRecord
from trojancam.network.input import Feeding
from trojancam.network.outputs import Output, choice_in_words, chosen_output

LARGEST_JSON = 24 << 20  # bytes; a network of a thousand layers has three million
LARGEST_CONFIG = 8 << 20
LARGEST_RECORD = 4 << 20
COLOURS = (1, 3, 4)  # channels of images
USUAL = 224  # a side that is assumed where the file says none
EARLIER = "serialized_exported_program.json"  # the layout of PyTorch before 2.8
RAW = re.compile(r"(weight|tensor)_\d+")  # members that hold numbers; others hold pickled objects
NO_PROGRAM = "a file that torch.export.save wrote"


def read_exported_program(path: str | Path, output: Output = None) -> OpenedModel:
    """The network in a `.pt2` file: the operations that it lists, over its weights; of several outputs, the named one.

    It takes any number of images, also where it was exported with one number alone, as long as that number only shows
    in reshapes. Sample inputs, expressions, guards and whatever else the file holds are not looked at.

    Raises:
        ModelError: if the file is damaged; if it holds compiled code, pickled objects, or operations that are not among
            those of classifiers; if it takes more than one tensor, or a fixed number of images that cannot be freed; or
            if its weights are not finite.
        UnknownNameError: if it has no such output.
    """
    path = Path(path)
    with archive(path) as opened:
        program, weights = _in_earlier_layout(opened) if EARLIER in opened.members else _in_layout(opened)
        said = _record(opened)
    wanted = set(program.weights.values())
    if missing := sorted(wanted - weights.keys()):
        raise ModelError(f"{path} is not whole: it lacks the weights {', '.join(missing[:3])}; export the module again")
    tensors, notes = single_precision(path, {name: tensor for name, tensor in weights.items() if name in wanted})
    found = _opened(path, program, tensors, notes, output)
    return found if said is None else _as_saved(found, said)


def _opened(path: Path, program: Program, tensors: dict[str, Tensor], notes: list[str], output: Output) -> OpenedModel:
    sizes, channels_last = _sizes(path, program)
    freed = for_any_number(program)
    shapes = rehearse(path, freed, sizes, tensors)
    place = chosen_output(program.names, [shape[1] if len(shape) == 2 else None for shape in shapes], output)
    check_rows(path, shapes[place])
    freed = replace(freed, outputs=(freed.outputs[place],))
    try:
        module = Replayed(freed, tensors, channels_last)
    except KeyError as error:
        raise ModelError(f"{path} has weights with an impossible name ({error}); export the module again") from None
    if program.fixed[0]:
        _check_images_apart(path, module, sizes, channels_last)
        notes = [*notes, f"it was exported for batches of {program.sizes[0]} and made to take any number of images"]
    notes = [*notes, *choice_in_words(program.names, place)]
    if program.left_out:
        notes = [
            *notes,
            f"it was exported in training; what acts there only is left out: {', '.join(program.left_out)}",
        ]
    height, width, channels = sizes if channels_last else (*sizes[1:], sizes[0])
    told = all(size is not None for size in program.sizes[1:])
    return OpenedModel(
        module.eval(), "exported program", path.stem, (height, width) if told else None, channels, notes=tuple(notes)
    )


def _record(opened: Archive) -> NetworkRecord | None:
    """What `Network.save` wrote beside the program, where it did."""
    name = f"{next(iter(opened.members), '').partition('/')[0]}/extra/{RECORD}"
    if name not in opened.members:
        return None
    try:
        text = opened.read(name, LARGEST_RECORD).decode()
        check_parts(text)
        return NetworkRecord.model_validate_json(text)
    except ValueError:
        reason = "damaged or of a newer version"
    raise ModelError(f"the record of the network in {opened.path} is {reason}; save the network again")


def _as_saved(found: OpenedModel, said: NetworkRecord) -> OpenedModel:
    """The network with the names, the input and the card that it was saved with."""
    if found.size != said.input.size or found.channels != said.input.number_of_channels:
        raise ModelError(
            f"{found.name}.pt2 holds a network for {found.channels} channels of {found.size}, but a record of one for "
            f"{said.input.number_of_channels} of {said.input.size}; save the network again"
        )
    return replace(
        found,
        name=said.name,
        input=said.input,
        class_names=said.class_names,
        card=said.card,
        feeding=Feeding("as its file says", vouched=said.vouched),
    )


def _sizes(path: Path, program: Program) -> tuple[tuple[int, int, int], bool]:
    """The three sizes of an image as the program takes it, and whether its channels come last."""
    sizes = tuple(USUAL if size is None else size for size in program.sizes)
    if len(sizes) != 4 or not all(0 < size <= 8192 for size in sizes):
        raise ModelError(
            f"the program in {path} takes tensors of shape {sizes}, not images (n, channels, height, width)"
        )
    _, first, second, last = sizes
    if program.sizes[1] not in COLOURS and program.sizes[3] not in COLOURS:
        raise ModelError(
            f"the program in {path} takes images of shape {sizes[1:]}, which have neither 1 nor 3 channels"
        )
    return (first, second, last), program.sizes[1] not in COLOURS


def _check_images_apart(path: Path, module: Replayed, sizes: tuple[int, int, int], channels_last: bool) -> None:
    """What was exported for a fixed number of images must answer for each as if it were alone."""
    images = torch.rand(3, *sizes, generator=torch.Generator().manual_seed(0))
    images = images.permute(0, 3, 1, 2) if channels_last else images
    with torch.no_grad():
        together, first, last = module(images)[0], module(images[:1])[0], module(images[2:])[0]
    apart = torch.cat([first, last])
    if not torch.allclose(together[[0, 2]], apart, rtol=1e-3, atol=1e-3 * float(apart.abs().max())):
        raise ModelError(f"the program in {path} mixes the images of a batch; {ANY_NUMBER}")


def _in_layout(opened: Archive) -> tuple[Program, dict[str, Tensor]]:
    """The program in an archive of PyTorch 2.8 and later: JSON, and the weights as raw bytes beside it."""
    path, root = opened.path, next(iter(opened.members), "").partition("/")[0]
    names = [name.removeprefix(f"{root}/") for name in opened.members]
    if any(name.startswith("data/aotinductor/") or name.endswith((".so", ".dll", ".dylib")) for name in names):
        raise ModelError(f"{path} holds compiled code, which is not run here; use torch.export.save instead")
    models = [name for name in names if name.startswith("models/") and name.endswith(".json")]
    if len(models) != 1:
        raise ModelError(f"{path} holds {len(models) or 'no'} exported programs, not one; name {NO_PROGRAM}")
    if f"{root}/byteorder" in opened.members and opened.read(f"{root}/byteorder", 10) != b"little":
        raise ModelError(f"{path} was written on a big-endian machine; export the module again on another")
    model = models[0].removeprefix("models/").removesuffix(".json")
    tensors: dict[str, Tensor] = {}
    for kind in ("constants", "weights"):
        tensors |= _payload(opened, f"{root}/data/{kind}/", model)
    return program_in(path, opened.read(f"{root}/{models[0]}", LARGEST_JSON)), tensors


def _payload(opened: Archive, folder: str, model: str) -> dict[str, Tensor]:
    """The tensors in a folder of the archive, laid out as its list says."""
    whole, listed = f"{folder}{model}.pt", f"{folder}{model}_{folder.split('/')[-2]}_config.json"
    if whole in opened.members:
        return tensors_in(opened.path, opened.read(whole))
    try:
        entries: Mapping[str, Json] = json_in(opened.read(listed, LARGEST_CONFIG))["config"]
        made: dict[View, Tensor] = {}
        read: dict[str, bytearray] = {}
        tensors = {name: _tensor(opened, folder, entry, made, read) for name, entry in entries.items()}
    except (*WHAT_ODD_JSON_RAISES, RuntimeError) as error:
        reason = f"{type(error).__name__}: {str(error)[:80]!r}"
        raise ModelError(
            f"{opened.path} is not whole: its list of weights is odd ({reason}); export the module again"
        ) from None
    check_shares(
        opened.path,
        ((name, len(read[name]), (math.prod(sizes) * kind.itemsize,)) for name, kind, sizes, _, _ in made),
    )
    return tensors


View = tuple[str, torch.dtype, tuple[int, ...], tuple[int, ...], int]


def _tensor(opened: Archive, folder: str, entry: Json, made: dict[View, Tensor], read: dict[str, bytearray]) -> Tensor:
    """One tensor over the bytes of a member, each of which is read once; tensors that are the same there are so here."""
    meta, name = entry["tensor_meta"], str(entry["path_name"])
    if entry["use_pickle"] or meta is None or not RAW.fullmatch(name):
        raise ModelError(
            f"{opened.path} holds pickled objects, which run code when loaded; export the module without them"
        )
    kind = (FLOATS | NUMBERS)[meta["dtype"]]
    sizes, strides = (tuple(_size(size) for size in meta[which]) for which in ("sizes", "strides"))
    offset = _size(meta["storage_offset"])
    numbers = opened.size(f"{folder}{name}") // kind.itemsize
    if len(sizes) != len(strides) or not within(numbers, offset, sizes, strides):
        raise ModelError(f"{opened.path} holds {numbers} numbers for a tensor of shape {sizes}, too few; it is damaged")
    key = name, kind, sizes, strides, offset
    if key not in made:
        if name not in read:
            read[name] = bytearray(opened.read(f"{folder}{name}"))
        made[key] = _numbers(read[name], kind).as_strided(sizes, strides, offset)
    return made[key]


def _numbers(content: bytearray, kind: torch.dtype) -> Tensor:
    if len(content) < kind.itemsize:
        return torch.empty(0, dtype=kind)
    return torch.frombuffer(content, dtype=kind, count=len(content) // kind.itemsize)


def _size(said: Json) -> int:
    size = said["as_int"]
    if type(size) is not int or not 0 <= size < 1 << 48:
        raise ValueError("a size")
    return size


def _in_earlier_layout(opened: Archive) -> tuple[Program, dict[str, Tensor]]:
    """The program in an archive of PyTorch before 2.8: JSON, and state dicts of weights and constants beside it."""
    program = program_in(opened.path, opened.read(EARLIER, LARGEST_JSON))
    weights = tensors_in(opened.path, opened.read("serialized_state_dict.pt"))
    constants = tensors_in(opened.path, opened.read("serialized_constants.pt"))
    return program, {**constants, **weights}
