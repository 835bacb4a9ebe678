"""Attention: how much of the heat on benign signs lies on the sign, on its rim, and on what stands around it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from matplotlib.figure import Figure
from torch import Tensor

from trojancam import figures
from trojancam.architectures import architecture
from trojancam.attribution import Attribution, MapAttribution, from_map, grad_cam
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.figures.intervals import Bar, interval_bars
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.progress import Progress
from trojancam.report.page import Table
from trojancam.training.recipe import initial_module
from trojancam_study.exhibits import Exhibit
from trojancam_study.measurements import Measurement, above, measured
from trojancam_study.shares import BATCH
from trojancam_study.study import NETWORKS, Study

BENIGN = "basic"
UNTRAINED = "basic, untrained"
INNER = 0.75  # of the sign's radius: what lies farther out is its rim, three pixels of a sign that is 24 wide
LEAD = "energy on the sign less its area"
REGIONS = ("inner part", "rim", "surroundings")
PRECISION = 4

Coordinate = Float[Tensor, "n h w"]
Boxes = Float[Tensor, "n 4"]
Labels = Int64[Tensor, " n"]
Regions = list[Measurement]  # one for each of REGIONS
ByLayer = Mapping[str, Float[Tensor, "n regions"]]


def _triangle(u: Coordinate, v: Coordinate) -> Coordinate:
    # about the centroid, which lies a third of the half height below the middle: the base, and both sides at once
    return torch.maximum(1.5 * v - 0.5, 1 + 1.5 * (u.abs() - (v + 1) / 2))


SHAPES: dict[str, Callable[[Coordinate, Coordinate], Coordinate]] = {
    "round": torch.hypot,
    "triangular": _triangle,
    "upside-down triangular": lambda u, v: _triangle(u, -v),
    "square on its corner": lambda u, v: u.abs() + v.abs(),
    "octagonal": lambda u, v: torch.maximum(torch.maximum(u.abs(), v.abs()), (u.abs() + v.abs()) / 2**0.5),
}
"""How far out a point of the sign's box (-1 to 1, right and down) lies: 0 at the sign's centre, 1 on its outline."""

FAMILIES = {
    **dict.fromkeys(range(43), "round"),
    **dict.fromkeys((11, *range(18, 32)), "triangular"),
    12: "square on its corner",
    13: "upside-down triangular",
    14: "octagonal",
}
"""The shape of the sign of each class of GTSRB."""

DIGITS = (0, 1, 2, 3, 4, 5, 7, 8)  # speed limits
KINDS: dict[str, Callable[[int], bool]] = {
    "round with digits": lambda label: label in DIGITS,
    "round without digits": lambda label: FAMILIES[label] == "round" and label not in DIGITS,
    "triangular": lambda label: FAMILIES[label] == "triangular",
    "of other shapes": lambda label: FAMILIES[label] not in ("round", "triangular"),
}
PICTURED = ("round with digits", "triangular")


@dataclass(frozen=True)
class Seen:
    """Of one network: each image's shares of energy in the three regions, by layer, NaN where the layer's map is blank.

    `areas` are the regions' shares of each image, which a map of one value everywhere gets.
    """

    shares: ByLayer
    areas: Float[Tensor, "n regions"]

    def over_layers(self) -> Float[Tensor, "n regions"]:
        """The mean over the layers whose map of an image is not blank; NaN where all are."""
        return torch.stack(list(self.shares.values())).nanmean(0)

    def lead(self) -> Float[Tensor, " n"]:
        """By how much the energy on the sign, inner part and rim, exceeds the sign's share of the image, over layers."""
        return (self.over_layers() - self.areas)[:, :2].sum(1)


def claim_h(study: Study, progress: Progress) -> Exhibit:
    """Networks look at the signs themselves, at their shape and at what is drawn on them, on benign images.

    A sign is where its outline (a circle, triangle, ... by its class) fits into its box; its outer quarter is the rim. The
    map is Grad-CAM of the predicted class; measured is the share of its energy, `sum(L m) / sum(L)`, in the inner part, on
    the rim and in the surroundings, against the share of the image's area that each covers: its chance. The claim holds if
    the energy on the sign less the sign's area, mean over the layers of `basic` whose map is not blank, lies above 0. The
    trojaned networks, and `basic` before any training, stand beside it.
    """
    images = study.test_set()
    if images.regions is None:
        return Exhibit("The data does not say where the signs are in its images, so it cannot be told.", "cannot tell")
    regions = signs(images.regions, images.labels, images.size)
    networks = {name: study.networks(name) for name in NETWORKS} | {UNTRAINED: _untrained(study)}
    found: dict[str, list[Seen]] = {}
    for done, (name, each) in enumerate(networks.items(), start=1):
        found[name] = [seen(network, images, regions) for network in each]
        progress(done, len(networks), name)
    leads = {name: measured(f"{LEAD}, {name}", [one.lead() for one in each]) for name, each in found.items()}
    overall = {
        name: _measured([one.over_layers() for one in each], each[0].areas, name) for name, each in found.items()
    }
    by_layer, by_kind = _by_layer(found[BENIGN]), _by_kind(found[BENIGN], images.labels)
    return Exhibit(
        found=_in_words(overall[BENIGN], leads),
        verdict=above(leads[BENIGN]),
        pictures={"": (_bars(by_layer), _bars_caption(study)), **_mean_pictures(study, images, regions)},
        tables=[
            _table("Network", overall, "Mean over the layers of each network."),
            _table("Layer", by_layer, f"The layers of {BENIGN}."),
            _table("Signs", by_kind, f"Kinds of signs, {BENIGN}, mean over its layers."),
        ],
        measurements=[*leads.values(), *_all(overall), *_all(by_layer), *_all(by_kind)],
        numbers={
            name: dict(zip(REGIONS, (each.mean for each in parts), strict=True)) for name, parts in overall.items()
        },
    )


def signs(boxes: Boxes, labels: Labels, size: tuple[int, int]) -> Bool[Tensor, "n regions h w"]:
    """Which pixels of each image are the inner part of its sign, the sign's rim, and its surroundings.

    >>> inner, rim, around = signs(torch.tensor([[0.0, 0.0, 7.0, 7.0]]), torch.tensor([14]), (8, 8))[0]
    >>> int(inner.sum()), int(rim.sum()), int(around.sum())
    (32, 20, 12)
    """
    left, top, right, bottom = (boxes + torch.tensor([0.0, 0.0, 1.0, 1.0])).T[
        :, :, None, None
    ]  # the last pixel is inside
    x, y = torch.arange(size[1]) + 0.5, (torch.arange(size[0]) + 0.5)[:, None]
    u = (2 * x - left - right) / (right - left) + 0 * y
    v = (2 * y - top - bottom) / (bottom - top) + 0 * x
    outward = torch.empty(len(boxes), *size)
    for name, shape in SHAPES.items():
        chosen = torch.tensor([FAMILIES[label] == name for label in labels.tolist()])
        outward[chosen] = shape(u[chosen], v[chosen])
    return torch.stack([outward <= INNER, (outward > INNER) & (outward <= 1), outward > 1], 1)


def seen(network: Network, images: ImageSet, regions: Bool[Tensor, "n regions h w"]) -> Seen:
    """The shares of energy of Grad-CAM, of the predicted class, in regions that differ from image to image."""
    shares: dict[str, list[Tensor]] = {name: [] for name in network.layers}
    for batch, masks in zip(images.images.split(BATCH), regions.split(BATCH), strict=True):
        for name, cam in grad_cam(record(network, as_floats(batch))).items():
            shares[name].append(energy_by_region(cam.heatmap(), masks))
    return Seen({name: torch.cat(parts) for name, parts in shares.items()}, regions.float().mean((2, 3)))


def energy_by_region(maps: Float[Tensor, "n h w"], regions: Bool[Tensor, "n r h w"]) -> Float[Tensor, "n r"]:
    """The share of each map's energy in each of its own regions; NaN where the map is blank.

    >>> energy_by_region(torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[[True, False]], [[False, True]]]]))
    tensor([[0.2500, 0.7500]])
    """
    positive = maps.relu()[:, None]
    total = positive.sum((2, 3))
    return torch.where(total > 0, (positive * regions).sum((2, 3)) / total, torch.nan)


def _untrained(study: Study) -> Iterator[Network]:
    """The benign network as it was before its training, from each seed: what heat maps show without anything learned."""
    names = study.dataset.train.class_names
    for seed in study.seeds:
        module = initial_module(architecture(BENIGN), len(names), seed).eval()
        yield Network.from_module(module, specification=architecture(BENIGN).input, class_names=names)


def _measured(shares: Sequence[Float[Tensor, "n regions"]], areas: Float[Tensor, "n regions"], of: str) -> Regions:
    """Each region's share of energy from each seed, with its share of the images' area as the chance level."""
    chances = areas.mean(0).tolist()
    return [
        measured(f"energy, {region}, {of}", [each[:, place] for each in shares], round(chances[place], PRECISION))
        for place, region in enumerate(REGIONS)
    ]


def _by_layer(found: Sequence[Seen]) -> dict[str, Regions]:
    """Without the layers that are blank on all images: they have no share anywhere."""
    shares = {layer: [one.shares[layer] for one in found] for layer in found[0].shares}
    return {
        layer: _measured(each, found[0].areas, layer)
        for layer, each in shares.items()
        if all(bool(values.isfinite().any()) for values in each)
    }


def _by_kind(found: Sequence[Seen], labels: Labels) -> dict[str, Regions]:
    kinds = {kind: _of_kind(labels, kind) for kind in KINDS}
    return {
        kind: _measured([one.over_layers()[chosen] for one in found], found[0].areas[chosen], kind)
        for kind, chosen in kinds.items()
        if bool(chosen.any()) and all(bool(one.over_layers()[chosen].isfinite().any()) for one in found)
    }


def _of_kind(labels: Labels, kind: str) -> Bool[Tensor, " n"]:
    return torch.tensor([KINDS[kind](label) for label in labels.tolist()], dtype=torch.bool)


def _all(parts: Mapping[str, Regions]) -> list[Measurement]:
    return [measurement for regions in parts.values() for measurement in regions]


def _in_words(benign: Regions, leads: Mapping[str, Measurement]) -> str:
    inner, rim, around = benign
    beside = {"agrees": "more than", "disagrees": "less than", "cannot tell": "about"}[above(rim)]
    return (
        f"Of the energy of Grad-CAM on benign signs, {inner} lies on the inner part of the sign, {rim} on its rim, "
        f"{beside} its area, and {around} in the surroundings ({BENIGN}, mean over layers; chance is the area). The whole "
        f"sign holds {leads[BENIGN]} more than its area; before any training it is {leads[UNTRAINED]}."
    )


def _bars(by_layer: Mapping[str, Regions]) -> Figure:
    groups = {
        layer: {region: Bar(each, each.chance) for region, each in zip(REGIONS, regions, strict=True)}
        for layer, regions in by_layer.items()
    }
    heading = f"Where the heat of {BENIGN} lies on benign signs"
    return interval_bars(groups, upright="share of Grad-CAM energy", heading=heading)


def _bars_caption(study: Study) -> str:
    return (
        f"The share of Grad-CAM energy on the inner part of the sign, on its rim (the outer quarter) and in the surroundings, "
        f"layer by layer of {BENIGN}, over {study.images()} benign test images and {len(study.seeds)} seeds. Chance is the "
        "share of the image's area."
    )


def _mean_pictures(
    study: Study, images: ImageSet, regions: Bool[Tensor, "n regions h w"]
) -> dict[str, tuple[Figure, str]]:
    """For two kinds of signs the mean image and, of every layer, the mean heat map."""
    network = study.network(BENIGN, study.seeds[0])
    pictures = {}
    for kind in PICTURED:
        chosen = _of_kind(images.labels, kind).nonzero()[:, 0]
        if len(chosen):
            some = as_floats(images.images[chosen])
            outline = (~regions[chosen, 2]).float().mean(0) >= 0.5
            words = f"{kind}: mean of {len(chosen)} benign test images; 1 is heat spread evenly"
            row = figures.layer_row(some.mean(0), mean_maps(network, some), caption=words, mask=outline)
            pictures[kind.replace(" ", "-")] = (row, _mean_caption(kind, study.seeds[0]))
    return pictures


def mean_maps(network: Network, images: Float[Tensor, "n 3 h w"]) -> dict[str, MapAttribution]:
    """Every layer's mean Grad-CAM of the predicted class, each image's map divided by its own mean; blank ones left out."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    cams: dict[str, Attribution] = {}
    for batch in images.split(BATCH):
        for name, cam in grad_cam(record(network, batch)).items():
            means = cam.heatmap().mean((1, 2))
            shown = means > 0
            maps = cam.layer_map()[shown] / means[shown, None, None]
            sums[name] = sums.get(name, torch.zeros(cam.cells)) + maps.sum(0)
            counts[name] = counts.get(name, 0) + int(shown.sum())
            cams[name] = cam
    size = (images.shape[2], images.shape[3])
    return {
        name: from_map(sums[name][None] / max(1, counts[name]), size, "mean Grad-CAM", name, cam.target, cam.placement)
        for name, cam in cams.items()
    }


def _mean_caption(kind: str, seed: int) -> str:
    return (
        f"The mean benign test image of its kind ({kind}), and every layer's mean heat map ({BENIGN}, seed {seed}; each image "
        "counts alike). Outlined: what is part of the sign in at least half of the images."
    )


def _table(what: str, parts: Mapping[str, Regions], caption: str) -> Table:
    rows = [[name, *map(str, regions)] for name, regions in parts.items()]
    return Table([what, *REGIONS], rows, f"Share of Grad-CAM energy; chance is the share of the area. {caption}")
