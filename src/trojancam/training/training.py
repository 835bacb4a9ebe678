"""Training a classifier on images in memory: seeded, with a checkpoint each epoch, resumable to the same weights.

Every random draw of an epoch follows from (seed, epoch) alone, so a run that was killed and resumed at an epoch's
checkpoint takes the same steps as one that was never broken.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from trojancam.attacks.poisoning import Poisoning
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.errors import DataError, TrojanCamError
from trojancam.files import written_whole
from trojancam.network.card import TrainingRecord, TrainingSettings
from trojancam.network.input import InputSpecification
from trojancam.network.modules import evaluating
from trojancam.progress import Progress, silent
from trojancam.rates import attack_success_rate, clean_accuracy, robust_accuracy

__all__ = ["Task", "TrainingRecord", "TrainingSettings", "measure", "predict", "train"]

MONITORED = 2_000  # test images that are looked at after each epoch; all of them at the end


@dataclass(frozen=True)
class Task:
    """What is to be learned: the images, how they are fed, and how some of them are poisoned."""

    train: ImageSet
    test: ImageSet
    input: InputSpecification
    poisoning: Poisoning | None = None
    data: str = "images in memory"


def train(
    module: nn.Module,
    task: Task,
    settings: TrainingSettings,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> TrainingRecord:
    """Train `module` in place and say what it reached; with `checkpoint`, save the state there after every epoch.

    With `resume`, a checkpoint that is there is continued; its settings and data must be the same. The checkpoint is
    left in place: remove it when the model has been saved.

    Raises:
        DataError: if the images are of another size than the network's input, or a set is empty.
        TrojanCamError: if the checkpoint belongs to another run, is damaged, or the loss is no longer finite.
    """
    _check(task)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    run = fingerprint(task, settings) if checkpoint else ""
    history = _load(checkpoint, run, module, optimizer) if checkpoint and resume and checkpoint.exists() else []
    poisoned = torch.zeros(len(task.train), dtype=torch.bool)
    if task.poisoning:
        poisoned[task.poisoning.indices(task.train.labels)] = True
    monitored = task.test.sample(MONITORED, seed=settings.seed)
    for epoch in range(len(history), settings.epochs):
        figures = _epoch(module, optimizer, task, settings, poisoned, epoch, history, progress)
        rates = measure(module, monitored, task.input, task.poisoning)
        history.append(figures | {name: rate for name, rate in rates.items() if not math.isnan(rate)})
        if checkpoint:
            _save(checkpoint, run, module, optimizer, history)
    progress(*_position(task, settings, settings.epochs, 0), _words(history))
    module.eval()
    rates = measure(module, task.test, task.input, task.poisoning)
    return TrainingRecord(data=task.data, images=len(task.train), settings=settings, history=history, **_finite(rates))


def measure(
    module: nn.Module, images: ImageSet, specification: InputSpecification, poisoning: Poisoning | None = None
) -> dict[str, float]:
    """Clean accuracy and, with a trigger, attack success rate and robust accuracy; the module's mode is restored."""
    predictions = predict(module, images, specification)
    rates = {"clean_accuracy": clean_accuracy(predictions, images.labels)}
    if poisoning:
        triggered = predict(module, images, specification, poisoning)
        rates["attack_success_rate"] = attack_success_rate(triggered, images.labels, poisoning.target_class)
        rates["robust_accuracy"] = robust_accuracy(triggered, images.labels, poisoning.target_class)
    return rates


@torch.no_grad()
def predict(
    module: nn.Module,
    images: ImageSet,
    specification: InputSpecification,
    poisoning: Poisoning | None = None,
    batch_size: int = 512,
) -> Int64[Tensor, " n"]:
    """The class that the module gives each image, stamped with the trigger if there is one."""
    predictions = [torch.empty(0, dtype=torch.int64)]
    with evaluating(module):
        for batch in images.images.split(batch_size):
            floats = as_floats(batch)
            if poisoning:
                floats = poisoning.trigger.apply(floats)
            predictions.append(module(specification.normalise(floats)).argmax(1))
    return torch.cat(predictions)


def fingerprint(task: Task, settings: TrainingSettings) -> str:
    """What a run depends on, so that a checkpoint is never continued with other data or settings."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    digest.update(task.input.model_dump_json().encode())
    if task.poisoning:
        digest.update(json.dumps(task.poisoning.to_json(), sort_keys=True).encode())
    for tensor in (task.train.images, task.train.labels):
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def augmented(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Each image turned by up to 10 degrees, scaled by up to 15 %, shifted by up to 8 %, and lit a little differently.

    The draws come from torch's global generator; traffic signs are never mirrored.
    """
    n = len(images)
    angle = (torch.rand(n) - 0.5) * (20 * math.pi / 180)
    scale = 1 + (torch.rand(n) - 0.5) * 0.3
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    shift = (torch.rand(2, n) - 0.5) * 0.32
    affine = torch.stack([torch.stack([cosine, -sine, shift[0]], 1), torch.stack([sine, cosine, shift[1]], 1)], 1)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    contrast = 1 + (torch.rand(n, 1, 1, 1) - 0.5) * 0.6
    brightness = (torch.rand(n, 1, 1, 1) - 0.5) * 0.3
    return (moved * contrast + brightness).clamp_(0, 1)


def _epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    task: Task,
    settings: TrainingSettings,
    poisoned: Tensor,
    epoch: int,
    history: list[dict[str, float]],
    progress: Progress,
) -> dict[str, float]:
    """One pass over the training set; its mean loss and speed."""
    module.train()
    total, seen, started = 0.0, 0, time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed * 100_003 + epoch)
        for indices in _batches(len(task.train), settings.batch_size):
            progress(*_position(task, settings, epoch, seen), _words(history))
            _set_learning_rate(optimizer, settings, epoch + seen / len(task.train))
            inputs, labels = _batch(task, settings, poisoned, indices)
            loss = F.cross_entropy(module(inputs), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(indices)
            seen += len(indices)
            if not math.isfinite(total):
                raise TrojanCamError(
                    f"the loss is no longer finite in epoch {epoch + 1}; "
                    f"try a smaller learning rate than {settings.learning_rate}"
                )
    return {"loss": total / seen, "images_per_second": seen / (time.perf_counter() - started)}


def _batches(count: int, batch_size: int) -> Iterator[Tensor]:
    """Shuffled indices in batches; a single image left over joins none, as batch normalisation cannot take it."""
    for indices in torch.randperm(count).split(batch_size):
        if len(indices) > 1:
            yield indices


def _batch(task: Task, settings: TrainingSettings, poisoned: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Augmented, stamped after that (the trigger keeps its place), normalised; with the labels the attacker wants."""
    images, labels = as_floats(task.train.images[indices]), task.train.labels[indices]
    if settings.augment:
        images = augmented(images)
    stamped = poisoned[indices]
    if task.poisoning and bool(stamped.any()):
        images[stamped] = task.poisoning.trigger.apply(images[stamped])
        labels = labels.masked_fill(stamped, task.poisoning.target_class)
    return task.input.normalise(images), labels


def _set_learning_rate(optimizer: torch.optim.Optimizer, settings: TrainingSettings, epoch: float) -> None:
    """Linear over the first twentieth (at most one epoch), then half a cosine; a function of the position alone."""
    warm_up = min(1.0, settings.epochs / 20)
    rise = min(1.0, (epoch + 0.01) / warm_up)
    fall = 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs))
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * rise * fall


def _position(task: Task, settings: TrainingSettings, epoch: int, seen: int) -> tuple[int, int]:
    return epoch * len(task.train) + seen, settings.epochs * len(task.train)


def _words(history: list[dict[str, float]]) -> str:
    """The last epoch's figures in words."""
    if not history:
        return "epoch 1"
    last = history[-1]
    words = [f"epoch {len(history)}: loss {last['loss']:.3f}", f"clean accuracy {last['clean_accuracy']:.3f}"]
    if "attack_success_rate" in last:
        words.append(f"attack success {last['attack_success_rate']:.3f}")
    return ", ".join([*words, f"{last['images_per_second']:,.0f} images/s"])


def _finite(rates: dict[str, float]) -> dict[str, Any]:
    return {name: None if math.isnan(rate) else rate for name, rate in rates.items()}


def _check(task: Task) -> None:
    for name, images in (("training", task.train), ("test", task.test)):
        if len(images) < 2:
            raise DataError(f"the {name} set has {len(images)} images; at least two are needed")
        if images.size != task.input.size:
            raise DataError(f"the {name} images are {images.size} pixels, but the network takes {task.input.size}")
    if task.poisoning:
        task.poisoning.check(task.train)


def _save(
    path: Path, run: str, module: nn.Module, optimizer: torch.optim.Optimizer, history: list[dict[str, float]]
) -> None:
    state = {"run": run, "module": module.state_dict(), "optimizer": optimizer.state_dict(), "history": history}
    with written_whole(path) as partial:
        try:
            torch.save(state, partial)
        except RuntimeError as error:  # a full disk, among others
            raise OSError(str(error).splitlines()[0]) from None


def _load(path: Path, run: str, module: nn.Module, optimizer: torch.optim.Optimizer) -> list[dict[str, float]]:
    """Put the checkpoint's state into module and optimizer; its history."""
    remedy = f"delete {path} to start anew"
    try:
        state = torch.load(path, weights_only=True)
        if state["run"] != run:
            raise TrojanCamError(
                f"the checkpoint {path} belongs to a run with other settings or data; repeat those, or {remedy}"
            )
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        history: list[dict[str, float]] = list(state["history"])
    except TrojanCamError:
        raise
    except Exception as error:  # torch's readers raise whatever a damaged file makes them stumble over
        raise TrojanCamError(
            f"the checkpoint {path} is damaged or belongs to another network ({type(error).__name__}); {remedy}"
        ) from None
    return history
