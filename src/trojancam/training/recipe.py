"""Recipe: which network is trained how, on what poison; and the model file that comes of it, made once and kept."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from trojancam.architectures import ARCHITECTURES, Architecture, architecture
from trojancam.attacks.poisoning import Poisoning
from trojancam.data.image_set import Dataset
from trojancam.errors import ModelError, TrojanCamError
from trojancam.files import cache_folder, writable_folder
from trojancam.formats.safetensors import read_card, save_model
from trojancam.network.card import ModelCard, PoisoningRecord, TrainingRecord, TrainingSettings
from trojancam.progress import Progress, silent
from trojancam.training.training import Task, fingerprint, train
from trojancam.version import __version__


@dataclass(frozen=True)
class Recipe:
    """Which architecture is trained how, and with what poison (None: a benign network)."""

    architecture: str
    settings: TrainingSettings = TrainingSettings()
    poisoning: Poisoning | None = None

    def task(self, dataset: Dataset) -> Task:
        """What the network is to learn from this data."""
        return Task(dataset.train, dataset.test, architecture(self.architecture).input, self.poisoning, dataset.source)

    def fingerprint(self, dataset: Dataset) -> str:
        """A name for everything that the model file depends on: the weights, and what they reached on the test set."""
        parts = [self.architecture, *dataset.train.class_names, fingerprint(self.task(dataset), self.settings)]
        if self.architecture not in ARCHITECTURES.own:
            parts.append(ARCHITECTURES.code(self.architecture))
        digest = hashlib.sha256("\n".join((__version__, *parts)).encode())
        for tensor in (dataset.test.images, dataset.test.labels):
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


def make_model(
    recipe: Recipe, dataset: Dataset, path: Path, resume: bool = False, progress: Progress = silent
) -> ModelCard:
    """Train a network and write its model file; a checkpoint beside it serves `resume` and goes when the file is there.

    Raises:
        TrojanCamError: if the file exists, or an unfinished run left a checkpoint and `resume` was not asked for.
        DataError, UnknownNameError: as `train`.
    """
    checkpoint = checkpoint_of(path)
    check_outputs(path, resume)
    module = initial_module(architecture(recipe.architecture), len(dataset.train.class_names), recipe.settings.seed)
    record = train(module, recipe.task(dataset), recipe.settings, checkpoint, resume, progress)
    card = _card(recipe, dataset, record)
    save_model(path, module, card)
    checkpoint.unlink(missing_ok=True)
    return card


def cached_model(recipe: Recipe, dataset: Dataset, progress: Progress = silent) -> Path:
    """The model file of a recipe on this data, from the cache or trained now; a killed run is continued.

    A damaged file is made again: what is in the cache can be.
    """
    path = cached_path(recipe, dataset)
    try:
        read_card(path)
    except ModelError:
        path.unlink(missing_ok=True)
        make_model(recipe, dataset, path, resume=True, progress=progress)
    return path


def cached_path(recipe: Recipe, dataset: Dataset) -> Path:
    """Where the cache keeps the model file of a recipe on this data, if it does."""
    return cache_folder("models") / f"{recipe.architecture}-{recipe.fingerprint(dataset)[:16]}.safetensors"


def checkpoint_of(path: Path) -> Path:
    """Where the training of a model file keeps its checkpoint: beside it."""
    return path.with_name(path.name + ".checkpoint")


def check_outputs(path: Path, resume: bool = False) -> None:
    """Refuse to overwrite a finished model or hours of an unfinished one; make sure that the file can be written.

    Raises:
        TrojanCamError: if the file exists, or an unfinished run left a checkpoint and `resume` was not asked for.
    """
    if path.is_dir():
        raise TrojanCamError(f"{path} is a folder; name a file in it, such as {path / 'model.safetensors'}")
    if path.exists():
        raise TrojanCamError(f"{path} exists already; remove it or choose another name")
    if checkpoint_of(path).exists() and not resume:
        raise TrojanCamError(
            f"an unfinished run left {checkpoint_of(path)}; continue it with --resume, or delete it to start anew"
        )
    writable_folder(path.parent)  # better known now than after an hour of training


def initial_module(chosen: Architecture, classes: int, seed: int) -> nn.Module:
    """An untrained network, the same one for the same seed; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return chosen.build(classes)


def _card(recipe: Recipe, dataset: Dataset, record: TrainingRecord) -> ModelCard:
    poisoning = recipe.poisoning
    return ModelCard(
        architecture=recipe.architecture,
        class_names=dataset.train.class_names,
        input=architecture(recipe.architecture).input,
        training=record,
        poisoning=_poisoning_record(poisoning, dataset) if poisoning else None,
    )


def _poisoning_record(poisoning: Poisoning, dataset: Dataset) -> PoisoningRecord:
    return PoisoningRecord(**poisoning.to_json(), poisoned_images=len(poisoning.indices(dataset.train.labels)))
