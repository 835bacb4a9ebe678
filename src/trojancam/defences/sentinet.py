"""SentiNet: a small region that makes other images the same class, although its outline alone does not (Chou et al., SPW 2020).

Grad-CAM of the last layer gives the region. It is pasted on clean images: how many become the image's class (`fooled`)? Noise
is pasted in the same place: how sure is the network still (`confidence`)? A region of a clean image that fools the network
hides much of the image under it, so that the confidence is low, too; a trigger fools it at a high confidence.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trojancam.attribution import grad_cam
from trojancam.defences.defence import Reference, Scores, Seen, Test, answers
from trojancam.network.batches import parts
from trojancam.network.draws import Draws
from trojancam.network.network import Network
from trojancam.showing import Brief

CARRIERS = 100  # clean images that regions are pasted on
POINTS = 100  # clean images that the boundary is fitted to
LEVEL = 0.85  # of the heat map's maximum: what lies above is the region
BINS = 10
GRID = 1001  # points of the boundary that distances are taken to


def learn(reference: Reference, carriers: int = CARRIERS, points: int = POINTS) -> Test:
    """The test with a boundary fitted to clean images: a parabola through the largest `fooled` of each span of `confidence`.

    The score is the distance of a point (confidence, fooled) to the parabola, negative below it.
    """
    drawn = Draws(reference.seed).permutation(len(reference.images))
    pasted = Carriers(reference.network, reference.images[drawn[:carriers]], _noise(reference), reference.memory_budget)
    found = [pasted.rates(seen) for seen in _first(reference, points)]
    boundary = Boundary.of(*(torch.cat(each) for each in zip(*found, strict=True)))

    def test(seen: Seen) -> Scores:
        confidence, fooled = pasted.rates(seen)
        return Scores(boundary.distance(confidence, fooled), heat(seen))

    return test


@dataclass(frozen=True)
class Carriers(Brief):
    """Clean images that a region of another image, or noise in its place, is pasted on."""

    network: Network
    images: Float[Tensor, "j 3 h w"]
    noise: Float[Tensor, "3 h w"]
    memory_budget: int

    def rates(self, seen: Seen) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """Of each image, the mean confidence with noise in place of its region, and the share fooled by its region."""
        confidence, fooled = [], []
        for image, region, own in zip(seen.images, regions(heat(seen)), seen.classes, strict=True):
            confidence.append(self._answers(self.noise, region).softmax(1).amax(1).mean())
            fooled.append((self._answers(image, region).argmax(1) == own).float().mean())
        return torch.stack(confidence), torch.stack(fooled)

    def _answers(self, source: Float[Tensor, "3 h w"], region: Bool[Tensor, "h w"]) -> Float[Tensor, "j classes"]:
        rows = self.network.rows(self.memory_budget, beside=2 * source.nbytes)
        return torch.cat(
            [
                answers(self.network, source.where(region, self.images[part])).cpu()
                for part in parts(len(self.images), rows)
            ]
        )


@dataclass(frozen=True)
class Boundary(Brief):
    """The parabola `fooled = a + b confidence + c confidence^2` over clean images."""

    coefficients: Float[Tensor, " 3"]

    @classmethod
    def of(cls, confidence: Float[Tensor, " n"], fooled: Float[Tensor, " n"]) -> "Boundary":
        """By least squares, through the highest point of each of ten even spans of the confidences that there are."""
        confidence, fooled = confidence.double(), fooled.double()
        low, high = confidence.amin(), confidence.amax()
        span = ((confidence - low) / (high - low).clamp(min=1e-12) * BINS).long().clamp(max=BINS - 1)
        highest = [_highest(fooled, span == number) for number in span.unique().tolist()]
        x, y = confidence[highest], fooled[highest]
        powers = torch.stack([torch.ones_like(x), x, x.square()], 1)
        return cls(torch.linalg.pinv(powers) @ y)

    def distance(self, confidence: Float[Tensor, " n"], fooled: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The Euclidean distance of points to the parabola over [0, 1], negative below it."""
        points = torch.stack([confidence, fooled], 1).double()
        x = torch.linspace(0, 1, GRID, dtype=torch.float64)
        curve = torch.stack([x, self._at(x)], 1)
        above = points[:, 1] >= self._at(points[:, 0])
        nearest = torch.cdist(points, curve).amin(1)
        return torch.where(above, nearest, -nearest).float()

    def _at(self, confidence: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
        a, b, c = self.coefficients.unbind()
        return a + b * confidence + c * confidence.square()


def heat(seen: Seen) -> Float[Tensor, "n h w"]:
    """Grad-CAM of the last layer for the predicted class, at the size of the images."""
    last = list(seen.recording.layers)[-1]
    return grad_cam(seen.recording, last)[last].heatmap().cpu()


def regions(heatmaps: Float[Tensor, "n h w"]) -> Bool[Tensor, "n h w"]:
    """Where the heat is at least `LEVEL` of its maximum; nowhere, if there is none.

    >>> regions(torch.tensor([[[0.0, 0.5], [0.9, 1.0]]]))
    tensor([[[False, False],
             [ True,  True]]])
    """
    most = heatmaps.amax((1, 2), keepdim=True)
    return (heatmaps >= LEVEL * most) & (most > 0)


def _highest(fooled: Float[Tensor, " n"], among: Bool[Tensor, " n"]) -> int:
    return int(fooled.where(among, -1.0).argmax())


def _first(reference: Reference, points: int) -> list[Seen]:
    few = Reference(reference.network, reference.images[:points], reference.seed, reference.memory_budget)
    return list(few.seen(recorded=True))


def _noise(reference: Reference) -> Float[Tensor, "3 h w"]:
    """The inert pattern: even noise, drawn once."""
    return Draws(reference.seed + 1).uniform(*reference.images.shape[1:])
