"""From images to attributions: one recording, shared by all the methods asked for."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attribution.attribution import Attribution
from trojancam.attribution.methods import INPUT, METHODS, Job, Method, Run
from trojancam.errors import DataError, unknown_name
from trojancam.network.batches import BUDGET, GatheredRecords, check_budget
from trojancam.network.draws import Draws
from trojancam.network.network import Network
from trojancam.network.recording import Recording, portions, record
from trojancam.network.targets import Target, logit
from trojancam.progress import Progress, counting, silent


def attribute(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    methods: Iterable[str] = ("grad-cam",),
    target: Target | None = None,
    layers: Iterable[str] | None = None,
    *,
    memory_budget: int = BUDGET,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, dict[str, Attribution]]:
    """What each method (by its name in `METHODS`) says of each layer, for images in [0, 1]: `{method: {layer: ...}}`.

    All methods share one recording of one forward and one backward run. `target` is the predicted class's logit by
    default; a method that edits images keeps to the class predicted for the image as it was. `memory_budget`, in bytes,
    bounds what is held beside the result: more images than fit are explained in portions. `seed` is the random map's. A
    method that looks at pixels instead of layers has the single key `"input"`.

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
    check_budget(memory_budget)
    if not _finite(images):
        raise DataError("the images hold values that are not finite (NaN or infinity); mend or drop those images")
    chosen = _chosen(layers, network.layers, "layer")
    plan = _plan(names, chosen)
    steps = [_steps_of_an_image(METHODS[name], network, layer) for name, layer in plan]
    gathered = {asked: GatheredRecords[Attribution](len(images)) for asked in plan}
    draws: dict[str, Draws] = {}
    done, total = 0, sum(steps) * len(images)
    rows = network.rows(memory_budget, gradients=True)
    with torch.inference_mode(False):  # its tensors could take no part in a gradient
        for part, score in portions(target or logit(), len(images), rows, network.device):
            recording = record(network, images[part], score, chosen, memory_budget=memory_budget)
            run = Run(network, images[part], score.settled(recording.logits), memory_budget)
            for (name, layer), count in zip(plan, steps, strict=True):
                note = f"{METHODS[name].title}, {layer}"
                job = Job(recording, seed, run, counting(progress, total, note, before=done), draws)
                gathered[name, layer].add(METHODS[name](job, layer))
                done += count * len(recording.logits)
                progress(done, total, note)
    return _by_method({asked: parts.whole for asked, parts in gathered.items()})


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
    plan = _plan(names, _chosen(layers, recording.layers, "recorded layer"))
    return _by_method({(name, layer): METHODS[name](Job(recording, seed), layer) for name, layer in plan})


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


def _finite(images: Float[Tensor, "n 3 h w"]) -> bool:
    """Whether all values are finite, by their extremes: ten times as fast as asking each."""
    return not images.numel() or bool(torch.stack(images.detach().aminmax()).isfinite().all())


def _known(methods: Iterable[str]) -> list[str]:
    names = list(dict.fromkeys([methods] if isinstance(methods, str) else methods))
    for name in names:
        METHODS.named(name)
    return names


def _chosen(layers: Iterable[str] | None, known: Iterable[str], kind: str) -> list[str]:
    """The layers named, each once; all, where none is."""
    every = list(known)
    chosen = list(dict.fromkeys([layers] if isinstance(layers, str) else every if layers is None else layers))
    for name in chosen:
        if name not in every:
            raise unknown_name(kind, name, every)
    return chosen


def _plan(methods: list[str], layers: list[str]) -> list[tuple[str, str]]:
    """What each method is asked for: a map of each layer, or one of the pixels."""
    return [(name, layer) for name in methods for layer in (layers if METHODS[name].per_layer else [INPUT])]


def _by_method(found: dict[tuple[str, str], Attribution]) -> dict[str, dict[str, Attribution]]:
    by_method: dict[str, dict[str, Attribution]] = {}
    for (name, layer), attribution in found.items():
        by_method.setdefault(name, {})[layer] = attribution
    return by_method


def _steps_of_an_image(method: Method, network: Network, layer: str) -> int:
    """How much a layer is to a method: as many edited images as it runs, or one step."""
    return 1 if method.from_recording or not method.per_layer else network.layer(layer).feature_maps
