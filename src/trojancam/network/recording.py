"""Recording: one forward and one backward run, and every layer's activations and gradients come back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.network import given
from trojancam.network.batches import BUDGET, GatheredRecords, check_budget, parts
from trojancam.network.layers import At
from trojancam.network.network import Network
from trojancam.network.placement import Placement
from trojancam.network.targets import Target
from trojancam.showing import Brief, Named, Shown

FeatureMaps = Float[Tensor, "n k h w"]


@dataclass(frozen=True)
class LayerRecording(Brief):
    """One layer: activations `A^k` and the gradients of the score with respect to them, both `n k h w`.

    `placement` says where the cells lie in the image; `on_path` is false where the score does not depend on the layer:
    its gradients are zeros then.
    """

    activations: FeatureMaps
    gradients: FeatureMaps
    placement: Placement
    on_path: bool


@dataclass(frozen=True)
class Recording(Shown):
    """What one forward and one backward run of a batch left: logits, the score explained, and every layer.

    `saturated` marks the images whose score is a probability so close to 0 or 1 that its gradient has vanished.
    """

    logits: Float[Tensor, "n classes"]
    scores: Float[Tensor, " n"]
    layers: Mapping[str, LayerRecording]
    target: str
    image_size: tuple[int, int]
    saturated: Bool[Tensor, " n"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", Named("recorded layer", self.layers))


def record(
    network: Network,
    images: given.GivenImages,
    target: given.GivenTarget = None,
    layers: given.GivenNames | None = None,
    at: At = "activation",
    *,
    memory_budget: int = BUDGET,
) -> Recording:
    """Record layers (all of them unless named, in the order given) of a batch of images.

    One forward run with more outputs and one `torch.autograd.grad` of the summed scores give all activations and
    gradients of a batch; no gradient of any weight is computed. `images` are floats in [0, 1], bytes, arrays or pictures
    (`given_images.read`); `target` is a class by number or name, a function of the logits or a `Target`, and the predicted
    class's logit by default; `layers` are one name or several. `at="conv"` records the raw convolutions instead of their
    activations. What is held beside the recording stays within `memory_budget`, in bytes: more images than fit are recorded
    in portions.

    Raises:
        UnknownNameError: if a layer, or the target's class, does not exist.
        DataError: if the network cannot take the images, the target does not give one finite score for each or has no gradient,
            or there is no memory budget.
        ModelError: if the network's logits are not finite.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> recording = record(network, torch.rand(5, 3, 8, 8))
    >>> recording.layers["0"].gradients.shape
    torch.Size([5, 4, 6, 6])
    """
    images, target, names = given.images(network, images), given.target(network, target), given.layers(network, layers)
    check_budget(memory_budget)
    return record_all(network, images, target, names, at, memory_budget=memory_budget)


def record_all(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    target: Target,
    names: tuple[str, ...],
    at: At = "activation",
    *,
    memory_budget: int = BUDGET,
    followed: bool = True,
) -> Recording:
    """As `record`, of what `given` has made of what was given; `followed` is whether anybody looks at the gradients.

    Raises:
        DataError: if the target gives no finite score for each image, or no gradient although it is followed.
        ModelError: if the network's logits are not finite.
    """
    gathered = GatheredRecords[Recording](len(images))
    rows = network.rows(memory_budget, gradients=True)
    for part, score in portions(target, len(images), rows, network.device):
        with torch.inference_mode(False), torch.enable_grad():
            # autograd follows the activations from the inputs on
            inputs = network.inputs(images[part].detach().clone()).requires_grad_()
            logits, activations = network.forward_with(inputs, names, at)
            values = dict(zip(names, activations, strict=True))
            gathered.add(recorded(network, logits, values, score, followed=followed))
    return gathered.whole


def portions(target: Target, count: int, rows: int, device: torch.device) -> Iterator[tuple[slice, Target]]:
    """Images in portions of so many rows, each with the score of these; the score itself, where one portion is all."""
    for part in parts(count, rows):
        whole = part.stop - part.start == count
        yield part, target if whole else target.of(torch.arange(part.start, part.stop, device=device), count)


def recorded(
    network: Network,
    logits: Float[Tensor, "n classes"],
    activations: Mapping[str, FeatureMaps],
    target: Target,
    *,
    followed: bool = True,
) -> Recording:
    """The recording of a forward run that autograd has followed, by its logits and the layers it went through.

    `followed` is whether anybody looks at the gradients: then the target must have some.

    Raises:
        ModelError, UnknownNameError, DataError: as `record`, for what the target gives.
    """
    scores = target(logits)
    of_logits, *gradients = _gradients(scores, (logits, *activations.values()))
    if followed and of_logits is None and logits.requires_grad:
        target.check_followed(scores, logits)
    layers = {
        name: LayerRecording(
            activations=values.detach(),
            gradients=torch.zeros_like(values) if gradient is None else gradient,
            placement=network.layer(name).placement,
            on_path=gradient is not None,
        )
        for (name, values), gradient in zip(activations.items(), gradients, strict=True)
    }
    logits, scores = logits.detach(), scores.detach()
    return Recording(logits, scores, layers, target.name, network.input.size, target.saturated(scores))


def _gradients(scores: Tensor, values: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    """The gradient of the summed scores with respect to each of these; None where the scores do not depend on it."""
    needed = [value for value in values if value.requires_grad]
    if not needed or not scores.requires_grad:
        return (None,) * len(values)
    found = dict(zip(map(id, needed), torch.autograd.grad(scores.sum(), needed, allow_unused=True), strict=True))
    gradients: tuple[Tensor | None, ...] = tuple(found.get(id(value)) for value in values)
    return gradients
