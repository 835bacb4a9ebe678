"""Recipe: which network is trained how, on what poison; and the model file that comes of it, made once and kept."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from trojancam.caching import cache_folder, writable_folder
from trojancam.data.image_set import Dataset
from trojancam.errors import TrojanCamError
from trojancam.models import Architecture, architecture
from trojancam.models.card import ModelCard, PoisoningRecord
from trojancam.models.files import save_model
from trojancam.progress import Progress, silent
from trojancam.training import Task, TrainingRecord, TrainingSettings, fingerprint, train
from trojancam.triggers import Poisoning


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
        """A name for everything that the trained weights depend on."""
        parts = self.architecture, *dataset.train.class_names, fingerprint(self.task(dataset), self.settings)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def make_model(
    recipe: Recipe, dataset: Dataset, path: Path, resume: bool = False, progress: Progress = silent
) -> ModelCard:
    """Train a network and write its model file; a checkpoint beside it serves `resume` and goes when the file is there.

    Raises:
        TrojanCamError: if the file exists, or an unfinished run left a checkpoint and `resume` was not asked for.
        DataError, UnknownNameError: as `train`.
    """
    checkpoint = path.with_name(path.name + ".checkpoint")
    _check_outputs(path, checkpoint, resume)
    module = initial_module(architecture(recipe.architecture), len(dataset.train.class_names), recipe.settings.seed)
    record = train(module, recipe.task(dataset), recipe.settings, checkpoint, resume, progress)
    card = _card(recipe, dataset, record)
    save_model(path, module, card)
    checkpoint.unlink(missing_ok=True)
    return card


def cached_model(recipe: Recipe, dataset: Dataset, progress: Progress = silent) -> Path:
    """The model file of a recipe on this data, from the cache or trained now; a killed run is continued."""
    path = cache_folder("models") / f"{recipe.architecture}-{recipe.fingerprint(dataset)[:16]}.safetensors"
    if not path.exists():
        make_model(recipe, dataset, path, resume=True, progress=progress)
    return path


def initial_module(chosen: Architecture, classes: int, seed: int) -> nn.Module:
    """An untrained network, the same one for the same seed; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return chosen.build(classes)


def _check_outputs(path: Path, checkpoint: Path, resume: bool) -> None:
    """Nothing is overwritten: neither a finished model nor hours of an unfinished one."""
    if path.exists():
        raise TrojanCamError(f"{path} exists already; remove it or choose another name")
    if checkpoint.exists() and not resume:
        raise TrojanCamError(
            f"an unfinished run left {checkpoint}; continue it with --resume, or delete it to start anew"
        )
    writable_folder(path.parent)  # better known now than after an hour of training


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
