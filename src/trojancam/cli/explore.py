"""`trojancam explore`: a page in the browser in which one follows a suspicion by hand."""

import webbrowser
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trojancam.cli.console import interruptible, list_broken, progress_bar, say
from trojancam.cli.options import DataOption, ModelOptions, fitted, images_for, labelled_by, takes_options, there
from trojancam.errors import DataError, TrojanCamError
from trojancam.text import as_text

if TYPE_CHECKING:
    from trojancam.explore.session import Session

MOST = 2  # networks side by side
SEED = 0


@takes_options
def explore(
    told: ModelOptions,
    model: Annotated[
        list[Path] | None,
        typer.Argument(
            help="A model file, or two to compare; the demonstration's networks if left out.",
            show_default=False,
            callback=there,
        ),
    ] = None,
    data: DataOption = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; other machines can reach any but the default, and need its token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any that is free.")] = 8000,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
) -> None:
    """Explore a network in the browser: heat maps of all layers, every feature map, and the effect of painting on one.

    Without a model, the demonstration's networks are opened (and trained, the first time). Ctrl-C ends it.
    """
    _check_installed()
    files = model or []
    if len(files) > MOST:
        raise DataError(f"{len(files)} model files were given; the explorer compares two at most")
    from trojancam.explore.serving import bound, serve
    from trojancam.explore.session import Session
    from trojancam.opening.images import labelled_images

    with (
        bound(host, port) as listening,  # better known now than after minutes of training
        closing(Session(lambda network: labelled_images(network, data), data)) as session,
    ):
        if files:
            _open_files(session, files, told, data)
        else:
            _open_demonstration(session, data)
        with suppress(KeyboardInterrupt):  # the server has ended then; started in the background it passes none on
            serve(session, host, listening, lambda access: _announce(access.address, open_))
        say("the explorer has ended")


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        listed = " and ".join(missing)
        raise TrojanCamError(f"the explorer needs {listed}, not installed here; type: pip install 'trojancam[web]'")


def _announce(address: str, open_: bool) -> None:
    say(f"the explorer is at {address} (ctrl-C ends it)")
    if open_:
        webbrowser.open(address)


def _open_demonstration(session: "Session", data: Path | None) -> None:
    """The demonstration's networks: the trojaned one first, the benign one to compare it with."""
    from trojancam.data import load_dataset
    from trojancam.explore.models import Source
    from trojancam.opening.open import load
    from trojancam.tasks.demo import recipes
    from trojancam.training.recipe import cached_model

    with progress_bar("images") as progress:
        dataset = load_dataset(data, progress=progress)
    list_broken(dataset.skipped)
    advice = "run the same command again to resume after the last finished epoch"
    with interruptible(lambda: advice), progress_bar("networks") as progress:
        for recipe in reversed(recipes(dataset)):
            path = cached_model(recipe, dataset, progress)
            network = load(path)
            session.add(network, Source(path, network.name), dataset)


def _open_files(session: "Session", files: list[Path], told: ModelOptions, data: Path | None) -> None:
    """Networks of files, each with labelled images as it wants them."""
    from trojancam.explore.models import Source
    from trojancam.opening.open import opened_with_output

    for model in files:
        network, output = opened_with_output(told.of(model), labelled_by(data, SEED))
        dataset = images_for(network, data)
        source = Source(model, as_text(model.name), told.architecture, output, told.key)
        session.add(fitted(network, dataset, SEED), source, dataset)
