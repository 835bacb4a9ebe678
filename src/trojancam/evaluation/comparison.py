"""Comparison: attribution methods against one another, by how faithful their maps are and how well they find a mask.

Every method's map of every layer is scored on the same images, so that differences are paired. Work goes batch by batch;
with a folder, batches that are done are kept there, and a run that was killed goes on after the last of them.
"""

import hashlib
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.attribution import INPUT, METHODS, attribute
from trojancam.errors import DataError
from trojancam.evaluation.localisation import chance_levels, dilated, localisation
from trojancam.evaluation.perturbation_curves import deletion, insertion
from trojancam.evaluation.road import PERCENTILES, road
from trojancam.kept import Kept
from trojancam.locks import only_run_in
from trojancam.network import given
from trojancam.network.batches import parts
from trojancam.network.network import Network
from trojancam.network.targets import logit, probability
from trojancam.progress import Progress, shown
from trojancam.showing import Shown
from trojancam.version import __version__

BATCH = 32  # images between two steps that are kept, at most: whoever is killed loses no more
STEPS = 32  # of insertion and deletion
MASK = "trigger mask"  # the map that knows: not a method, but what the best of them could be

Images = Float[Tensor, "n 3 h w"]
Mask = Bool[Tensor, "rows columns"]
Scores = dict[tuple[str, str], Float[Tensor, " n"]]


@dataclass(frozen=True)
class Metric:
    """What a figure of a map is called, and which way is better."""

    title: str
    higher_is_better: bool = True


METRICS = {
    "road": Metric("ROAD combined"),
    "insertion": Metric("insertion AUC"),
    "deletion": Metric("deletion AUC", higher_is_better=False),
    "energy": Metric("energy in mask"),
    "pointing": Metric("pointing game"),
    "auc": Metric("ROC-AUC"),
    "iou": Metric("IoU"),
}
FAITHFULNESS = ("road", "insertion", "deletion")
LOCALISATION = ("energy", "pointing", "auc", "iou")


@dataclass(frozen=True)
class Comparison(Shown):
    """Every image's score by metric, and by method and layer; NaN where it is undefined, as for a blank map's place.

    A method that looks at pixels has the single layer `input`. `curves` are the mean probabilities by method and layer
    with the most (first row) and the least relevant pixels removed, at ROAD's `percentiles`; `chance` is what a map that
    knows nothing gets, by metric of localisation and layer.
    """

    scores: dict[str, Scores]
    curves: dict[tuple[str, str], Float[Tensor, "2 p"]]
    chance: dict[tuple[str, str], float]
    percentiles: tuple[float, ...]
    images: int

    def by_method(self, metric: str) -> dict[str, Float[Tensor, " n"]]:
        """Each method's mean over its layers, image by image; NaN where it is undefined at every layer."""
        methods = dict.fromkeys(method for method, _ in self.scores[metric])
        return {
            name: torch.stack([score for (method, _), score in self.scores[metric].items() if method == name]).nanmean(
                0
            )
            for name in methods
        }

    def at_layer(self, metric: str, layer: str) -> dict[str, Float[Tensor, " n"]]:
        """Each method's scores at a layer, beside those of the methods that look at pixels."""
        return {method: score for (method, at), score in self.scores[metric].items() if at in (layer, INPUT)}

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers compared."""
        return tuple(dict.fromkeys(layer for scores in self.scores.values() for _, layer in scores if layer != INPUT))


@dataclass(frozen=True)
class _Comparing:
    """What is compared on what: the job of `compare`."""

    network: Network
    images: Images
    methods: tuple[str, ...]
    layers: tuple[str, ...]
    target_class: int | None
    mask: Mask | None
    faithfulness: tuple[str, ...]
    seed: int

    def fingerprint(self) -> str:
        """A name for all that the scores depend on."""
        methods = tuple((name, METHODS.code(name)) for name in self.methods)
        choices = methods, self.layers, self.target_class, self.faithfulness, self.seed
        digest = hashlib.sha256(repr((__version__, self.network.fingerprint, choices)).encode())
        for tensor in (self.images, self.mask if self.mask is not None else torch.empty(0)):
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()[:16]


def compare(
    network: Network,
    images: given.GivenImages,
    methods: given.GivenNames = ("grad-cam", "grad-cam++", "random", "centre"),
    layers: given.GivenNames | None = None,
    target_class: given.GivenClass | None = None,
    mask: given.GivenMask | None = None,
    *,
    faithfulness: given.GivenNames = FAITHFULNESS,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Score these methods' maps of these layers (all unless named) on a batch of images.

    The maps explain the logit of `target_class`, or of the class predicted for each image; `faithfulness`, the measures
    named, follows that class's probability. With a `mask`, such as a known trigger's, localisation is scored in the mask
    grown by one cell of the layer, and the mask itself is a further map. Batches that are done are kept in `folder` until
    the last one is.

    Raises:
        UnknownNameError: if a method, a layer, a measure or the class does not exist.
        DataError: if there are fewer than two images, or some that the network cannot take, or the mask is of another size.
        ModelError: if a method cannot work with the network.
        TrojanCamError: if another run works in that folder.
    """
    job = _comparing(network, images, methods, layers, target_class, mask, faithfulness, seed)
    run, told = job.fingerprint(), shown(progress)
    steps = folder / f".compare-{run}" if folder else None
    found = []
    with only_run_in(folder) if folder else nullcontext():
        kept, count = Kept(steps, run), len(job.images)
        for part in parts(count, min(BATCH, network.rows(gradients=True))):
            found.append(kept.step(str(part.start), partial(_scored, job, part)))
            told(part.stop, count, f"{len(job.methods)} methods, {len(job.layers)} layers")
        kept.clear()
    return _joined(found, job)


def _comparing(
    network: Network,
    images: given.GivenImages,
    methods: given.GivenNames,
    layers: given.GivenNames | None,
    target_class: given.GivenClass | None,
    mask: given.GivenMask | None,
    faithfulness: given.GivenNames,
    seed: int,
) -> _Comparing:
    chosen = given.names("attribution method", methods, METHODS)
    measures = given.names("measure of faithfulness", faithfulness, FAITHFULNESS)
    if not measures and mask is None:
        raise DataError("there is nothing to measure: name a measure of faithfulness, or give a mask")
    if not chosen:
        raise DataError("there is no method to compare; name at least one")
    for name in chosen:
        METHODS[name].check(network)
    shown = given.images(network, images)
    if len(shown) < 2:
        raise DataError(f"a comparison needs at least two images, but got {len(shown)}; give more")
    wanted = None if target_class is None else given.target_class(network, target_class)
    place = None if mask is None else given.mask(mask)
    if place is not None and tuple(place.shape) != network.input.size:
        raise DataError(
            f"the mask is of {tuple(place.shape)} pixels, but the images of {network.input.size}; resize it"
        )
    return _Comparing(network, shown, chosen, given.layers(network, layers), wanted, place, measures, seed)


def _scored(job: _Comparing, part: slice) -> dict[str, Tensor]:
    """All scores of a part of the images; names of the form metric/method/layer."""
    images = job.images[part]
    classes = job.network(images).argmax(1)
    if job.target_class is not None:
        classes = torch.full_like(classes, job.target_class)
    found = attribute(job.network, images, job.methods, logit(classes), job.layers, seed=job.seed + part.start)
    scores: dict[tuple[str, str, str], Tensor] = {}
    for method, attributions in found.items():
        for layer, attribution in attributions.items():
            maps = attribution.heatmap().nan_to_num(0)
            for metric, value in _faithfulness(job, images, maps, classes, part.start).items():
                scores[metric, method, layer] = value
            if job.mask is not None:
                found_there = _localisation(maps, _mask_at(job, layer))
                scores |= {(metric, method, layer): value for metric, value in found_there.items()}
    if job.mask is not None:
        maps = job.mask.float().expand(len(images), -1, -1)
        for metric, value in _faithfulness(job, images, maps, classes, part.start).items():
            scores[metric, MASK, INPUT] = value
    return {"/".join(name): value for name, value in scores.items()}


def _faithfulness(
    job: _Comparing, images: Images, maps: Float[Tensor, "n h w"], classes: Int64[Tensor, " n"], start: int
) -> dict[str, Tensor]:
    target = probability(classes)
    scores = {}
    if "road" in job.faithfulness:
        removed = road(job.network, images, maps, target, seed=job.seed, first_image=start)
        scores = {"road": removed.combined, "morf": removed.morf, "lerf": removed.lerf}
    for name, curve in (("insertion", insertion), ("deletion", deletion)):
        if name in job.faithfulness:
            scores[name] = curve(job.network, images, maps, target, steps=STEPS, seed=job.seed, first_image=start).auc
    return scores


def _mask_at(job: _Comparing, layer: str) -> Mask | None:
    """The mask as precise as a layer's cells; None where there is no mask, or it is the whole image."""
    if job.mask is None:
        return None
    mask = job.mask if layer == INPUT else dilated(job.mask, job.network.layer(layer).placement.cell)
    return None if bool(mask.all()) else mask


def _localisation(maps: Float[Tensor, "n h w"], mask: Mask | None) -> dict[str, Tensor]:
    """Where the mask grown by a cell is the whole image, there is no place to be found: every figure is undefined."""
    if mask is None:
        return dict.fromkeys(LOCALISATION, torch.full((len(maps),), torch.nan))
    found = localisation(maps, mask)
    return {name: getattr(found, name).float() for name in LOCALISATION}


def _chance(job: _Comparing) -> dict[tuple[str, str], float]:
    masks = {layer: _mask_at(job, layer) for layer in (*job.layers, INPUT)}
    levels = {layer: chance_levels(mask) for layer, mask in masks.items() if mask is not None}
    return {(metric, layer): getattr(level, metric) for layer, level in levels.items() for metric in LOCALISATION}


def _joined(scored: list[dict[str, Tensor]], job: _Comparing) -> Comparison:
    joined = {name: torch.cat([part[name] for part in scored]) for name in scored[0]}
    scores: dict[str, Scores] = {}
    curves: dict[tuple[str, str], Tensor] = {}
    for name, values in joined.items():
        metric, method, layer = name.split("/", 2)
        if metric in METRICS:
            scores.setdefault(metric, {})[method, layer] = values
        elif metric == "morf":
            curves[method, layer] = torch.stack([values.mean(0), joined[f"lerf/{method}/{layer}"].mean(0)])
    return Comparison(scores, curves, _chance(job), tuple(float(p) for p in PERCENTILES), len(job.images))
