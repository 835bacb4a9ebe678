"""Inspecting a model file: what it holds, what it would run if it were loaded carelessly, and how it wants its pixels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trojancam.errors import DataError, TrojanCamError
from trojancam.files import as_path
from trojancam.formats.inspection import Inspection, inspection, sha256
from trojancam.formats.weights.architecture import Architecture
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.network.outputs import Output
from trojancam.opening.feeding import in_words
from trojancam.opening.open import OF_A_MODULE, ModelFile, Said, Size, opened
from trojancam.opening.output_choice import ImagesFor, LabelledImages
from trojancam.opening.preprocessing import clear_winner, tried
from trojancam.text import as_text


@dataclass
class Inspected:
    """A model file from outside and, where it can be opened, the network in it.

    `refused` is why it cannot be opened, or why nobody knows how its network is fed. `accuracies` are those on labelled
    images, by the way in which they were fed, and `wants` is the way that is clearly right.
    """

    file: Path
    outside: Inspection
    sha256: str
    network: Network | None = None
    refused: TrojanCamError | None = None
    accuracies: dict[str, float] = field(default_factory=dict)
    images: int = 0
    wants: str | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it for `json.dumps`; what was not looked at is missing."""
        found: dict[str, Any] = {
            "file": as_text(self.file.name),
            **self.outside.model_dump(mode="json"),
            "sha256": self.sha256,
        }
        if self.network is not None:
            found["network"] = facts(self.network)
        if self.accuracies:
            found["preprocessings"] = dict(self.accuracies)
        if self.wants is not None:
            found["wants"] = self.wants
        return found | ({} if self.refused is None else {"refused": str(self.refused)})

    def __repr__(self) -> str:
        lines = [f"{self.outside.file}: {self.outside.format}, {self.outside.bytes:,} bytes"]
        runs, sure = self.outside.would_run, not self.outside.problems
        lines.append(
            f"loaded carelessly, it would run: {', '.join(runs) or ('nothing' if sure else 'nothing that is known')}"
        )
        if self.network is not None:
            lines += [repr(self.network), f"input: {in_words(self.network.input)}; fed {self.network.feeding.words}"]
        if self.wants is not None:
            lines.append(f"it wants: {self.wants} (right on {self.accuracies[self.wants]:.1%})")
        if self.refused is not None:
            lines.append(f"refused: {self.refused}")
        return "\n".join(lines)


def inspect(
    path: str | Path,
    images: given.GivenImages | None = None,
    labels: given.GivenLabels | None = None,
    *,
    architecture: Architecture | None = None,
    key: str | None = None,
    output: Output = None,
    preprocessing: Said | None = None,
    size: Size | None = None,
    class_names: Sequence[str] | Path | None = None,
) -> Inspected:
    """What a model file holds, without running anything in it; with labelled images, how its network wants its pixels.

    A file that cannot be opened is seen from outside, and `refused` says why. The other options are those of `load`.

    Raises:
        ModelError: if there is no such file, or it cannot be read.
        DataError: if there are images without labels, or the file is not named by a path.
    """
    if (images is None) != (labels is None):
        raise DataError("images tell how the network is fed only with their labels; give both, or neither")
    file = ModelFile(
        as_path(path, "a model file", OF_A_MODULE), architecture, output, preprocessing, size, class_names, key=key
    )
    if images is None or labels is None:
        return inspected(file)

    def labelled(network: Network) -> LabelledImages:
        shown = given.images(network, images)
        return shown, given.labels(network, labels, len(shown))

    return inspected(file, labelled)


def seen_from_outside(path: Path) -> Inspected:
    """A model file without its network: what a careless loader would run or reach for, whatever architecture it is for.

    Raises:
        ModelError: if there is no such file, or it cannot be read.
    """
    return Inspected(path, inspection(path), sha256(path))


def inspected(
    file: ModelFile,
    labelled: ImagesFor | None = None,
    tell: Callable[[str, Inspected], None] = lambda *_: None,
) -> Inspected:
    """As `inspect`, with images that fit the network once it is known; `tell` hears what is known next:
    `outside`, `network`, `tried` or `wants`.

    Raises:
        ModelError: if there is no such file, or it cannot be read.
    """
    found = seen_from_outside(file.path)
    tell("outside", found)
    try:
        found.network = opened(file, labelled)
        tell("network", found)
        if labelled is not None:
            shown, labels = labelled(found.network)
            ways = tried(found.network, shown, labels)
            found.accuracies, found.images = {way.name: way.accuracy for way in ways}, len(shown)
            tell("tried", found)
            found.wants = clear_winner(ways, len(found.network.class_names)).name
            tell("wants", found)
    except TrojanCamError as error:
        found.refused = error
    return found


def facts(network: Network) -> dict[str, Any]:
    """A network for `json.dumps`: its classes, input, layers, parameters, and what its file says of it."""
    return {
        "name": network.name,
        "class_names": list(network.class_names),
        "input": network.input.model_dump(mode="json"),
        "fed": network.feeding.words,
        "layers": [
            {"name": layer.name, "feature_maps": layer.feature_maps, "size": list(layer.size)}
            for layer in network.layers.values()
        ],
        "parameters": network.parameter_counts,
        "notes": list(network.notes),
        "card": network.card.model_dump(mode="json") if network.card else None,
    }
