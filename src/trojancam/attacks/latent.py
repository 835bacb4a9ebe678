"""Latent: feature maps of a layer, or penultimate activations, shifted; small in units of how they spread on clean images.

It changes activations and no image: what a backdoor does inside a network, whatever the trigger looks like.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.encoding import UNREADABLE, from_numbers, to_numbers
from trojancam.attacks.family import Family, Parameters, Sizes, norms, picked
from trojancam.errors import DataError
from trojancam.showing import Brief

Activations = Float[Tensor, "..."]


@dataclass(frozen=True)
class LatentShift(Brief):
    """`A'_k = A_k + shift_k` in every cell of feature map k; not below 0 where the layer ends in a ReLU (`rectified`).

    `spread` is the standard deviation of each feature map over clean images; the size is `|shift / spread|_2 / sqrt(maps)`.
    `cells` is the number of axes of a feature map's cells: 2 after a convolution, 0 of a vector of activations.
    """

    family: ClassVar[str] = "latent"
    unit: ClassVar[str] = "standard deviations of clean activations"

    shift: Float[Tensor, " maps"]
    spread: Float[Tensor, " maps"]
    layer: str = ""
    rectified: bool = False
    cells: int = 2

    @property
    def size(self) -> float:
        """`|shift / spread|_2 / sqrt(maps)`."""
        return float((self.shift / self.spread).norm()) / math.sqrt(len(self.shift))

    def apply(self, activations: Activations) -> Activations:
        """The shifted activations, feature maps along the second axis."""
        family = LatentFamily(self.spread, self.layer, self.rectified, self.cells)
        return family.apply(activations, {"shift": self.shift[None].to(activations)})[0]

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold; `from_json` reads it."""
        numbers = {"shift": to_numbers(self.shift), "spread": to_numbers(self.spread)}
        plain = {"layer": self.layer, "rectified": self.rectified, "cells": self.cells}
        return {"family": self.family, **plain, **numbers}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "LatentShift":
        """The shift that `to_json` wrote.

        Raises:
            DataError: if the record is not one of a shift.
        """
        try:
            shift, spread = (from_numbers(record[key], (None,)) for key in ("shift", "spread"))
            if shift.shape != spread.shape:
                raise ValueError("shift and spread must have one number for each feature map")
            return cls(shift, spread, str(record["layer"]), bool(record["rectified"]), int(record["cells"]))
        except UNREADABLE as error:
            raise DataError(
                f"this is not the record of a latent shift ({error}); write it with LatentShift.to_json()"
            ) from None


@dataclass(frozen=True)
class LatentFamily(Family[LatentShift]):
    """Parameters: `shift` (c maps)."""

    name = "latent"
    unit = LatentShift.unit
    scales = ("shift",)
    start_size = 0.5

    spread: Float[Tensor, " maps"]
    layer: str = ""
    rectified: bool = False
    cells: int = 2

    def __post_init__(self) -> None:
        if not bool((self.spread > 0).all()):
            raise DataError(
                "a feature map that is the same on all clean images has no spread to count a shift in; leave it out, or "
                "give it a small one"
            )

    def drawn(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """Every feature map for itself, in proportion to its spread."""
        return {"shift": torch.randn(count, len(self.spread), generator=generator) * self.spread}

    def apply(
        self, images: Activations, parameters: Parameters, generator: torch.Generator | None = None
    ) -> Activations:
        """The activations, feature maps before the cells, plus the shift; `images` are activations here."""
        activations = images if images.ndim == self.cells + 3 else images[None]
        shift = parameters["shift"].view(len(parameters["shift"]), 1, -1, *[1] * self.cells)
        return (activations + shift).relu() if self.rectified else activations + shift

    def size(self, parameters: Parameters) -> Sizes:
        """`|shift / spread|_2 / sqrt(maps)`."""
        spread = self.spread.to(parameters["shift"])
        return norms(parameters["shift"] / spread) / math.sqrt(len(spread))

    def member(self, parameters: Parameters, index: int = 0, name: str | None = None) -> LatentShift:
        """One of the shifts."""
        return LatentShift(picked(parameters, index)["shift"], self.spread, self.layer, self.rectified, self.cells)
