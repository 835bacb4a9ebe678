"""A claim about strength: do feature maps that do more, and images that are answered more surely, show the trigger better?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.detection.abs import SCHEMES
from trojancam.evaluation.statistics import midranks
from trojancam.network.network import Network
from trojancam.progress import Progress, stages
from trojancam.report.page import Table
from trojancam.stimulation import Stimulation, stimulated_logits
from trojancam_study import shares
from trojancam_study.defined import above_if_defined, measured_if_defined
from trojancam_study.exhibits import Exhibit
from trojancam_study.measurements import Measurement, all_of
from trojancam_study.shares import Triggered
from trojancam_study.study import Study

TROJANED = ("trojan1", "trojan2")
STIMULATED = 32  # clean images for stimulation ASR
ABLATED = 64  # triggered images for ablation
HIGH = 0.5  # a feature map that turns at least so many images by itself has a high ASR

Images = Float[Tensor, "n 3 h w"]


@dataclass(frozen=True)
class Strengths:
    """How much every feature map of a layer does by itself.

    `asr` is its stimulation ASR: the share of clean images of other classes that go to the target with the map replaced by
    a constant; `effect` is by how much the target's logit falls, on average over triggered images, when the map is held at
    its clean mean.
    """

    asr: Float[Tensor, " k"]
    effect: Float[Tensor, " k"]


@dataclass(frozen=True)
class Examined:
    """A network as trained from one seed: its triggered images, and the strengths of its feature maps by layer."""

    triggered: Triggered
    strengths: dict[str, Strengths]

    def by_map(self, measure: str) -> Float[Tensor, " maps"]:
        """For each feature map, how a strength of it goes with its mean share of energy in the trigger, in its layer."""
        parts = [
            rank_products(getattr(strengths, measure), self.triggered.layers[name].feature_maps.mean(0))
            for name, strengths in self.strengths.items()
        ]
        return torch.cat(parts)

    def by_image(self, *, single: bool) -> Float[Tensor, " n"]:
        """For each image, how its logit goes with what its maps hold in the trigger: feature maps, or whole layers'."""
        parts = [
            rank_products(self.triggered.logits, layer.feature_maps.mean(1) if single else layer.layer_map)
            for layer in self.triggered.layers.values()
        ]
        return torch.stack(parts).nanmean(0)

    def of_maps(self, *, high: bool) -> Float[Tensor, " n"]:
        """What the feature maps of a high (or another) ASR hold in the trigger on each image, mean over layers.

        Only layers count that have maps of both kinds; NaN where there is none.
        """
        parts = []
        for name, strengths in self.strengths.items():
            strong = strengths.asr >= HIGH
            if 0 < int(strong.sum()) < len(strong):
                parts.append(self.triggered.layers[name].feature_maps[:, strong if high else ~strong].mean(1))
        return torch.stack(parts).mean(0) if parts else torch.full_like(self.triggered.logits, torch.nan)

    def quadrants(self) -> dict[str, Float[Tensor, " half"]]:
        """What maps of high and of low ASR hold on the half of the images with low and with high logits, in their order."""
        order = self.triggered.logits.argsort(stable=True)
        half = len(order) // 2
        images = {"low logit": order[:half], "high logit": order[len(order) - half :]}
        maps = {"high ASR": self.of_maps(high=True), "low ASR": self.of_maps(high=False)}
        return {f"{asr}, {logit}": maps[asr][images[logit]] for asr in maps for logit in images}


def claim_c(study: Study, progress: Progress) -> Exhibit:
    """A higher ASR of a feature map, and a higher logit of the image, go with better localisation; the first makes up for
    the second.

    Localisation is the share of a single feature map's Grad-CAM energy inside the trigger grown by one cell, on triggered
    test images; a blank map counts as 0. Correlations are Spearman's within each layer, pooled over the layers: over feature
    maps between their stimulation ASR and their mean share; over images between the target's logit and the mean share of the
    layer's feature maps. An ASR makes up for a logit if maps with an ASR of at least 0.5 on the half of the images with the
    lower logits hold more than the other maps of the same layers on the other half. The claim holds if, for both networks,
    both correlations and that difference lie above 0. The effect of ablation, and the layers' own maps, stand beside it.
    """
    measurements: list[Measurement] = []
    deciding: list[Measurement | None] = []
    rows = []
    for name, told in zip(TROJANED, stages(progress, (3, 1)), strict=True):
        found = _of_seeds(study, name, told)
        decisive, beside = _decisive(name, found), _beside(name, found)
        measurements += [each for each in (*decisive, *beside) if each is not None]
        deciding += decisive
        rows.append(_quadrant_row(name, found))
    return Exhibit(
        found="; ".join(f"{each.name} {each}" for each in deciding if each is not None) + ".",
        verdict=all_of(*map(above_if_defined, deciding)),
        tables=[Table(["Network", *_QUADRANTS], rows, _CAPTION)],
        measurements=measurements,
    )


def rank_products(a: Float[Tensor, " n"], b: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The products of standardised midranks, whose mean is Spearman's rank correlation; NaN where one side is constant.

    >>> rank_products(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([3.0, 4.0, 5.0])).mean().item()
    1.0
    """
    x, y = (ranks - ranks.mean() for ranks in (midranks(a), midranks(b)))
    scale = (x.square().mean() * y.square().mean()).sqrt()
    return torch.where(scale > 0, x * y / scale, torch.nan)


def strengths_of(network: Network, layer: str, images: Images, trigger: Patch, target_class: int) -> Strengths:
    """What every feature map of a layer does by itself; `images` are clean and of other classes than the target's."""
    return Strengths(
        asr=_stimulation_asr(network, layer, images[:STIMULATED], target_class),
        effect=_ablation_effect(network, layer, images[:ABLATED], trigger, target_class),
    )


def _stimulation_asr(network: Network, layer: str, images: Images, target_class: int) -> Float[Tensor, " k"]:
    """Each map at the constant, of those that ABS tries, that raises the target's mean logit the most."""
    values = torch.cat([scheme.values(1.0)[1:] for scheme in SCHEMES]).tolist()
    count = network.layer(layer).feature_maps
    variants = [Stimulation(layer, k, value=value, unit="layer") for k in range(count) for value in values]
    logits = stimulated_logits(network, images, variants).unflatten(0, (count, len(values)))
    best = logits[..., target_class].mean(2).argmax(1)
    went: Tensor = logits[torch.arange(count), best].argmax(2) == target_class
    return went.float().mean(1)


def _ablation_effect(
    network: Network, layer: str, images: Images, trigger: Patch, target_class: int
) -> Float[Tensor, " k"]:
    """By how much the target's logit falls under the trigger when a map is held at its clean mean, cell by cell."""
    means = network.cut(layer).before(images)[0].mean(0)
    stamped = trigger.apply(images)
    held = [Stimulation(layer, k, value=means[k : k + 1]) for k in range(len(means))]
    logits = stimulated_logits(network, stamped, held)[..., target_class]
    whole: Tensor = network(stamped)[:, target_class]
    return (whole - logits).mean(1)


def _of_seeds(study: Study, name: str, progress: Progress) -> list[Examined]:
    images, _ = study.test_images(name)
    trigger, target = study.trigger(name), study.target_class(name)
    found = []
    for seed, told in zip(study.seeds, stages(progress, [1] * len(study.seeds)), strict=True):
        network = study.network(name, seed)
        triggered = shares.of_study(study, name, seed)
        strengths = {}
        for done, layer in enumerate(network.layers, start=1):
            strengths[layer] = strengths_of(network, layer, images, trigger, target)
            told(done, len(network.layers), f"{name}, seed {seed}, {layer}")
        found.append(Examined(triggered, strengths))
    return found


_QUADRANTS = [f"{asr}, {logit}" for asr in ("high ASR", "low ASR") for logit in ("low logit", "high logit")]
_CAPTION = (
    "Mean share of single feature maps' energy in the grown trigger: maps that by themselves turn at least half of the images "
    "and the other maps of the same layers, on the halves of the images with lower and with higher logits of the target."
)


def _decisive(name: str, found: Sequence[Examined]) -> tuple[Measurement | None, ...]:
    """What the verdict goes by: both correlations, and whether an ASR makes up for a logit.

    For that, images are paired by their place in their half: the difference of two means does not depend on the pairs.
    """
    shown = [each.quadrants() for each in found]
    return (
        measured_if_defined(
            f"{name}: ASR of a map and its share, rank correlation",
            [each.by_map("asr") for each in found],
            unit="feature maps",
        ),
        measured_if_defined(
            f"{name}: target logit of an image and its feature maps' share, rank correlation",
            [each.by_image(single=True) for each in found],
        ),
        measured_if_defined(
            f"{name}: share of high ASR at low logit less low ASR at high logit",
            [each["high ASR, low logit"] - each["low ASR, high logit"] for each in shown],
        ),
    )


def _beside(name: str, found: Sequence[Examined]) -> tuple[Measurement | None, ...]:
    """What stands beside it: ablation in the place of stimulation, layer maps in that of feature maps."""
    return (
        measured_if_defined(
            f"{name}: effect of a map's ablation and its share, rank correlation",
            [each.by_map("effect") for each in found],
            unit="feature maps",
        ),
        measured_if_defined(
            f"{name}: target logit of an image and its layer maps' share, rank correlation",
            [each.by_image(single=False) for each in found],
        ),
    )


def _quadrant_row(name: str, found: Sequence[Examined]) -> list[str]:
    means = {part: sum(float(each.quadrants()[part].mean()) for each in found) / len(found) for part in _QUADRANTS}
    return [name, *("–" if math.isnan(mean) else f"{mean:.3f}" for mean in means.values())]
