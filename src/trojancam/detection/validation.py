"""Validation: what heat maps say of a finding, on images stamped with the trigger that was recovered for it.

A finding is a claim about one place: the stimulation worked there, the recovered trigger lies there. Heat maps are a
third witness, for no detector here looks at them. Whether the three agree does not tell a backdoor from none, for what
any trigger does shows in heat maps; it tells whether the finding is about what it seems to be about.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.attribution import grad_cam
from trojancam.detection.findings import Finding
from trojancam.detection.stimulation_maps.windows import SHARE
from trojancam.errors import DataError
from trojancam.evaluation.localisation import dilated, feature_map_energy, layer_energy, pointing_game
from trojancam.network import given
from trojancam.network.draws import Draws
from trojancam.network.input import FLOAT
from trojancam.network.margins import lead
from trojancam.network.network import Network
from trojancam.network.placement import laid_over
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.records import Fraction, Measured, Written, derived
from trojancam.showing import Brief
from trojancam.stimulation import Stimulation, stimulate
from trojancam.stimulation.variants import variants_read

NEIGHBOURS = 8  # at most
MOVES = 400  # places, at most, to which a stimulation is moved
WITNESSES = 8  # images, at most, on which it is
PROBES = 16  # images of noise that say where a trigger without a place changes most
TINY = 1e-12

Images = Float[Tensor, "n 3 h w"]
Labels = Int64[Tensor, " n"]
Map = Float[Tensor, "h w"]


Rows = Annotated[  # of numbers, in JSON
    Float[Tensor, "rows columns"],
    BeforeValidator(lambda value: value if isinstance(value, Tensor) else torch.tensor(value, device="cpu")),
    PlainSerializer(lambda value: value.tolist()),
    WithJsonSchema({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}),
]


@dataclass(frozen=True)
class LayerView(Written):
    """How a layer's Grad-CAM for the finding's class shows the recovered trigger; means over stamped images.

    What falls inside the trigger is counted inside its core, grown by one cell of the layer. A blank map counts as 0. The
    `agreement` is `(r(heat, place) + r(heat, mask) + r(place, mask)) / 3`, of those there are: 1 where all three are one, about
    0 where they have nothing to do with one another.
    """

    layer: str
    energy: Annotated[Fraction, Field(description="Share of the map's energy inside the trigger.")]
    chance: Annotated[
        Fraction, Field(description="What a map that knows nothing gets: the trigger's share of the image.")
    ]
    pointing: Annotated[Fraction, Field(description="Share of images whose map is largest inside the trigger.")]
    blank: Annotated[Fraction, Field(description="Share of images with a blank map.")]
    with_mask: Annotated[float | None, Field(description="Correlation of the mean map with the recovered mask.")]
    with_place: Annotated[float | None, Field(description="Correlation of the mean map with the place stimulated.")]
    agreement: Annotated[
        float | None, Field(description="Mean correlation of heat map, place and mask; null without any.")
    ] = None


@dataclass(frozen=True)
class PlaceView(Written):
    """How a layer's Grad-CAM shows the place stimulated, on clean images (the study's figure 17); blank maps count as 0."""

    layer: str
    energy: Annotated[Fraction, Field(description="Mean share of energy inside the place, grown by one cell.")]
    chance: Annotated[Fraction, Field(description="The grown place's share of the image.")]


@dataclass(frozen=True)
class MapView(Written):
    """One feature map of the finding's layer, stimulated by itself: a row of the study's table 2.

    It is stimulated as the finding's stimulation does it: to its own largest clean activation, if that has no single value;
    everywhere, if it has no place. Rates are over clean images of other classes.
    """

    layer: str
    feature_map: int
    flagged: Annotated[
        bool, Field(description="Whether the finding names it; otherwise a neighbour that shows the trigger better.")
    ]
    stimulation_asr: Annotated[Measured, Field(description="Share of images that it sends to the finding's class.")]
    prediction_value: Annotated[Measured, Field(description="Mean logit of the class then.")]
    probability: Annotated[Measured, Field(description="Mean probability of the class then.")]
    energy: Annotated[
        Fraction,
        Field(description="On stamped images, the share of its own Grad-CAM inside the trigger, grown by one cell."),
    ]
    rank: Annotated[int, Field(description="Among the maps of the layer, by energy, from 1.")]


@dataclass(frozen=True)
class Leads(Written, Brief):
    """The finding's stimulation moved over its layer: by how much its class then leads the next, mean over images."""

    rows: Annotated[tuple[float, ...], Field(description="Centres of the window, in pixels; 0 is that of the first.")]
    columns: tuple[float, ...]
    lead: Annotated[Rows, Field(description="Above 0 the network answers with the class.")]


@dataclass(frozen=True)
class Validation(Written, Brief):
    """What heat maps say of a finding, on images of other classes that are stamped with its recovered trigger."""

    images: int
    layers: Annotated[
        tuple[LayerView, ...],
        Field(description="The finding's layer and those after it; all of them where it names none."),
    ]
    witness: Annotated[
        str, Field(description="The finding's layer; where it names none, the one whose heat map shows the mask best.")
    ]
    place_with_mask: Annotated[
        float | None, Field(description="Correlation of the stimulated place with the recovered mask.")
    ]
    stimulated: Annotated[
        tuple[PlaceView, ...],
        Field(description="The same layers on clean images, with the finding's stimulation in its window."),
    ] = ()
    flagged: Annotated[tuple[MapView, ...], Field(description="The finding's feature maps.")] = ()
    neighbours: Annotated[
        tuple[MapView, ...], Field(description="Other maps of its layer, more of whose energy lies in the trigger.")
    ] = ()
    leads: Annotated[Leads | None, Field(description="Null where the finding has no stimulation in a window.")] = None

    @property
    @derived
    def agreement(self) -> float | None:
        """What the witness's view says."""
        return self.agreement_at(self.witness)

    def agreement_at(self, layer: str) -> float | None:
        """The agreement of a layer's heat map, the stimulated place and the recovered mask; None without any."""
        return next(view for view in self.layers if view.layer == layer).agreement


def validated(network: Network, images: given.GivenImages, labels: given.GivenLabels, finding: Finding) -> Validation:
    """What heat maps say of a finding: does the network look where the trigger was recovered and the stimulation worked?

    Grad-CAM of the finding's class, single feature map Grad-CAM, and the feature maps by themselves (the study's section
    8.4 and table 2). `images` are clean; those of the finding's class are left out, and of a trigger of a few classes all
    others than theirs. Better give images that the trigger was not made on. Nothing is known of a true trigger here.

    Raises:
        DataError: if there is no image that the trigger is to send to the class, the finding has no recovered trigger, or the
            network cannot take the images.
        UnknownNameError: if the network has no such layer, feature map or class.

    >>> from torch import nn
    >>> from trojancam.attacks.patch import square
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> finding = Finding("by hand", 1, 1.0, "0", (2,), trigger=square(2, 1, 5, image_size=(8, 8)))
    >>> found = validated(network, torch.rand(6, 3, 8, 8), torch.tensor([0, 1, 0, 1, 0, 1]), finding)
    >>> found.images, [view.layer for view in found.layers], [view.feature_map for view in found.flagged]
    (3, ['0'], [2])
    """
    clean = given.images(network, images)
    own = given.labels(network, labels, len(clean)).to(clean.device)
    others = clean[finding.victims(own)]
    if not len(others):
        raise DataError(
            "none of the images is of a class that the finding's trigger sends to its class; give some of other classes"
        )
    core = trigger_core(finding.trigger)
    layers = _layers(network, finding)
    place, mask = _place(network, finding), trigger_weight(finding.trigger) if finding.trigger else core.float()
    views, energies = _seen(network, others, finding, layers, core, (mask, place))
    flagged, neighbours = _maps(network, others, finding, energies)
    return Validation(
        images=len(others),
        layers=tuple(views),
        witness=finding.layer or max(views, key=lambda view: view.with_mask or -1.0).layer,
        place_with_mask=None if place is None else correlation(place, mask),
        stimulated=() if place is None else _stimulated(network, others, finding, place > 0),
        flagged=flagged,
        neighbours=neighbours,
        leads=_leads(network, others[:WITNESSES], finding),
    )


def trigger_core(trigger: Trigger | None) -> Bool[Tensor, "h w"]:
    """The pixels that a recovered trigger changes at least half as much as any.

    A search leaves traces of its mask everywhere that it looked.

    Raises:
        DataError: if there is no trigger, or it changes nothing.

    >>> from trojancam.attacks.patch import Patch
    >>> trigger_core(Patch(torch.tensor([[0.01, 0.4, 0.7]]), torch.zeros(3, 1, 3)))
    tensor([[False,  True,  True]])
    """
    if trigger is None or not trigger.size > 0:
        raise DataError(
            "the finding has no recovered trigger to stamp images with; only such a finding can be validated"
        )
    weight = trigger_weight(trigger)
    return weight >= weight.max() / 2


def trigger_weight(trigger: Trigger) -> Float[Tensor, "h w"]:
    """How much a trigger changes each pixel, in [0, 1]: its `weight`, where it has a place.

    Of a trigger without a place it is the mean change of images of noise, the greatest of all channels, in units of the pixel
    that changes most.
    """
    if trigger.weight is not None:
        return trigger.weight
    noise = Draws(0).uniform(PROBES, 3, *trigger.image_size)
    change = (trigger.apply(noise) - noise).abs().amax(1).mean(0)
    return change / change.max().clamp(min=TINY)


def correlation(one: Map, other: Map) -> float | None:
    """Pearson's correlation of two maps over the pixels, once both are means over squares a window (an eighth) wide.

    Maps cannot be more precise than what is compared: a stimulated window. None where a map is the same everywhere.

    >>> correlation(torch.eye(8), torch.eye(8).flip(1)), correlation(torch.eye(8), torch.ones(8, 8))
    (-0.142857, None)
    """
    side = max(1, round(min(one.shape) / SHARE)) | 1  # odd, so that a square has a centre
    pair = torch.stack([one, other])[:, None].double()
    blurred = F.avg_pool2d(pair, side, 1, side // 2, count_include_pad=False).flatten(1)
    if bool((blurred.amax(1) - blurred.amin(1) < 1e-12).any()):
        return None
    return round(float(torch.corrcoef(blurred)[0, 1]), 6)


def _layers(network: Network, finding: Finding) -> tuple[str, ...]:
    """The finding's layer and those that depend on it; all layers where it names none."""
    return (finding.layer, *network.layers_after(finding.layer)) if finding.layer else tuple(network.layers)


def _place(network: Network, finding: Finding) -> Map | None:
    """The pixels whose nearest cell is stimulated; None where all are, or none: that is no place."""
    if finding.stimulation is None:
        return None
    layer = finding.stimulation.check(network)
    cells = finding.stimulation.place(layer.size)
    if bool(cells.all()):
        return None
    return laid_over(cells[None, None].float(), layer.placement, network.input.size, smooth=False)[0, 0]


def _seen(
    network: Network,
    images: Images,
    finding: Finding,
    layers: Sequence[str],
    core: Bool[Tensor, "h w"],
    expected: tuple[Map, Map | None],
) -> tuple[list[LayerView], Float[Tensor, " k"] | None]:
    """Every layer's view, and each feature map's share of energy in the core where the finding names a layer."""
    assert finding.trigger is not None
    placed = finding.trigger.weight is not None  # a change of the whole image is everywhere within a cell of its core
    near = {name: dilated(core, network.layer(name).placement.cell) if placed else core for name in layers}
    heat: dict[str, list[Tensor]] = {name: [] for name in layers}
    shares: dict[str, list[Tensor]] = {name: [] for name in layers}
    single: list[Tensor] = []
    rows = network.rows(gradients=True, beside=_bytes_of_maps(network, finding.layer))
    for batch in images.split(rows):
        for name, cam in grad_cam(
            record(network, finding.trigger.apply(batch), logit(finding.target_class), layers)
        ).items():
            heat[name].append(cam.heatmap().cpu())
            shares[name].append(layer_energy(cam, near[name]).cpu())
            if name == finding.layer:
                single.append(feature_map_energy(cam, near[name]).nan_to_num(0).cpu())
    views = [_view(name, torch.cat(heat[name]), torch.cat(shares[name]), near[name], expected) for name in layers]
    return views, torch.cat(single).mean(0) if single else None


def _bytes_of_maps(network: Network, layer: str | None) -> int:
    """What all feature maps of a layer take at the size of an image."""
    height, width = network.input.size
    return FLOAT * height * width * (network.layer(layer).feature_maps if layer else 1)


def _view(
    name: str,
    heat: Float[Tensor, "n h w"],
    shares: Float[Tensor, " n"],
    near: Bool[Tensor, "h w"],
    expected: tuple[Map, Map | None],
) -> LayerView:
    total = heat.sum((1, 2), keepdim=True)
    mean = torch.where(total > 0, heat / total, 0.0).mean(0)  # every image counts alike
    hits = heat.new_ones(len(heat)) if bool(near.all()) else pointing_game(heat, near).nan_to_num(0)
    mask, place = expected
    with_mask, with_place = (None if each is None else correlation(mean, each) for each in expected)
    pairs = (with_place, with_mask, None if place is None else correlation(place, mask))
    known = [value for value in pairs if value is not None]
    return LayerView(
        layer=name,
        energy=float(shares.nan_to_num(0).mean()),
        chance=float(near.float().mean()),
        pointing=float(hits.mean()),
        blank=float(shares.isnan().float().mean()),
        with_mask=with_mask,
        with_place=with_place,
        agreement=sum(known) / len(known) if known else None,
    )


def _stimulated(
    network: Network, images: Images, finding: Finding, place: Bool[Tensor, "h w"]
) -> tuple[PlaceView, ...]:
    """What the stimulated layer and those after it show of the place."""
    assert finding.stimulation is not None
    shares: dict[str, list[Tensor]] = {}
    near: dict[str, Tensor] = {}
    for batch in images.split(network.rows(gradients=True)):
        for name, cam in stimulate(network, batch, finding.stimulation, logit(finding.target_class)).cams_after.items():
            near[name] = dilated(place, cam.placement.cell)
            shares.setdefault(name, []).append(layer_energy(cam, near[name]).nan_to_num(0))
    return tuple(
        PlaceView(name, float(torch.cat(parts).mean()), float(near[name].float().mean()))
        for name, parts in shares.items()
    )


def _maps(
    network: Network, images: Images, finding: Finding, energies: Float[Tensor, " k"] | None
) -> tuple[tuple[MapView, ...], tuple[MapView, ...]]:
    """The flagged feature maps, those that do most alone first, and the neighbours that show the trigger more strongly."""
    if energies is None or finding.layer is None:
        return (), ()
    flagged = [network.feature_map(finding.layer, number) for number in finding.feature_maps]
    order = energies.argsort(descending=True, stable=True).tolist()
    best = max((float(energies[number]) for number in flagged), default=math.inf)
    beside = [number for number in order if number not in flagged and float(energies[number]) > best][:NEIGHBOURS]
    chosen = [*flagged, *beside]
    alone = [stimulated_alone(finding, finding.layer, number) for number in chosen]
    answers = variants_read(network, images, alone, lambda logits: _answers(logits, finding.target_class))
    views = [
        _map_view(finding, number, means, float(energies[number]), order.index(number) + 1)
        for number, means in zip(chosen, answers.mean(1).tolist(), strict=True)
    ]
    by_itself = sorted(views[: len(flagged)], key=lambda view: (-view.stimulation_asr, -view.prediction_value))
    return tuple(by_itself), tuple(views[len(flagged) :])


def _answers(logits: Float[Tensor, "m n classes"], target_class: int) -> Float[Tensor, "m n measures=3"]:
    """Whether each image goes to the class, with what logit and what probability."""
    goes = (logits.argmax(-1) == target_class).to(logits.dtype)
    return torch.stack([goes, logits[..., target_class], logits.softmax(-1)[..., target_class]], -1)


def _map_view(finding: Finding, number: int, means: Sequence[float], energy: float, rank: int) -> MapView:
    success, prediction_value, probability = means
    return MapView(
        layer=str(finding.layer),
        feature_map=number,
        flagged=number in finding.feature_maps,
        stimulation_asr=success,
        prediction_value=prediction_value,
        probability=probability,
        energy=energy,
        rank=rank,
    )


def stimulated_alone(finding: Finding, layer: str, number: int) -> Stimulation:
    """One feature map where the finding's stimulation is, at its value; at the map's largest clean activation without one."""
    given = finding.stimulation or Stimulation(layer, unit="map")
    if given.differs_by_map:
        given = replace(given, value=1.0, unit="map")
    return replace(given, feature_maps=number)


def _leads(network: Network, images: Images, finding: Finding) -> Leads | None:
    """The finding's stimulation moved to a grid of places."""
    stimulation = finding.stimulation
    if stimulation is None or stimulation.window is None:
        return None
    layer, (height, width) = network.layer(stimulation.layer), stimulation.window[2:]
    rows, columns = _grid(layer.size, stimulation.window)
    moved = [_moved(stimulation, row, column) for row in rows for column in columns]
    leads = variants_read(network, images, moved, lambda logits: lead(logits, finding.target_class))
    means = leads.mean(1).view(len(rows), len(columns))
    down, across = layer.placement.rows, layer.placement.columns
    return Leads(
        rows=tuple(down.offset + down.stride * (row + (height - 1) / 2) for row in rows),
        columns=tuple(across.offset + across.stride * (column + (width - 1) / 2) for column in columns),
        lead=means.cpu(),
    )


def _grid(cells: tuple[int, int], window: tuple[int, int, int, int]) -> tuple[range, range]:
    """Upper left cells of windows, the given one among them, as close together as the number of moves allows."""
    places = [extent - side + 1 for extent, side in zip(cells, window[2:], strict=True)]
    step = 1
    while math.prod(-(-count // step) for count in places) > MOVES:
        step += 1
    rows, columns = (range(corner % step, count, step) for corner, count in zip(window[:2], places, strict=True))
    return rows, columns


def _moved(stimulation: Stimulation, row: int, column: int) -> Stimulation:
    """The stimulation with its window, and what it holds, elsewhere."""
    assert stimulation.window is not None
    old_row, old_column, height, width = stimulation.window
    value = stimulation.value
    if isinstance(value, Tensor):
        value = value.roll((row - old_row, column - old_column), (1, 2))
    return replace(stimulation, value=value, window=(row, column, height, width))
