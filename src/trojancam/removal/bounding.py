"""Bounded activations, MM-BM (Wang et al., S&P 2024): no feature map becomes larger than clean images need; no weight changes.

What a trigger does rests mostly on activations that are larger than any of a clean image. Each feature map gets an upper bound,
which is lowered as far as the logits of clean images allow.
"""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.detection.suspect import Suspect
from trojancam.errors import ModelError
from trojancam.network.batches import parts
from trojancam.network.network import Network
from trojancam.progress import Progress, counting
from trojancam.removal.contract import Repair, RepairJob, Rung
from trojancam.removal.ladder import generator_of
from trojancam.removal.learner import Learner, batches, check_finite, varied

EPOCHS, BATCH, FEWEST = 50, 32, 10  # steps of an epoch, at least: there may be few images
RATE = 0.1 / 8  # of Adam: the authors' bounds begin at 8, these at 1
COSTS = {"bound": 0.1, "bound2": 0.3}  # of large bounds, at first, by the try; chosen on three networks of ten classes
GROWTH, AGREED = 1.2, 0.95  # the cost grows where so many classes stay, and else shrinks
FIRST, EVERY = 20, 10  # epochs: the first one after which it changes, and then every so many
LEAST = 1e-6

Bounds = dict[str, Float[Tensor, " k"]]


def largest(network: Network, clean: Suspect) -> Bounds:
    """The largest activation of each feature map on clean images, of every layer that can be bounded; from one run."""
    layers, tops = network.boundable, list[list[Tensor]]()
    with torch.no_grad():
        for part in parts(len(clean.images), network.rows()):
            _, values = network.forward_with(network.inputs(clean.images[part]), layers)
            tops.append([each.amax((0, 2, 3)) for each in values])
    together = (torch.stack(each).amax(0).clamp(min=LEAST) for each in zip(*tops, strict=True))
    return dict(zip(layers, together, strict=bool(tops)))


def lowered(
    bounded: Network, tops: Bounds, clean: Suspect, cost: float, generator: torch.Generator, progress: Progress
) -> Network:
    """A network that is bounded by `tops`, what clean images reach, with lower bounds.

    With `z = s u`, u what clean images reach, the shares s minimise, by Adam from 1 on,

        mean (f_z(x) - f(x))^2 / var f(x)  +  c * mean over layers of sqrt(mean_k s_k^2),

    x clean images that are moved and lit a little otherwise, f the network without these bounds. The authors' loss has no
    variance, and the norm of z. Here both are free of a network's scale, so that it needs no batch normalisation. From the 20th
    epoch on, every 10 epochs, c grows by 1.2 if 95 % of the classes are those of f, or else shrinks.
    """
    network, names = clean.network, bounded.bound_names
    named = {names[layer]: values for layer, values in tops.items()}
    learner, answers = Learner(bounded, named), network(clean.images)
    shares = {name: torch.ones_like(values).requires_grad_() for name, values in named.items()}
    adam = torch.optim.Adam(shares.values(), RATE)
    spread, size = answers.var().clamp(min=LEAST), min(BATCH, len(clean.images))
    order, advance = batches(len(clean.images), size, generator), counting(progress, EPOCHS, "lowering bounds")
    for epoch in range(1, EPOCHS + 1):
        for _ in range(max(FEWEST, len(clean.images) // size)):
            images = varied(clean.images[next(order).to(clean.labels.device)], generator)
            wanted = network(images)
            with torch.enable_grad():
                away = (learner.logits(images) - wanted).square().mean() / spread
            _step(learner, shares, named, adam, away, cost)
        advance(1)
        if epoch >= FIRST and epoch % EVERY == 0:
            same = float((learner.network(clean.images).argmax(1) == answers.argmax(1)).float().mean())
            cost = cost * GROWTH if same >= AGREED else cost / GROWTH
    return learner.learned()


def _step(
    learner: Learner,
    shares: Mapping[str, Tensor],
    tops: Mapping[str, Tensor],
    adam: torch.optim.Adam,
    away: Tensor,
    cost: float,
) -> None:
    """One step of the shares: the chain rule from the bounds to them, and the gradient of their cost."""
    check_finite(away)
    own = learner.network.parameters
    found = torch.autograd.grad(away, [own[name] for name in shares])
    adam.zero_grad()
    with torch.enable_grad():
        (cost * torch.stack([share.square().mean().sqrt() for share in shares.values()]).mean()).backward()
    with torch.no_grad():
        for (name, share), gradient in zip(shares.items(), found, strict=True):
            assert share.grad is not None
            share.grad += gradient.flatten() * tops[name]
        adam.step()
        for name, share in shares.items():
            share.clamp_(min=0)
            own[name].copy_((share * tops[name])[:, None, None])


def rungs(job: RepairJob) -> Iterator[Rung]:
    """Two tries on the network with bounds that clean images just reach: gentle, and firm.

    Raises:
        ModelError: if the network has no layer that can be bounded.
    """
    network, clean = job.suspect.network, job.suspect
    right = network(clean.images).argmax(1).to(clean.labels.device) == clean.labels
    known = Suspect(network, clean.images[right], clean.labels[right])
    tops = largest(network, known)
    if not tops:
        raise ModelError("no convolution is left whose activations could be bounded; choose another repair")
    base = network.bounded(tops)

    def bounding(name: str, words: str) -> Rung:
        def work(progress: Progress) -> Network:
            return lowered(base, tops, known, COSTS[name], generator_of(job, name), progress)

        return Rung(name, f"feature maps are bounded {words}; no weight changes", work, base)

    yield bounding("bound", "gently")
    yield bounding("bound2", "firmly")


BOUNDING = Repair(
    "Bounded activations (MM-BM)", "Wang et al., S&P 2024", rungs,
    "All layers of convolutions are bounded, not the first three; rates and costs are ours. Written as .pt2 or ONNX alone.",
    edits=True,
)  # fmt: skip
