"""Applying: a stimulation with the numbers of one layer filled in, ready to edit batches of its activations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from trojancam.errors import DataError, ModelError
from trojancam.network.network import Network
from trojancam.stimulation.stimulation import KINDS, Amount, Stimulation

Array = Float32[np.ndarray, "n k h w"]
Peaks = Float[Tensor, " k"]
Stimulations = Stimulation | Sequence[Stimulation]  # several of one layer, applied one after the other


def as_tuple(stimulations: Stimulations) -> tuple[Stimulation, ...]:
    """The stimulations, where a single one may stand for itself."""
    return (stimulations,) if isinstance(stimulations, Stimulation) else tuple(stimulations)


def peaks(activations: Float[Tensor, "n k h w"]) -> Peaks:
    """The largest activation of each feature map over images and cells: what a strength is counted in."""
    return activations.amax((0, 2, 3))


@dataclass(frozen=True)
class Edit:
    """What a stimulation does to one layer's activations, which are edited in place.

    `parts` are runs of neighbouring feature maps and what to do it with; `rows` and `columns` hold all cells that are
    stimulated, and `mask`, where there is one, says which of these. The activations are NumPy arrays on the memory of
    tensors: a small edit takes a quarter of the time.
    """

    kind: str
    parts: tuple[tuple[slice, Amount], ...]
    rows: slice
    columns: slice
    mask: Bool[np.ndarray, "h w"] | None
    clears: bool

    def __call__(self, activations: Array) -> None:
        """Stimulate every image."""
        for maps, amount in self.parts:
            place = activations[:, maps, self.rows, self.columns]
            edited = KINDS[self.kind](place, amount)
            if self.mask is not None:
                edited = np.where(self.mask, edited, 0.0 if self.clears else place)
            if self.clears:
                activations[:, maps] = 0
            place[...] = edited

    def undo(self, activations: Array, clean: Array) -> None:
        """Put back what was there before."""
        for maps, _ in self.parts:
            activations[:, maps] = clean[:, maps]


def _edit(network: Network, stimulation: Stimulation, peaks: Sequence[float]) -> Edit:
    layer = stimulation.check(network)
    maps = stimulation.maps(layer.feature_maps)
    row, column, height, width = stimulation.window or (0, 0, *layer.size)
    rows, columns = slice(row, row + height), slice(column, column + width)
    amount = _amount(stimulation, maps, peaks)
    if isinstance(amount, np.ndarray) and isinstance(stimulation.value, Tensor):
        amount = amount[:, rows, columns]
    parts = tuple(
        (slice(maps[start], maps[stop - 1] + 1), amount[start:stop] if isinstance(amount, np.ndarray) else amount)
        for start, stop in _runs(maps)
    )
    mask = None if stimulation.mask is None else stimulation.mask.numpy()
    return Edit(stimulation.kind, parts, rows, columns, mask, stimulation.rest == "zero")


def _amount(stimulation: Stimulation, maps: Sequence[int], peaks: Sequence[float]) -> Amount:
    """The value in the network's own numbers: one for all maps, or `k 1 1`, or `k h w`."""
    value, unit = stimulation.value, stimulation.unit
    units = [peaks[k] for k in maps] if unit == "map" else [max(peaks) if unit == "layer" else 1.0]
    if isinstance(value, float | int) and len(units) == 1:
        return float(value * units[0])
    values = value.detach().numpy() if isinstance(value, Tensor) else np.reshape(value, (-1, 1, 1))
    return np.asarray(values * np.reshape(units, (-1, 1, 1)), dtype=np.float32)


def _runs(maps: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where runs of neighbours start and stop.

    >>> list(_runs([4, 5, 6, 9, 8]))
    [(0, 3), (3, 4), (4, 5)]
    """
    start = 0
    for place in range(1, len(maps) + 1):
        if place == len(maps) or maps[place] != maps[place - 1] + 1:
            yield start, place
            start = place


def edits(network: Network, stimulations: Sequence[Stimulation], peaks: Sequence[float]) -> list[Edit]:
    """The edits that stimulations of one layer are, where its maps reach these peaks.

    Raises:
        UnknownNameError: if the network has no such layer, or the layer no such feature map.
        DataError: if window, mask or values do not fit the layer's feature maps.
    """
    return [_edit(network, stimulation, peaks) for stimulation in stimulations]


def the_layer(stimulations: Sequence[Stimulation]) -> str:
    """The one layer that stimulations which are applied together are of.

    Raises:
        DataError: if there are none, or they are of several layers.
    """
    layers = list(dict.fromkeys(stimulation.layer for stimulation in stimulations))
    if not layers:
        raise DataError("there is no stimulation; give at least one")
    if len(layers) > 1:
        raise DataError(f"the stimulations are of the layers {' and '.join(layers)}; stimulate one layer at a time")
    return layers[0]


def check_images(network: Network, images: Float[Tensor, "n 3 h w"]) -> None:
    """Refuse images that cannot be stimulated.

    Raises:
        ModelError: if there are none, or the network would misread them.
    """
    if not len(images):
        raise ModelError("there are no images to stimulate; give at least one")
    network.check(images)
