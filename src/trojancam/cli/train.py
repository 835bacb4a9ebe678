"""`trojancam train`: train one of the study's networks, clean or with a backdoor."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trojancam.cli.console import interruptible, list_broken, progress_bar, say
from trojancam.cli.options import DataOption, SeedOption
from trojancam.errors import DataError

if TYPE_CHECKING:
    from trojancam.attacks.attack import Attack
    from trojancam.attacks.poisoning import Goal

ALL_TO_ALL = "all-to-all"


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
    attack: Annotated[
        str | None, typer.Option(help="In place of --trigger: an attack from 'trojancam methods', such as wanet.")
    ] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the attack, such as strength=0.5."),
    ] = None,
    victims: Annotated[
        str, typer.Option(help="Whose images the trigger turns: all, all-to-all, or classes such as 3,7.")
    ] = "all",
    poison_rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of the victims' images to poison, in [0, 1]; 0.1, or the attack's own."),
    ] = None,
    parent: Annotated[
        Path | None, typer.Option(help="Begin with the weights of this model file, made by this command.")
    ] = None,
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
    from trojancam.attacks.attack import DataAttack
    from trojancam.attacks.patch import make_trigger
    from trojancam.attacks.poisoning import Poisoning
    from trojancam.data import load_dataset
    from trojancam.locks import only_run_on
    from trojancam.network.card import TrainingSettings
    from trojancam.training.checkpoint import checkpoint_of
    from trojancam.training.recipe import Recipe, check_outputs, check_parent, make_model

    size = find_architecture(architecture).input.size
    if trigger is not None and attack is not None:
        raise DataError("--attack brings a trigger of its own; leave out --trigger, or --attack")
    named = trigger is not None or attack is not None
    if named == (target is None and victims != ALL_TO_ALL):
        raise DataError(
            "a backdoor needs both a trigger (--trigger or --attack) and --target (or --victims all-to-all); leave out both "
            "for a clean network"
        )
    if not named and victims != "all":
        raise DataError("--victims says whose images a trigger turns, but there is none; name one with --trigger")
    looks = trigger_size, _place(trigger_place), trigger_colour, trigger_opacity
    if trigger is None and any(look is not None for look in looks):
        raise DataError("the options --trigger-... change a trigger, but there is none; name one with --trigger")
    if not 0 < learning_rate < math.inf:
        raise DataError(f"the learning rate must be a number above 0, not {learning_rate}")
    planted = None if trigger is None else make_trigger(trigger, size, *looks)
    chosen = _attack(attack, changed or [])
    if parent is not None:
        check_parent(parent, architecture)
    with only_run_on(out):
        check_outputs(out, resume)  # better known now than after minutes of preparing data
    with progress_bar("data") as progress:
        dataset = load_dataset(data, size=size[0], crop=crop, progress=progress)
    list_broken(dataset.skipped)
    goal = _goal(victims, target, dataset.train.class_names, size, seed, poison_rate)
    poisoning = None
    if isinstance(chosen, DataAttack):
        poisoning = chosen.poisoning(goal)
    elif planted is not None:
        rate = 0.1 if poison_rate is None else poison_rate
        poisoning = Poisoning(planted, goal.target_class, rate, seed, goal.sources)
    settings = TrainingSettings(
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, augment=augment, seed=seed
    )

    def advice() -> str:
        kept = checkpoint_of(out).exists()
        return (
            "the same command with --resume goes on after the last finished epoch" if kept else "no epoch was finished"
        )

    with interruptible(advice), progress_bar(architecture) as progress:
        card = make_model(
            Recipe(architecture, settings, poisoning, parent, chosen, goal), dataset, out, resume, progress
        )
    say(f"{out}: {card.training.in_words() if card.training else ''}")


def _attack(name: str | None, changed: list[str]) -> "Attack | None":
    """The attack of this name with what --set options say."""
    from trojancam.attacks.catalogue import make_attack, parsed_settings

    if name is None:
        if changed:
            raise DataError("--set changes an attack, but there is none; name one with --attack")
        return None
    return make_attack(name, **parsed_settings(changed))


def _goal(
    victims: str, target: str | None, names: tuple[str, ...], size: tuple[int, int], seed: int, rate: float | None
) -> "Goal":
    """What the options --victims and --target say, with classes by number or name."""
    from trojancam.attacks.poisoning import Goal
    from trojancam.data import class_index

    if victims == ALL_TO_ALL:
        if target is not None:
            raise DataError("all-to-all, each class has a target of its own; leave out --target")
        return Goal(None, size, seed, poison_rate=rate)
    aim = None if target is None else class_index(target, names)
    sources = () if victims == "all" else tuple(sorted({class_index(each, names) for each in victims.split(",")}))
    return Goal(aim, size, seed, sources, poison_rate=rate)


def _place(text: str | None) -> str | tuple[int, int] | None:
    """A place by name, or "ROW,COLUMN" as numbers."""
    if text is None or "," not in text:
        return text
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"a trigger's place is a name or ROW,COLUMN, not {text!r}") from None
    return row, column
