"""STRIP: a trigger that decides the class goes on deciding it when other images are laid over (Gao et al., ACSAC 2019).

Of a clean image with another one laid over, the network is unsure; of a triggered one it stays sure. The overlays are added,
with the sum cut at white, as in the authors' code. The entropy is that over the classes, averaged over the overlays of one image.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.defences.defence import Reference, Scores, Seen, Test, answers
from trojancam.network.batches import parts
from trojancam.network.draws import Draws

OVERLAYS = 100  # N of the paper
COPIES = 3  # of an image: its blends, what the network makes of these, and what is being computed


def learn(reference: Reference, overlays: int = OVERLAYS) -> Test:
    """The test with `overlays` clean images, drawn once; the score is `-(1/N) sum_j H(softmax f(x + x_j))`, H in bits."""
    drawn = Draws(reference.seed).permutation(len(reference.images))[:overlays]
    laid_over = reference.images[drawn]

    def test(seen: Seen) -> Scores:
        return Scores(-mean_entropy(seen, laid_over))

    return test


def mean_entropy(seen: Seen, overlays: Float[Tensor, "j 3 h w"]) -> Float[Tensor, " n"]:
    """`(1/N) sum_j sum_c -p_c log2 p_c` of `x + x_j`, cut at 1, for each image x."""
    network, images = seen.network, seen.images
    overlays = overlays.to(network.device)
    rows = network.rows(seen.memory_budget, beside=COPIES * images[0].nbytes)
    found = []
    for image in images.to(network.device):
        entropies = [
            entropy(answers(network, (image + overlays[part]).clamp_(max=1))) for part in parts(len(overlays), rows)
        ]
        found.append(torch.cat(entropies).mean())
    return torch.stack(found).cpu()


def entropy(logits: Float[Tensor, "n classes"]) -> Float[Tensor, " n"]:
    """Of each row's softmax, in bits.

    >>> entropy(torch.zeros(1, 2))
    tensor([1.])
    """
    logs = logits.log_softmax(1)
    return -(logs.exp() * logs).sum(1) / torch.log(torch.tensor(2.0))
