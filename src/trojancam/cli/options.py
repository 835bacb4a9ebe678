"""The options that commands share: a model file as they say it is, opened, given labelled images, and fed as it wants."""

import functools
import glob
import inspect
import shlex
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from trojancam.cli.console import OPTIONS, complain, list_broken, progress_bar, say, warn
from trojancam.errors import DataError, ModelError, Remedy

if TYPE_CHECKING:
    from trojancam.data import Dataset
    from trojancam.network.network import Network
    from trojancam.opening.open import ModelFile
    from trojancam.opening.output_choice import ImagesFor, LabelledImages

SHOWING = ("form", "as_json")  # parameters that say how a result is shown, and change nothing of it
STAND_INS = 500  # of these, at most, tell how well they stand in
STDIN = "-"  # names of files come on standard input


Files = TypeVar("Files", Path, list[Path], None)


def there(model: Files) -> Files:
    """Model files that are there: a missing one is refused before anything large is imported.

    Raises:
        ModelError: if it is missing.
    """
    from trojancam.formats.model_file import check_there

    paths: list[Path] = [model] if isinstance(model, Path) else model or []
    for path in paths:
        check_there(path)
    return model


def data_there(data: Path | None) -> Path | None:
    """The same of data.

    Raises:
        DataError: if there is nothing.
    """
    from trojancam.data.places import check_there

    if data is not None:
        check_there(data)
    return data


def read_later(option: str, otherwise: str = "") -> Callable[[Path | None], Path | None]:
    """The same of any other file that this option names: what is to check it, as soon as the command is parsed."""

    def checked(path: Path | None) -> Path | None:
        if path is not None and not _exists(path):
            raise DataError(f"there is no file {path}; give {option} a file that is there{otherwise}")
        return path

    return checked


def any_there(wanted: str) -> Callable[[Any], Any]:
    """The same of one file or many that an argument names; some may be missing, and patterns are read later."""

    def checked(given: str | Path | list[str] | list[Path]) -> Any:
        names = [str(name) for name in (given if isinstance(given, list) else [given])]
        if not any(name == STDIN or glob.has_magic(name) or _exists(Path(name)) for name in names):
            raise DataError(f"{names[0]} is missing; give {wanted}")
        return given

    return checked


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # the system says more when it is opened
        return True


def _way_there(way: str | None) -> str | None:
    """The same of a preprocessing, where it is a file."""
    if way is not None and way.lower().endswith(".json"):
        read_later("--preprocessing")(Path(way))
    return way


DataOption = Annotated[
    Path | None,
    typer.Option(
        callback=data_there,
        help="GTSRB, class folders, a CSV of paths and labels, .npz, .npy, MNIST, CIFAR, or rendered:objects; rendered signs if "
        "left out.",
    ),
]
MODEL = "A model file: safetensors, .pt, .pth, .pt2, .onnx, .keras or .h5."
ModelArgument = Annotated[Path, typer.Argument(help=MODEL, callback=there)]
SeedOption = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Of all random draws: the same seed gives the same results.")
]
DeviceOption = Annotated[
    str,
    typer.Option(help="Where the network computes: cpu, cuda, cuda:1, mps; 'auto' is this machine's accelerator."),
]


@dataclass(frozen=True)
class ModelOptions:
    """What a command was told of its model file. `takes_options` makes options of the fields."""

    architecture: Annotated[
        str | None,
        typer.Option(
            help="For a file of weights alone: a registered name, module:callable or file.py:callable of your own, timm:NAME."
        ),
    ] = None
    key: Annotated[
        str | None,
        typer.Option(
            help="The dictionary of a checkpoint that holds the weights, such as model/ema. Default: the best fit."
        ),
    ] = None
    output: Annotated[str | None, typer.Option(help="Which output, where the network has several.")] = None
    preprocessing: Annotated[
        str | None,
        typer.Option(
            callback=_way_there,
            help="How pixels are scaled: a name such as rgb-symmetric, or a JSON file with mean, std, channels, crop. If left "
            "out and the file does not say, it is found with labelled images.",
        ),
    ] = None
    crop: Annotated[
        Literal["whole", "roi"] | None,
        typer.Option(
            help="What of GTSRB's images the network sees: roi, the sign alone, or whole. Default: as its file says, else whole.",
        ),
    ] = None
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            help="The size of the images in pixels, if the model file does not fix it; one number means a square.",
        ),
    ] = None
    class_names: Annotated[
        Path | None,
        typer.Option(
            callback=read_later("--class-names"),
            help="A text file with the names of the network's classes, one per line, in its order.",
        ),
    ] = None
    device: DeviceOption = "cpu"

    def of(self, model: Path) -> "ModelFile":
        """A model file, and what is said of it, for the library.

        Raises:
            DataError: if the size is not to be understood.
        """
        from trojancam.data.framing import size_in_words
        from trojancam.opening.open import ModelFile

        size = None if self.size is None else size_in_words(self.size)
        return ModelFile(
            model,
            self.architecture,
            self.output,
            self.preprocessing,
            size,
            self.class_names,
            device=self.device,
            key=self.key,
            region=self.crop,
        )


HeadsOption = Annotated[
    bool,
    typer.Option(help="Of a transformer: also the heads of its attention as layers, each head a feature map."),
]
Parsed = Any  # Typer's context; that is of a class which Typer does not name


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command with options in place of each parameter that is a dataclass of them; `context` is what was parsed.

    A block that has a context manager `around` has the command run within it.
    """
    parameters: list[inspect.Parameter] = []
    blocks: dict[str, tuple[type, list[str]]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        block = parameter.annotation
        if isinstance(block, type) and is_dataclass(block):
            fields = inspect.signature(block, eval_str=True).parameters.values()
            blocks[parameter.name] = block, [field.name for field in fields]
            parameters += [field.replace(kind=parameter.kind) for field in fields]
        elif parameter.name == "context":
            parameters.append(parameter.replace(annotation=typer.Context))
        else:
            parameters.append(parameter)

    @functools.wraps(command)
    def run(**given: Any) -> None:
        gathered = {
            name: block(**{field: given.pop(field) for field in fields}) for name, (block, fields) in blocks.items()
        }
        with ExitStack() as around:
            for block in gathered.values():
                if hasattr(block, "around"):
                    around.enter_context(block.around(command.__name__, given))
            command(**given, **gathered)

    del run.__wrapped__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def command_line(context: Parsed, without: Collection[str] = ()) -> str:
    """The command that runs, again, as a shell takes it: from what was parsed, so that no option can be forgotten.

    Options that have a value are said even if it is the usual one, but for those that only say how results are shown, and those
    named in `without`, which do not count.
    """
    words: dict[bool, list[str]] = {True: ["trojancam", str(context.info_name)], False: []}
    for parameter in context.command.params:
        if parameter.name not in (*SHOWING, *without) and parameter.name in context.params:
            words[parameter.param_type_name == "argument"] += _words(parameter, context.params[parameter.name])
    return shlex.join(words[True] + words[False])


def _words(parameter: Any, value: Any) -> Iterator[str]:
    """An argument, or an option and its value; of several values each is one of its own."""
    for each in value if isinstance(value, list | tuple) else [value]:
        if parameter.param_type_name == "argument":
            yield str(each)
        elif isinstance(each, bool):
            yield from [parameter.opts[0]] * each
            yield from parameter.secondary_opts[:1] * (not each and parameter.default is True)
        elif each is not None:
            yield from (parameter.opts[0], str(each))


def opened(model: Path, told: ModelOptions, labelled: "ImagesFor | None" = None, heads: bool = False) -> "Network":
    """The network in a model file, fed as the command says, else as the file says, else pixels in [0, 1].

    `labelled` gives the images that tell which of several outputs is meant, where nothing else does. With `heads`, those of its
    attention are layers, too.

    Raises:
        TrojanCamError: if an option is not to be understood, or the file cannot be opened so.
    """
    from trojancam.opening.open import opened as network_in

    network = network_in(told.of(model), labelled)
    return network.with_heads() if heads else network


def labelled_by(data: Path | None, seed: int) -> "ImagesFor":
    """Labelled images of a data set for any network that is tried on them."""

    def labelled(network: "Network") -> "LabelledImages":
        from trojancam.opening.preprocessing import TRIED

        return images_for(network, data).test.take(TRIED, seed)

    return labelled


def images_for(network: "Network", data: Path | None) -> "Dataset":
    """Labelled images as a network takes them; files that cannot be read are listed.

    Raises:
        DataError: if they cannot be read, or are of other classes than the network's.
    """
    from trojancam.opening.images import labelled_images

    with progress_bar("images") as progress:
        dataset = labelled_images(network, data, progress)
    list_broken(dataset.skipped)
    return dataset


def fitted(network: "Network", dataset: "Dataset", seed: int) -> "Network":
    """The network with the data's class names where it has none, and fed as it wants; what was found out is said.

    Raises:
        ModelError: if nobody vouches for how it is fed, and no usual way is clearly right.
    """
    from trojancam.data.rendered.signs import RENDERED
    from trojancam.opening.images import better_region, fitted_to
    from trojancam.text import as_text

    found = fitted_to(network, dataset.test, seed=seed)
    if dataset.source.startswith(RENDERED):
        rate = f"{_rate(found, dataset, seed):.0%}"
        stand_in = f"rendered signs stand in; the network {as_text(found.name)} is right on {rate} of them"
        complain("no --data:", "yellow", stand_in)
    if found.feeding != network.feeding:
        say(f"fed as {found.feeding.words}")
    if better := better_region(found, dataset.test, seed=seed):
        warn(f"{better}; if it was trained so, give --crop roi")
    return found


def _rate(network: "Network", dataset: "Dataset", seed: int) -> float:
    """How often a network is right on a few images of a data set."""
    from trojancam.rates import clean_accuracy

    images, labels = dataset.test.take(STAND_INS, seed)
    return clean_accuracy(network(images).argmax(1).to(labels.device), labels)


def warn_uncut(network: "Network") -> None:
    """Where images are files that nothing is known of: say that they are not cut to signs, of a network that sees signs alone."""
    if network.input.region == "roi":
        warn("the network sees signs cut out of their images; these files are taken whole, so cut them before")


def input_settings(network: "Network") -> dict[str, str]:
    """How the network is fed, for a report."""
    from trojancam.opening.feeding import in_words

    return {"input": in_words(network.input), "fed": network.feeding.words}


def warn_unless_said(network: "Network", model: Path) -> None:
    """Where there are no labelled images to try on: say that nobody vouches for how the network is fed."""
    from trojancam.network.input import UNKNOWN

    if network.feeding == UNKNOWN:
        doubt = ModelError(
            f"{model} does not say how its pixels are scaled, so they are fed as they are, in [0, 1]; if it was trained "
            "otherwise, its answers mean nothing",
            Remedy.PREPROCESSING,
            Remedy.LABELLED_IMAGES,
        )
        warn(doubt.told(OPTIONS))
