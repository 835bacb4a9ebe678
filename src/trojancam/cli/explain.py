"""`trojancam explain`: where a network looks, layer by layer and feature map by feature map."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trojancam.cli.console import interruptible, list_broken, progress_bar, say
from trojancam.cli.options import (
    HeadsOption,
    ModelArgument,
    ModelOptions,
    Parsed,
    SeedOption,
    any_there,
    command_line,
    data_there,
    fitted,
    images_for,
    input_settings,
    labelled_by,
    opened,
    takes_options,
    warn_uncut,
    warn_unless_said,
)
from trojancam.errors import DataError

if TYPE_CHECKING:
    from trojancam.attacks.poisoning import Poisoning
    from trojancam.network.card import ModelCard


@takes_options
def explain(
    context: Parsed,
    model: ModelArgument,
    images: Annotated[
        list[Path],
        typer.Argument(
            callback=any_there("image files or folders that are there"), help="Image files, or folders of them."
        ),
    ],
    told: ModelOptions,
    layer: Annotated[list[str] | None, typer.Option(help="Only this layer; may be repeated.")] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Also one map of the whole network by this method: saliency, occlusion or lime; of a transformer "
            "attention-rollout or legrad. May be repeated."
        ),
    ] = None,
    feature_maps: Annotated[bool, typer.Option(help="Also a grid of every feature map of each layer.")] = False,
    class_: Annotated[
        str | None,
        typer.Option("--class", help="The class to explain, by number or name; the predicted one if left out."),
    ] = None,
    stamp: Annotated[bool, typer.Option(help="Stamp the images with the trigger recorded in the model file.")] = False,
    scale: Annotated[str, typer.Option(help="Feature maps on one 'shared' scale, or 'each' on its own.")] = "shared",
    signed: Annotated[bool, typer.Option(help="Show what speaks against the class, too.")] = False,
    format_: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    data: Annotated[
        Path | None,
        typer.Option(
            callback=data_there,
            help="Labelled images that tell how pixels are scaled, where the file does not say: as for 'scan'.",
        ),
    ] = None,
    heads: HeadsOption = False,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("trojancam-explain"),
) -> None:
    """Draw Grad-CAM heat maps of all layers (or those named) and, with --feature-maps, of each single feature map.

    Images that cannot be read are left out and listed; the exit code is 2 then, after the others are done.
    """
    from trojancam.data import class_index
    from trojancam.report.explain import Drawing, write_explanations
    from trojancam.report.provenance import file_facts
    from trojancam.tasks.explain import ExplainSettings, explained_files, find_images

    network = opened(model, told, None if data is None else labelled_by(data, seed), heads)
    if data is not None and not (network.feeding.vouched and network.named):
        network = fitted(network, images_for(network, data), seed)
    drawing = Drawing(feature_maps, scale, signed, format_)
    asked = ExplainSettings(
        layers=tuple(layer or ()),
        target_class=None if class_ is None else class_index(class_, network.class_names),
        trigger=recorded_backdoor(model, network.card).trigger if stamp else None,
        methods=tuple(method or ()),
    )
    settings = {**file_facts(model), **input_settings(network), "command": command_line(context)}
    warn_unless_said(network, model)
    warn_uncut(network)
    with interruptible(lambda: f"the figures drawn so far are in {out}"), progress_bar("explain") as progress:
        explanations = explained_files(network, find_images(images), asked)
        written = write_explanations(explanations, out, drawing, progress, settings)
    for one in written.document.images:
        say(
            f"{one.file}: predicted {one.predicted_name}; explained {one.explained_name}, "
            f"logit {one.logit:.2f}, probability {one.probability:.3g}"
        )
    count = len(explanations)
    say(f"{count} image{'s' * (count != 1)} explained: figures and results.json in {out}")
    say(f"the page is at {written.page.resolve()}")
    list_broken(explanations.left_out)
    if explanations.left_out:
        raise typer.Exit(2)


def recorded_backdoor(path: Path, card: "ModelCard | None") -> "Poisoning":
    """The first backdoor that a model file records."""
    from trojancam.attacks.poisoning import Poisoning

    if card is None or card.poisoning is None:
        raise DataError(f"{path} records no trigger; stamp images only of models that were poisoned with a known one")
    return Poisoning.from_json(card.poisoning.model_dump())
