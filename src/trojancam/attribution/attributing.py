"""From images to attributions: one recording, shared by all the methods asked for."""

from collections.abc import Mapping, Sequence

import torch

from trojancam.attribution.attribution import Attribution
from trojancam.attribution.methods import INPUT, METHODS, Method, MethodInput, Run
from trojancam.errors import DataError
from trojancam.network import given
from trojancam.network.batches import BUDGET, GatheredRecords, check_budget
from trojancam.network.draws import Draws
from trojancam.network.network import Network
from trojancam.network.recording import Recording, portions, record_all
from trojancam.progress import Progress, checked, counting, silent
from trojancam.showing import Named
from trojancam.text import with_article


def attribute(
    network: Network,
    images: given.GivenImages,
    methods: given.GivenNames = ("grad-cam",),
    target: given.GivenTarget = None,
    layers: given.GivenNames | None = None,
    *,
    memory_budget: int = BUDGET,
    seed: int = 0,
    progress: Progress = silent,
) -> Named[Named[Attribution]]:
    """What each method (by its name in `METHODS`) says of each layer, for a batch of images: `{method: {layer: ...}}`.

    All methods share one recording of one forward and one backward run; images, target and layers are as for `record`. A
    method that edits images keeps to the class predicted for the image as it was. `memory_budget`, in bytes, bounds what is
    held beside the result: more images than fit are explained in portions. `seed` is the random map's. A method that looks
    at pixels instead of layers has the single key `"input"`.

    Raises:
        UnknownNameError: if a method, a layer or the target's class does not exist.
        DataError: if the network cannot take the images, the target gives no finite score for each image or has no
            gradient that a method could follow, or there is no memory budget.
        ModelError: if the network's logits are not finite, or a method cannot work with the network.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> found = attribute(network, torch.rand(5, 3, 8, 8), ["grad-cam", "ablation-cam", "eigen-cam"])
    >>> found["ablation-cam"]["0"].contributions.shape, found["eigen-cam"]["0"].heatmap().shape
    (torch.Size([5, 4, 6, 6]), torch.Size([5, 8, 8]))
    """
    given.check_network(network)
    names = given.names("attribution method", methods, METHODS)
    progress = checked(progress)
    for name in names:
        METHODS[name].check(network)
    check_budget(memory_budget)
    images, target, chosen = given.images(network, images), given.target(network, target), given.layers(network, layers)
    plan = _plan(names, chosen)
    steps = [_steps_of_an_image(METHODS[name], network, layer) for name, layer in plan]
    gathered = {asked: GatheredRecords[Attribution](len(images)) for asked in plan}
    draws: dict[str, Draws] = {}
    done, total = 0, sum(steps) * len(images)
    rows, followed = network.rows(memory_budget, gradients=True), any(METHODS[name].follows for name in names)
    with torch.inference_mode(False):  # its tensors could take no part in a gradient
        for part, score in portions(target, len(images), rows, network.device):
            recording = record_all(network, images[part], score, chosen, memory_budget=memory_budget, followed=followed)
            run = Run(network, images[part], score.settled(recording.logits), memory_budget)
            shared: dict[str, Recording] = {}
            for (name, layer), count in zip(plan, steps, strict=True):
                note = f"{METHODS[name].title}, {layer}"
                looked_at = MethodInput(
                    recording, seed, run, counting(progress, total, note, before=done), draws, shared
                )
                gathered[name, layer].add(METHODS[name](looked_at, layer))
                done += count * len(recording.logits)
                progress(done, total, note)
    return _by_method({asked: parts.whole for asked, parts in gathered.items()})


def from_recording(
    recording: Recording,
    methods: given.GivenNames = ("grad-cam",),
    layers: given.GivenNames | None = None,
    seed: int = 0,
) -> Named[Named[Attribution]]:
    """As `attribute`, from a recording made before; only methods that need nothing else.

    Raises:
        DataError: if it is no recording.
        UnknownNameError: if there is no such method, or it has to run the network again, or a layer was not recorded.
    """
    if not isinstance(recording, Recording):
        raise DataError(
            f"a recording is wanted here, not {with_article(type(recording).__name__)}; make one first: record(network, "
            "images), or call attribute(network, images, methods)"
        )
    names = given.names("attribution method", methods, METHODS)
    enough = [name for name, method in METHODS.items() if method.from_recording]
    given.names("method that a recording is enough for", names, enough)
    plan = _plan(names, given.names("recorded layer", recording.layers if layers is None else layers, recording.layers))
    return _by_method({(name, layer): METHODS[name](MethodInput(recording, seed), layer) for name, layer in plan})


def grad_cam(recording: Recording, layers: given.GivenNames | None = None) -> Named[Attribution]:
    """Grad-CAM of every recorded layer (or those named), split into feature maps: `C_k = w_k A^k`.

    `w_k = (1/Z) sum_ij dy/dA^k_ij` is the mean gradient over the Z cells of map k (arXiv 1610.02391); the layer's map is
    `ReLU(sum_k C_k)` and a single feature map's is `ReLU(C_k)`.

    Raises:
        UnknownNameError: if a layer was not recorded.
        DataError: if it is no recording.

    >>> from torch import nn
    >>> from trojancam.network.recording import record
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> grad_cam(record(network, torch.rand(5, 3, 8, 8)))["0"].heatmap().shape
    torch.Size([5, 8, 8])
    """
    return from_recording(recording, ("grad-cam",), layers)["grad-cam"]


def _plan(methods: Sequence[str], layers: Sequence[str]) -> list[tuple[str, str]]:
    """What each method is asked for: a map of each layer, or one of the pixels."""
    return [(name, layer) for name in methods for layer in (layers if METHODS[name].per_layer else [INPUT])]


def _by_method(found: Mapping[tuple[str, str], Attribution]) -> Named[Named[Attribution]]:
    by_method: dict[str, dict[str, Attribution]] = {}
    for (name, layer), attribution in found.items():
        by_method.setdefault(name, {})[layer] = attribution
    return Named("method", {name: Named("layer", layers) for name, layers in by_method.items()})


def _steps_of_an_image(method: Method, network: Network, layer: str) -> int:
    """How much a layer is to a method: as many edited images as it runs, or one step."""
    return 1 if method.from_recording or not method.per_layer else network.layer(layer).feature_maps
