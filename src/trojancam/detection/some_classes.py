"""Some classes: one small patch that sends a few classes to one and leaves the others alone, as a source-specific backdoor does.

A natural patch that sends several classes to another mostly disturbs others: it has to drown what the network looks at. The
trigger of a source-specific backdoor turns its source classes, and the network was taught to overlook it on all other images. So
patches of one colour and checkerboards are tried at every place, and the best are improved. What counts is how many classes go to
the target, against how many go astray.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.detector import Job, concluded
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.outliers import MANY_CLASSES
from trojancam.detection.settings import Count, Positive, Settings, Share
from trojancam.detection.stamps import Stamps, corners
from trojancam.detection.suspect import Suspect, halves
from trojancam.kept import Values
from trojancam.network.batches import parts
from trojancam.network.devices import CPU
from trojancam.network.margins import leads
from trojancam.progress import counting
from trojancam.showing import Brief

NAME = "some-classes"
SOLID = 10.0  # a channel that is on, before the sigmoid; off, it is minus that
START = 2.0  # the same where a patch begins to be improved, so that the sigmoid passes gradients on
LED = 0.5  # of the median clean lead: a target that leads by more is not pushed further
KEPT = 0.4  # of that: a class that leads by less counts as disturbed
DISTURBED = 2.0  # what a disturbed class costs, where one that is not sent costs 1
WORTH = 0.5  # what it may cost more, in units of that lead, to send a class than to leave it alone
FOR_ALL = 0.8  # of the classes: what sends more of them to one is the trigger of every class
ENOUGH = 4  # images of each class, for means of logits that hold


@dataclass(frozen=True, kw_only=True)
class SomeClassesSettings(Settings):
    """How the detector of source-specific triggers looks and judges.

    A patch is the share `side` of the image wide, and lies at steps of the share `stride`. The `screened` best are tried on all
    images, and the `candidates` best of these, at most `places` to each target, are improved by `steps` steps of Adam at the
    `rate`. A patch does not count that sends more than the share `most` of the classes to its target: these are not a few; nor
    does one that more than the share `astray` goes astray with. Networks of fewer classes than `fewest` are not searched.
    """

    side: Share = 4 / 32
    stride: Share = 2 / 32
    screened: Count = 200
    candidates: Count = 12
    places: Count = 4
    steps: Count = 30
    rate: Positive = 0.3
    most: Share = 0.35
    astray: Share = 0.05
    fewest: Count = MANY_CLASSES
    backdoor: float = 2.75
    inconclusive: float = 2.25


def detect(job: Job, settings: SomeClassesSettings = SomeClassesSettings()) -> ScanReport:
    """Look for a patch that sends a few classes to one; the score is `(n - 1) / (1 + d)`.

    n counts the classes whose mean logits lead to the target on both halves of the images, d those that they lead to another
    class than the target and their own (the mean of both halves). One class counts for nothing, because in nearly every network
    some patch sends one to another. Patches are found with one half. Only images that the network is right about count. The
    loss of a patch, for classes y of which S cost less to send than to leave alone, is

        mean of relu(k - lead_t(y)) over S and 2 relu(0.4 k - lead_y(y)) over the others, k = half of the median clean lead.

    Raises:
        CannotSearchError: if fewer than `fewest` classes have an image in both halves that the network is right about. (Of ten
            classes, clean networks have patches that send three to one.)
    """
    ours, held_out = (_right(half) for half in halves(job.suspect))
    known = _present(ours) & _present(held_out)
    if ours.classes < settings.fewest:
        raise CannotSearchError(
            f"a search for source-specific triggers needs {settings.fewest} classes, and the network has {ours.classes}: among "
            "few, a patch sends some to one by nature"
        )
    if int(known.sum()) < settings.fewest:
        raise CannotSearchError(
            f"only {int(known.sum())} of {ours.classes} classes have two images that the network is right about, and "
            f"{settings.fewest} classes are needed; give at least two images of each class"
        )
    stamps, targets = _found(job, ours, known, settings)
    first, second = turned(ours, stamps, targets, known), turned(held_out, stamps, targets, known)
    sent, astray = first.sent & second.sent, (first.astray.sum(1) + second.astray.sum(1)) / 2
    few = (sent.sum(1) <= settings.most * int(known.sum())) & (astray <= settings.astray * int(known.sum()))
    scores = torch.where(few, _merit(sent.sum(1), astray), 0.0)
    best = [int(torch.where(targets == target, scores, -1.0).argmax()) for target in targets.unique()]
    findings = [
        replace(
            _finding(stamps.picked(targets.new_tensor([patch])), int(targets[patch]), sent[patch], held_out),
            score=float(scores[patch]),
            evidence={"classes_turned": float(sent[patch].sum()), "classes_astray": float(astray[patch])},
        )
        for patch in best
        if float(scores[patch]) > 0
    ]
    report = concluded(job, NAME, findings, settings, _where(stamps, known))
    return replace(report, remarks=tuple(_lacking(job.suspect, known)))


def _lacking(suspect: Suspect, known: Bool[Tensor, " classes"]) -> Iterator[str]:
    """What the images lack for this search."""
    if not bool(known.all()):
        yield (
            f"The search for source-specific triggers knew {int(known.sum())} of {suspect.classes} classes; give at least "
            "two images of each class that it is right about."
        )
    if len(suspect.images) < ENOUGH * suspect.classes:
        yield (
            f"The search for source-specific triggers is unsure with so few images; give {ENOUGH * suspect.classes} or more."
        )


def cost(suspect: Suspect, settings: SomeClassesSettings) -> int:
    """About how many images the detector runs through the network."""
    images, classes = len(suspect.images), len(suspect.labels.unique())
    patches = len(plain(suspect.network.input.size, settings.side, settings.stride).corners)
    search = patches * classes + min(settings.screened, patches) * images // 2
    return search + 3 * settings.candidates * settings.steps * (images // 2)


@dataclass(frozen=True)
class Turned(Brief):
    """For each patch and class: whether it is `sent` to the patch's target, or goes `astray` to yet another class."""

    sent: Bool[Tensor, "p classes"]
    astray: Bool[Tensor, "p classes"]


def turned(suspect: Suspect, stamps: Stamps, targets: Int64[Tensor, " p"], known: Bool[Tensor, " classes"]) -> Turned:
    """Which classes each patch turns, by the mean of the logits of each class's images; of the known classes alone."""
    answers = _answers(suspect, stamps)
    own = torch.arange(suspect.classes, device=answers.device)
    changed = (answers != own) & known
    to_target = (answers == targets[:, None]) & changed
    return Turned(to_target, changed & ~to_target)


def plain(image_size: tuple[int, int], side: float, stride: float, device: torch.device = CPU) -> Stamps:
    """Ten patches at each place of a grid over the whole image, in a row: the corners of the colour cube, and checkerboards.

    The checkerboards are black and white, as the trigger of BadNets (Gu et al., 2017), and begin with either.
    """
    places, pixels = corners(image_size, side, stride, device), max(1, round(min(image_size) * side))
    on = torch.cartesian_prod(*[torch.tensor([-SOLID, SOLID], device=device)] * 3)
    along = torch.arange(pixels, device=device)
    board = (((along[:, None] + along) % 2) * 2.0 - 1.0).expand(3, -1, -1) * SOLID
    patterns = torch.cat([on[:, :, None, None].expand(-1, -1, pixels, pixels), torch.stack([board, -board])])
    return Stamps(places.repeat_interleave(len(patterns), 0), patterns.repeat(len(places), 1, 1, 1), image_size)


def _right(suspect: Suspect) -> Suspect:
    """The images that the network is right about."""
    right = suspect.network(suspect.images).argmax(1) == suspect.labels
    return Suspect(suspect.network, suspect.images[right], suspect.labels[right])


def _present(suspect: Suspect) -> Bool[Tensor, " classes"]:
    return torch.bincount(suspect.labels, minlength=suspect.classes) > 0


def _answers(
    suspect: Suspect, stamps: Stamps, advance: Callable[[int], None] = lambda _: None
) -> Int64[Tensor, "p classes"]:
    """The class that each class goes to with each patch, by the mean logits of its images."""
    shares = _shares(suspect)
    answers = []
    for part in parts(len(stamps.corners), max(1, suspect.network.rows() // len(suspect.images))):
        stamped = stamps.picked(stamps.numbers[part]).apply(suspect.images)
        logits = suspect.network(stamped.flatten(0, 1)).unflatten(0, stamped.shape[:2])
        answers.append(torch.einsum("pnc,ny->pyc", logits, shares).argmax(2))
        advance(stamped.shape[0] * stamped.shape[1])
    return torch.cat(answers)


def _shares(suspect: Suspect) -> Float[Tensor, "n classes"]:
    """What each image counts in the mean of its class."""
    own = torch.nn.functional.one_hot(suspect.labels, suspect.classes).float()
    return own / own.sum(0).clamp(min=1)


def _found(
    job: Job, ours: Suspect, known: Bool[Tensor, " classes"], settings: SomeClassesSettings
) -> tuple[Stamps, Int64[Tensor, " p"]]:
    """The best plain patches, and what they become when they are improved, with their targets."""
    every = plain(ours.network.input.size, settings.side, settings.stride, ours.network.device)
    advance = counting(job.progress, cost(job.suspect, settings), "one patch for a few classes")

    def screen() -> Values:
        patches, targets = _screened(ours, every, known, settings, advance)
        return {"patches": patches, "targets": targets}

    kept = {name: each.to(ours.network.device) for name, each in job.journal.step(f"{NAME}/places", screen).items()}
    best, targets = every.picked(kept["patches"]), kept["targets"]
    start = best.with_values(best.values.sign() * START)

    def improve() -> Values:
        return {"values": _improved(ours, start, targets, known, settings, advance)}

    values = job.journal.step(f"{NAME}/patches", improve)["values"].to(ours.network.device)
    both = Stamps(best.corners.repeat(2, 1), torch.cat([best.values, values]), best.image_size)
    return both, targets.repeat(2)


def _screened(
    ours: Suspect,
    every: Stamps,
    known: Bool[Tensor, " classes"],
    settings: SomeClassesSettings,
    advance: Callable[[int], None],
) -> tuple[Int64[Tensor, " k"], Int64[Tensor, " k"]]:
    """The numbers of the best patches and their targets: first of all patches by one image of each class, then by all."""
    one = _one_of_each(ours)
    few = _merits(_answers(one, every, advance), known & _present(one))
    chosen = few.amax(1).argsort(descending=True, stable=True)[: settings.screened]
    merits = _merits(_answers(ours, every.picked(chosen), advance), known)
    places = every.corners[chosen].tolist()
    found: dict[tuple[int, int, int], int] = {}  # patches by place and target: of each, the best pattern alone
    for rank in merits.flatten().argsort(descending=True, stable=True).tolist():
        patch, target = divmod(rank, ours.classes)
        key = (*places[patch], target)
        if key not in found and sum(to == target for *_, to in found) < settings.places:
            found[key] = int(chosen[patch])
        if len(found) == settings.candidates:
            break
    device = ours.labels.device
    return torch.tensor([*found.values()], device=device), torch.tensor([to for *_, to in found], device=device)


def _one_of_each(suspect: Suspect) -> Suspect:
    """The first image of each class."""
    first = torch.stack([(suspect.labels == label).nonzero()[0, 0] for label in suspect.labels.unique()])
    return Suspect(suspect.network, suspect.images[first], suspect.labels[first])


def _merits(answers: Int64[Tensor, "p classes"], known: Bool[Tensor, " classes"]) -> Float[Tensor, "p classes"]:
    """For each patch and target: how many classes go there, against how many go astray.

    Nothing, for a target that any of the patches sends nearly all classes to.
    """
    classes = answers.shape[1]
    changed = ((answers != torch.arange(classes, device=answers.device)) & known).float()
    sent = torch.zeros_like(changed).scatter_add_(1, answers, changed)
    astray = changed.sum(1, keepdim=True) - sent
    for_all = (sent > FOR_ALL * known.sum()).any(0)
    return torch.where(for_all, 0.0, _merit(sent, astray))


def _merit(sent: Tensor, astray: Tensor) -> Tensor:
    return (sent - 1).clamp(min=0) / (1 + astray)


def _improved(
    ours: Suspect,
    start: Stamps,
    targets: Int64[Tensor, " k"],
    known: Bool[Tensor, " classes"],
    settings: SomeClassesSettings,
    advance: Callable[[int], None],
) -> Float[Tensor, "k 3 side side"]:
    """Steps of Adam on the pixels of all patches."""
    values = start.values.clone().requires_grad_()
    adam = torch.optim.Adam([values], settings.rate)
    shares, led = _shares(ours), LED * float(leads(ours.network(ours.images), ours.labels).median())

    def losses(logits: Float[Tensor, "some n classes"], part: slice) -> Float[Tensor, " some"]:
        return _losses(logits, ours.labels, shares, targets[part], known, led)

    for _ in range(settings.steps):
        values.grad = start.with_values(values.detach()).gradient(ours.network, ours.images, losses)
        adam.step()
        advance(3 * len(targets) * len(ours.images))
    return values.detach()


def _losses(
    logits: Float[Tensor, "p n classes"],
    labels: Int64[Tensor, " n"],
    shares: Float[Tensor, "n classes"],
    targets: Int64[Tensor, " p"],
    known: Bool[Tensor, " classes"],
    led: float,
) -> Float[Tensor, " p"]:
    """What each patch costs: each class is to be sent, or left alone, whichever is cheaper."""
    rows, images = logits.shape[:2]
    to_target = leads(logits, targets[:, None].expand(rows, images))
    to_own = leads(logits, labels[None].expand(rows, images))
    sending, leaving = (led - to_target).relu() @ shares, DISTURBED * (KEPT * led - to_own).relu() @ shares
    others = known & (torch.arange(len(known), device=known.device) != targets[:, None])
    sources = others & (sending < leaving + WORTH * led)
    return torch.where(sources, sending, leaving).mul(others).sum(1) / others.sum(1).clamp(min=1)


def _where(stamps: Stamps, known: Bool[Tensor, " classes"]) -> str:
    side = stamps.values.shape[-1]
    return (
        f"patches of {side} x {side} pixels all over the image, {int(known.sum())} of {len(known)} classes as victims"
    )


def _finding(stamp: Stamps, target: int, sources: Bool[Tensor, " classes"], held_out: Suspect) -> Finding:
    """A patch with the classes that it sends to the target.

    The rate is that of held-out images of these classes. They helped to choose the classes, so that it is rather too high.
    """
    victims = sources[held_out.labels]
    sent = held_out.network(stamp.apply(held_out.images[victims])[0]).argmax(1) == target
    return Finding(
        detector=NAME,
        target_class=target,
        score=0.0,
        position=stamp.centre(0),
        reasr=float(sent.float().mean()),
        trigger=stamp.as_patch(0, "recovered, a few classes to one"),
        class_map=tuple((source, target) for source in sources.nonzero()[:, 0].tolist()),
    )
