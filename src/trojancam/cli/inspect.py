"""`trojancam inspect`: what a model file holds, what it would run if it were loaded carelessly, and how it wants its pixels."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trojancam.cli.console import (
    ArchitectureOption,
    DataOption,
    OutputOption,
    SeedOption,
    console,
    list_broken,
    progress_bar,
    say,
)

if TYPE_CHECKING:
    from torch import Tensor

    from trojancam.network import Network


def inspect(
    model: Annotated[Path, typer.Argument(help="A model file: safetensors, .pt, .pth, .pt2, .onnx, .keras or .h5.")],
    data: DataOption = None,
    architecture: ArchitectureOption = None,
    output: OutputOption = None,
    images: Annotated[int, typer.Option(min=4, help="With --data: how many labelled images to try it on.")] = 2000,
    seed: SeedOption = 0,
) -> None:
    """Show what a model file holds, without running anything in it; with --data, how the network wants its pixels.

    The usual preprocessings are tried on images whose classes are known. Exit code 2 if none is clearly right: what is then
    found in the network would mean nothing.
    """
    from trojancam.models.opening import kind_of
    from trojancam.models.readers.would_run import would_run
    from trojancam.network import load

    kind = kind_of(model)
    say(f"{model}: {kind}, {model.stat().st_size:,} bytes, SHA-256 {_digest(model)}")
    names = would_run(model)
    say(f"loaded carelessly, it would run: {', '.join(names)}" if names else "loaded carelessly, it would run nothing")
    network = load(model, architecture, output=output)
    _show(network)
    if data is None:
        return
    from trojancam.cli.scan import check_classes, names_of_classes
    from trojancam.data import load_dataset

    with progress_bar("images") as progress:
        dataset = load_dataset(
            data, size=network.input.size[0], class_names=names_of_classes(network), progress=progress
        )
    list_broken(dataset.skipped)
    check_classes(network, dataset)
    _show_preprocessing(network, *dataset.test.take(images, seed))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _show(network: "Network") -> None:
    from rich.table import Table

    table = Table("layer", title=f"{network.name}, {len(network.class_names)} classes")
    table.add_column("feature maps", justify="right")
    table.add_column("cells", justify="right")
    for layer in network.layers.values():
        table.add_row(layer.name, str(layer.feature_maps), f"{layer.size[0]}x{layer.size[1]}")
    console.print(table)
    own = network.input
    say(f"input: {own.channels} of {own.size[0]}x{own.size[1]} pixels, mean {own.mean}, deviation {own.std}")
    for note in network.notes:
        say(f"note: {note}")


def _show_preprocessing(network: "Network", images: "Tensor", labels: "Tensor") -> None:
    from rich.table import Table

    from trojancam.preprocessing import clear_winner, tried

    found = tried(network, images, labels)
    table = Table("preprocessing", title=f"Tried on {len(images)} images")
    table.add_column("accuracy", justify="right")
    for each in found:
        table.add_row(each.name, f"{each.accuracy:.1%}")
    console.print(table)
    best = clear_winner(found, len(network.class_names))
    say(f"it wants: {best.name} (right on {best.accuracy:.1%})")
