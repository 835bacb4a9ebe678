"""Comparing attribution methods: every score, who wins under which metric, and whether maps depend on the weights at all."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.poisoning import Poisoning
from trojancam.attacks.trigger import Trigger
from trojancam.attribution import INPUT, METHODS
from trojancam.data.image_set import ImageSet
from trojancam.evaluation import comparison
from trojancam.evaluation.comparison import LOCALISATION, MASK, METRICS, Comparison
from trojancam.evaluation.randomisation import Randomisation, randomised_methods
from trojancam.evaluation.reliability import Reliability, reliability
from trojancam.evaluation.statistics import Interval, bootstrap_means
from trojancam.evaluation.verdict import Verdict, winner
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.progress import Progress, silent, stages
from trojancam.tasks.results import on_processor

RANDOMISED = 16  # images
USUAL = ("grad-cam", "grad-cam++", "hirescam", "layercam", "xgrad-cam", "eigen-cam", "saliency", "random", "centre")
CONTROLS = (MASK, "random", "centre")  # maps that do not look at the network: beside the methods, never among them


class Summary:
    """A comparison with its intervals and verdicts, worked out once for the page, the JSON and the command line."""

    def __init__(self, comparison: Comparison, seed: int = 0) -> None:
        self.comparison = comparison
        self.seed = seed
        self.overall = {metric: _intervals(comparison.by_method(metric), seed) for metric in comparison.scores}
        self.by_layer = {
            metric: {layer: _intervals(comparison.at_layer(metric, layer), seed) for layer in comparison.layers}
            for metric in comparison.scores
        }
        self.verdicts = {metric: self._verdict(metric, comparison.by_method(metric)) for metric in comparison.scores}
        self.layer_verdicts = {
            metric: {layer: self._verdict(metric, comparison.at_layer(metric, layer)) for layer in comparison.layers}
            for metric in comparison.scores
        }
        self.reliability = self._reliability()

    def _verdict(self, metric: str, scores: dict[str, Tensor]) -> Verdict | None:
        """Who wins, controls left out; None where there are not two methods, or not two images, to compare.

        Under localisation, methods that look at pixels are left out as well: they are held against the mask itself, the
        others against the mask grown by a cell of the layer, which is easier to hit.
        """
        at_pixels = {method for method, layer in self.comparison.scores[metric] if layer == INPUT}
        left_out = at_pixels if metric in LOCALISATION else set()
        rivals = {
            method_title(name): score
            for name, score in _methods(scores).items()
            if name not in left_out and bool(score.isfinite().any())
        }
        if len(rivals) < 2 or int(torch.stack(list(rivals.values())).isfinite().all(0).sum()) < 2:
            return None
        return winner(rivals, higher_is_better=METRICS[metric].higher_is_better, seed=self.seed)

    def _reliability(self) -> Reliability | None:
        """How far the metrics agree with themselves and with one another; None without two methods."""
        scores = {metric: _methods(self.comparison.by_method(metric)) for metric in self.comparison.scores}
        if any(len(by_method) < 2 for by_method in scores.values()):
            return None
        return reliability(scores, [metric for metric in scores if not METRICS[metric].higher_is_better])

    def in_words(self) -> list[str]:
        """A sentence for each metric: which method wins, or that none does."""
        return [
            f"{METRICS[metric].title}: {verdict if verdict else 'there are not two methods to compare on two images or more'}"
            for metric, verdict in self.verdicts.items()
        ]


@dataclass(frozen=True)
class Compared:
    """A comparison with its verdicts and, where it was asked for, how maps change as the network's weights are shuffled."""

    network: Network
    methods: tuple[str, ...]
    summary: Summary
    randomised: dict[str, Randomisation] | None
    seconds: float

    def __repr__(self) -> str:
        return "\n".join(
            [f"Compared({self.network.name}, {self.summary.comparison.images} images)", *self.summary.in_words()]
        )


def compare(
    network: Network,
    images: given.GivenImages,
    methods: str | Iterable[str] = USUAL,
    *,
    layers: str | Iterable[str] | None = None,
    target: given.GivenClass | None = None,
    trigger: Trigger | None = None,
    randomise: bool = False,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Compared:
    """Attribution methods against one another, by ROAD, insertion and deletion, and with a trigger by how well they find it.

    `methods` are names, or `"all"` that work with the network; layers all unless named. The maps explain the `target` class, by
    number or name, or the one predicted for each image. A `trigger` is stamped on the images first. With `randomise`, the maps
    of the last layer are compared with those of shuffled weights, on a few images. Finished batches are kept in `folder`: the
    same comparison, killed and begun again, goes on from there.

    Raises:
        UnknownNameError: if a method, a layer or the class does not exist.
        DataError: if there are fewer than two images, or the trigger is made for images of another size.
        ModelError: if the images are of another size or range than the network takes, or a method cannot work with it.
    """
    started = time.perf_counter()
    images = given.images(network, images)
    chosen = _chosen(network, methods)
    shares = stages(progress, [4, 1] if randomise else [1])
    compared = comparison.compare(
        network,
        trigger.apply(images) if trigger else images,
        chosen,
        (layers,) if isinstance(layers, str) else layers,
        None if target is None else given.target_class(network, target),
        trigger.place if trigger else None,
        seed=seed,
        folder=folder,
        progress=shares[0],
    )
    randomised = None
    if randomise:
        last = (compared.layers or tuple(network.layers))[-1]
        randomised = randomised_methods(network, images[:RANDOMISED], chosen, last, seed, shares[1])
    return Compared(
        network, chosen, Summary(on_processor(compared), seed), on_processor(randomised), time.perf_counter() - started
    )


def _chosen(network: Network, methods: str | Iterable[str]) -> tuple[str, ...]:
    if methods == "all":
        return tuple(name for name, method in METHODS.items() if method.works_with(network))
    return (methods,) if isinstance(methods, str) else tuple(methods)


def drawn_images(
    images: ImageSet, count: int, backdoor: Poisoning | None = None, seed: int = 0
) -> Float[Tensor, "n 3 h w"]:
    """At most so many images, drawn with the seed; with a backdoor, of those that its trigger turns."""
    if backdoor is not None:
        victims = backdoor.targets(len(images.class_names))[images.labels] >= 0
        images = images.select(victims.nonzero()[:, 0])
    return images.take(count, seed)[0]


def _intervals(scores: dict[str, Tensor], seed: int) -> dict[str, Interval]:
    intervals = bootstrap_means(torch.stack(list(scores.values())), seed=seed)
    return dict(zip(scores, intervals, strict=True))


def _methods(scores: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: score for name, score in scores.items() if name not in CONTROLS}


def method_title(method: str) -> str:
    """What a method, or a control, is called."""
    return METHODS[method].title if method in METHODS else method
