"""MM-BD (Wang, Xiang, Miller and Kesidis, S&P 2024): the class whose greatest margin over all others is an outlier.

Training on poisoned images makes a network overly sure of a backdoor's class: some image, found by gradient ascent from noise,
leads to it by a far greater margin than any image does to another class. The search needs no clean images.

It is meant for patches and the like with one target class. It is known to be blind to changes of the whole image, and to take a
class that stands out by nature, as some clean networks have one, for a target.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.detector import Job, concluded
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.settings import Count, NotNegative, Positive, Settings
from trojancam.detection.suspect import Suspect
from trojancam.kept import Values
from trojancam.network.batches import parts
from trojancam.network.draws import Draws
from trojancam.network.margins import leads
from trojancam.network.network import Network
from trojancam.progress import counting

NAME = "mm-bd"
FEWEST_CLASSES = 4  # a Gamma distribution of three parameters needs three other classes
SURE_CLASSES = 10  # the fewest of the paper
LEAST = 1e-300  # of a tail probability: smaller ones are no numbers any more
ROUNDING = 1e-6  # of the margins: those that differ by less do not differ


@dataclass(frozen=True, kw_only=True)
class MaximumMarginSettings(Settings):
    """How MM-BD looks and judges: the settings of the authors' code.

    From `starts` images of noise for each class, at most `steps` steps of gradient ascent at the `rate` are done. A class is
    done when the sum of its margins changes by less than the share `tolerance`. `at_once` classes are one step, which is kept.
    The score is `-log10 p`: `backdoor` is the paper's p = 0.05, `inconclusive` is p = 0.1.
    """

    starts: Count = 30
    steps: Count = 300
    rate: Positive = 0.01
    tolerance: NotNegative = 1e-5
    at_once: Count = 8
    backdoor: float = -math.log10(0.05)
    inconclusive: float = 1.0


def detect(job: Job, settings: MaximumMarginSettings = MaximumMarginSettings()) -> ScanReport:
    """Maximise the margin of every class, and judge the greatest by the others: the score is `-log10` of its p-value.

    Raises:
        CannotSearchError: if there are too few classes, or their margins do not differ.
    """
    suspect = job.suspect
    if suspect.classes < FEWEST_CLASSES:
        raise CannotSearchError(
            f"MM-BD holds the margin of one class against those of others, and {suspect.classes} classes are too few: it needs "
            f"{FEWEST_CLASSES}"
        )
    margins = torch.cat(_of_every_class(job, settings)).double()
    searched = f"images of any pixels, from {settings.starts} images of noise for each of {suspect.classes} classes"
    report = concluded(job, NAME, [_finding(margins)], settings, searched)
    if suspect.classes >= SURE_CLASSES:
        return report
    few = f"MM-BD holds one class against {suspect.classes - 1} others: with fewer than {SURE_CLASSES} classes that is little."
    return replace(report, remarks=(few,))


def cost(suspect: Suspect, settings: MaximumMarginSettings) -> int:
    """About how many images the detector runs through the network."""
    return 3 * suspect.classes * settings.starts * settings.steps


def maximum_margins(
    network: Network,
    classes: Int64[Tensor, " c"],
    settings: MaximumMarginSettings = MaximumMarginSettings(),
    seed: int = 0,
    advance: Callable[[int], None] | None = None,
) -> tuple[Float[Tensor, " c"], Float[Tensor, "c 3 h w"]]:
    """The greatest margin that images in [0, 1] reach for each of these classes, in logits, and the image that reaches it.

    `r_t = max over the starts of z_t(x) - max_{c != t} z_c(x)`; from `x ~ U[0, 1]`, each step is `x <- clip(x + rate * gradient,
    0, 1)` (S&P 2024). The authors' code clips the pixels within the loss instead, so that a pixel that leaves [0, 1] never comes
    back. It sets a momentum, too, but begins a new optimiser at every step, so that none acts; here there is none.

    `advance` is told of the images that are run, three for a step of each (backward takes twice as long), and of those spared.

    >>> from torch import nn
    >>> flat = nn.Sequential(nn.Conv2d(3, 1, 4), nn.Flatten(), nn.Linear(1, 4))
    >>> network = Network.from_module(flat, (4, 4))
    >>> margins, images = maximum_margins(network, torch.arange(4), MaximumMarginSettings(starts=2, steps=5))
    >>> margins.shape, images.shape
    (torch.Size([4]), torch.Size([4, 3, 4, 4]))
    """
    size, total = network.input.size, len(classes)
    each = 3 * total * settings.starts
    noise = [
        Draws(seed * len(network.class_names) + target, network.device).uniform(settings.starts, 3, *size)
        for target in classes.tolist()
    ]
    images = torch.stack(noise)
    margins = images.new_zeros(total, settings.starts)
    last = images.new_full((total,), math.inf)
    going = torch.arange(total, device=images.device)
    for step in range(settings.steps):
        values, gradients = _ascending(network, images[going], classes[going])
        margins[going] = values
        sums = values.sum(1)
        # At first the change is infinite, and its share is no number, which is not smaller than anything.
        on = ~((last[going] - sums).abs() / last[going].abs() < settings.tolerance)
        last[going] = sums
        ended = step + 1 == settings.steps or not bool(on.any())
        if advance is not None:
            advance(each * (settings.steps - step if ended else 1))
        if ended:
            break
        going, gradients = going[on], gradients[on]
        images[going] = (images[going] + settings.rate * gradients).clamp(0, 1)
    best = margins.argmax(1)
    rows = torch.arange(total, device=images.device)
    return margins[rows, best], images[rows, best]


def _ascending(
    network: Network, images: Float[Tensor, "c s 3 h w"], classes: Int64[Tensor, " c"]
) -> tuple[Float[Tensor, "c s"], Float[Tensor, "c s 3 h w"]]:
    """The margins of images for their classes, and how they change with the pixels."""
    rows, wanted = images.flatten(0, 1), classes.repeat_interleave(images.shape[1])
    values, gradients = rows.new_zeros(len(rows)), torch.zeros_like(rows)
    for part in parts(len(rows), network.rows(gradients=True)):
        with torch.enable_grad():
            some = rows[part].clone().requires_grad_()
            logits, _ = network.forward_with(network.inputs(some), ())
            ahead = leads(logits, wanted[part])
            (gradients[part],) = torch.autograd.grad(ahead.sum(), some)
        values[part] = ahead.detach()
    return values.unflatten(0, images.shape[:2]), gradients.unflatten(0, images.shape[:2])


def p_value(margins: Float[Tensor, " classes"]) -> float:
    """How likely the greatest of K margins is as great, were they all of one Gamma distribution: `1 - F(r_max)^K`.

    F is fitted to the other K - 1 margins by maximum likelihood, its location as well as its shape and scale (S&P 2024). The
    power takes into account that the greatest of K was looked at. Where F says less than 1e-300, that is said.

    Raises:
        CannotSearchError: if the other margins do not differ, so that none can be fitted.

    >>> round(p_value(torch.tensor([1.0, 1.2, 1.5, 1.1, 1.4, 1.3, 1.25, 1.35])), 2)
    0.17
    """
    from scipy import special
    from scipy.stats import gamma  # it takes as long to import as all of this package

    ordered = margins.double().sort().values.cpu()
    others, greatest = ordered[:-1].numpy(), float(ordered[-1])
    if others[-1] - others[0] <= ROUNDING * abs(others).max():
        raise CannotSearchError("MM-BD compares the margins of classes, but those of this network do not differ")
    shape, location, scale = gamma.fit(others)
    tail = max(LEAST, float(special.gammaincc(shape, max(0.0, greatest - location) / scale)))
    return -math.expm1(len(ordered) * math.log1p(-tail)) if tail < 1 else 1.0


def _of_every_class(job: Job, settings: MaximumMarginSettings) -> list[Tensor]:
    """The greatest margins of every class, some classes at a time, each computed once."""
    suspect, found = job.suspect, []
    each = 3 * settings.starts * settings.steps
    for group in torch.arange(suspect.classes, device="cpu").split(settings.at_once):
        first, last = int(group[0]), int(group[-1])
        advance = counting(job.progress, suspect.classes * each, f"margins up to class {last}", first * each)

        def work(group: Tensor = group, advance: Callable[[int], None] = advance) -> Values:
            targets = group.to(suspect.network.device)
            margins, _ = maximum_margins(suspect.network, targets, settings, job.seed, advance)
            return {"margins": margins}

        found.append(job.journal.step(f"{NAME}/classes {first} to {last}", work)["margins"])
    return found


def _finding(margins: Float[Tensor, " classes"]) -> Finding:
    """What is to say of the class with the greatest margin."""
    ordered = margins.sort(descending=True).values
    p = p_value(margins)
    return Finding(
        detector=NAME,
        target_class=int(margins.argmax()),
        score=max(0.0, -math.log10(p)),
        evidence={
            "p_of_margins": p,
            "maximum_margin": float(ordered[0]),
            "next_maximum_margin": float(ordered[1]),
            "median_maximum_margin": float(margins.quantile(0.5)),
        },
    )
