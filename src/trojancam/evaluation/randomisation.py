"""Randomisation: does a heat map depend on what the network learned? Its weights are shuffled, and the maps compared.

From the logits towards the image, one module after the other loses what it learned, and the maps are made anew ("cascading
randomisation", Adebayo et al., "Sanity checks for saliency maps", arXiv 1810.03292). Maps that stay as they were show the
image, or the method, but not the network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attribution import METHODS, attribute
from trojancam.errors import DataError
from trojancam.evaluation.statistics import Interval, bootstrap_means, spearman
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.network.targets import logit
from trojancam.progress import Progress, silent
from trojancam.showing import Brief

Maps = Float[Tensor, "n h w"]

SIMILAR = 0.5  # a convention of this library: the paper draws curves and no line


@dataclass(frozen=True)
class RandomisationStep(Brief):
    """One step: `module` and all that run after it are random.

    `signed` is Spearman's correlation of each image's map with the original one, `absolute` that of their magnitudes;
    NaN where either map is of one value, as a blank map is. `unchanged` is the share of images with the very same map.
    """

    module: str
    signed: Float[Tensor, " n"]
    absolute: Float[Tensor, " n"]
    unchanged: float


@dataclass(frozen=True)
class Randomisation(Brief):
    """What shuffling the network's modules one after the other, last to first, did to the maps of a method."""

    steps: tuple[RandomisationStep, ...]
    seed: int

    def intervals(self, *, absolute: bool = True) -> tuple[Interval, ...]:
        """The mean correlation over the images after each step, with its bootstrap interval."""
        return bootstrap_means(torch.stack([step.absolute if absolute else step.signed for step in self.steps]))

    @property
    def depends_on_weights(self) -> bool:
        """Whether any map changed at any step."""
        return any(step.unchanged < 1 for step in self.steps)

    def __str__(self) -> str:
        first, last = self.steps[-1], self.steps[0]
        done = f"with {len(self.steps)} modules random, {last.module} back to {first.module},"
        if not self.depends_on_weights:
            return f"does not depend on the network's weights: {done} every map is the same"
        defined = first.absolute[first.absolute.isfinite()]
        if not len(defined):
            return f"depends on the network's weights: {done} every map is blank"
        how_much = "hardly depends" if float(defined.mean()) >= SIMILAR else "depends"
        images = len(first.absolute)
        blank = f" (blank: {images - len(defined)} of {images})" if len(defined) < images else ""
        return (
            f"{how_much} on the network's weights: {done} the maps correlate {float(defined.mean()):.2f} "
            f"with the original ones{blank}"
        )


def cascading_randomisation(
    network: Network,
    explain: Callable[[Network], Maps],
    modules: given.GivenNames | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Randomisation:
    """Shuffle the network's modules one after the other, last to first, and compare the maps of each step with the original.

    `explain` gives the maps of the same images, for the same classes, of any network: name the classes, as a random
    network predicts others. `modules` (all in `network.parameter_groups` unless named) are always taken last to first.
    Maps are compared by Spearman's rank correlation over their cells, signed and in magnitude (arXiv 1810.03292,
    section 3); parameters are shuffled (`Network.with_random_layers`), not drawn anew, so that activations keep their scale.

    Raises:
        DataError: if the maps of two steps differ in shape, or two runs of the same network give different maps.
        UnknownNameError: if a module does not exist or has no parameters.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> centre = torch.hann_window(8, periodic=False)
    >>> blind = cascading_randomisation(network, lambda _: torch.outer(centre, centre).expand(5, 8, 8))
    >>> [step.module for step in blind.steps], str(blind)[:45]
    (['3', '0'], "does not depend on the network's weights: wit")
    """
    names = _last_to_first(network, modules)
    original = explain(network)
    if not len(original) or not names:
        raise DataError("randomisation needs at least one map and one module with parameters")
    if not _alike(original, explain(network)):
        raise DataError("two runs of the same network give different maps, so a change proves nothing: seed the method")
    steps = []
    for done, module in enumerate(names, start=1):
        maps = explain(network.with_random_layers(names[:done], seed))
        steps.append(_compared(module, original, maps))
        progress(done, len(names), module)
    return Randomisation(tuple(steps), seed)


def randomised_methods(
    network: Network,
    images: given.GivenImages,
    methods: given.GivenNames,
    layer: str,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Randomisation]:
    """The cascade for each of these attribution methods at a layer; the maps explain the class predicted at first.

    Raises:
        UnknownNameError: if a method or the layer does not exist.
        DataError: as `cascading_randomisation`.
    """
    shown = given.images(network, images)
    target = logit(network(shown).argmax(1))
    names = given.names("attribution method", methods, METHODS)
    found = {}
    for done, name in enumerate(names, start=1):

        def explain(net: Network, method: str = name) -> Maps:
            return next(iter(attribute(net, shown, [method], target, [layer], seed=seed)[method].values())).heatmap()

        found[name] = cascading_randomisation(network, explain, seed=seed)
        progress(done, len(names), "model randomisation")
    return found


def _last_to_first(network: Network, modules: given.GivenNames | None) -> list[str]:
    known = list(network.parameter_groups)
    chosen = given.names("module with parameters", known if modules is None else modules, known)
    return [name for name in reversed(known) if name in chosen]


def _alike(one: Maps, other: Maps) -> bool:
    """Equal but for rounding, which may differ between runs."""
    size = one.nan_to_num().abs().max()
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-5 * float(size), equal_nan=True)


def _compared(module: str, original: Maps, maps: Maps) -> RandomisationStep:
    if maps.shape != original.shape:
        raise DataError(
            f"with {module} random, the maps are of shape {tuple(maps.shape)}, but the original ones of "
            f"{tuple(original.shape)}: explain the same images and layer of every network"
        )
    before, after = original.detach().flatten(1), maps.detach().flatten(1)
    same = torch.isclose(before, after, rtol=1e-6, atol=0, equal_nan=True).all(1)
    return RandomisationStep(
        module=module,
        signed=spearman(before, after),
        absolute=spearman(before.abs(), after.abs()),
        unchanged=float(same.double().mean()),
    )
