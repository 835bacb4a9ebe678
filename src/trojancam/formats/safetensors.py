"""Model files: safetensors, which cannot run code, with the model card in their metadata."""

import math
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from trojancam.architectures import ARCHITECTURES, architecture
from trojancam.errors import ModelError, Remedy, UnknownNameError
from trojancam.files import written_whole
from trojancam.formats.json_text import check_parts
from trojancam.formats.model_file import check_there
from trojancam.formats.weights.architecture import shapes_of
from trojancam.formats.weights.fitting import Skeleton, check_fit
from trojancam.formats.weights.reader import read_safetensors
from trojancam.formats.weights.tensors import single_precision
from trojancam.network.card import ModelCard
from trojancam.version import __version__

CARD = "trojancam"  # the key of the card in the file's metadata
LARGEST_IMAGE = 1 << 24  # pixels: 4096 x 4096


def save_model(path: str | Path, module: nn.Module, card: ModelCard) -> None:
    """Write the module's weights and its card to one file, whole or not at all.

    Raises:
        ModelError: if the weights do not fit the architecture that the card names, so nobody could read the file.
        TrojanCamError: if the file cannot be written.
    """
    path = Path(path)
    tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    _filled(path, card, tensors)
    signed = card.model_copy(update={"made_by": f"trojancam {__version__}"})
    with written_whole(path) as partial:
        save_file(tensors, partial, metadata={CARD: signed.model_dump_json()})


def read_model(path: str | Path) -> tuple[nn.Module, ModelCard]:
    """The module, in evaluation mode, and the card of a file that `save_model` wrote.

    Raises:
        ModelError: if the file is missing or damaged, has no card, or its weights are not finite or do not fit its
            architecture.
    """
    path = Path(path)
    check_there(path)
    tensors, metadata = read_safetensors(path)
    text = metadata.get(CARD)
    if text is None:
        raise ModelError(
            f"{path} has no TrojanCAM model card, so its architecture is unknown",
            Remedy.ARCHITECTURE,
            detail=", ".join(ARCHITECTURES),
        )
    card = _card(path, text)
    if math.prod(card.input.size) > LARGEST_IMAGE:
        height, width = card.input.size
        raise ModelError(
            f"{path} says that its images have {height}x{width} pixels, more than any classifier; do not use it"
        )
    tensors, _ = single_precision(path, tensors)
    return _filled(path, card, tensors).eval(), card


def read_card(path: str | Path) -> ModelCard:
    """The card of a model file, without its weights.

    Raises:
        ModelError: as `read_model`.
    """
    return read_model(path)[1]


def _card(path: Path, text: str) -> ModelCard:
    try:
        check_parts(text)
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the card"
        reason = f"{place}: {first['msg']}"
    except ValueError as error:
        reason = str(error)
    raise ModelError(f"the model card in {path} is damaged or of a newer version: {reason}")


def _filled(path: Path, card: ModelCard, tensors: dict[str, Tensor]) -> nn.Module:
    """The module of the card's architecture with these weights."""
    try:
        build, classes = architecture(card.architecture).build, len(card.class_names)
    except UnknownNameError as error:
        raise ModelError(f"{path}: {error}") from None
    with torch.device("meta"):  # without memory: the card may name more classes than there are weights for
        check_fit(path, Skeleton(shapes_of(build(classes))), tensors, card.architecture)
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn for nothing
        module = build(classes)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(
            f"the weights in {path} do not fit the architecture {card.architecture!r} ({reason})"
        ) from None
    return module
