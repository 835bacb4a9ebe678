"""`trojancam inspect`: what a model file holds, what it would run if it were loaded carelessly, and how it wants its pixels."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trojancam.cli.answers import AnsweringInJson
from trojancam.cli.console import OPTIONS, complain, console, say
from trojancam.cli.options import MODEL, DataOption, ModelOptions, SeedOption, images_for, takes_options, there
from trojancam.errors import TrojanCamError
from trojancam.faults import MENDABLE
from trojancam.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from trojancam.formats.inspection import Inspection
    from trojancam.network.card import BackdoorRecord, ModelCard
    from trojancam.network.network import Network
    from trojancam.opening.output_choice import ImagesFor, LabelledImages
    from trojancam.tasks.inspect import Inspected

SHOWN = 12  # class names, the first ones


@takes_options
def inspect(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help=MODEL)],
    told: ModelOptions,
    answering: AnsweringInJson,
    data: DataOption = None,
    images: Annotated[int, typer.Option(min=4, help="With --data: how many labelled images to try it on.")] = 2000,
    outside: Annotated[
        bool, typer.Option("--outside", help="Look at the files from outside only, and open no network.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Exit code 1 if a careless loader would run or reach for something, or a branch goes past all layers; 3 if "
            "that cannot be told.",
        ),
    ] = False,
    seed: SeedOption = 0,
) -> None:
    """Show what model files hold, without running anything in them; with --data, how the network wants its pixels.

    A file that cannot be opened is shown from outside. The usual preprocessings are tried on images whose classes are
    known. Exit code 2 if a file is refused, or if no preprocessing is clearly right: what is then found in the network
    would mean nothing.
    """

    def labelled(network: "Network") -> "LabelledImages":
        return images_for(network, data).test.take(images, seed)

    codes = []
    for place, model in enumerate(models):
        last = place == len(models) - 1
        try:
            codes.append(_inspect(model, told, answering, None if data is None else labelled, outside, strict))
        except TrojanCamError as error:
            if last and not any(codes):
                raise
            codes.append(MENDABLE)
            complain("error:", "bold red", error.told(OPTIONS))
    raise typer.Exit(max(codes))


def _inspect(
    model: Path,
    told: ModelOptions,
    answering: AnsweringInJson,
    labelled: "ImagesFor | None",
    outside: bool,
    strict: bool,
) -> int:
    """Show one file and tell what was found; the exit code."""
    from trojancam.report.machines.outcome import of_refusal

    outcome = None
    try:
        there(model)  # before anything large is imported
        from trojancam.report.machines.outcomes import of_inspection
        from trojancam.tasks.inspect import inspected, seen_from_outside

        found = seen_from_outside(model) if outside else inspected(told.of(model), labelled, _show)
        if outside:
            _show("outside", found)
        refused = None if found.refused is None else found.refused.told(OPTIONS)
        outcome = of_inspection(found, refused, strict=strict)
        for problem in found.outside.problems:
            if problem != refused:  # the error says that
                say(f"it could not be searched as a whole: {problem}")
        if found.refused is not None:
            raise found.refused
        return outcome.exit_code
    except TrojanCamError as error:
        outcome = outcome or of_refusal("inspect", model, error.told(OPTIONS))
        raise
    finally:
        if outcome is not None:
            answering.tell(outcome)


def _show(part: str, found: "Inspected") -> None:
    """Show a part of what is known of a file, as soon as it is known."""
    if part == "outside":
        _show_outside(found.outside, found.sha256)
    elif part == "network" and found.network is not None:
        _show_network(found.network)
    elif part == "tried":
        _show_preprocessings(found.accuracies, found.images)
    elif part == "wants":
        say(f"it wants: {found.wants} (right on {found.accuracies[str(found.wants)]:.1%})")


def _show_outside(found: "Inspection", digest: str) -> None:
    say(f"{found.file}: {found.format}, {found.bytes:,} bytes, SHA-256 {digest}")
    for name, text in found.origin.items():
        say(f"the file says: {name}: {text}")
    _list("loaded carelessly, it would run", found.would_run, "nothing that is known" if found.problems else "nothing")
    if found.would_reach:
        _list("loaded or unpacked carelessly, it would reach for", found.would_reach)


def _list(what: str, items: tuple[str, ...], none: str = "") -> None:
    if len(items) < 2:
        say(f"{what}: {items[0] if items else none}")
        return
    say(f"{what}:")
    for item in items:
        say(f"  {item}")


def _show_network(network: "Network") -> None:
    from trojancam.opening.feeding import in_words

    console.print(_layers(network))
    say(f"classes: {_listed(network.class_names) if network.named else f'{len(network.class_names)}, without names'}")
    say(f"input: {in_words(network.input)}; fed {network.feeding.words}")
    for note in network.notes:
        say(f"note: {note}")
    if network.card is not None:
        _show_card(network.card)


def _layers(network: "Network") -> "Table":
    from rich.table import Table
    from rich.text import Text

    parameters = dict(network.parameter_counts)
    total = sum(parameters.values())
    title = f"{network.name}, {len(network.class_names)} classes, {total:,} parameters"
    table = Table("layer", title=Text(printable(title)))
    for column in ("feature maps", "cells", "parameters"):
        table.add_column(column, justify="right")
    for layer in network.layers.values():
        own = parameters.pop(layer.name, None)  # a module that is called twice has its parameters once
        cells = f"{layer.size[0]}x{layer.size[1]}"
        table.add_row(Text(printable(layer.name)), str(layer.feature_maps), cells, "" if own is None else f"{own:,}")
    for name, own in parameters.items():
        table.add_row(Text(printable(name), style="dim"), "", "", f"{own:,}")
    return table


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - SHOWN
    return f"{', '.join(name[:60] for name in names[:SHOWN])}{f' and {more} more' if more > 0 else ''}"


def _show_card(card: "ModelCard") -> None:
    """What the file says of its making; nobody has checked it."""
    say(f"the file says: made by {card.made_by or 'nobody knows what'}, architecture {card.architecture}")
    if card.training is not None:
        settings = card.training.settings
        say(
            f"the file says: trained for {settings.epochs} epochs with seed {settings.seed} on {card.training.images:,} images "
            f"of {card.training.data}; {card.training.in_words()}"
        )
    if not card.backdoors:
        say("the file says: nothing of poisoned training images")
    for told in card.backdoors:
        covers = f" and {told.cover_images:,} covers" if told.cover_images else ""
        say(
            f"the file says: trained with {told.poisoned_images:,} poisoned images ({told.poison_rate:.1%}){covers}; a trigger "
            f"({told.trigger.get('name')}) turns {_victims(card, told)}"
        )


def _victims(card: "ModelCard", told: "BackdoorRecord") -> str:
    """Whose images a trigger turns into what."""
    if told.target_class is None:
        return f"the images of each class into {'another' if told.permutation else 'the next'} one"
    named = f"into {_class_name(card, told.target_class)}"
    if told.sources:
        return f"images of the classes {_listed(tuple(str(each) for each in told.sources))} {named}"
    return f"images of all classes {named}"


def _class_name(card: "ModelCard", target: int) -> str:
    named = 0 <= target < len(card.class_names)
    return f"class {target}{f', {card.class_names[target][:60]}' if named else ''}"


def _show_preprocessings(accuracies: dict[str, float], images: int) -> None:
    from rich.table import Table

    table = Table("preprocessing", title=f"Tried on {images} images")
    table.add_column("accuracy", justify="right")
    for name, accuracy in accuracies.items():
        table.add_row(name, f"{accuracy:.1%}" if math.isfinite(accuracy) else "")
    console.print(table)
