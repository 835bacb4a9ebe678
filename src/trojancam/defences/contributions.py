"""Contributions: do the feature maps that carry an image's class, and their places, differ from those in clean images?

New in TrojanCAM. One recording says what each feature map of each layer contributes to the predicted class: `C_k = g^k * A^k`,
cell by cell (HiResCAM's split). A trigger leads to the class by other feature maps than the class's own objects do, or in other
places. So each layer is described by profiles, each divided by its sum of sizes. Three are over its feature maps: the positive
contributions `sum_ij ReLU(C^k_ij)`, their peaks `max_ij C^k_ij`, and the peaks of the activations `max_ij A^k_ij`. One is over
its cells: `sum_k ReLU(C^k_ij)`, on a grid of at most 16 by 16. Profiles are compared with those of clean images that the
network gives the same class.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.defences.defence import Reference, Scores, Seen, Test
from trojancam.network.placement import laid_over
from trojancam.network.recording import LayerRecording, Recording
from trojancam.showing import Brief

OF_MAPS = ("positive", "peaks", "activity")
WEIGHTS = {**dict.fromkeys(OF_MAPS, 0.5 / len(OF_MAPS)), "cells": 0.5}
"""The kinds of profiles, and what they count: which feature maps carry the class as much as where it lies."""
GRID = 16  # cells of a profile, at most, along each side
SHRINKAGE = 0.3  # of the covariance to its diagonal: there may be fewer images than feature maps
PRIOR = 1.0  # the mean of all images counts as so many images of each class
RIDGE = 1e-3  # of the mean variance, for feature maps that never vary
SMALLEST = 1e-12

Profiles = Float[Tensor, "n k"]


def learn(reference: Reference) -> Test:
    """The test that compares profiles with those of clean images; its score is the mean over layers of `sum_j w_j max(0, z_j)^2`.

    `z_j = (log d_j - m_j) / s_j`, where `d_j` is the distance of profile j (of a kind and a layer) by `ClassDistance`, and
    `m_j`, `s_j` are mean and deviation of `log d_j` over clean images. These are of images that the distances are not fitted
    to: the clean images are halved, and each half is measured by the other. `w_j` is the kind's of `WEIGHTS`.
    """
    seen = [(profiles(batch.recording), batch.classes) for batch in reference.seen(recorded=True)]
    classes = torch.cat([found for _, found in seen])
    whole = {key: torch.cat([found[key] for found, _ in seen]) for key in (seen[0][0] if seen else {})}
    scales = {key: Scale.of(values, classes, reference.logits.shape[1]) for key, values in whole.items()}

    def test(batch: Seen) -> Scores:
        found = profiles(batch.recording)
        unusual = {key: scale.z(found[key], batch.classes).clamp(min=0).square() for key, scale in scales.items()}
        counted = [WEIGHTS[kind] * each for (_, kind), each in unusual.items()]
        values = torch.stack(counted).sum(0) / len(batch.recording.layers)
        return Scores(values, places(batch, found, unusual, {key: scales[key].distance for key in unusual}))

    return test


def profiles(recording: Recording) -> dict[tuple[str, str], Profiles]:
    """The profiles of each layer, by layer and kind, on the processor, in 64 bits."""
    found: dict[tuple[str, str], Profiles] = {}
    for name, layer in recording.layers.items():
        contributions = layer.gradients * layer.activations
        peaks = _peaks(contributions)
        positive = contributions.relu_()
        of_kind = (positive.sum((2, 3)), peaks, _peaks(layer.activations), _cells(positive))
        found |= {(name, kind): _shares(values) for kind, values in zip(WEIGHTS, of_kind, strict=True)}
    return found


def _peaks(maps: Float[Tensor, "n k h w"]) -> Float[Tensor, "n k"]:
    """The largest cell of each; by pooling, which is faster than `amax` where there are few maps."""
    return F.adaptive_max_pool2d(maps, 1).flatten(1)


def _cells(positive: Float[Tensor, "n k h w"]) -> Float[Tensor, "n cells"]:
    """What all feature maps contribute in each cell of a grid."""
    height, width = positive.shape[2:]
    return F.adaptive_avg_pool2d(positive.sum(1), (min(GRID, height), min(GRID, width))).flatten(1)


def _shares(values: Float[Tensor, "n k"]) -> Profiles:
    values = values.cpu().double()
    return values / values.abs().sum(1, keepdim=True).clamp(min=SMALLEST)


@dataclass(frozen=True)
class ClassDistance(Brief):
    """The Mahalanobis distance of profiles to those of clean images of a class (Lee et al., NeurIPS 2018), shrunken.

    `d(x, c) = (x - m_c)^T S^-1 (x - m_c) / k`. `S` is the covariance within classes, pooled, its off-diagonal part times
    `1 - SHRINKAGE`. `m_c` is the mean of the class with the mean of all images counted as one image more. A class of which no
    clean image is known has the mean of all images, and `S` is that of all images around it.
    """

    means: Float[Tensor, "classes k"]
    known: Float[Tensor, " classes"]
    within: Float[Tensor, "k k"]
    overall: Float[Tensor, "k k"]

    @classmethod
    def of(cls, values: Profiles, classes: Int64[Tensor, " n"], count: int) -> "ClassDistance":
        """The distance that clean profiles of known classes say."""
        images = torch.bincount(classes, minlength=count).to(values)
        sums = values.new_zeros(count, values.shape[1]).index_add_(0, classes, values)
        means = (sums + PRIOR * values.mean(0)) / (images[:, None] + PRIOR)
        within, overall = (_factor(each) for each in (values - means[classes], values - values.mean(0)))
        return cls(means, images, within, overall)

    def __call__(self, values: Profiles, classes: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The squared distance of each profile to its class, over the number of its entries, feature maps or cells."""
        away = (values - self.means[classes]).T
        within, overall = (
            torch.linalg.solve_triangular(factor, away, upper=False).square().mean(0)
            for factor in (self.within, self.overall)
        )
        return torch.where(self.known[classes] > 0, within, overall)

    def excess(self, values: Profiles, classes: Int64[Tensor, " n"]) -> Profiles:
        """By how many deviations each feature map is above its class's mean; 0 where it is below."""
        deviations = self.within.square().sum(1).sqrt()
        return ((values - self.means[classes]) / deviations).relu()


def _factor(residuals: Profiles) -> Float[Tensor, "k k"]:
    """The Cholesky factor of the shrunken covariance."""
    covariance = residuals.T @ residuals / len(residuals)
    diagonal = covariance.diagonal()
    ridge = RIDGE * diagonal.mean() + SMALLEST
    shrunken = (1 - SHRINKAGE) * covariance + torch.diag(SHRINKAGE * diagonal + ridge)
    factor: Tensor = torch.linalg.cholesky(shrunken)
    return factor


@dataclass(frozen=True)
class Scale(Brief):
    """A distance, and mean and deviation of its logarithm over clean images that it was not fitted to."""

    distance: ClassDistance
    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Profiles, classes: Int64[Tensor, " n"], count: int) -> "Scale":
        """The distance fitted to all, and its scale from halves."""
        halves = (slice(0, None, 2), slice(1, None, 2)) if len(values) > 1 else (slice(None),) * 2
        logs = torch.cat(
            [
                _log(ClassDistance.of(values[one], classes[one], count)(values[other], classes[other]))
                for one, other in (halves, halves[::-1])
            ]
        )
        deviation = float(logs.std()) if len(logs) > 1 else 0.0
        return cls(ClassDistance.of(values, classes, count), float(logs.mean()), deviation or 1.0)

    def z(self, values: Profiles, classes: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
        """How many deviations the logarithm of the distance is above its mean."""
        return (_log(self.distance(values, classes)) - self.mean) / self.deviation


def _log(distances: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return distances.clamp(min=SMALLEST).log()


def places(
    seen: Seen,
    found: Mapping[tuple[str, str], Profiles],
    unusual: Mapping[tuple[str, str], Float[Tensor, " n"]],
    distances: Mapping[tuple[str, str], ClassDistance],
) -> Float[Tensor, "n h w"]:
    """Where what is unusual lies: of each layer `sum_k e_k ReLU(C_k)`, in the image, added up by how unusual the layer is.

    `e_k` is by how many deviations the positive contributions of feature map k exceed those of its class (`excess`). A layer's
    map is divided by its sum before it is weighed, by the mean over its kinds of profiles, which all count alike here.
    """
    recording = seen.recording
    total = torch.zeros(len(seen.images), *recording.image_size)
    for name, layer in recording.layers.items():
        excess = distances[name, "positive"].excess(found[name, "positive"], seen.classes)
        heat = _laid(layer, excess.to(layer.activations), recording.image_size)
        weight = torch.stack([unusual[name, kind] for kind in WEIGHTS]).mean(0).float()
        total += weight[:, None, None] * heat / heat.sum((1, 2), keepdim=True).clamp(min=SMALLEST)
    return total


def _laid(layer: LayerRecording, weights: Float[Tensor, "n k"], size: tuple[int, int]) -> Float[Tensor, "n h w"]:
    contributions = (layer.gradients * layer.activations).relu()
    cells = (weights[:, :, None, None] * contributions).sum(1, keepdim=True)
    return laid_over(cells, layer.placement, size)[:, 0].relu().cpu()
