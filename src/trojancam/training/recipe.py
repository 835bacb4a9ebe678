"""Recipe: which network is trained how, on what poison; and the model file that comes of it, made once and kept."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from trojancam.architectures import ARCHITECTURES, Architecture, architecture
from trojancam.attacks.attack import Attack, CleanNetwork, NetworkAttack
from trojancam.attacks.poisoning import Backdoors, Goal, Poisoning, as_tuple, roles
from trojancam.data.image_set import Dataset, ImageSet
from trojancam.errors import DataError, ModelError, Remedy, TrojanCamError
from trojancam.files import cache_folder, check_new, writable_folder
from trojancam.formats.safetensors import read_card, read_model, save_model
from trojancam.kept import SUFFIX, files_kept, keep_files
from trojancam.locks import only_run_on
from trojancam.network.card import BackdoorRecord, ModelCard, TrainingRecord, TrainingSettings
from trojancam.network.devices import CPU
from trojancam.network.input import InputSpecification, Region
from trojancam.progress import Progress, shown
from trojancam.showing import Brief
from trojancam.text import as_text
from trojancam.training.checkpoint import checkpoint_of
from trojancam.training.training import Task, fingerprint, finite, measure, measure_backdoor, train
from trojancam.version import __version__


@dataclass(frozen=True)
class Recipe(Brief):
    """Which architecture is trained how, and with what poison (None: a benign network).

    `parent` is a model file of the same architecture whose weights the training begins with: a fine-tuned network. `attack`
    is the attack of the catalogue that planned the poison, for the record; or one on networks, which begins with the parent,
    or with a clean network that is trained first, and reaches the `goal`. `region` is what the images show, for the record;
    `size` is their height and width (None: the architecture's own).
    """

    architecture: str
    settings: TrainingSettings = TrainingSettings()
    poisoning: Backdoors = None
    parent: Path | None = None
    attack: Attack | None = None
    goal: Goal | None = None
    region: Region = "whole"
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.attack, NetworkAttack) and self.goal is not None:
            self.attack.check(self.goal)

    @property
    def input(self) -> InputSpecification:
        """What the network is fed."""
        own = architecture(self.architecture).input
        return own.model_copy(update={"region": self.region, "size": self.size or own.size})

    @property
    def backdoors(self) -> tuple[Poisoning, ...]:
        """What is planted."""
        return as_tuple(self.poisoning)

    def task(self, dataset: Dataset) -> Task:
        """What the network is to learn from this data."""
        parent = None if self.parent is None else parent_name(self.parent)
        return Task(dataset.train, dataset.test, self.input, self.poisoning, dataset.source, parent)

    def fingerprint(self, dataset: Dataset) -> str:
        """A name for everything that the model file depends on: the weights, and what they reached on the test set."""
        parts = [self.architecture, *dataset.train.class_names, fingerprint(self.task(dataset), self.settings)]
        if isinstance(self.attack, NetworkAttack):
            parts += [self.attack.name, self.attack.model_dump_json(), repr(self.goal)]
        if self.architecture not in ARCHITECTURES.own:
            parts.append(ARCHITECTURES.code(self.architecture))
        digest = hashlib.sha256("\n".join((__version__, *parts)).encode())
        for tensor in (dataset.test.images, dataset.test.labels):
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


def make_model(
    recipe: Recipe,
    dataset: Dataset,
    path: Path,
    resume: bool = False,
    progress: Progress | None = None,
    device: torch.device = CPU,
) -> ModelCard:
    """Train a network and write its model file; a checkpoint beside it serves `resume` and goes when the file is there.

    It is trained on `device`; an attack on networks changes the trained one on the processor.

    Raises:
        TrojanCamError: if the file exists, another run makes it, or an unfinished run left a checkpoint and `resume` was
            not asked for.
        DataError, UnknownNameError: as `train`.
    """
    with only_run_on(path):
        check_outputs(path, resume)
        card = _made(recipe, dataset, path, resume, shown(progress), device)
        _forget_checkpoints(path)
    return card


def _attacked(
    recipe: Recipe,
    attack: NetworkAttack,
    dataset: Dataset,
    path: Path,
    resume: bool,
    progress: Progress,
    device: torch.device,
) -> tuple[nn.Module, TrainingRecord, tuple[Poisoning, ...]]:
    """A network that an attack changed, and how it was trained before that; the clean one is the parent, or is trained first."""
    if recipe.goal is None:
        raise DataError(f"the attack {attack.name} needs a goal; give the recipe one")
    task = recipe.task(dataset)

    def learned(images: ImageSet, backdoor: Poisoning) -> nn.Module:
        other = _begun(recipe, dataset)
        poisoned = replace(task, train=images, poisoning=backdoor)
        train(other, poisoned, recipe.settings, checkpoint_of(_second(path)), resume, progress, device)
        return other.to(CPU)

    module = _begun(recipe, dataset)
    if recipe.parent is None:
        record = train(module, task, recipe.settings, checkpoint_of(path), resume, progress, device)
    else:
        record = TrainingRecord(
            data=task.data, images=len(task.train), settings=recipe.settings, parent=task.parent, clean_accuracy=0.0
        )
    clean = CleanNetwork(module.to(CPU).eval(), dataset.train, task.input, learned, progress)
    module, backdoor = attack.planted(clean, recipe.goal)
    rates = measure(module.eval(), dataset.test, task.input, backdoor)
    found = {name: finite(rates[name]) for name in ("attack_success_rate", "robust_accuracy")}
    return module, record.model_copy(update=found | {"clean_accuracy": rates["clean_accuracy"]}), (backdoor,)


def cached_model(recipe: Recipe, dataset: Dataset, progress: Progress | None = None) -> Path:
    """The model file of a recipe on this data, from the cache or trained now; a killed run is continued.

    A damaged file is made again: what is in the cache can be.

    Raises:
        TrojanCamError: if another run trains the same network.
    """
    path = cached_path(recipe, dataset)
    note, run = path.with_name(path.name + SUFFIX), recipe.fingerprint(dataset)
    if not files_kept(note, run):
        with only_run_on(path):
            _made(recipe, dataset, path, True, shown(progress))
            keep_files(note, run, [path])
            _forget_checkpoints(path)
    return path


def _made(
    recipe: Recipe, dataset: Dataset, path: Path, resume: bool, progress: Progress, device: torch.device = CPU
) -> ModelCard:
    """The card of the model file that is trained and written now; its checkpoints stay."""
    if isinstance(recipe.attack, NetworkAttack):
        module, record, backdoors = _attacked(recipe, recipe.attack, dataset, path, resume, progress, device)
    else:
        module, backdoors = _begun(recipe, dataset), recipe.backdoors
        record = train(module, recipe.task(dataset), recipe.settings, checkpoint_of(path), resume, progress, device)
    rates = [measure_backdoor(module, dataset.test, recipe.input, backdoor) for backdoor in backdoors]
    card = _card(recipe, dataset, record, backdoors, rates)
    save_model(path, module.to(CPU), card)
    return card


def _second(path: Path) -> Path:
    """Beside which file the second training of an attack, where it has one, keeps its checkpoint."""
    return path.with_name(path.name + ".second")


def _forget_checkpoints(path: Path) -> None:
    for checkpoint in (checkpoint_of(path), checkpoint_of(_second(path))):
        checkpoint.unlink(missing_ok=True)


def cached_path(recipe: Recipe, dataset: Dataset) -> Path:
    """Where the cache keeps the model file of a recipe on this data, if it does."""
    return cache_folder("models") / f"{recipe.architecture}-{recipe.fingerprint(dataset)[:16]}.safetensors"


def check_outputs(path: Path, resume: bool = False) -> None:
    """Refuse to overwrite a finished model or hours of an unfinished one; make sure that the file can be written.

    Raises:
        TrojanCamError: if the file exists, or an unfinished run left a checkpoint and `resume` was not asked for.
    """
    if path.is_dir():
        raise TrojanCamError(f"{path} is a folder; name a file in it, such as {path / 'model.safetensors'}")
    check_new(path)
    if checkpoint_of(path).exists() and not resume:
        raise TrojanCamError(f"an unfinished run left {checkpoint_of(path)}", Remedy.RESUME)
    writable_folder(path.parent)  # better known now than after an hour of training


def check_parent(path: Path, architecture: str) -> None:
    """Refuse a parent that cannot be read, or is of another architecture.

    Raises:
        ModelError: if it is so.
    """
    card = read_card(path)
    if card.architecture != architecture:
        raise ModelError(
            f"the parent network {path} is a {card.architecture}, which cannot become a {architecture}; choose a parent of "
            "the same kind"
        )


def initial_module(chosen: Architecture, classes: int, seed: int) -> nn.Module:
    """An untrained network, the same one for the same seed; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return chosen.build(classes)


def parent_name(path: Path) -> str:
    """A model file's name and the first digits of its SHA-256, as a record names it.

    Raises:
        ModelError: if it cannot be read.
    """
    try:
        return f"{as_text(path.stem)}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    except OSError as error:
        raise ModelError(f"cannot read the parent network {path} ({error.strerror}); check the path") from None


def _begun(recipe: Recipe, dataset: Dataset) -> nn.Module:
    """The network as training finds it: fresh, or with its parent's weights."""
    classes = len(dataset.train.class_names)
    if recipe.parent is None:
        return initial_module(architecture(recipe.architecture), classes, recipe.settings.seed)
    module, card = read_model(recipe.parent)
    if (card.architecture, len(card.class_names)) != (recipe.architecture, classes):
        raise ModelError(
            f"the parent network {recipe.parent} is a {card.architecture} of {len(card.class_names)} classes, which cannot "
            f"become a {recipe.architecture} of {classes}; choose a parent of the same kind"
        )
    return module


def _card(
    recipe: Recipe,
    dataset: Dataset,
    record: TrainingRecord,
    backdoors: tuple[Poisoning, ...],
    rates: list[dict[str, float]],
) -> ModelCard:
    planted = roles(backdoors, dataset.train.labels)
    return ModelCard(
        architecture=recipe.architecture,
        class_names=dataset.train.class_names,
        input=recipe.input,
        training=record,
        backdoors=tuple(
            _backdoor_record(
                backdoor, int((planted == 2 * k).sum()), int((planted == 2 * k + 1).sum()), rates[k], recipe.attack
            )
            for k, backdoor in enumerate(backdoors)
        ),
    )


def _backdoor_record(
    backdoor: Poisoning, poisoned: int, covers: int, rates: dict[str, float], attack: Attack | None
) -> BackdoorRecord:
    reached = {name: finite(rate) for name, rate in rates.items()}
    counts = {"poisoned_images": poisoned, "cover_images": covers}
    told = {"attack": backdoor.trigger.family, "settings": {}}
    if attack is not None:
        told = {"attack": attack.name, "settings": attack.settings()}
    return BackdoorRecord.model_validate(backdoor.to_json() | counts | reached | told)
