"""One-to-one: one small patch that sends every class to another class of its own; an all-to-all backdoor does that.

A natural patch that moves classes at all makes many of them collapse into a few. So each class is given a target of its own by
linear assignment, and the patch is optimised to bring all of them about at once, at every place of a grid.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.detection.coverage import CannotSearchError
from trojancam.detection.detector import Job, concluded
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.outliers import share_counted
from trojancam.detection.settings import Count, Positive, Settings, Share
from trojancam.detection.stamps import Stamps, corners
from trojancam.detection.suspect import Suspect, halves
from trojancam.kept import Values
from trojancam.network.devices import CPU
from trojancam.network.margins import leads
from trojancam.progress import counting

NAME = "all-to-all"
FEWEST_CLASSES = 3  # of two classes, each has only one other
MARGIN = 5.0  # a logit that leads by more is not pushed further, nor counts more in an assignment
OLD = 0.6  # the share of what is known of margins that stays with a new measurement
SETTLED = 0.75  # of the steps of a phase, assignments change
FORBIDDEN = -1e6  # the gain of sending a class to itself
EVERY = 3  # steps, one of which assigns anew
NOISE = 1.5  # the standard deviation of a random pattern, before the sigmoid
BETAS, TINY = (0.9, 0.999), 1e-8  # of Adam


@dataclass(frozen=True, kw_only=True)
class OneToOneSettings(Settings):
    """How the all-to-all detector looks and judges.

    A patch is the share `side` of the image wide, and lies at steps of the share `stride`. `screen` steps of Adam at the rate
    `screen_rate` are done at every place, then `detail` steps at `detail_rate` at the `keep` best.
    """

    side: Share = 6 / 32
    stride: Share = 4 / 32
    screen: Count = 10
    screen_rate: Positive = 0.6
    keep: Count = 8
    detail: Count = 24
    detail_rate: Positive = 0.3
    backdoor: float = 0.4
    inconclusive: float = 0.3

    def ranking(self, suspect: Suspect) -> Suspect:
        """The images on which places are ranked after the screen."""
        return suspect


@dataclass(frozen=True, kw_only=True)
class CoarseOneToOneSettings(OneToOneSettings):
    """How the all-to-all detector looks where runs are dear: larger patches at fewer places, ranked on `ranked_on` images."""

    coarse: ClassVar[bool] = True

    side: Share = 8 / 32
    stride: Share = 8 / 32
    screen: Count = 4
    screen_rate: Positive = 1.0
    keep: Count = 3
    detail: Count = 10
    detail_rate: Positive = 0.5
    ranked_on: Count = 10

    def ranking(self, suspect: Suspect) -> Suspect:
        """The images on which places are ranked after the screen."""
        return suspect.first(self.ranked_on)


def stamps(
    image_size: tuple[int, int], side: float, stride: float, generator: torch.Generator, device: torch.device = CPU
) -> Stamps:
    """Random patches on a grid over the whole image; `side` and `stride` are shares of its shorter side."""
    places, pixels = corners(image_size, side, stride, device), max(1, round(min(image_size) * side))
    values = torch.randn(len(places), 3, pixels, pixels, generator=generator, device="cpu") * NOISE
    return Stamps(places, values.to(device), image_size)


def detect(job: Job, settings: OneToOneSettings = OneToOneSettings(backdoor=0.4, inconclusive=0.3)) -> ScanReport:
    """Look for one patch that gives every class a class of its own; the score is the share of held-out images that obey.

    Of fewer than 20 classes, where clean networks reach 0.42 instead of 0.12, the score is 0.77 times that share.

    The loss at each place is `mean relu(5 - (z_t(y) - max of the others))` over one image of each class y, where t maximises
    `sum_y clamp(z_t(y) - z_y, -5, 5)` among one-to-one maps without t(y) = y. One half of the images serves to search, the
    other half to measure. Classes without an image in both halves are left out.

    Raises:
        CannotSearchError: if fewer than three classes are left.
    """
    ours, held_out = halves(job.suspect)
    sources = torch.tensor(
        sorted(set(ours.labels.tolist()) & set(held_out.labels.tolist())), device=ours.labels.device, dtype=torch.long
    )
    if len(sources) < FEWEST_CLASSES:
        raise CannotSearchError(
            f"only {len(sources)} of {ours.classes} classes have two images or more, and {FEWEST_CLASSES} classes are needed; "
            "give at least two images of each class"
        )

    def work() -> Values:
        return _searched(job, ours, sources, settings)

    kept = job.journal.step(f"{NAME}/patch", work)
    values = {name: each.to(ours.network.device) for name, each in kept.items()}
    found = Stamps(values["corner"], values["values"], ours.network.input.size)
    report = concluded(
        job, NAME, [_finding(found, sources, values["targets"], held_out)], settings, _where(found, sources, ours)
    )
    if len(sources) == ours.classes:
        return report
    known = f"{len(sources)} of {ours.classes} classes"
    lacking = f"The search for all-to-all triggers knew {known}; give at least two images of each class."
    return replace(report, remarks=(lacking,))


def cost(suspect: Suspect, settings: OneToOneSettings) -> int:
    """About how many images the detector runs through the network."""
    places = len(
        stamps(suspect.network.input.size, settings.side, settings.stride, torch.Generator(device="cpu")).corners
    )
    steps = settings.screen * places + settings.detail * min(settings.keep, places)
    ours = halves(suspect)[0] if settings.coarse else suspect
    ranked = places * len(settings.ranking(ours).images) + settings.keep * len(ours.images)
    return 3 * steps * len(suspect.labels.unique()) + ranked


def _where(stamp: Stamps, sources: Int64[Tensor, " s"], ours: Suspect) -> str:
    side = stamp.values.shape[-1]
    return f"patches of {side} x {side} pixels all over the image, {len(sources)} of {ours.classes} classes as victims"


def _searched(job: Job, ours: Suspect, sources: Int64[Tensor, " s"], settings: OneToOneSettings) -> Values:
    """The best patch and its map of classes."""
    generator, network = torch.Generator(device="cpu").manual_seed(job.seed), ours.network
    start = stamps(network.input.size, settings.side, settings.stride, generator, network.device)
    kept = min(settings.keep, len(start.corners))
    search = settings.screen * len(start.corners) + settings.detail * kept
    ranking = settings.ranking(ours)
    total = 3 * search * len(sources) + len(start.corners) * len(ranking.images) + kept * len(ours.images)
    advance = counting(job.progress, total, "one patch for all classes")
    every = _Patches(ours, start, sources, advance)
    every.run(settings.screen, settings.screen_rate)
    best = every.picked(every.obeying(ranking).argsort(descending=True, stable=True)[:kept])
    best.run(settings.detail, settings.detail_rate)
    winner = best.obeying(ours).argmax()
    return {
        "corner": best.stamps.corners[winner][None],
        "values": best.stamps.values[winner][None],
        "targets": best.targets[winner],
    }


class _Patches:
    """Patches at several places, and for each the class that it is to send each source class to."""

    def __init__(
        self, suspect: Suspect, start: Stamps, sources: Int64[Tensor, " s"], advance: Callable[[int], None]
    ) -> None:
        self.suspect, self.stamps, self.sources, self.advance = suspect, start, sources, advance
        self.images_of = [(suspect.labels == source).nonzero()[:, 0] for source in sources]
        self.margins: Float[Tensor, "p s classes"] | None = None
        self.targets = sources.new_zeros(len(start.corners), len(sources))

    def picked(self, places: Int64[Tensor, " k"]) -> "_Patches":
        """Go on with these places only."""
        found = _Patches(self.suspect, self.stamps.picked(places), self.sources, self.advance)
        found.targets = self.targets[places]
        found.margins = None if self.margins is None else self.margins[places]
        return found

    def run(self, steps: int, rate: float) -> None:
        """Steps of Adam at all places, each on one image of each class."""
        values = self.stamps.values.clone().requires_grad_()
        adam = torch.optim.Adam([values], rate, BETAS, TINY)
        for step in range(steps):
            images = self.suspect.images[torch.stack([own[step % len(own)] for own in self.images_of])]
            assigning = step == 0 or (step % EVERY == 0 and step < SETTLED * steps)
            values.grad = self._gradient(values.detach(), images, assigning)
            adam.step()
        self.stamps = self.stamps.with_values(values.detach())

    def _gradient(
        self, values: Float[Tensor, "p 3 side side"], images: Float[Tensor, "s 3 h w"], assigning: bool
    ) -> Float[Tensor, "p 3 side side"]:
        """How the losses change with the patterns; takes note of the margins and, if told so, assigns targets anew."""
        margins = values.new_zeros(len(values), len(self.sources), self.suspect.classes)

        def losses(logits: Float[Tensor, "some s classes"], part: slice) -> Float[Tensor, " some"]:
            margins[part] = self._known(part, _margins(logits.detach(), self.sources))
            if assigning:
                self.targets[part] = torch.stack([_assigned(each, self.sources) for each in margins[part]])
            self.advance(3 * logits.shape[0] * logits.shape[1])
            return (MARGIN - leads(logits, self.targets[part])).relu().mean(1)

        gradient = self.stamps.with_values(values).gradient(self.suspect.network, images, losses)
        self.margins = margins
        return gradient

    def _known(self, part: slice, new: Float[Tensor, "p s classes"]) -> Float[Tensor, "p s classes"]:
        """The running mean of the margins at some places."""
        return new if self.margins is None else OLD * self.margins[part] + (1 - OLD) * new

    def obeying(self, suspect: Suspect) -> Float[Tensor, " p"]:
        """The share of these images that go to their class's target, with each patch."""
        places = self.stamps.numbers
        found = [
            obeying(suspect, self.stamps.picked(place[None]), self.sources, self.targets[place]) for place in places
        ]
        self.advance(len(places) * len(suspect.images))
        return torch.stack([each.float().mean() for each in found])


def obeying(suspect: Suspect, stamp: Stamps, sources: Int64[Tensor, " s"], targets: Int64[Tensor, " s"]) -> Tensor:
    """Which images of the source classes go to their class's target, with one patch."""
    map_of = sources.new_full((suspect.classes,), -1)
    map_of[sources] = targets
    chosen = map_of[suspect.labels] >= 0
    images, expected = suspect.images[chosen], map_of[suspect.labels[chosen]]
    return suspect.network(stamp.apply(images)[0]).argmax(1) == expected


def _margins(logits: Float[Tensor, "p s classes"], sources: Int64[Tensor, " s"]) -> Float[Tensor, "p s classes"]:
    """By how much each class leads an image's own one, at most 5 either way."""
    own = logits.gather(2, sources[None, :, None].expand(len(logits), -1, 1))
    return (logits - own).clamp(-MARGIN, MARGIN)


def _assigned(margins: Float[Tensor, "s classes"], sources: Int64[Tensor, " s"]) -> Int64[Tensor, " s"]:
    """Each source class's own target: the one-to-one map of the greatest sum of margins, none to itself."""
    from scipy.optimize import linear_sum_assignment  # it takes as long to import as all of this package

    gain = margins.double().clone()
    gain.scatter_(1, sources[:, None], FORBIDDEN)
    _, targets = linear_sum_assignment(gain.cpu().numpy(), maximize=True)
    return torch.from_numpy(targets).to(sources)


def _finding(stamp: Stamps, sources: Int64[Tensor, " s"], targets: Int64[Tensor, " s"], held_out: Suspect) -> Finding:
    hits = obeying(held_out, stamp, sources, targets)
    labels = held_out.labels[torch.isin(held_out.labels, sources)]
    rates = torch.stack([hits[labels == source].float().mean() for source in sources])
    best = int(rates.argmax())
    share = float(hits.float().mean())
    return Finding(
        detector=NAME,
        target_class=int(targets[best]),
        score=share_counted(share, held_out.classes),
        position=stamp.centre(0),
        reasr=share,
        trigger=stamp.as_patch(0, "recovered, every class to another"),
        class_map=tuple(zip(sources.tolist(), targets.tolist(), strict=True)),
        evidence={"classes": float(len(sources)), "classes_sent": float((rates > 0.5).sum())},
    )
