"""`trojancam stimulate`: edit feature maps of a layer, and see what the rest of the network makes of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trojancam.cli.console import progress_bar, say
from trojancam.cli.options import (
    DataOption,
    HeadsOption,
    ModelArgument,
    ModelOptions,
    Parsed,
    SeedOption,
    command_line,
    fitted,
    images_for,
    input_settings,
    labelled_by,
    opened,
    read_later,
    takes_options,
)
from trojancam.errors import DataError

if TYPE_CHECKING:
    from trojancam.data.image_set import Dataset
    from trojancam.network.network import Network
    from trojancam.stimulation import Stimulation
    from trojancam.tasks.stimulate import StimulationAnswer

EDIT = ("layer", "maps", "kind", "value", "unit", "window", "rest")  # what a file of stimulations says itself


@takes_options
def stimulate(
    context: Parsed,
    model: ModelArgument,
    told: ModelOptions,
    layer: Annotated[str | None, typer.Option(help="The layer whose feature maps are edited.")] = None,
    maps: Annotated[str, typer.Option(help="Their numbers with commas between, or 'all'.")] = "all",
    kind: Annotated[str, typer.Option(help="replace, scale, add or zero.")] = "replace",
    value: Annotated[float, typer.Option(help="What to replace or scale by, or to add.")] = 1.0,
    unit: Annotated[
        str,
        typer.Option(
            help="The unit of the value: 'absolute', or the largest clean activation of the 'map' or 'layer'."
        ),
    ] = "absolute",
    window: Annotated[
        str | None, typer.Option(help="Only there: row,column,height,width in cells; the whole map if left out.")
    ] = None,
    rest: Annotated[str, typer.Option(help="'keep' the rest of these maps, or set it to 'zero'.")] = "keep",
    stimulation: Annotated[
        Path | None,
        typer.Option(
            callback=read_later("--stimulation"),
            help="A JSON file of stimulations of one layer, instead of the options above.",
        ),
    ] = None,
    data: DataOption = None,
    images: Annotated[int, typer.Option(min=1, help="How many test images.")] = 8,
    target: Annotated[
        str | None,
        typer.Option(
            help="The target class, by number or name. Default: the most frequent class after the stimulation."
        ),
    ] = None,
    heads: HeadsOption = False,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("trojancam-stimulate"),
) -> None:
    """Edit feature maps of clean test images: the classes predicted before and after, heat maps, and the effect of strength.

    The stimulation ASR is the share of images of other classes that are given the target class.
    """
    from trojancam.data import class_index
    from trojancam.files import writable_folder
    from trojancam.report.stimulate import write_stimulation
    from trojancam.tasks.stimulate import stimulate as run

    network = opened(model, told, labelled_by(data, seed), heads)
    if target is not None and network.named:
        class_index(target, network.class_names)  # a slip of the pen shows before images are read
    _check_one(layer, stimulation)
    wanted = [_edit(str(layer), maps, kind, value, unit, window, rest)] if stimulation is None else _read(stimulation)
    for each in wanted:
        each.check(network)
    writable_folder(out)
    dataset = images_for(network, data)
    network = fitted(network, dataset, seed)
    target_class = None if target is None else class_index(target, network.class_names)
    chosen, labels = dataset.test.take(images, seed)
    settings = {
        **_given(model, network, dataset, len(chosen), wanted),
        "seed": seed,
        "command": command_line(context, () if stimulation is None else EDIT),
    }
    with progress_bar("stimulate") as progress:
        answer = run(network, chosen, labels, wanted, target_class, progress)
    page = write_stimulation(answer, out, settings).page
    _show(answer, network.class_names)
    say(f"the page is at {page.resolve()}, its numbers beside it in results.json")


def _check_one(layer: str | None, stimulation: Path | None) -> None:
    if (layer is None) == (stimulation is None):
        raise DataError("name a layer with --layer, or a file with --stimulation; one of the two")


def _read(path: Path) -> "list[Stimulation]":
    from trojancam.tasks.stimulate import read_stimulations

    return read_stimulations(path)


def _edit(layer: str, maps: str, kind: str, value: float, unit: str, window: str | None, rest: str) -> "Stimulation":
    """The stimulation that the options describe."""
    from trojancam.stimulation import Stimulation

    place = None if window is None else _window(window)
    return Stimulation(layer, _maps(maps), kind, value, place, None, rest, unit)


def _given(
    model: Path, network: "Network", dataset: "Dataset", images: int, wanted: "list[Stimulation]"
) -> dict[str, Any]:
    """What was stimulated, and on which images."""
    from trojancam.report.provenance import file_facts

    return {
        **file_facts(model),
        "network": network.name,
        "data": dataset.source,
        **input_settings(network),
        "images": f"{images} test images",
        "stimulation": "; ".join(str(each) for each in wanted),
    }


def _show(answer: "StimulationAnswer", class_names: Sequence[str]) -> None:
    """What became of each image, and of all."""
    from trojancam.report.stimulate import remarks, verdict

    before, after = (
        recording.logits.argmax(1).tolist() for recording in (answer.stimulated.before, answer.stimulated.after)
    )
    for number, change in enumerate(answer.logit_changes):
        names = f"{class_names[before[number]]} -> {class_names[after[number]]}"
        say(f"image {number + 1}: {names}; logit of {class_names[answer.target_class]} {change:+.2f}")
    for sentence in (verdict(answer), *remarks(answer)):
        say(sentence)


def _maps(text: str) -> tuple[int, ...] | Literal["all"]:
    return "all" if text.strip() == "all" else _numbers(text, "--maps", "31,12 or all")


def _window(text: str) -> tuple[int, int, int, int]:
    numbers = _numbers(text, "--window", "0,9,3,3")
    if len(numbers) != 4:
        raise DataError(f"--window takes row, column, height and width such as 0,9,3,3, not {text!r}")
    row, column, height, width = numbers
    return row, column, height, width


def _numbers(text: str, option: str, example: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"{option} takes whole numbers with commas between such as {example}, not {text!r}") from None
