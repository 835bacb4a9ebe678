"""Unlearning: triggers that are found anew again and again are taught to mean nothing, with the original network as teacher."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.trigger import Trigger
from trojancam.detection.suspect import Suspect
from trojancam.kept import Kept
from trojancam.network.network import Network
from trojancam.removal.fresh import Wanted
from trojancam.removal.goal import Culprit, answer
from trojancam.removal.learner import Descent, Learner, batches, varied_widely
from trojancam.removal.stamping import stamped
from trojancam.showing import Brief

CLEAN, STAMPED = 96, 48  # images of a step
MIXED = 0.5  # the share of images that are mixed with another
TEMPERATURE, TEACHER = 2.0, 0.7  # of the targets; the share of them that the original network says
RANDOM, RECOVERED, POOL, FRESH = 0.05, 0.25, 0.40, 0.30  # how often each kind of stamp is used
SEARCHED = 24  # images on which a trigger is looked for
POOL_STEPS, POOL_RATE = 25, 0.3
POOL_SOUGHT, POOL_KEPT = (16, 8), (8, 4)  # triggers of the first finding, and of each other one: the strongest are kept
FRESH_STEPS, FRESH_RATE, FRESH_USES, FRESH_AT_ONCE = 6, 0.4, 5, 4

Images = Float[Tensor, "n 3 h w"]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Course(Brief):
    """How long and how fast a network unlearns, and which of its parameters (None: all)."""

    steps: int
    rate: float
    names: tuple[str, ...] | None = None


def with_pools(
    network: Network, culprits: Sequence[Culprit], clean: Suspect, generator: torch.Generator
) -> tuple[Culprit, ...]:
    """The culprits with some strong triggers of their kind each, found against the network as it is."""
    found = []
    for place, culprit in enumerate(culprits):
        sought, kept = POOL_SOUGHT[min(place, 1)], POOL_KEPT[min(place, 1)]
        wanted = [wish(culprit, clean, generator) for _ in range(sought)]
        pool = culprit.kind.found(network, wanted, POOL_STEPS, POOL_RATE, generator)
        pool.sort(key=lambda trigger: answer(network, trigger, clean, culprit.goal).success, reverse=True)
        found.append(replace(culprit, pool=tuple(pool[:kept])))
    return tuple(found)


def with_kept_pools(
    journal: Kept, name: str, culprits: Sequence[Culprit], clean: Suspect, generator: torch.Generator
) -> tuple[Culprit, ...]:
    """As `with_pools`, against the network of these images; the pools are kept under this name."""

    def work() -> list[list[dict[str, object]]]:
        found = with_pools(clean.network, culprits, clean, generator)
        return [[trigger.to_json() for trigger in culprit.pool] for culprit in found]

    pools = journal.data(name, work)
    return tuple(
        replace(each, pool=tuple(Trigger.from_json(record) for record in pool))
        for each, pool in zip(culprits, pools, strict=True)
    )


def wish(culprit: Culprit, clean: Suspect, generator: torch.Generator) -> Wanted:
    """Some images that the culprit's trigger is to turn, and what into; some come twice where there are few."""
    victims = culprit.goal.victims(clean.labels).nonzero()[:, 0]
    chosen = victims[next(batches(len(victims), SEARCHED, generator)).to(victims.device)]
    return Wanted(clean.images[chosen], culprit.goal.wanted(clean.labels[chosen]))


def unlearned(
    network: Network,
    teacher: Network,
    culprits: Sequence[Culprit],
    clean: Suspect,
    course: Course,
    generator: torch.Generator,
    advance: Advance = lambda _: None,
) -> Network:
    """The network after a course of unlearning.

    A step minimises `T^2 KL(q, softmax(z / T))` over clean and stamped images alike, with
    `q = 0.7 softmax(teacher(x) / T) + 0.3 label` of the image x before it was stamped, and T = 2.
    """
    learner = Learner(network, course.names)
    descent, stamps = Descent(learner, course.rate, course.steps), _Stamps(learner, culprits, clean, generator)
    order = batches(len(clean.images), CLEAN + STAMPED, generator)
    for _ in range(course.steps):
        chosen = next(order).to(clean.labels.device)
        images = varied_widely(clean.images[chosen], generator)
        images, labels = _mixed(images, F.one_hot(clean.labels[chosen], clean.classes).float(), generator)
        target = _target(teacher(images), labels)
        given = torch.cat([images[:CLEAN], stamps.on(images[CLEAN:])])
        with torch.enable_grad():
            said = F.log_softmax(learner.logits(given) / TEMPERATURE, 1)
            descent.step(TEMPERATURE**2 * F.kl_div(said, target, reduction="batchmean"))
        advance(1)
    return learner.learned()


class _Stamps:
    """The triggers that a network is to unlearn, drawn anew for each image; some of them are looked for against it as it is."""

    def __init__(
        self, learner: Learner, culprits: Sequence[Culprit], clean: Suspect, generator: torch.Generator
    ) -> None:
        self.learner, self.culprits, self.clean, self.generator = learner, culprits, clean, generator
        self.fresh: dict[int, list[Trigger]] = {}
        self.uses = dict.fromkeys(range(len(culprits)), 0)
        self.searches = [culprit.kind.start(FRESH_AT_ONCE, generator) for culprit in culprits]

    def on(self, images: Images) -> Images:
        """Each image with a trigger on."""
        kinds = torch.multinomial(
            torch.tensor([RANDOM, RECOVERED, POOL, FRESH]), len(images), True, generator=self.generator
        )
        whose = torch.randint(len(self.culprits), (len(images),), generator=self.generator)
        whose[torch.rand(len(images), generator=self.generator) < 0.5] = 0  # the strongest finding has half of them
        result = images.clone()
        for place, culprit in enumerate(self.culprits):
            for kind in range(4):
                rows = ((kinds == kind) & (whose == place)).nonzero()[:, 0].to(images.device)
                if len(rows):
                    result[rows] = self._with(culprit, place, kind, images[rows])
        return result

    def _with(self, culprit: Culprit, place: int, kind: int, images: Images) -> Images:
        if kind == 0:
            return stamped(culprit.kind.random(self.generator), images, culprit.kind.jitter, self.generator)
        if kind == 1:
            return stamped(culprit.trigger, images, culprit.kind.jitter, self.generator)
        found = culprit.pool if kind == 2 else self._fresh(culprit, place)
        number = int(torch.randint(len(found), (), generator=self.generator))
        return stamped(found[number], images, culprit.kind.exact, self.generator)

    def _fresh(self, culprit: Culprit, place: int) -> Sequence[Trigger]:
        """Triggers that work now, or did a few steps ago: most are improved further, one in turn begins anew."""
        if self.uses[place] % FRESH_USES == 0:
            search = self.searches[place]
            search.renew(self.uses[place] // FRESH_USES % FRESH_AT_ONCE, culprit.kind.start(1, self.generator))
            wanted = [wish(culprit, self.clean, self.generator) for _ in range(FRESH_AT_ONCE)]
            search.run(self.learner.network, wanted, FRESH_STEPS, FRESH_RATE)
            self.fresh[place] = search.triggers()
        self.uses[place] += 1
        return self.fresh[place]


def _mixed(
    images: Images, labels: Float[Tensor, "n classes"], generator: torch.Generator
) -> tuple[Images, Float[Tensor, "n classes"]]:
    """Half of the images mixed with the next one, at most by half; and their labels."""
    n = len(images)
    share = 1 - 0.5 * torch.rand(n, generator=generator) * (torch.rand(n, generator=generator) < MIXED)
    share = share.to(images)
    rows = share[:, None, None, None]
    return rows * images + (1 - rows) * images.roll(1, 0), share[:, None] * labels + (1 - share[:, None]) * labels.roll(
        1, 0
    )


def _target(logits: Float[Tensor, "n classes"], labels: Float[Tensor, "n classes"]) -> Float[Tensor, "n classes"]:
    return TEACHER * F.softmax(logits / TEMPERATURE, 1) + (1 - TEACHER) * labels


def head(network: Network) -> tuple[str, ...]:
    """The parameters after the last convolution, where several modules hold them; none else."""
    own, groups = network.parameters, list(network.parameter_groups.items())
    kernels = [place for place, (_, names) in enumerate(groups) if any(own[name].ndim == 4 for name in names)]
    after = groups[kernels[-1] + 1 :] if kernels else []
    dense = [module for module, names in after if any(own[name].ndim == 2 for name in names)]
    return tuple(name for _, names in after for name in names) if len(dense) > 1 else ()


def normalised(network: Network) -> bool:
    """Whether the network normalises: it has parameters of one axis in a module without any of more."""
    own = network.parameters
    return any(all(own[name].ndim == 1 for name in names) for names in network.parameter_groups.values())
