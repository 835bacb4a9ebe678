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

import torch
import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor, nn

from trojancam.attacks.poisoning import Backdoors, Poisoning, as_tuple, roles
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.errors import DataError, TrojanCamError
from trojancam.network.batches import BUDGET, measured
from trojancam.network.card import TrainingRecord, TrainingSettings
from trojancam.network.devices import CPU, device_of
from trojancam.network.input import InputSpecification
from trojancam.network.modules import evaluating
from trojancam.progress import Progress, shown
from trojancam.rates import attack_success_rate, clean_accuracy, leak_rate, robust_accuracy
from trojancam.showing import Brief
from trojancam.training.augmentation import augmented, strongly_augmented
from trojancam.training.checkpoint import read_checkpoint, write_checkpoint

__all__ = ["Task", "TrainingRecord", "TrainingSettings", "measure", "predict", "train"]

MONITORED = 2_000  # test images that are looked at after each epoch; all of them at the end


@dataclass(frozen=True)
class Task(Brief):
    """What is to be learned: the images, how they are fed, and how some of them are poisoned; `parent` as in its record."""

    train: ImageSet
    test: ImageSet
    input: InputSpecification
    poisoning: Backdoors = None
    data: str = "images in memory"
    parent: str | None = None

    @property
    def backdoors(self) -> tuple[Poisoning, ...]:
        """What is planted."""
        return as_tuple(self.poisoning)


def train(
    module: nn.Module,
    task: Task,
    settings: TrainingSettings,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    device: torch.device = CPU,
) -> TrainingRecord:
    """Train `module` in place, on `device`, and say what it reached; with `checkpoint`, save the state after every epoch.

    With `resume`, a checkpoint that is there is continued; its settings and data must be the same, and one that is damaged
    is said and begun anew. The checkpoint is left in place: remove it when the model has been saved.

    Raises:
        DataError: if the images are of another size than the network's input, or a set is empty.
        TrojanCamError: if the checkpoint belongs to another run, or the loss is no longer finite.
    """
    _check(task)
    told = shown(progress)
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    run = fingerprint(task, settings, device) if checkpoint else ""
    history = read_checkpoint(checkpoint, run, module, optimizer) if checkpoint and resume else []
    planted = roles(task.backdoors, task.train.labels)
    monitored = task.test.sample(MONITORED, seed=settings.seed)
    for epoch in range(len(history), settings.epochs):
        figures = _epoch(module, optimizer, task, settings, planted, epoch, history, told)
        rates = measure(module, monitored, task.input, task.backdoors)
        history.append(figures | {name: rate for name, rate in rates.items() if not math.isnan(rate)})
        if checkpoint:
            write_checkpoint(checkpoint, run, module, optimizer, history)
    told(*_position(task, settings, settings.epochs, 0), _words(history))
    module.eval()
    rates = measure(module, task.test, task.input, task.backdoors[:1])
    return TrainingRecord(
        data=task.data,
        images=len(task.train),
        settings=settings,
        parent=task.parent,
        history=history,
        clean_accuracy=rates["clean_accuracy"],
        attack_success_rate=finite(rates.get("attack_success_rate", math.nan)),
        robust_accuracy=finite(rates.get("robust_accuracy", math.nan)),
    )


def measure(
    module: nn.Module, images: ImageSet, specification: InputSpecification, poisoning: Backdoors = None
) -> dict[str, float]:
    """Clean accuracy and, with a trigger, the rates of `measure_backdoor`; the module's mode is restored.

    Of several backdoors, the rates of the second and those after it bear its number.
    """
    predictions = predict(module, images, specification)
    rates = {"clean_accuracy": clean_accuracy(predictions, images.labels)}
    for number, backdoor in enumerate(as_tuple(poisoning), start=1):
        for name, rate in measure_backdoor(module, images, specification, backdoor).items():
            rates[name if number == 1 else f"{name}_{number}"] = rate
    return rates


def measure_backdoor(
    module: nn.Module, images: ImageSet, specification: InputSpecification, backdoor: Poisoning
) -> dict[str, float]:
    """Attack success rate, robust accuracy and, of a source-specific backdoor, leak rate, as `trojancam.rates` defines them."""
    triggered = predict(module, images, specification, backdoor)
    targets = backdoor.targets(len(images.class_names))
    rates = {
        "attack_success_rate": attack_success_rate(triggered, images.labels, targets),
        "robust_accuracy": robust_accuracy(triggered, images.labels, targets),
    }
    if backdoor.sources:
        rates["leak_rate"] = leak_rate(triggered, images.labels, targets)
    return rates


@torch.no_grad()
def predict(
    module: nn.Module,
    images: ImageSet,
    specification: InputSpecification,
    poisoning: Poisoning | None = None,
    memory_budget: int = BUDGET,
) -> Int64[Tensor, " n"]:
    """The class that the module gives each image, stamped with the trigger if there is one."""
    predictions = [torch.empty(0, dtype=torch.int64)]
    if not len(images):
        return predictions[0]
    draws = torch.Generator().manual_seed(0)  # of triggers that are another in each image: the same ones each time
    device = device_of(module.parameters())
    with evaluating(module):
        one = measured(module, specification.normalise(as_floats(images.images[:1]).to(device)))
        for batch in images.images.split(one.plus(specification.bytes_per_image).rows(memory_budget)):
            floats = as_floats(batch)
            if poisoning:
                floats = poisoning.trigger.apply(floats, draws)
            predictions.append(module(specification.normalise(floats.to(device))).argmax(1).cpu())
    return torch.cat(predictions)


def fingerprint(task: Task, settings: TrainingSettings, device: torch.device = CPU) -> str:
    """What a run depends on, so that a checkpoint is never continued with other data or settings, or elsewhere."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    digest.update(b"" if device == CPU else device.type.encode())
    digest.update(task.input.model_dump_json().encode())
    digest.update((task.parent or "").encode())
    for backdoor in task.backdoors:
        digest.update(json.dumps(backdoor.to_json(), sort_keys=True).encode())
    for tensor in (task.train.images, task.train.labels):
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    task: Task,
    settings: TrainingSettings,
    planted: Tensor,
    epoch: int,
    history: list[dict[str, float]],
    progress: Progress,
) -> dict[str, float]:
    """One pass over the training set; its mean loss and speed."""
    module.train()
    device = device_of(module.parameters())
    total, seen, started = 0.0, 0, time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed * 100_003 + epoch)
        for indices in _batches(len(task.train), settings.batch_size):
            progress(*_position(task, settings, epoch, seen), _words(history))
            _set_learning_rate(optimizer, settings, epoch + seen / len(task.train))
            images, labels = (each.to(device) for each in _batch(task, settings, planted, indices))
            if settings.adversarial:
                images = moved_against(module, task.input, images, labels, settings.adversarial)
            loss = F.cross_entropy(module(task.input.normalise(images)), labels)
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


def _batch(task: Task, settings: TrainingSettings, planted: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Augmented, and triggered after that (the trigger keeps its place); with the labels the attacker wants."""
    images, labels = as_floats(task.train.images[indices]), task.train.labels[indices]
    if settings.augment:
        images = strongly_augmented(images) if settings.augment == "strongly" else augmented(images)
    own = planted[indices]
    for role in own[own >= 0].unique().tolist():
        backdoor, chosen = task.backdoors[role // 2], own == role
        shown = backdoor.training_trigger or backdoor.trigger
        if role % 2:
            images[chosen] = (backdoor.cover_trigger or shown).apply(images[chosen], torch.default_generator)
        else:
            images[chosen] = shown.apply(images[chosen], torch.default_generator)
            labels[chosen] = backdoor.relabelled(labels[chosen], len(task.train.class_names))
    return images, labels


def moved_against(
    module: nn.Module, specification: InputSpecification, images: Tensor, labels: Tensor, radius: float
) -> Tensor:
    """The images moved against the network by one step of the sign of its gradient, from a random start, at most `radius`.

    Wong, Rice, Kolter: Fast is better than free: Revisiting adversarial training (ICLR 2020), its step of 1.25 radii. The
    start comes from torch's global generator.
    """
    start = radius * (2 * torch.rand_like(images, device=CPU).to(images.device) - 1)
    moved = (images + start).clamp(0, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(module(specification.normalise(moved)), labels), moved)
    step = (start + 1.25 * radius * gradient.sign()).clamp(-radius, radius)
    return (images + step).clamp(0, 1)


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


def finite(rate: float) -> float | None:
    """The rate, None where there is none to speak of."""
    return None if math.isnan(rate) else rate


def _check(task: Task) -> None:
    for name, images in (("training", task.train), ("test", task.test)):
        if len(images) < 2:
            raise DataError(f"the {name} set has {len(images)} images; at least two are needed")
        if images.size != task.input.size:
            raise DataError(f"the {name} images are {images.size} pixels, but the network takes {task.input.size}")
    for backdoor in task.backdoors:
        backdoor.check(task.train)
