"""FreeEagle (Fu et al., USENIX Security 2023): what a layer holds for one class, and which other class that leads to as well.

For every class, activations of a layer in the middle are found that the rest of the network takes for it. A backdoor is a strong
path to its target, so that activations of other classes (of its source classes, if it has some) lead to it, too. The matrix of
class to class holds how much; a target is a column that stands out. The part of the network before the layer is not run.

Natural likeness of classes can hide a target. On the small networks of this package's zoo it does: trojaned ones score no higher
than clean ones (docs/explanation/verdict.md).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.detector import Job, concluded
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.settings import Count, NotNegative, Positive, Settings, Share
from trojancam.detection.suspect import Suspect
from trojancam.kept import Values
from trojancam.network.batches import parts
from trojancam.network.draws import Draws
from trojancam.network.network import Network
from trojancam.network.replay import Replay, replay
from trojancam.progress import counting

NAME = "freeeagle"
FEWEST_CLASSES = 4  # quartiles of fewer columns say nothing
IMAGES = 16  # that tell the sign of a layer's activations, and what goes past it
MOST_CLASSES = 100_000  # so many seeds apart are those of two scans
TOLD, DIGITS = 100, 6  # classes, at most, of which a report holds the matrix; of its probabilities so many digits
DOUBT = "FreeEagle did not tell trojaned from clean networks of the zoo: that it finds nothing says little."


@dataclass(frozen=True, kw_only=True)
class FreeEagleSettings(Settings):
    """How FreeEagle looks and judges: the settings of the authors' code, but for the thresholds.

    For each class, `steps` steps of Adam at the `rate` are done, with the weight decay `decay`. `at_once` classes are one step of
    the journal. A finding names the fewest source classes that hold the share `held` of a target's column, if they are at most
    a third of all. The thresholds lie above what clean networks of the zoo were seen to reach, 3.7.
    """

    steps: Count = 1000
    rate: Positive = 0.01
    decay: NotNegative = 5e-3
    at_once: Count = 64
    held: Share = 0.5
    backdoor: float = 5.0
    inconclusive: float = 4.0


def detect(job: Job, settings: FreeEagleSettings = FreeEagleSettings()) -> ScanReport:
    """Look for a target class in the matrix of class to class: the score is the anomaly of its column.

    Raises:
        CannotSearchError: if there are too few classes, or the columns do not differ.
    """
    suspect = job.suspect
    if suspect.classes < FEWEST_CLASSES:
        raise CannotSearchError(
            f"FreeEagle compares classes with each other, and {suspect.classes} classes are too few: it needs {FEWEST_CLASSES}"
        )
    layer = middle_layer(suspect.network)
    matrix = torch.cat(_rows(job, layer, settings)).double()
    finding = _finding(matrix, settings)
    report = concluded(job, NAME, [finding], settings, f"activations of {layer} for each of {suspect.classes} classes")
    return replace(report, remarks=(DOUBT,))


def cost(suspect: Suspect, settings: FreeEagleSettings) -> int:
    """About how many images the detector runs through the network: as if the part after the layer were half of it."""
    return 3 * suspect.classes * settings.steps // 2


def middle_layer(network: Network) -> str:
    """The layer nearest to the middle, of two the later one, that nothing goes past on its way to the logits.

    A skip connection around a layer would bring what the layer does not hold. Where something goes past every layer, as in
    networks with dense connections or class tokens, it is the layer nearest to the middle that leads to the logits.

    >>> layers = [nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)]
    >>> middle_layer(Network.from_module(nn.Sequential(*layers), (4, 4)))
    '2'
    """
    names, fallback = list(network.layers), ""
    for place in sorted(range(len(names)), key=lambda place: (abs(2 * place - len(names) + 1), -place)):
        activations, *beside = network.cut(names[place]).suffix.graph.find_nodes(op="placeholder")
        if not beside:
            return names[place]
        if activations.users and not fallback:
            fallback = names[place]
    return fallback


def class_to_class(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    classes: Int64[Tensor, " c"],
    layer: str,
    settings: FreeEagleSettings = FreeEagleSettings(),
    seed: int = 0,
    advance: Callable[[int], None] | None = None,
) -> Float[Tensor, "c classes"]:
    """The probabilities of all classes for activations that stand for these classes: `P[c, t]`, its own one left at 0.

    `a_c` minimises the cross entropy of class c, from `a_c ~ U[0, 1]`, by Adam with weight decay (USENIX Security 2023); `P[c] =
    softmax(suffix(a_c))`. Where the layer has no negative activation on the images, as after a ReLU, `a_c` has none, either. What
    goes past the layer is held at its mean over the images; else the images say nothing.

    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(5, 5)), (4, 4))
    >>> matrix = class_to_class(network, torch.rand(4, 3, 4, 4), torch.arange(5), "0", FreeEagleSettings(steps=3))
    >>> matrix.shape, matrix.diagonal().tolist()
    (torch.Size([5, 5]), [0.0, 0.0, 0.0, 0.0, 0.0])
    """
    seen = replay(network, layer, images[:IMAGES])
    activations = _minimised(seen, classes, settings, seed, advance)
    with torch.no_grad():
        probabilities = torch.cat([_logits(seen, activations[part]) for part in parts(len(classes), seen.rows())])
    return probabilities.double().softmax(1).scatter(1, classes[:, None], 0.0)


def _minimised(
    seen: Replay,
    classes: Int64[Tensor, " c"],
    settings: FreeEagleSettings,
    seed: int,
    advance: Callable[[int], None] | None,
) -> Float[Tensor, "c k h w"]:
    """Activations that the rest of the network takes for these classes."""
    each = seen.activations.shape[1:]
    draws = [
        Draws(seed * MOST_CLASSES + target, seen.activations.device).uniform(1, *each) for target in classes.tolist()
    ]
    found, least = torch.cat(draws), 0.0 if bool(seen.activations.min() >= 0) else None
    adam = torch.optim.Adam([found.requires_grad_()], settings.rate, weight_decay=settings.decay)
    for _ in range(settings.steps):
        found.grad = torch.zeros_like(found)
        for part in parts(len(classes), seen.rows(gradients=True)):
            with torch.enable_grad():
                some = found.detach()[part].clone().requires_grad_()
                loss = nn.functional.cross_entropy(_logits(seen, some), classes[part], reduction="sum")
                (found.grad[part],) = torch.autograd.grad(loss, some)
        adam.step()
        if least is not None:
            found.data.clamp_(min=least)
        if advance is not None:
            advance(len(classes))
    return found.detach()


def _logits(seen: Replay, activations: Float[Tensor, "c k h w"]) -> Float[Tensor, "c classes"]:
    """What the rest of the network makes of activations, whatever goes past the layer held at its mean."""
    crossing = [value.mean(0, keepdim=True).expand(len(activations), *value.shape[1:]) for value in seen.crossing]
    logits, _ = seen.cut.after(activations, crossing)
    return logits


def anomaly(columns: Float[Tensor, " classes"]) -> float:
    """How far the greatest column stands out: `(max v - Q3) / (Q3 - Q1)`, in quartiles of the columns (USENIX Security 2023).

    Raises:
        CannotSearchError: if the quartiles are the same number.

    >>> anomaly(torch.tensor([1.0, 2.0, 3.0, 4.0, 9.0]))
    2.5
    """
    values = columns.double()
    low, high = (float(values.quantile(share)) for share in (0.25, 0.75))
    if high <= low:
        raise CannotSearchError(
            "FreeEagle compares how often classes lead to others, but in this network that does not differ"
        )
    return (float(values.max()) - high) / (high - low)


def sources(column: Float[Tensor, " classes"], held: float) -> tuple[int, ...]:
    """The fewest source classes that hold this share of a column, greatest first; none, if they are more than a third of all.

    >>> sources(torch.tensor([0.0, 0.05, 0.8, 0.05, 0.1]), 0.5), sources(torch.tensor([0.0, 0.2, 0.2, 0.2, 0.2]), 0.5)
    ((2,), ())
    """
    ordered = column.double().sort(descending=True, stable=True)
    count = int((ordered.values.cumsum(0) < held * ordered.values.sum()).sum()) + 1
    return tuple(ordered.indices[:count].tolist()) if count <= len(column) // 3 else ()


def _rows(job: Job, layer: str, settings: FreeEagleSettings) -> list[Float[Tensor, "c classes"]]:
    """The matrix, some classes at a time, each computed once."""
    suspect, found = job.suspect, []
    for group in torch.arange(suspect.classes, device="cpu").split(settings.at_once):
        first, last = int(group[0]), int(group[-1])
        total = suspect.classes * settings.steps
        advance = counting(job.progress, total, f"activations up to class {last}", first * settings.steps)

        def work(group: Tensor = group, advance: Callable[[int], None] = advance) -> Values:
            targets = group.to(suspect.network.device)
            rows = class_to_class(suspect.network, suspect.images, targets, layer, settings, job.seed, advance)
            return {"rows": rows}

        found.append(job.journal.step(f"{NAME}/classes {first} to {last}", work)["rows"])
    return found


def _finding(matrix: Float[Tensor, "classes classes"], settings: FreeEagleSettings) -> Finding:
    """What is to say of the column that stands out."""
    columns = matrix.sum(0) / (len(matrix) - 1)
    target = int(columns.argmax())
    victims = sources(matrix[:, target], settings.held)
    return Finding(
        detector=NAME,
        target_class=target,
        score=max(0.0, anomaly(columns)),
        class_map=tuple((source, target) for source in victims),
        class_matrix=_told(matrix),
        evidence={
            "column": float(columns[target]),
            "median_column": float(columns.quantile(0.5)),
            "strongest_source": float(matrix[:, target].max()),
        },
    )


def _told(matrix: Float[Tensor, "classes classes"]) -> tuple[tuple[float, ...], ...]:
    """The matrix as a report holds it; of very many classes nothing, for it would be all of the report."""
    if len(matrix) > TOLD:
        return ()
    return tuple(tuple(round(value, DIGITS) for value in row) for row in matrix.tolist())
