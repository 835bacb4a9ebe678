"""LIME: a linear model of what hiding parts of the image does to the score (Ribeiro et al., KDD 2016).

SLIC divides the image into superpixels. Each sample hides a random half of them. A ridge regression, in which samples close to
the whole image weigh more, says how much each superpixel adds to the score. Constants are those of the authors' code: 1000
samples, cosine distance, kernel width 0.25, penalty 1. Their code divides the image by quick shift; here it is SLIC, as in most
later work. Hidden pixels become 0 as the network is fed, one of the two ways that their code has. The other one, a superpixel's
own mean colour, would hide nothing of a trigger of one colour, which is a superpixel of its own.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from trojancam.errors import ModelError, Remedy
from trojancam.network.batches import parts
from trojancam.network.draws import Draws
from trojancam.network.network import Network
from trojancam.network.targets import Target

SUPERPIXELS = 50  # that SLIC is asked for
SAMPLES = 1000
KERNEL_WIDTH = 0.25
PENALTY = 1.0  # of the squared coefficients
COPIES = 2  # of an image: with parts hidden, and which parts these are

Superpixels = Int64[Tensor, "h w"]
Kept = Bool[Tensor, "samples parts"]


def check_installed(_: Network) -> None:
    """Refuse to begin without the package that divides images.

    Raises:
        ModelError: if scikit-image is not there.
    """
    try:
        import skimage  # noqa: F401
    except ImportError:
        raise ModelError("LIME needs the extra 'lime'", Remedy.INSTALL, detail="'trojancam[lime]'") from None


def lime(
    network: Network, images: Float[Tensor, "n 3 h w"], target: Target, memory_budget: int, seed: int = 0
) -> Float[Tensor, "n h w"]:
    """What each pixel's superpixel adds to the score; no gradient is involved, and it is negative where the score rises without.

    Which superpixels a sample hides depends on the seed and on their number alone, so that an image has the same map in any
    batch.

    Raises:
        ModelError: if scikit-image is not there.
    """
    check_installed(network)
    found = [_of_an_image(network, images, number, target, memory_budget, seed) for number in range(len(images))]
    return torch.stack(found) if found else images.new_zeros(0, *images.shape[2:], device=network.device)


def _of_an_image(
    network: Network, images: Float[Tensor, "n 3 h w"], number: int, target: Target, memory_budget: int, seed: int
) -> Float[Tensor, "h w"]:
    image = images[number].to(network.device)
    divided = superpixels(image).to(network.device)
    kept = drawn(int(divided.max()) + 1, seed)
    scores, rows = [], network.rows(memory_budget, beside=COPIES * image.nbytes)
    with torch.no_grad():
        inputs = network.inputs(image[None])
        for part in parts(len(kept), rows):
            shown = inputs * kept[part].to(inputs)[:, divided][:, None]
            logits = network.forward_with(shown, ())[0]
            own = torch.full((len(logits),), number, device=network.device)
            scores.append(target.of(own, len(images))(logits))
    return coefficients(kept, torch.cat(scores).cpu()).to(image)[divided]


def superpixels(image: Float[Tensor, "3 h w"]) -> Superpixels:
    """Which of about fifty superpixels each pixel belongs to, counted from 0 on, by SLIC (Achanta et al., TPAMI 2012)."""
    from skimage.segmentation import slic

    pixels = image.detach().cpu().double().permute(1, 2, 0).numpy()
    found = slic(pixels, n_segments=SUPERPIXELS, start_label=0, channel_axis=-1)
    _, counted = np.unique(found, return_inverse=True)
    return torch.from_numpy(counted.reshape(found.shape).astype(np.int64))


def drawn(count: int, seed: int, samples: int = SAMPLES) -> Kept:
    """Which of so many superpixels each sample keeps: all of them the first, each with a chance of a half the others.

    >>> drawn(3, 0, samples=2)[0]
    tensor([True, True, True])
    """
    kept = Draws(seed).uniform(samples, count) < 0.5
    kept[0] = True
    return kept


def coefficients(kept: Kept, scores: Float[Tensor, " samples"]) -> Float[Tensor, " parts"]:
    """The `b` of `min_{a,b} sum_s w_s (y_s - a - z_s b)^2 + |b|^2`, in 64 bits; `z_s` is 1 where sample s keeps a superpixel.

    `w_s = exp(-d_s^2 / 0.25^2)^(1/2)` with the cosine distance to the whole image, `d_s = 1 - (share kept)^(1/2)`.

    >>> kept = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).repeat(500, 1)
    >>> coefficients(kept > 0, kept @ torch.tensor([3.0, 1.0])).round(decimals=1)
    tensor([3., 1.], dtype=torch.float64)
    """
    design, answers = kept.double(), scores.double()
    distance = 1 - design.mean(1).sqrt()
    weights = (-(distance**2) / KERNEL_WIDTH**2).exp().sqrt()
    shares = weights / weights.sum()
    centred, rises = design - shares @ design, answers - shares @ answers
    weighed = centred.T * weights
    penalty = PENALTY * torch.eye(design.shape[1], dtype=design.dtype, device=design.device)
    solved: Tensor = torch.linalg.solve(weighed @ centred + penalty, weighed @ rises)
    return solved
