"""From images to attributions: one recording, shared by all the methods asked for."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attribution.attribution import Attribution
from trojancam.attribution.methods import INPUT, METHODS, Job, Method, Run
from trojancam.errors import DataError, unknown_name
from trojancam.network.network import Network
from trojancam.network.recording import Recording, record
from trojancam.network.targets import Target, logit
from trojancam.progress import Progress, counting, silent

MEMORY_BUDGET = 256 * 2**20


def attribute(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    methods: Iterable[str] = ("grad-cam",),
    target: Target | None = None,
    layers: Iterable[str] | None = None,
    *,
    memory_budget: int = MEMORY_BUDGET,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, dict[str, Attribution]]:
    """What each method (by its name in `METHODS`) says of each layer, for images in [0, 1]: `{method: {layer: ...}}`.

    All methods share one recording of one forward and one backward run. `target` is the predicted class's logit by
    default; a method that edits images keeps to the class predicted for the image as it was. `memory_budget`, in bytes,
    bounds what Score-CAM and Ablation-CAM hold beside the recording while they run edited images. `seed` is the random
    map's. A method that looks at pixels instead of layers has the single key `"input"`.

    Raises:
        UnknownNameError: if a method, a layer or the target's class does not exist.
        DataError: if images are not finite, the target gives no finite score for each image, or there is no memory budget.
        ModelError: if there are no images, or the network cannot take them, or its logits are not finite.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> found = attribute(network, torch.rand(5, 3, 8, 8), ["grad-cam", "ablation-cam", "eigen-cam"])
    >>> found["ablation-cam"]["0"].contributions.shape, found["eigen-cam"]["0"].heatmap().shape
    (torch.Size([5, 4, 6, 6]), torch.Size([5, 8, 8]))
    """
    names = _known(methods)
    check_memory_budget(memory_budget)
    if not _finite(images):
        raise DataError("the images hold values that are not finite (NaN or infinity); mend or drop those images")
    target = target or logit()
    with torch.inference_mode(False):  # its tensors could take no part in a gradient
        recording = record(network, images, target, [layers] if isinstance(layers, str) else layers)
        run = Run(network, images, target.settled(recording.logits), memory_budget)
        return _explained(names, recording, list(recording.layers), seed, run, progress)


def from_recording(
    recording: Recording, methods: Iterable[str] = ("grad-cam",), layers: Iterable[str] | None = None, seed: int = 0
) -> dict[str, dict[str, Attribution]]:
    """As `attribute`, from a recording made before; only methods that need nothing else.

    Raises:
        UnknownNameError: if there is no such method, or it has to run the network again, or a layer was not recorded.
    """
    names = _known(methods)
    for name in names:
        if not METHODS[name].from_recording:
            enough = [each for each, method in METHODS.items() if method.from_recording]
            raise unknown_name("method that a recording is enough for", name, enough)
    chosen = list(recording.layers if layers is None else dict.fromkeys(layers))
    for name in chosen:
        if name not in recording.layers:
            raise unknown_name("recorded layer", name, recording.layers)
    return _explained(names, recording, chosen, seed, None, silent)


def grad_cam(recording: Recording, layers: Iterable[str] | None = None) -> dict[str, Attribution]:
    """Grad-CAM of every recorded layer (or those named), split into feature maps: `C_k = w_k A^k`.

    `w_k = (1/Z) sum_ij dy/dA^k_ij` is the mean gradient over the Z cells of map k (arXiv 1610.02391); the layer's map is
    `ReLU(sum_k C_k)` and a single feature map's is `ReLU(C_k)`.

    Raises:
        UnknownNameError: if a layer was not recorded.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> grad_cam(record(network, torch.rand(5, 3, 8, 8)))["0"].heatmap().shape
    torch.Size([5, 8, 8])
    """
    return from_recording(recording, ("grad-cam",), layers)["grad-cam"]


def check_memory_budget(memory_budget: int) -> None:
    """Refuse a budget that nothing can be done within.

    Raises:
        DataError: if it is not positive.
    """
    if memory_budget <= 0:
        raise DataError(f"the memory budget must be a positive number of bytes, not {memory_budget}")


def _finite(images: Float[Tensor, "n 3 h w"]) -> bool:
    """Whether all values are finite, by their extremes: ten times as fast as asking each."""
    return not images.numel() or bool(torch.stack(images.detach().aminmax()).isfinite().all())


def _known(methods: Iterable[str]) -> list[str]:
    names = list(dict.fromkeys([methods] if isinstance(methods, str) else methods))
    for name in names:
        METHODS.named(name)
    return names


def _explained(
    methods: list[str], recording: Recording, layers: list[str], seed: int, run: Run | None, progress: Progress
) -> dict[str, dict[str, Attribution]]:
    plan = [(name, layer) for name in methods for layer in (layers if METHODS[name].per_layer else [INPUT])]
    found: dict[str, dict[str, Attribution]] = {name: {} for name in methods}
    steps = [_steps(METHODS[name], recording, layer) for name, layer in plan]
    done = 0
    for (name, layer), count in zip(plan, steps, strict=True):
        method = METHODS[name]
        advance = counting(progress, sum(steps), f"{method.title}, {layer}", before=done)
        found[name][layer] = method(Job(recording, seed, run, advance), layer)
        done += count
        progress(done, sum(steps), f"{method.title}, {layer}")
    return found


def _steps(method: Method, recording: Recording, layer: str) -> int:
    """How much a layer is to a method: as many edited images as it runs, or one step."""
    if method.from_recording or not method.per_layer:
        return 1
    images, maps = recording.layers[layer].activations.shape[:2]
    return images * maps
