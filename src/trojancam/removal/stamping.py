"""Stamping: a trigger is varied from image to image, so that what is unlearned is its kind, and not its pixels."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.attacks.trigger import VISIBLE, Trigger
from trojancam.showing import Brief

Images = Float[Tensor, "n 3 h w"]


@dataclass(frozen=True)
class Jitter(Brief):
    """How far a trigger is varied: moved by up to `shift` pixels, shown with `faintest` to `strongest` times its strength.

    `colour` and `noise` are standard deviations, the first as a share of the change that it makes.
    """

    shift: int = 2
    faintest: float = 0.4
    colour: float = 0.2
    noise: float = 0.1
    strongest: float = 1.0


NONE = Jitter(0, 1.0, 0.0, 0.0)


def stamped(trigger: Trigger, images: Images, jitter: Jitter, generator: torch.Generator) -> Images:
    """Every image x with the trigger T varied: `x + a (1 + c) (S T S^-1 x - x) + n`, in [0, 1].

    S moves an image by some pixels, around its edge, which moves the trigger whatever its family; a is its strength, c a number
    for each colour, and n noise where the trigger changes anything. All are drawn for each image.

    >>> from trojancam.attacks.patch import square
    >>> dot = square(1, 1, 1, "white", image_size=(3, 3))
    >>> stamped(dot, torch.zeros(1, 3, 3, 3), NONE, torch.Generator())[0, 0]
    tensor([[0., 0., 0.],
            [0., 1., 0.],
            [0., 0., 0.]])
    """
    if not len(images):
        return images
    n = len(images)
    shifts = torch.randint(-jitter.shift, jitter.shift + 1, (n, 2), generator=generator).tolist()
    change = _moved(trigger.apply(_moved(images, shifts, -1), generator), shifts, 1) - images
    strength = jitter.faintest + (jitter.strongest - jitter.faintest) * torch.rand(n, 1, 1, 1, generator=generator)
    colours = 1 + jitter.colour * torch.randn(n, 3, 1, 1, generator=generator)
    noise = jitter.noise * torch.randn(images.shape, generator=generator)
    seen = (change.abs().amax(1, keepdim=True) >= VISIBLE).to(images)
    return (images + (strength * colours).to(images) * change + noise.to(images) * seen).clamp(0, 1)


def relatives(trigger: Trigger) -> Iterator[Trigger]:
    """What a recovered trigger may stand for: itself; of a patch also what an attacker would rather print.

    A recovered patch is blurred in strength and colour. Its relatives cover fully what it covers by more than a half, in its own
    colours and in those rounded to black, white and the six pure ones, where it is and one pixel up, down, left and right.

    >>> from trojancam.attacks.patch import square
    >>> len(list(relatives(square(2, 3, 3, "white", image_size=(8, 8)))))
    11
    """
    yield trigger
    if not isinstance(trigger, Patch):
        return
    mask = (trigger.opacity * trigger.weight > 0.5).to(trigger.weight)
    if not bool(mask.any()):
        return
    for pattern in (trigger.pattern, trigger.pattern.round()):
        whole = Patch(mask, pattern, name="relative")
        yield from (whole.moved(*shift) for shift in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)))


def _moved(images: Images, shifts: list[list[int]], sign: int) -> Images:
    """Each image moved by its own number of rows and columns, around the edge."""
    pairs = zip(images, shifts, strict=True)
    return torch.stack([image.roll((sign * rows, sign * columns), (1, 2)) for image, (rows, columns) in pairs])
