"""`trojancam train`: train one of the study's networks, clean or with a backdoor."""

from pathlib import Path
from typing import Annotated

import typer

from trojancam.cli.console import DataOption, console, list_broken, progress_bar
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
    poison_rate: Annotated[float, typer.Option(help="Share of the other classes' images to stamp, in [0, 1].")] = 0.1,
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
    seed: int = 0,
    resume: Annotated[bool, typer.Option(help="Continue an unfinished run of the same command.")] = False,
) -> None:
    """Train a network, clean or with a backdoor, and write it with a record of how it was made.

    A checkpoint is kept beside the model file after every epoch: with --resume, a killed run goes on from there and
    reaches the same weights.
    """
    from trojancam.data import class_index, load_dataset
    from trojancam.models import architecture as find_architecture
    from trojancam.models.recipe import Recipe, make_model
    from trojancam.training import TrainingSettings
    from trojancam.triggers import Poisoning, make_trigger

    size = find_architecture(architecture).input.size
    if (trigger is None) != (target is None):
        raise DataError("a backdoor needs both --trigger and --target; leave out both for a clean network")
    if learning_rate <= 0:
        raise DataError(f"the learning rate must be above 0, not {learning_rate}")
    planted = trigger and make_trigger(
        trigger, size, trigger_size, _place(trigger_place), trigger_colour, trigger_opacity
    )
    with progress_bar("data") as progress:
        dataset = load_dataset(data, size=size[0], crop=crop, progress=progress)
    list_broken(dataset.skipped)
    poisoning = None
    if planted and target is not None:
        poisoning = Poisoning(planted, class_index(target, dataset.train.class_names), poison_rate, seed)
    settings = TrainingSettings(
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, augment=augment, seed=seed
    )
    with progress_bar(architecture) as progress:
        card = make_model(Recipe(architecture, settings, poisoning), dataset, out, resume, progress)
    console.print(f"{out}: {card.training.in_words() if card.training else ''}", soft_wrap=True)


def _place(text: str | None) -> str | tuple[int, int] | None:
    """A place by name, or "ROW,COLUMN" as numbers."""
    if text is None or "," not in text:
        return text
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"a trigger's place is a name or ROW,COLUMN, not {text!r}") from None
    return row, column
