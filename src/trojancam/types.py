"""Types that several parts share: frozen records that refuse what they do not know, and the input specification."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

Positive = Annotated[float, Field(gt=0)]
Side = Annotated[int, Field(gt=0, le=8192)]


class Record(BaseModel):
    """A frozen record that refuses fields it does not know and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputSpecification(Record):
    """What a network is fed: RGB images of `size` (height, width), `(x - mean) / std` of pixels in [0, 1]."""

    size: tuple[Side, Side] = (32, 32)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)

    def normalise(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Images in [0, 1] as the network wants them: 32-bit floats in channels-last memory (the fastest on a CPU)."""
        images = images.to(torch.float32)
        mean = torch.tensor(self.mean, dtype=images.dtype).view(3, 1, 1)
        std = torch.tensor(self.std, dtype=images.dtype).view(3, 1, 1)
        return ((images - mean) / std).contiguous(memory_format=torch.channels_last)
