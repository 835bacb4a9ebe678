"""Model files: safetensors, which cannot run code, with the model card in their metadata."""

from pathlib import Path

import safetensors
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

import trojancam
from trojancam.caching import written_whole
from trojancam.errors import ModelError, UnknownNameError
from trojancam.models import architecture
from trojancam.models.card import ModelCard

CARD = "trojancam"  # the key of the card in the file's metadata


def save_model(path: str | Path, module: nn.Module, card: ModelCard) -> None:
    """Write the module's weights and its card to one file, whole or not at all.

    Raises:
        ModelError: if the weights do not fit the architecture that the card names, so nobody could read the file.
        TrojanCamError: if the file cannot be written.
    """
    path = Path(path)
    tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    _filled(path, card, tensors)
    signed = card.model_copy(update={"made_by": f"trojancam {trojancam.__version__}"})
    with written_whole(path) as partial:
        save_file(tensors, partial, metadata={CARD: signed.model_dump_json()})


def read_model(path: str | Path) -> tuple[nn.Module, ModelCard]:
    """The module, in evaluation mode, and the card of a file that `save_model` wrote.

    Raises:
        ModelError: if the file is missing or damaged, has no card, or its weights are not finite or do not fit its
            architecture.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"there is no model file {path}; check the path, or make one with 'trojancam train'")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(CARD)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a whole safetensors file ({error}); get it again from its source") from None
    if text is None:
        raise ModelError(
            f"{path} has no TrojanCAM model card, so its architecture is unknown; name it with --architecture, or save "
            "the network with save_model()"
        )
    card = _card(path, text)
    module = _filled(path, card, tensors)
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ModelError(
                f"the weights {name} in {path} are not finite; train the network again or get another file"
            )
    return module.eval(), card


def read_card(path: str | Path) -> ModelCard:
    """The card of a model file, without its weights.

    Raises:
        ModelError: as `read_model`.
    """
    return read_model(path)[1]


def _card(path: Path, text: str) -> ModelCard:
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the card"
        raise ModelError(
            f"the model card in {path} is damaged or of a newer version: {place}: {first['msg']}"
        ) from None


def _filled(path: Path, card: ModelCard, tensors: dict[str, Tensor]) -> nn.Module:
    """The module of the card's architecture with these weights."""
    try:
        with torch.random.fork_rng(devices=[]):  # the first weights are drawn for nothing
            module = architecture(card.architecture).build(len(card.class_names))
    except UnknownNameError as error:
        raise ModelError(f"{path}: {error}") from None
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(
            f"the weights in {path} do not fit the architecture {card.architecture!r} ({reason})"
        ) from None
    return module
