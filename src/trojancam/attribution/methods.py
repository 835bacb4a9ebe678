"""Methods: the registry of all ways to share a score out over the cells of a layer."""

from collections.abc import Callable
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from trojancam.attribution import attention_maps, baselines, gradients, lime, occlusion, perturbations
from trojancam.attribution.attribution import Attribution, FeatureMapAttribution, MapAttribution
from trojancam.attribution.cam_function import CAMFunction, split_by
from trojancam.attribution.eigen import eigen_cam
from trojancam.attribution.relevance import relevance
from trojancam.errors import ModelError
from trojancam.network.draws import Draws
from trojancam.network.network import Network
from trojancam.network.placement import Placement
from trojancam.network.recording import LayerRecording, Recording
from trojancam.network.targets import Target
from trojancam.registry import Registry
from trojancam.showing import Brief

INPUT = "input"
"""The key of a map of the pixels themselves, which belongs to no layer."""
NO_SCORE = "no score"

FeatureMaps = Float[Tensor, "n k h w"]
Split = tuple[FeatureMaps, Float[Tensor, "n k"]]


def _ignore(count: int) -> None:
    """Count nothing."""


def _any_network(network: Network) -> None:
    """Refuse none."""


@dataclass(frozen=True)
class Run(Brief):
    """The network behind a recording and the images recorded, for methods that look again; `target` is settled."""

    network: Network
    images: Float[Tensor, "n 3 h w"]
    target: Target
    memory_budget: int


@dataclass(frozen=True)
class MethodInput(Brief):
    """What a method works on: a recording, and what it came from where the method has to look again.

    Where images come in portions, `draws` goes on, layer by layer, where the portion before ended. `shared` holds what was
    made for one layer of a portion and serves the others.
    """

    recording: Recording
    seed: int = 0
    run: Run | None = None
    advance: Callable[[int], None] = field(default=_ignore)
    draws: dict[str, Draws] = field(default_factory=dict)
    shared: dict[str, Recording] = field(default_factory=dict)

    def layer(self, name: str) -> LayerRecording:
        """A recorded layer."""
        return self.recording.layers[name]

    def again(self) -> Run:
        """The network and the images."""
        assert self.run is not None, "only a method that is `from_recording` goes without"
        return self.run


@dataclass(frozen=True)
class Method:
    """A way to share a score out: its title and source, and what it gives and needs.

    `splits`: it gives a signed contribution of each feature map. `from_recording`: a recording is all it needs; the
    others run the network again. `per_layer`: it gives a map of each layer, else one of the pixels, under `INPUT`.
    `follows`: it looks at gradients, so that the score must have some.
    `check` refuses what it cannot work with, in one sentence: a network, or a machine on which a package is missing.
    """

    title: str
    source: str
    explain: Callable[["Method", MethodInput, str], Attribution]
    splits: bool = True
    from_recording: bool = True
    per_layer: bool = True
    check: Callable[[Network], None] = _any_network
    follows: bool = True

    def works_with(self, network: Network) -> bool:
        """Whether `check` lets the network through."""
        try:
            self.check(network)
        except ModelError:
            return False
        return True

    def __call__(self, given: MethodInput, layer: str) -> Attribution:
        """The attribution of one layer."""
        return self.explain(self, given, layer)


def _by_gradient(
    split: Callable[[FeatureMaps, FeatureMaps], Split],
) -> Callable[[Method, MethodInput, str], Attribution]:
    """A method that splits a layer by its activations and gradients."""

    def explain(method: Method, given: MethodInput, name: str) -> Attribution:
        layer = given.layer(name)
        contributions, weights = split(layer.activations, layer.gradients)
        recording = given.recording
        return FeatureMapAttribution(
            contributions, weights, name, method.title, recording.target, recording.image_size, layer.placement,
            layer.on_path, recording.saturated,
        )  # fmt: skip

    return explain


def _by_looking_again(
    weigh: Callable[[MethodInput, str], Float[Tensor, "n k"]],
) -> Callable[[Method, MethodInput, str], Attribution]:
    """A method that weighs whole feature maps by the scores of edited images; no gradient is involved."""

    def explain(method: Method, given: MethodInput, name: str) -> Attribution:
        layer, weights = given.layer(name), weigh(given, name)
        contributions = weights[:, :, None, None] * layer.activations
        recording = given.recording
        return FeatureMapAttribution(
            contributions, weights, name, method.title, recording.target, recording.image_size, layer.placement
        )

    return explain


def _score_cam(given: MethodInput, name: str) -> Float[Tensor, "n k"]:
    run = given.again()
    return perturbations.score_cam(
        run.network, run.images, given.layer(name), run.target, run.memory_budget, given.advance
    )


def _ablation_cam(given: MethodInput, name: str) -> Float[Tensor, "n k"]:
    run = given.again()
    return perturbations.ablation_cam(
        run.network, run.images, name, given.recording.logits, run.target, run.memory_budget, given.advance
    )


def _eigen_cam(method: Method, given: MethodInput, name: str) -> Attribution:
    layer = given.layer(name)
    return MapAttribution(
        eigen_cam(layer.activations), name, method.title, NO_SCORE, given.recording.image_size, layer.placement
    )


def _gradient_x_activation(method: Method, given: MethodInput, name: str) -> Attribution:
    layer, recording = given.layer(name), given.recording
    values = gradients.gradient_x_activation(layer.activations, layer.gradients)
    return MapAttribution(
        values, name, method.title, recording.target, recording.image_size, layer.placement,
        layer.on_path, recording.saturated,
    )  # fmt: skip


def _saliency(method: Method, given: MethodInput, name: str) -> Attribution:
    run, recording = given.again(), given.recording
    values, on_path = baselines.saliency(run.network, run.images, run.target)
    return MapAttribution(
        values, name, method.title, recording.target, recording.image_size, Placement(), on_path, recording.saturated
    )


def _occlusion(method: Method, given: MethodInput, name: str) -> Attribution:
    run, recording = given.again(), given.recording
    values = occlusion.occlusion(run.network, run.images, run.target, run.memory_budget)
    return MapAttribution(values, name, method.title, recording.target, recording.image_size, Placement())


def _lime(method: Method, given: MethodInput, name: str) -> Attribution:
    run, recording = given.again(), given.recording
    values = lime.lime(run.network, run.images, run.target, run.memory_budget, given.seed)
    return MapAttribution(values, name, method.title, recording.target, recording.image_size, Placement())


def _attention_map(
    values: Callable[[Network, Float[Tensor, "n 3 h w"], Target, int], Float[Tensor, "n rows columns"]],
) -> Callable[[Method, MethodInput, str], Attribution]:
    """A method that gives one map of a transformer's patches."""

    def explain(method: Method, given: MethodInput, name: str) -> Attribution:
        run, recording = given.again(), given.recording
        maps = values(run.network, run.images, run.target, run.memory_budget)
        placed = attention_maps.placement(run.network)
        return MapAttribution(maps, name, method.title, recording.target, recording.image_size, placed)

    return explain


def _relevance(method: Method, given: MethodInput, name: str) -> Attribution:
    run = given.again()
    if "relevance" not in given.shared:
        given.shared["relevance"] = relevance(run.network, run.images, tuple(given.recording.layers), run.target)
    layer, recording = given.shared["relevance"].layers[name], given.recording
    contributions, weights = gradients.hires_cam(layer.activations, layer.gradients)
    return FeatureMapAttribution(
        contributions, weights, name, method.title, recording.target, recording.image_size, layer.placement,
        layer.on_path, recording.saturated,
    )  # fmt: skip


def _random(method: Method, given: MethodInput, name: str) -> Attribution:
    layer, size = given.layer(name), given.recording.image_size
    draws = given.draws.setdefault(name, baselines.draws_of(name, given.seed, layer.activations.device))
    values = baselines.random_map(len(layer.activations), _cells(layer), draws)
    return MapAttribution(values, name, method.title, NO_SCORE, size, layer.placement)


def _centre(method: Method, given: MethodInput, name: str) -> Attribution:
    layer, size = given.layer(name), given.recording.image_size
    values = baselines.centre_map(len(layer.activations), _cells(layer), layer.placement, size)
    return MapAttribution(values.to(layer.activations.device), name, method.title, NO_SCORE, size, layer.placement)


def _cells(layer: LayerRecording) -> tuple[int, int]:
    height, width = layer.activations.shape[-2:]
    return height, width


def as_method(name: str, given: Method | CAMFunction, title: str = "", source: str = "") -> Method:
    """The method that a package or a script registers: as it is, or made of a function `(activations, gradients)`.

    Raises:
        TrojanCamError: if it is neither.
    """
    return given if isinstance(given, Method) else Method(title or name, source, _by_gradient(split_by(name, given)))


_OWN: dict[str, Method] = {
    "grad-cam": Method("Grad-CAM", "arXiv 1610.02391", _by_gradient(gradients.grad_cam)),
    "grad-cam++": Method("Grad-CAM++", "arXiv 1710.11063", _by_gradient(gradients.grad_cam_plus_plus)),
    "hirescam": Method("HiResCAM", "arXiv 2011.08891", _by_gradient(gradients.hires_cam)),
    "layercam": Method("LayerCAM", "IEEE TIP 2021, doi 10.1109/TIP.2021.3089943", _by_gradient(gradients.layer_cam)),
    "xgrad-cam": Method("XGrad-CAM", "arXiv 2008.02312", _by_gradient(gradients.xgrad_cam)),
    "score-cam": Method("Score-CAM", "arXiv 1910.01279", _by_looking_again(_score_cam), from_recording=False, follows=False),
    "ablation-cam": Method("Ablation-CAM", "WACV 2020", _by_looking_again(_ablation_cam), from_recording=False, follows=False),
    "eigen-cam": Method("Eigen-CAM", "arXiv 2008.00299", _eigen_cam, splits=False, follows=False),
    "gradient-x-activation": Method("gradient x activation", "arXiv 1605.01713", _gradient_x_activation, splits=False),
    "saliency": Method(
        "gradient saliency", "arXiv 1312.6034", _saliency, splits=False, from_recording=False, per_layer=False
    ),
    "occlusion": Method(
        "occlusion", "Zeiler and Fergus, ECCV 2014", _occlusion, splits=False, from_recording=False, per_layer=False,
        follows=False,
    ),
    "lime": Method(
        "LIME", "Ribeiro et al., KDD 2016", _lime, splits=False, from_recording=False, per_layer=False,
        check=lime.check_installed, follows=False,
    ),
    "attnlrp": Method("AttnLRP", "arXiv 2402.05602", _relevance, from_recording=False),
    "attention-rollout": Method(
        "attention rollout", "arXiv 2005.00928", _attention_map(attention_maps.rollout), splits=False,
        from_recording=False, per_layer=False, check=attention_maps.check_blocks, follows=False,
    ),
    "legrad": Method(
        "LeGrad", "arXiv 2404.03214", _attention_map(attention_maps.legrad), splits=False,
        from_recording=False, per_layer=False, check=attention_maps.check_blocks,
    ),
    "random": Method("random map", "baseline", _random, splits=False, follows=False),
    "centre": Method("centre map", "baseline", _centre, splits=False, follows=False),
}  # fmt: skip

METHODS = Registry("attribution method", "trojancam.methods", as_method, _OWN)
"""All methods by name. `METHODS.register("my-cam")` adds a function `(activations, gradients)`, which returns a weight of each
feature map, `n k`, or contributions, `n k h w`; so does an entry point of the group `trojancam.methods`."""
