"""Family: a parametrised, differentiable change of images, many candidates side by side, for whoever searches in it.

A backdoor is a change that is small in some family and leads many images to a class. An attack plants a member of a family;
a detector looks for the smallest member that leads to a class; a repair and a zoo draw members of their own.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.showing import Brief

Parameters = dict[str, Tensor]
"""The numbers of `c` candidates: named tensors whose first axis counts them."""
Images = Float[Tensor, "*k n 3 h w"]
"""Images in [0, 1]: the same ones for all candidates, or with a leading axis some for each."""
Changed = Float[Tensor, "c n 3 h w"]
Sizes = Float[Tensor, " c"]
Member_co = TypeVar("Member_co", covariant=True)


class Family(Brief, ABC, Generic[Member_co]):
    """A family of changes `x' = T(x; parameters)`; a member is one of them, with its parameters settled.

    `unit` is what `size` is counted in, in words; size 0 is the identity. `scales` names the parameters to which the size
    is proportional, `bounds` the interval that each parameter must lie in, where it has one. `start_size` is a size to start
    a search from, for images of 32 pixels.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    scales: ClassVar[tuple[str, ...]]
    bounds: ClassVar[dict[str, tuple[float, float]]] = {}
    start_size: ClassVar[float]

    @abstractmethod
    def drawn(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """Random candidates with the looks of ones of this size; how large they are does not matter yet."""

    @abstractmethod
    def apply(self, images: Images, parameters: Parameters, generator: torch.Generator | None = None) -> Changed:
        """Every image changed by every candidate, in [0, 1]; gradients flow to the images and to the parameters.

        Where something is drawn for each image it comes from `generator`, or from a seed of the family's own, and is the
        same for all candidates.
        """

    @abstractmethod
    def size(self, parameters: Parameters) -> Sizes:
        """How large each candidate is, in the family's `unit`; differentiable away from 0."""

    @abstractmethod
    def member(self, parameters: Parameters, index: int = 0, name: str | None = None) -> Member_co:
        """One candidate by itself, detached, on the CPU: `member(p, i).apply(x)` equals `apply(x, p)[i]`."""

    def start(
        self, count: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Parameters:
        """Candidates to start a search from: small, and no two alike."""
        found = self.random(count, self.start_size, generator or torch.Generator(device="cpu").manual_seed(0))
        return {name: values.to(device) for name, values in found.items()}

    def random(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """Random candidates of this size, inside the bounds."""
        found = self.drawn(count, size, generator)
        return self.project(self.scaled(found, size / self.size(found)))

    def scaled(self, parameters: Parameters, factor: float | Sizes) -> Parameters:
        """The candidates made larger or smaller: `size(scaled(p, a)) = a size(p)`, as far as the bounds allow."""
        return {
            name: values * along(factor, values) if name in self.scales else values
            for name, values in parameters.items()
        }

    def project(self, parameters: Parameters) -> Parameters:
        """The nearest parameters that are inside the bounds, detached."""
        return {
            name: values.detach().clamp(*self.bounds[name]) if name in self.bounds else values.detach().clone()
            for name, values in parameters.items()
        }


@dataclass(frozen=True)
class ImageFamily(Family[Member_co]):
    """A family of changes of images of one size, in pixels (height, width)."""

    image_size: tuple[int, int]


def for_each(images: Images) -> Float[Tensor, "k n 3 h w"]:
    """The images with an axis for the candidates: of length 1 where all share the same ones."""
    return images if images.ndim == 5 else images[None]


def norms(values: Float[Tensor, "c ..."]) -> Sizes:
    """The L2 norm of each candidate's numbers."""
    found: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return found


def picked(parameters: Parameters, index: int) -> Parameters:
    """One candidate's tensors without their first axis, detached copies on the CPU, as 32-bit floats."""
    return {name: values[index].detach().cpu().float().clone() for name, values in parameters.items()}


def along(factor: float | Tensor, values: Tensor) -> float | Tensor:
    """One number for each candidate, with as many axes as its values; one for all stays as it is."""
    if isinstance(factor, Tensor) and factor.ndim == 1:
        return factor.to(values).view(-1, *[1] * (values.ndim - 1))
    return factor
