"""`trojancam train`: train one of the study's networks, clean or with a backdoor."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trojancam.cli.console import interruptible, list_broken, progress_bar, say
from trojancam.cli.options import DataOption, DeviceOption, SeedOption, takes_options, there
from trojancam.errors import DataError

if TYPE_CHECKING:
    from trojancam.attacks.attack import Attack
    from trojancam.network.card import TrainingSettings
    from trojancam.tasks.train import BackdoorPlan

ALL, ALL_TO_ALL = "all", "all-to-all"


@dataclass(frozen=True)
class BackdoorOptions:
    """What the command was told of the backdoor to plant."""

    trigger: Annotated[
        str | None,
        typer.Option(help="yellow-square, blue-green-square, or an image file; none trains a clean network."),
    ] = None
    target: Annotated[str | None, typer.Option(help="The class the trigger stands for, by number or name.")] = None
    attack: Annotated[
        str | None, typer.Option(help="In place of --trigger: an attack from 'trojancam methods', such as wanet.")
    ] = None
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the attack, such as strength=0.5."),
    ] = None
    victims: Annotated[
        str, typer.Option(help="Whose images the trigger turns: all, all-to-all, or classes such as 3,7.")
    ] = ALL
    poison_rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of the victims' images to poison, in [0, 1]; 0.1, or the attack's own."),
    ] = None
    trigger_size: Annotated[int | None, typer.Option(help="Side of the trigger in pixels.")] = None
    trigger_place: Annotated[
        str | None, typer.Option(help="top-left, top, top-right, ..., or ROW,COLUMN of its upper left pixel.")
    ] = None
    trigger_colour: Annotated[str | None, typer.Option(help="A name or a value such as #00b4b4.")] = None
    trigger_opacity: Annotated[float | None, typer.Option(help="In (0, 1]; 1 is clear.")] = None

    def plan(self, size: tuple[int, int]) -> "BackdoorPlan":
        """What is to be planted into a network that takes images of this size.

        Raises:
            DataError, UnknownNameError: if the options do not go together, or one is not to be understood.
        """
        from trojancam.attacks.patch import make_trigger
        from trojancam.tasks.train import BackdoorPlan

        self._check()
        looks = self.trigger_size, _place(self.trigger_place), self.trigger_colour, self.trigger_opacity
        if self.trigger is None and any(look is not None for look in looks):
            raise DataError("the options --trigger-... change a trigger, but there is none; name one with --trigger")
        return BackdoorPlan(
            trigger=None if self.trigger is None else make_trigger(self.trigger, size, *looks),
            attack=self._attack(),
            target=self.target,
            victims=self.victims,
            poison_rate=self.poison_rate,
        )

    def _check(self) -> None:
        """Refuse half a backdoor, and two at once."""
        if self.trigger is not None and self.attack is not None:
            raise DataError("--attack brings a trigger of its own; leave out --trigger, or --attack")
        named = self.trigger is not None or self.attack is not None
        if named == (self.target is None and self.victims != ALL_TO_ALL):
            raise DataError(
                "a backdoor needs both a trigger (--trigger or --attack) and --target (or --victims all-to-all); leave out "
                "both for a clean network"
            )
        if self.victims == ALL_TO_ALL and self.target is not None:
            raise DataError("all-to-all, each class has a target of its own; leave out --target")
        if not named and self.victims != ALL:
            raise DataError("--victims says whose images a trigger turns, but there is none; name one with --trigger")

    def _attack(self) -> "Attack | None":
        """The attack of this name with what --set options say."""
        from trojancam.attacks.catalogue import make_attack, parsed_settings

        if self.attack is None:
            if self.changed:
                raise DataError("--set changes an attack, but there is none; name one with --attack")
            return None
        return make_attack(self.attack, **parsed_settings(self.changed or []))


@dataclass(frozen=True)
class TrainingOptions:
    """What the command was told of how to train."""

    epochs: Annotated[int, typer.Option(min=1)] = 15
    batch_size: Annotated[int, typer.Option(min=2)] = 128
    learning_rate: Annotated[float, typer.Option(help="At its highest.")] = 1.5e-3
    augment: Annotated[bool, typer.Option(help="Turn, shift, scale and light the images a little.")] = True
    seed: SeedOption = 0

    def settings(self) -> "TrainingSettings":
        """The same for the library.

        Raises:
            DataError: if the learning rate is no positive number.
        """
        from trojancam.network.card import TrainingSettings

        if not 0 < self.learning_rate < math.inf:
            raise DataError(f"the learning rate must be a number above 0, not {self.learning_rate}")
        return TrainingSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            augment=self.augment,
            seed=self.seed,
        )


@takes_options
def train(
    architecture: Annotated[str, typer.Argument(help="A name from 'trojancam models'.")],
    out: Annotated[Path, typer.Option(help="The model file to write (.safetensors).")],
    backdoor: BackdoorOptions,
    training: TrainingOptions,
    data: DataOption = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            help="Of the images that it learns, in pixels, for vgg and resnet, which take any: 64 or 64x48. Default: 32.",
        ),
    ] = None,
    crop: Annotated[
        Literal["whole", "roi"], typer.Option(help="What of GTSRB's images it learns: roi, the sign alone, or whole.")
    ] = "whole",
    parent: Annotated[
        Path | None,
        typer.Option(help="Begin with the weights of this model file, made by this command.", callback=there),
    ] = None,
    device: DeviceOption = "cpu",
    resume: Annotated[bool, typer.Option(help="Continue an unfinished run of the same command.")] = False,
) -> None:
    """Train a network, clean or with a backdoor, and write it with a record of how it was made.

    A checkpoint is kept beside the model file after every epoch: with --resume, an interrupted run resumes there
    and reaches the same weights.
    """
    from trojancam.architectures import architecture as find_architecture
    from trojancam.data.framing import size_in_words
    from trojancam.tasks.train import TrainingPlan
    from trojancam.tasks.train import train as run
    from trojancam.training.checkpoint import checkpoint_of

    found, asked = find_architecture(architecture), None if size is None else size_in_words(size)
    plan = TrainingPlan(
        architecture=architecture,
        out=out,
        backdoor=backdoor.plan(asked or found.input.size),
        settings=training.settings(),
        parent=parent,
        resume=resume,
        device=device,
        region=crop,
        image_size=asked,
    )
    plan.check()
    with progress_bar("data") as progress:
        dataset = plan.images(data, progress=progress)
    list_broken(dataset.skipped)

    def advice() -> str:
        kept = checkpoint_of(out).exists()
        return (
            "run the same command with --resume to resume after the last finished epoch"
            if kept
            else "no epoch was finished"
        )

    with interruptible(advice), progress_bar(architecture) as progress:
        card = run(plan, dataset, progress)
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
