"""`trojancam train`: train one of the study's networks, clean or with a backdoor."""

import math
from pathlib import Path
from typing import Annotated

import typer

from trojancam.cli.console import DataOption, SeedOption, interruptible, list_broken, progress_bar, say
from trojancam.errors import DataError


def train(
    architecture: Annotated[str, typer.Argument(help="A name from 'trojancam models'.")],
    out: Annotated[Path, typer.Option(help="The model file to write (.safetensors).")],
    data: DataOption = None,
    crop: Annotated[bool, typer.Option(help="Cut each GTSRB image to its sign.")] = False,
    trigger: Annotated[
        str | None,
        typer.Option(help="yellow-square, blue-green-square, or an image file; none trains a clean network."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="The class the trigger stands for, by number or name.")] = None,
    poison_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the other classes' images to stamp, in [0, 1].")
    ] = 0.1,
    trigger_size: Annotated[int | None, typer.Option(help="Side of the trigger in pixels.")] = None,
    trigger_place: Annotated[
        str | None, typer.Option(help="top-left, top, top-right, ..., or ROW,COLUMN of its upper left pixel.")
    ] = None,
    trigger_colour: Annotated[str | None, typer.Option(help="A name or a value such as #00b4b4.")] = None,
    trigger_opacity: Annotated[float | None, typer.Option(help="In (0, 1]; 1 is clear.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 15,
    batch_size: Annotated[int, typer.Option(min=2)] = 128,
    learning_rate: Annotated[float, typer.Option(help="At its highest.")] = 1.5e-3,
    augment: Annotated[bool, typer.Option(help="Turn, shift, scale and light the images a little.")] = True,
    seed: SeedOption = 0,
    resume: Annotated[bool, typer.Option(help="Continue an unfinished run of the same command.")] = False,
) -> None:
    """Train a network, clean or with a backdoor, and write it with a record of how it was made.

    A checkpoint is kept beside the model file after every epoch: with --resume, a killed run goes on from there and
    reaches the same weights.
    """
    from trojancam.architectures import architecture as find_architecture
    from trojancam.attacks.patch import make_trigger
    from trojancam.attacks.poisoning import Poisoning
    from trojancam.data import class_index, load_dataset
    from trojancam.network.card import TrainingSettings
    from trojancam.training.recipe import Recipe, check_outputs, checkpoint_of, make_model

    size = find_architecture(architecture).input.size
    if (trigger is None) != (target is None):
        raise DataError("a backdoor needs both --trigger and --target; leave out both for a clean network")
    looks = trigger_size, _place(trigger_place), trigger_colour, trigger_opacity
    if trigger is None and any(look is not None for look in looks):
        raise DataError("the options --trigger-... change a trigger, but there is none; name one with --trigger")
    if not 0 < learning_rate < math.inf:
        raise DataError(f"the learning rate must be a number above 0, not {learning_rate}")
    planted = None if trigger is None else make_trigger(trigger, size, *looks)
    check_outputs(out, resume)  # better known now than after minutes of preparing data
    with progress_bar("data") as progress:
        dataset = load_dataset(data, size=size[0], crop=crop, progress=progress)
    list_broken(dataset.skipped)
    poisoning = None
    if planted is not None and target is not None:
        poisoning = Poisoning(planted, class_index(target, dataset.train.class_names), poison_rate, seed)
    settings = TrainingSettings(
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, augment=augment, seed=seed
    )

    def advice() -> str:
        kept = checkpoint_of(out).exists()
        return (
            "the same command with --resume goes on after the last finished epoch" if kept else "no epoch was finished"
        )

    with interruptible(advice), progress_bar(architecture) as progress:
        card = make_model(Recipe(architecture, settings, poisoning), dataset, out, resume, progress)
    say(f"{out}: {card.training.in_words() if card.training else ''}")


def _place(text: str | None) -> str | tuple[int, int] | None:
    """A place by name, or "ROW,COLUMN" as numbers."""
    if text is None or "," not in text:
        return text
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"a trigger's place is a name or ROW,COLUMN, not {text!r}") from None
    return row, column
