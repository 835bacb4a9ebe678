"""Explored models: a network with its test images, the trigger that its file speaks of, and where the file is."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.attacks.trigger import Trigger
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.explore.subjects import PlacedTrigger
from trojancam.explore.wire import rounded
from trojancam.network.card import ModelCard
from trojancam.network.network import Network
from trojancam.network.recording import record

MEASURED = 256  # test images over which clean peaks are taken
SEARCHED = 1024  # test images among which those that excite a map are sought

Peaks = dict[str, Float[Tensor, " k"]]


@dataclass(frozen=True)
class Source:
    """Where a network came from: its file, how it was opened, and as what people know it.

    `uploaded` says that `path` is a copy of the explorer's own, which nobody else knows.
    """

    path: Path
    name: str
    architecture: str | None = None
    output: str | None = None
    key: str | None = None
    uploaded: bool = False


@dataclass(frozen=True)
class RecordedTrigger:
    """The trigger of which a model's file says that the network was poisoned with it, as a rectangle of one colour."""

    placed: PlacedTrigger
    target_class: int | None  # None where each class has a target of its own
    name: str


@dataclass(frozen=True)
class Model:
    """A network that is looked at, under an identifier, with the test images that fit it."""

    identifier: str
    network: Network
    images: ImageSet
    source: Source
    recorded_trigger: RecordedTrigger | None = None
    notes: tuple[str, ...] = ()
    making: threading.Lock = field(default_factory=threading.Lock, compare=False)  # of its graphs, one at a time

    @classmethod
    def of(cls, identifier: str, network: Network, images: ImageSet, source: Source) -> "Model":
        """The model, tried on one image; heads of its attention are layers, too.

        Raises:
            TrojanCamError: if the network cannot be recorded.
        """
        network = network.with_heads()
        record(network, as_floats(images.images[:1]))  # also makes the graph that all later recordings share
        trigger, notes = recorded_trigger(network.card)
        return cls(identifier, network, images, source, trigger, (*network.notes, *notes))

    def clean_peaks(self) -> Peaks:
        """The largest activation of each feature map of each layer over clean test images: what strengths are counted in."""
        network, images = self.network, self.images.images[:MEASURED]
        peaks: dict[str, list[Tensor]] = {name: [] for name in network.layers}
        for batch in images.split(network.rows(gradients=True)):
            with torch.no_grad():
                inputs = network.inputs(as_floats(batch))
                _, activations = network.forward_with(inputs, network.layers)
            for name, values in zip(peaks, activations, strict=True):
                peaks[name].append(values.amax((0, 2, 3)))
        return {name: torch.stack(parts).amax(0) for name, parts in peaks.items()}

    def image_peaks(self, layer: str) -> Float[Tensor, "n k"]:
        """The largest activation of each feature map of a layer on each test image, of the first so many."""
        network, found = self.network, []
        for batch in self.images.images[:SEARCHED].split(network.rows()):
            with torch.no_grad():
                _, (values,) = network.forward_with(network.inputs(as_floats(batch)), (layer,))
            found.append(values.amax((2, 3)).cpu())
        return torch.cat(found)


def recorded_trigger(card: ModelCard | None) -> tuple[RecordedTrigger | None, tuple[str, ...]]:
    """The trigger that a model card tells of, where it is a rectangle of one colour; and what else there is to say of it."""
    if card is None or card.poisoning is None:
        return None, ()
    trigger = Trigger.from_json(card.poisoning.trigger)
    placed = as_rectangle(trigger)
    if placed is None:
        return None, (f"its file tells of the trigger {trigger.name}, which is no rectangle of one colour",)
    return RecordedTrigger(placed, card.poisoning.target_class, trigger.name), ()


def as_rectangle(trigger: Trigger) -> PlacedTrigger | None:
    """The trigger as a rectangle of one colour, None where it is something else.

    >>> from trojancam.attacks.patch import make_trigger
    >>> as_rectangle(make_trigger("blue-green-square")).column
    26
    """
    if not isinstance(trigger, Patch) or not bool(trigger.place.any()):
        return None
    places = trigger.place.nonzero()
    (row, column), (last_row, last_column) = places.amin(0).tolist(), places.amax(0).tolist()
    inside = (slice(row, last_row + 1), slice(column, last_column + 1))
    mask, pattern = trigger.weight[inside], trigger.pattern[:, *inside]
    colour = pattern[:, 0, 0]
    if not bool((mask == 1).all()) or not bool((pattern == colour.view(3, 1, 1)).all()):
        return None
    red, green, blue = (share * 255 for share in colour.tolist())
    return PlacedTrigger(
        row=row,
        column=column,
        height=mask.shape[0],
        width=mask.shape[1],
        colour=(round(red) / 255, round(green) / 255, round(blue) / 255),
        opacity=rounded([trigger.opacity])[0],
    )
