"""A model file as the options of a command say it is: opened, given labelled images, and fed as it wants."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trojancam.cli.console import OPTIONS, list_broken, progress_bar, say, warn
from trojancam.errors import DataError, ModelError, Remedy

if TYPE_CHECKING:
    from trojancam.data import Dataset
    from trojancam.network.network import Network
    from trojancam.opening.open import ModelFile

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

    def file(self) -> "ModelFile":
        """The same for the library.

        Raises:
            DataError: if the size is not to be understood.
        """
        from trojancam.opening.open import ModelFile

        size = None if self.size is None else _size(self.size)
        return ModelFile(self.model, self.architecture, self.output, self.preprocessing, size, self.class_names)

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


def opened(told: ModelOptions) -> "Network":
    """The network in a model file, fed as the command says, else as the file says, else pixels in [0, 1].

    Raises:
        TrojanCamError: if an option is not to be understood, or the file cannot be opened so.
    """
    from trojancam.opening.open import opened as network_in

    return network_in(told.file())


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
    from trojancam.opening.images import fitted_to

    found = fitted_to(network, dataset.test, seed=seed)
    if found.feeding != network.feeding:
        say(f"fed as {found.feeding.words}")
    return found


def input_settings(network: "Network") -> dict[str, str]:
    """How the network is fed, for a report."""
    from trojancam.opening.feeding import in_words

    return {"input": in_words(network.input), "fed": network.feeding.words}


def warn_unless_said(network: "Network", told: ModelOptions) -> None:
    """Where there are no labelled images to try on: say that nobody vouches for how the network is fed."""
    from trojancam.network.input import UNKNOWN

    if network.feeding == UNKNOWN:
        doubt = ModelError(
            f"{told.model} does not say how its pixels are scaled, so they are fed as they are, in [0, 1]; if it was trained "
            "otherwise, its answers mean nothing",
            Remedy.PREPROCESSING,
            Remedy.LABELLED_IMAGES,
        )
        warn(doubt.told(OPTIONS))


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
