"""Edits: stimulations with the numbers of one layer filled in, ready to edit copies of its activations, many at once.

Every kind of stimulation is the same formula, cell by cell: `A <- factor A + shift`. So the stimulations of many copies are one
list of cells, which is written at once; a search for a backdoor makes hundreds of thousands of edits of a few cells each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.errors import DataError
from trojancam.network.layers import Layer
from trojancam.network.network import Network
from trojancam.showing import Brief
from trojancam.stimulation.stimulation import KINDS, UNITS, Stimulation
from trojancam.text import with_article

Copies = Float[Tensor, "m n k h w"]
Peaks = Float[Tensor, " k"]
Stimulations = Stimulation | Sequence[Stimulation]  # several of one layer, applied one after the other

NUMBER_OF_KIND = {name: number for number, name in enumerate(KINDS)}
NUMBER_OF_UNIT = {name: number for number, name in enumerate(UNITS)}
FORMULAE = torch.tensor(list(KINDS.values()), dtype=torch.float32, device="cpu")


def as_tuple(stimulations: Stimulations) -> tuple[Stimulation, ...]:
    """The stimulations, where a single one may stand for itself.

    Raises:
        DataError: if they are something else.
    """
    each = tuple(stimulations) if isinstance(stimulations, Iterable) else (stimulations,)
    for one in each:
        if not isinstance(one, Stimulation):
            raise DataError(
                f"a stimulation is wanted here, not {with_article(type(one).__name__)}; make one, such as "
                "Stimulation('conv2d_6', 31, value=2.0), or Stimulation.from_json(record)"
            )
    return each


@dataclass(frozen=True)
class Cells(Brief):
    """Cells of copies of a layer's activations, in all images, and what becomes of each: `factor` times itself, plus `shift`.

    `place` is that of a cell in the memory of one image's activations, feature maps last. `looks` says whether any factor is
    not 0: what was there is of no interest otherwise.
    """

    copy: Int64[Tensor, " cells"]
    place: Int64[Tensor, " cells"]
    factor: Float[Tensor, " cells"]
    shift: Float[Tensor, " cells"]
    looks: bool

    def edit(self, rows: Float[Tensor, "m n values"]) -> None:
        """Write them."""
        everywhere = (self.copy, slice(None), self.place)
        written = self.shift[:, None]
        if self.looks:
            factor = self.factor[:, None]
            written = torch.where(factor == 0, written, torch.addcmul(written, factor, rows[everywhere]))
        rows[everywhere] = written

    def restore(self, rows: Float[Tensor, "m n values"], clean: Float[Tensor, "n values"]) -> None:
        """Put back what was there before."""
        rows[self.copy, :, self.place] = clean.T[self.place]


@dataclass(frozen=True)
class Edits(Brief):
    """What is done to each of m copies of a layer's activations; one round for each stimulation of a copy."""

    rounds: tuple[Cells, ...]

    def edit(self, copies: Copies) -> None:
        """Stimulate the copies, all images of each; they lie in memory with their feature maps last, and are edited there."""
        for cells in self.rounds:
            cells.edit(_as_rows(copies))

    def restore(self, copies: Copies, clean: Float[Tensor, "n k h w"]) -> None:
        """Put back what was there before: the same clean activations in every copy."""
        for cells in self.rounds:
            cells.restore(_as_rows(copies), clean.permute(0, 2, 3, 1).flatten(1))


def edits(network: Network, variants: Sequence[Sequence[Stimulation]], peaks: Peaks) -> Edits:
    """The edits that variants are, each of one or more stimulations of one layer, whose maps reach these peaks.

    Raises:
        UnknownNameError: if the network has no such layer, or the layer no such feature map.
        DataError: if window, mask or values do not fit the layer's feature maps.
    """
    rounds = []
    for number in range(max(map(len, variants), default=0)):
        copies = [copy for copy, variant in enumerate(variants) if len(variant) > number]
        stimulations = [variants[copy][number] for copy in copies]
        rounds.append(_cells(network, stimulations, torch.tensor(copies, device=peaks.device), peaks))
    return Edits(tuple(rounds))


def _cells(network: Network, stimulations: Sequence[Stimulation], copies: Int64[Tensor, " s"], peaks: Peaks) -> Cells:
    """The cells of one stimulation of each of these copies."""
    layer = network.layer(stimulations[0].layer)
    _check(network, layer, stimulations)
    numbers = [stimulation.maps(layer.feature_maps) for stimulation in stimulations]
    maps = torch.tensor(list(chain.from_iterable(numbers)), device=peaks.device)
    owner = _owners(numbers, peaks.device)  # the stimulation that each of these maps is one of
    inside = _places(layer, stimulations, peaks.device)
    clears = torch.tensor([stimulation.rest == "zero" for stimulation in stimulations], device=peaks.device)
    pair, cell = (inside | clears[:, None])[owner].nonzero().unbind(1)
    one = owner[pair]
    amount = _amounts(stimulations, numbers, owner) * _units(stimulations, owner, maps, peaks)[:, None]
    amount = amount.to(peaks.dtype).expand(-1, inside.shape[1])[pair, cell]
    kinds = torch.tensor([NUMBER_OF_KIND[stimulation.kind] for stimulation in stimulations], device=peaks.device)
    old, scaled, added = FORMULAE.to(peaks.device)[kinds[one]].unbind(1)
    factor, shift = (old + scaled * amount) * inside[one, cell], added * amount * inside[one, cell]
    looks = any(any(KINDS[stimulation.kind][:2]) for stimulation in stimulations)
    return Cells(copies[one], cell * layer.feature_maps + maps[pair], factor, shift, looks)


def _check(network: Network, layer: Layer, stimulations: Sequence[Stimulation]) -> None:
    """Refuse what does not fit the layer: all at once where each is of one map, and one by one for the error's sake."""
    maps, (height, width) = layer.feature_maps, layer.size
    for stimulation in stimulations:
        number, window = stimulation.feature_maps, stimulation.window
        fits = isinstance(number, int) and 0 <= number < maps
        fits = fits and isinstance(stimulation.value, int | float) and stimulation.mask is None
        if fits and window is not None:
            row, column, high, wide = window
            fits = row + high <= height and column + wide <= width
        if not fits:
            stimulation.check(network)


def _owners(numbers: Sequence[Sequence[int]], device: torch.device) -> Int64[Tensor, " pairs"]:
    """For each feature map the number of the stimulation that edits it."""
    owner = torch.arange(len(numbers), device=device)
    return owner.repeat_interleave(torch.tensor(list(map(len, numbers)), device=device))


def _places(layer: Layer, stimulations: Sequence[Stimulation], device: torch.device) -> Bool[Tensor, "s cells"]:
    """Which cells each stimulation stimulates, from its window or its mask."""
    whole = (0, 0, *layer.size)
    windows = list(chain.from_iterable(stimulation.window or whole for stimulation in stimulations))
    row, column, height, width = torch.tensor(windows, device=device).view(-1, 4, 1).unbind(1)
    rows, columns = (torch.arange(extent, device=device) for extent in layer.size)
    down = (rows >= row) & (rows < row + height)
    across = (columns >= column) & (columns < column + width)
    places = down[:, :, None] & across[:, None, :]
    for number, stimulation in enumerate(stimulations):
        if stimulation.mask is not None:
            places[number] = stimulation.mask.to(device)
    return places.flatten(1)


def _amounts(
    stimulations: Sequence[Stimulation], numbers: Sequence[Sequence[int]], owner: Int64[Tensor, " pairs"]
) -> Float[Tensor, "pairs _"]:
    """The value for each feature map of each stimulation, one for all its cells or, where any is given so, for each."""
    values = [stimulation.value for stimulation in stimulations]
    if all(isinstance(value, int | float) for value in values):
        return torch.tensor(values, dtype=torch.float64, device=owner.device)[owner, None]
    tables = [_table(value, owner.device) for value in values]
    columns = max(table.shape[1] for table in tables)
    return torch.cat([table.expand(len(maps), columns) for table, maps in zip(tables, numbers, strict=True)])


def _table(value: float | tuple[float, ...] | Tensor, device: torch.device) -> Float[Tensor, "_ _"]:
    """A value with a row for each feature map that has its own, and a column for each cell that has."""
    table = torch.as_tensor(value, dtype=torch.float64, device=device)
    return table.flatten(1) if table.ndim == 3 else table.reshape(-1, 1)


def _units(
    stimulations: Sequence[Stimulation], owner: Int64[Tensor, " pairs"], maps: Int64[Tensor, " pairs"], peaks: Peaks
) -> Float[Tensor, " pairs"]:
    """What the values of each feature map of each stimulation count in."""
    units = torch.tensor([NUMBER_OF_UNIT[stimulation.unit] for stimulation in stimulations], device=peaks.device)[owner]
    reached = peaks.double()
    by_unit = torch.stack([torch.ones_like(reached[maps]), reached[maps], reached.max().expand(len(maps))])
    return by_unit.gather(0, units[None])[0]


def the_layer(stimulations: Sequence[Stimulation]) -> str:
    """The one layer that stimulations which are applied together are of.

    Raises:
        DataError: if there are none, or they are of several layers.
    """
    if len(stimulations) == 1:
        return stimulations[0].layer
    layers = list(dict.fromkeys(stimulation.layer for stimulation in stimulations))
    if not layers:
        raise DataError("there is no stimulation; give at least one")
    if len(layers) > 1:
        raise DataError(f"the stimulations are of the layers {' and '.join(layers)}; stimulate one layer at a time")
    return layers[0]


def stimulated_cells(stimulations: Sequence[Stimulation], size: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """The cells of feature maps of this size that any of the stimulations stimulates."""
    return torch.stack([stimulation.place(size) for stimulation in stimulations]).any(0)


def _as_rows(copies: Copies) -> Float[Tensor, "m n values"]:
    """The same memory, one row for each image."""
    return copies.permute(0, 1, 3, 4, 2).view(*copies.shape[:2], -1)
