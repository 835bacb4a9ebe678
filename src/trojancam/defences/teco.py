"""TeCo: a triggered image outlives some corruptions far longer than others (Liu et al., CVPR 2023).

A clean image loses its class to all corruptions at much the same grade. A trigger withstands those that leave it readable and
falls at once to those that do not, so that the grades differ.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.defences.corruptions import CORRUPTIONS, GRADES, corrupted
from trojancam.defences.defence import Reference, Scores, Seen, Test, answers


def learn(_: Reference) -> Test:
    """The test, which learns nothing: the score is the deviation of the grades at which the class is lost."""

    def test(seen: Seen) -> Scores:
        return Scores(lost_at(seen).std(1, correction=0))

    return test


def lost_at(seen: Seen) -> Float[Tensor, "n corruptions"]:
    """Of each image, the first grade of each corruption at which its class is lost: 1 to 5, or 6 if none."""
    found = []
    images = seen.images.to(seen.network.device)
    for name in CORRUPTIONS:
        grades = torch.full((len(images),), float(GRADES + 1))
        for grade in range(GRADES, 0, -1):
            spoilt = corrupted(images, name, grade, seen.seed)
            grades[answers(seen.network, spoilt).argmax(1).cpu() != seen.classes] = grade
        found.append(grades)
    return torch.stack(found, 1)
