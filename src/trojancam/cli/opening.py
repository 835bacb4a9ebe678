"""Opening a model file as the options of a command say, feeding it as it wants, and labelled images of its size and classes."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trojancam.cli.console import list_broken, progress_bar, say, warn
from trojancam.errors import DataError, ModelError

if TYPE_CHECKING:
    from trojancam.data import Dataset
    from trojancam.formats.opened import OpenedModel
    from trojancam.network.input import InputSpecification
    from trojancam.network.network import Network

LARGEST = 4096  # pixels: images are read up to this size


@dataclass(frozen=True)
class ModelOptions:
    """A model file, and what a command was told of it."""

    model: Path
    architecture: str | None = None
    output: str | None = None
    preprocessing: str | None = None
    size: str | None = None
    class_names: Path | None = None

    def command(self, name: str, options: Mapping[str, object], arguments: Sequence[object] = ()) -> str:
        """The command again, as a shell takes it, `arguments` after the model file.

        Options that are None or False were not given, True stands alone, and of a list each item is an option of its own.

        >>> ModelOptions(Path("my net.onnx"), size="64x48").command("compare", {"--stamp": True, "--seed": 0, "--data": None})
        "trojancam compare 'my net.onnx' --size 64x48 --stamp --seed 0"
        """
        own = {
            "--architecture": self.architecture,
            "--output": self.output,
            "--preprocessing": self.preprocessing,
            "--size": self.size,
            "--class-names": self.class_names,
        }
        words = ["trojancam", name, str(self.model), *map(str, arguments)]
        for option, given in {**own, **options}.items():
            for value in given if isinstance(given, list) else [given]:
                if value is not None and value is not False:
                    words += [option] if value is True else [option, str(value)]
        return shlex.join(words)


@dataclass(frozen=True)
class Opened:
    """A network, and who says how it is fed, in words that a report repeats.

    `vouched`: the command or a model card of ours says it; `named`: classes are called by name, not by number alone.
    """

    network: "Network"
    fed: str
    vouched: bool
    named: bool

    @property
    def settings(self) -> dict[str, str]:
        """How the network is fed, for a report."""
        return {"input": in_words(self.network.input), "fed": self.fed}


def opened(told: ModelOptions) -> Opened:
    """The network in a model file, fed as the command says, else as the file says, else pixels in [0, 1].

    Raises:
        TrojanCamError: if an option is not to be understood, or the file cannot be opened so.
    """
    from trojancam.formats.kinds import open_model
    from trojancam.opening.open import network_of
    from trojancam.opening.preprocessing import preprocessing_of

    size = None if told.size is None else _size(told.size)
    names = None if told.class_names is None else _lines(told.class_names)
    module = open_model(told.model, told.architecture, told.output, size)
    specification = _specification(told, module, size)
    if told.preprocessing is not None:
        specification = preprocessing_of(specification, told.preprocessing)
        _check_channels(told, module, specification)
    network = network_of(module, specification, names)
    fed, vouched = _fed(told, module)
    return Opened(network, fed, vouched, bool(names or module.class_names))


def labelled_images(found: Opened, data: Path | None) -> "Dataset":
    """The data set at a path, or rendered test signs, at the network's size; its labels are numbers of the network's classes.

    Class folders are matched to the network's classes by their names, where it has any. Files that cannot be read are listed.

    Raises:
        DataError: if it cannot be read, or has other classes than the network.
    """
    from trojancam.data import load_dataset

    own, names = found.network.input, found.network.class_names if found.named else None
    with progress_bar("images") as progress:
        dataset = load_dataset(
            data, size=own.size, share=own.crop, class_names=names, training=False, progress=progress
        )
    list_broken(dataset.skipped)
    check_classes(found.network, dataset)
    return dataset


def in_words(own: "InputSpecification") -> str:
    """What a network is fed.

    >>> from trojancam.network.input import InputSpecification
    >>> in_words(InputSpecification(size=(64, 48), channels="grey", mean=(0.5,) * 3, crop=0.875))
    'grey of 64x48 pixels, mean 0.5, deviation 1, the middle 87.5% of each side'
    """
    height, width = own.size
    mean, std = (_numbers(values[: own.number_of_channels]) for values in (own.mean, own.std))
    crop = "" if own.crop == 1 else f", the middle {own.crop:.1%} of each side"
    return f"{own.channels} of {height}x{width} pixels, mean {mean}, deviation {std}{crop}"


def check_classes(network: "Network", dataset: "Dataset") -> None:
    """Labels must mean the same to the network and to the data.

    Raises:
        DataError: if there are more or fewer classes.
    """
    known, given = len(network.class_names), len(dataset.test.class_names)
    if known != given:
        raise DataError(
            f"the network tells {known} classes apart, but the data has {given} ({dataset.source}); "
            "give images of the classes that it was made for"
        )


def settled(found: Opened, dataset: "Dataset", seed: int) -> Opened:
    """The network with class names, and fed as somebody vouches for, or as turns out best on labelled test images.

    Raises:
        ModelError: if nobody vouches for how it is fed, and no usual way is clearly right.
    """
    network, fed = found.network, found.fed
    if not found.named:
        network = network.with_class_names(dataset.test.class_names)
    if not found.vouched:
        from trojancam.opening.preprocessing import TRIED, clear_winner, tried

        images, labels = dataset.test.take(TRIED, seed)
        best = clear_winner(tried(network, images, labels), len(network.class_names))
        network = network.fed(best.specification)
        fed = f"{best.name}, found by trying: right on {best.accuracy:.1%} of {len(images)} test images"
        say(f"fed as {fed}")
    return Opened(network, fed, vouched=True, named=True)


def warn_unless_said(found: Opened, told: ModelOptions) -> None:
    """Where there are no labelled images to try on: say that nobody vouches for how the network is fed."""
    if found.fed == NOBODY:
        warn(
            f"{told.model} does not say how its pixels are scaled, so they are fed as they are, in [0, 1]; if it was trained "
            "otherwise its answers mean nothing: say so with --preprocessing, or give labelled images to try on with --data"
        )


NOBODY = "pixels in [0, 1], which nobody vouches for"


def _fed(told: ModelOptions, module: "OpenedModel") -> tuple[str, bool]:
    """Who says how the network is fed, and whether that is to be relied on."""
    if told.preprocessing is not None:
        return f"{told.preprocessing}, as the command says", True
    if module.card is not None:
        return "as its model card says", True
    return ("as its file or architecture says" if module.input is not None else NOBODY), False


def _specification(told: ModelOptions, module: "OpenedModel", size: tuple[int, int] | None) -> "InputSpecification":
    """How the file says that its network is fed, else plainly; at the size that the command says, where that is open."""
    own = module.size
    if size is not None and own is not None and own != size and told.architecture is None:
        raise ModelError(f"{told.model} takes images of {own[0]}x{own[1]} pixels, not {told.size}; leave out --size")
    size = size or own
    if size is None:
        raise ModelError(f"{told.model} does not say of what size its images are; say it with --size HEIGHTxWIDTH")
    if module.input is not None:
        return module.input.model_copy(update={"size": size})
    return module.plain_input(size)


def _check_channels(told: ModelOptions, module: "OpenedModel", specification: "InputSpecification") -> None:
    """Files that hold a network say how many channels it takes; weights alone do not."""
    if told.architecture is None and specification.number_of_channels != module.channels:
        raise ModelError(
            f"{told.model} takes {module.channels} channel{'s' * (module.channels != 1)}, but --preprocessing says "
            f"{specification.channels}, which is {specification.number_of_channels}"
        )


def _numbers(values: Sequence[float]) -> str:
    """Those of the channels; one, where they are all the same."""
    return ", ".join(f"{value:.4g}" for value in (values if len(set(values)) > 1 else values[:1]))


def _size(text: str) -> tuple[int, int]:
    """Height and width.

    >>> _size("64x48"), _size("64")
    ((64, 48), (64, 64))
    """
    match = re.fullmatch(r"([0-9]{1,5})(?:[x×*]([0-9]{1,5}))?", text.strip().lower())
    sides = tuple(int(side) for side in match.groups(match[1])) if match else ()
    if len(sides) != 2 or not all(1 <= side <= LARGEST for side in sides):
        raise DataError(
            f"--size takes height and width from 1 to {LARGEST} pixels, such as 64x48, or one number, not {text!r}"
        )
    return sides[0], sides[1]


def _lines(path: Path) -> tuple[str, ...]:
    """The names in a text file, one a line; empty lines at its end do not count."""
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(
            f"cannot read class names from {path} ({reason}); give a text file with one name a line"
        ) from None
