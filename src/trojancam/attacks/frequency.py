"""Frequency: constants added to chosen coefficients of the image's cosine transform; small in the sense of its amplitude.

Wang, Yao, Xu, An, Tong, Wang: An Invisible Black-box Backdoor Attack through Frequency Domain (FTrojan, ECCV 2022).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.encoding import from_numbers, to_numbers
from trojancam.attacks.family import Changed, ImageFamily, Images, Parameters, Sizes, for_each, norms, picked
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError

# Columns: what one unit of luma Y, and of the colour differences Cb and Cr, adds to red, green and blue (ITU-R BT.601).
YCBCR_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


@dataclass(frozen=True)
class Frequency(Trigger):
    """`x' = clip(x + RGB(IDCT(coefficients)))`, block by block of `block` (height, width) pixels; the last may be cut.

    `coefficients` are those of luma, blue and red difference, from the lowest frequency on, in the orthonormal cosine
    transform of pixels in [0, 1]. The size is the root mean square of what is added, over the pixels and channels of a block.
    """

    family: ClassVar[str] = "frequency"
    unit: ClassVar[str] = "root mean square change"

    coefficients: Float[Tensor, "3 rows columns"]
    block: tuple[int, int]
    image_size: tuple[int, int] = (32, 32)
    name: str = "frequencies"

    def __post_init__(self) -> None:
        if any(each > side for each, side in zip(self.coefficients.shape[1:], self.block, strict=True)):
            raise DataError(
                f"a block of {self.block} pixels has no {tuple(self.coefficients.shape[1:])} coefficients; give fewer"
            )

    @property
    def size(self) -> float:
        """The root mean square of what is added."""
        return float(self.of_family().size({"coefficients": self.coefficients[None]}))

    def of_family(self) -> "FrequencyFamily":
        """The family of as many coefficients, in blocks of this size."""
        rows, columns = self.coefficients.shape[1:]
        return FrequencyFamily(self.image_size, (rows, columns), self.block)

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        return self.of_family().apply(images, {"coefficients": self.coefficients[None].to(images)})[0]

    def _to_record(self) -> dict[str, Any]:
        return {
            "coefficients": to_numbers(self.coefficients),
            "block": list(self.block),
            "image_size": list(self.image_size),
        }

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Frequency":
        (rows, columns), (height, width) = ((int(each) for each in record[key]) for key in ("block", "image_size"))
        return cls(
            from_numbers(record["coefficients"], (3, None, None)), (rows, columns), (height, width), str(record["name"])
        )


@dataclass(frozen=True)
class FrequencyFamily(ImageFamily[Frequency]):
    """Parameters: `coefficients` (c 3 rows columns), of the lowest frequencies `kept`; a block is the whole image if None."""

    name = "frequency"
    unit = Frequency.unit
    scales = ("coefficients",)
    start_size = 0.03

    kept: tuple[int, int] = (8, 8)
    block: tuple[int, int] | None = None

    def drawn(self, count: int, size: float, generator: torch.Generator) -> Parameters:
        """A single coefficient of each channel."""
        rows, columns = self.kept
        drawn = torch.rand(count, 3, rows * columns, generator=generator, device=generator.device)
        single = torch.zeros_like(drawn).scatter(2, drawn.argmax(2, keepdim=True), 1.0)
        return {"coefficients": single.view(count, 3, rows, columns)}

    def apply(self, images: Images, parameters: Parameters, generator: torch.Generator | None = None) -> Changed:
        """`clip(x + RGB(IDCT(coefficients)))`."""
        pattern = self._of_a_block(parameters["coefficients"])
        (height, width), (rows, columns) = self.image_size, pattern.shape[-2:]
        repeats = math.ceil(height / rows), math.ceil(width / columns)
        whole = pattern.repeat(1, 1, *repeats)[..., :height, :width]
        return (for_each(images) + whole[:, None]).clamp(0, 1)

    def size(self, parameters: Parameters) -> Sizes:
        """The root mean square of what is added to a block."""
        pattern = self._of_a_block(parameters["coefficients"]).flatten(1)
        return norms(pattern) / math.sqrt(pattern.shape[1])

    def member(self, parameters: Parameters, index: int = 0, name: str | None = None) -> Frequency:
        """One of the sets of coefficients."""
        found = picked(parameters, index)["coefficients"]
        return Frequency(found, self.block or self.image_size, self.image_size, name or Frequency.name)

    def _of_a_block(self, coefficients: Float[Tensor, "c 3 rows columns"]) -> Float[Tensor, "c 3 height width"]:
        height, width = self.block or self.image_size
        down, across = (
            cosines(side, kept, coefficients.device).to(coefficients)
            for side, kept in zip((height, width), coefficients.shape[2:], strict=True)
        )
        channels = torch.einsum("ik,jl,cmkl->cmij", down, across, coefficients)
        return torch.einsum(
            "rm,cmij->crij", torch.tensor(YCBCR_TO_RGB, device=coefficients.device).to(coefficients), channels
        )


def cosines(side: int, kept: int, device: torch.device | str = "cpu") -> Float[Tensor, "side kept"]:
    """The orthonormal basis of the cosine transform: column k is `sqrt(2/n) cos(pi (i + 1/2) k / n)`, column 0 `1/sqrt(n)`.

    >>> torch.allclose(cosines(4, 4) @ cosines(4, 4).T, torch.eye(4), atol=1e-6)
    True
    """
    places, waves = (torch.arange(count, dtype=torch.float64, device=device) for count in (side, kept))
    basis = (torch.pi / side * (places[:, None] + 0.5) * waves).cos() * math.sqrt(2 / side)
    basis[:, 0] /= math.sqrt(2)
    return basis.to(torch.get_default_dtype())
