"""Cleansing: which images of a training set are poisoned, by what a network trained on it makes of them.

Each method gives every image a score, the higher the more suspicious, and says which it would leave out. The classical ones
work class by class, with the labels as they are, and take the poisoned images of a class for a minority.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.defences.defence import Images, answers
from trojancam.defences.sieve import learned
from trojancam.errors import DataError, TrojanCamError
from trojancam.network import given
from trojancam.network.batches import BUDGET, parts
from trojancam.network.network import Network
from trojancam.network.plain import plain
from trojancam.progress import Progress, shown, stages
from trojancam.registry import Registry
from trojancam.showing import Brief, Named

MARGIN = 1.5  # spectral signatures leave out so many times the share of poisoned images
DIMENSIONS = 10  # that activations are reduced to before they are clustered
SMALL = 0.35  # of a class's images: a cluster that is smaller is poisoned, where the clusters are apart
APART = 0.1  # the least silhouette of two clusters that are apart
STARTS = 10  # of k-means, of which the tightest is taken
SILHOUETTES = 1000  # images of a class, at most, that the silhouette is the mean over
FALSE_ALARMS = 0.01

Rows = Float[Tensor, "n k"]


@dataclass(frozen=True)
class TrainingData(Brief):
    """What a method works on: images as they are labelled, a network trained on them, and perhaps clean images to compare with.

    `share` is which share of the images may be poisoned.
    """

    network: Network
    images: Images
    labels: Int64[Tensor, " n"]
    share: float
    clean: Float[Tensor, "clean 3 h w"] | None = None
    seed: int = 0
    memory_budget: int = BUDGET
    progress: Progress | None = None

    def activations(self) -> Rows:
        """The last layer's activations, the mean over its cells, in 64 bits."""
        last = list(self.network.layers)[-1]
        found = []
        with torch.no_grad():
            for part in parts(len(self.images), self.network.rows(self.memory_budget)):
                _, (maps,) = self.network.forward_with(self.network.inputs(self.images[part]), (last,))
                found.append(maps.mean((2, 3)).cpu().double())
        return torch.cat(found)

    def classes(self) -> Iterator[Int64[Tensor, " m"]]:
        """The numbers of the images of each class that has at least two."""
        for label in self.labels.unique().tolist():
            own = (self.labels == label).nonzero()[:, 0]
            if len(own) > 1:
                yield own


@dataclass(frozen=True)
class Left(Brief):
    """What a method says of each image: a score, and whether it would leave it out."""

    scores: Float[Tensor, " n"]
    suspicious: Bool[Tensor, " n"]


@dataclass(frozen=True)
class CleansingMethod(Brief):
    """A way to find poisoned images: its title and source, and what it makes of training data."""

    title: str
    source: str
    judge: Callable[[TrainingData], Left]


def as_method(
    name: str, given: CleansingMethod | Callable[[TrainingData], Left], title: str = "", source: str = ""
) -> CleansingMethod:
    """The method that a package or a script registers: as it is, or made of a function.

    Raises:
        TrojanCamError: if it is neither.
    """
    if isinstance(given, CleansingMethod):
        return given
    if not callable(given):
        raise TrojanCamError(f"the cleansing method {name!r} must be a function of TrainingData, but is {given!r}")
    return CleansingMethod(title or name, source, given)


def spectral_signatures(data: TrainingData) -> Left:
    """`((r - mean) . v)^2` with v the first right singular vector of a class's centred activations (Tran et al., NeurIPS 2018).

    Of each class, `1.5 share` of the images with the highest scores are left out.
    """
    rows = data.activations()
    scores, suspicious = torch.zeros(len(rows)), torch.zeros(len(rows), dtype=torch.bool)
    for own in data.classes():
        centred = rows[own] - rows[own].mean(0)
        direction = torch.linalg.svd(centred, full_matrices=False).Vh[0]
        found = (centred @ direction).square()
        scores[own] = found.float()
        suspicious[own[found.topk(min(len(own) - 1, round(MARGIN * data.share * len(own)))).indices]] = True
    return Left(scores, suspicious)


def activation_clustering(data: TrainingData) -> Left:
    """A class's activations in two clusters; a small one that lies apart is left out (Chen et al., SafeAI 2019).

    They are reduced to ten dimensions first (principal components, in place of the paper's independent ones). The score is the
    silhouette of the class's clusters, negative in the larger one.
    """
    rows = data.activations()
    scores, suspicious = torch.zeros(len(rows)), torch.zeros(len(rows), dtype=torch.bool)
    for own in data.classes():
        reduced = reduced_to(rows[own], DIMENSIONS)
        smaller = smaller_cluster(reduced, data.seed)
        apart = silhouette(reduced, smaller)
        scores[own] = torch.where(smaller, apart, -apart)
        if float(smaller.double().mean()) < SMALL and apart > APART:
            suspicious[own[smaller]] = True
    return Left(scores, suspicious)


def loss_order(data: TrainingData) -> Left:
    """The images with the lowest losses, `share` of all (ABL's isolation; Li et al., NeurIPS 2021).

    Backdoors are learnt first: it tells most of a network in its first epochs. Later, many clean images have no loss either.
    """
    found = []
    for part in parts(len(data.images), data.network.rows(data.memory_budget)):
        logits = answers(data.network, data.images[part]).cpu().double()
        found.append(torch.nn.functional.cross_entropy(logits, data.labels[part], reduction="none"))
    losses = torch.cat(found)
    suspicious = torch.zeros(len(losses), dtype=torch.bool)
    suspicious[losses.argsort(stable=True)[: round(data.share * len(losses))]] = True
    return Left(-losses.float(), suspicious)


def contributions(data: TrainingData) -> Left:
    """What `trojancam.defences.contributions` says, by clean images from elsewhere; the poisoned may be any share of a class.

    Raises:
        DataError: if no clean images are given, or too few.
    """
    if data.clean is None:
        raise DataError("the method contributions compares with clean images; give some, or choose another method")
    sieve = learned(data.network, data.clean, ["contributions"], false_alarms=FALSE_ALARMS, seed=data.seed)
    scores, suspicious = [], []
    for part in parts(len(data.images), sieve.rows):
        judged = sieve(data.images[part], first=part.start).by_method["contributions"]
        scores.append(judged.scores)
        suspicious.append(judged.suspicious)
    return Left(torch.cat(scores).float(), torch.cat(suspicious))


_OWN = {
    "spectral-signatures": CleansingMethod("Spectral signatures", "Tran et al., NeurIPS 2018", spectral_signatures),
    "activation-clustering": CleansingMethod(
        "Activation clustering", "Chen et al., SafeAI 2019", activation_clustering
    ),
    "loss-order": CleansingMethod("Loss order", "Li et al., NeurIPS 2021", loss_order),
    "contributions": CleansingMethod("Contributions of feature maps", "new in TrojanCAM", contributions),
}
CLEANSERS = Registry("cleansing method", "trojancam.cleansers", as_method, _OWN)
"""All cleansing methods by name. `CLEANSERS.register("mine")` adds a function of `TrainingData` that returns `Left`; so does an
entry point of the group `trojancam.cleansers`."""


def cleansed(
    network: Network,
    images: given.GivenImages,
    labels: given.GivenLabels,
    methods: given.GivenNames = ("activation-clustering",),
    *,
    share: float = 0.05,
    clean: given.GivenImages | None = None,
    seed: int = 0,
    memory_budget: int = BUDGET,
    progress: Progress | None = None,
) -> Named[Left]:
    """What each method says of labelled images, by a network that was trained on them.

    Raises:
        UnknownNameError: if there is no such method, or a label is no class of the network.
        DataError: if the network cannot take the images, there are not as many labels, the share does not lie between 0 and 1,
            or a method needs clean images that are not given.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> found = cleansed(network, torch.rand(20, 3, 8, 8), torch.arange(20) % 2, "spectral-signatures", share=0.1)
    >>> int(found["spectral-signatures"].suspicious.sum())
    4
    """
    names = given.names("cleansing method", methods, CLEANSERS)
    if not names:
        raise DataError(f"name at least one cleansing method; known: {', '.join(CLEANSERS)}")
    if not 0 < share < 1:
        raise DataError(f"the share of poisoned images must lie between 0 and 1, not at {share:g}")
    bare, whole = network.without_card(), plain(given.images(network, images))
    own = plain(given.labels(network, labels, len(whole)))
    known = None if clean is None else plain(given.images(network, clean))
    found = {}
    for name, told in zip(names, stages(shown(progress), [1] * len(names)), strict=True):
        data = TrainingData(bare, whole, own, share, known, seed, memory_budget, told)
        found[name] = CLEANSERS[name].judge(data)
        told(1, 1, CLEANSERS[name].title)
    return Named("cleansing method", found)


def reduced_to(rows: Rows, dimensions: int) -> Float[Tensor, "n d"]:
    """The first principal components of rows, at most so many."""
    centred = rows - rows.mean(0)
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:dimensions]
    reduced: Tensor = centred @ directions.T
    return reduced


def smaller_cluster(rows: Rows, seed: int) -> Bool[Tensor, " n"]:
    """Which rows are in the smaller one of two clusters (k-means, the tightest of several starts)."""
    from scipy.cluster.vq import kmeans2  # it takes long to import

    best: tuple[float, Tensor] | None = None
    for start in range(STARTS):
        _, found = kmeans2(rows.numpy(), 2, minit="++", seed=seed + start)
        second = torch.from_numpy(found) == 1
        spread = sum(
            float((rows[side] - rows[side].mean(0)).square().sum()) for side in (second, ~second) if bool(side.any())
        )
        if best is None or spread < best[0]:
            best = spread, second
    assert best is not None
    second = best[1]
    return second if 2 * int(second.sum()) <= len(rows) else ~second


def silhouette(rows: Rows, second: Bool[Tensor, " n"]) -> float:
    """The mean silhouette of two clusters (Rousseeuw 1987), over some of the rows where they are many; 0 for one cluster."""
    if not bool(second.any()) or bool(second.all()):
        return 0.0
    every = max(1, len(rows) // SILHOUETTES)
    distances, own = torch.cdist(rows[::every], rows), second[::every]
    sums = torch.stack([distances[:, ~second].sum(1), distances[:, second].sum(1)], 1)
    counts = torch.tensor([int((~second).sum()), int(second.sum())]).double()
    place = own.long()[:, None]
    same = counts[place[:, 0]] - 1
    inside = sums.gather(1, place)[:, 0] / same.clamp(min=1)
    outside = sums.gather(1, 1 - place)[:, 0] / counts[1 - place[:, 0]]
    values = (outside - inside) / torch.maximum(inside, outside).clamp(min=1e-12)
    return float(values.where(same > 0, 0.0).mean())
