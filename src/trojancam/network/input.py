"""InputSpecification: what a network is fed, and how images in [0, 1] become that; Feeding: who says so."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import ValidationError, model_serializer, model_validator
from torch import Tensor

from trojancam.errors import DataError
from trojancam.records import Positive, Record, Share, Side
from trojancam.text import with_article

Channels = Literal["rgb", "bgr", "grey"]
Region = Literal["whole", "roi"]
"""What is looked at of an image file: all of it, or the region that the data set gives for the object, as GTSRB does."""
_USUAL = (
    ("channels", "rgb"),
    ("crop", 1.0),
    ("region", "whole"),
)  # not written down: fingerprints and files stay as they were
FLOAT = 4  # bytes
IN_WORDS = {
    "size": "(height, width) in pixels, each from 1 to 8192, such as (32, 32)",
    "mean": "three finite numbers, one for each channel",
    "std": "three numbers above 0, one for each channel",
    "channels": "rgb, bgr or grey",
    "crop": "a share of the images' sides, above 0 and at most 1",
    "region": "whole or roi",
}
"""What each field of a specification can be."""
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601


@dataclass(frozen=True)
class Feeding:
    """Who says how a network is fed: in words that reports repeat, and whether that is to be relied on.

    `size_assumed` is whether nobody said of what size its images are, so that a usual one was taken.
    """

    words: str
    vouched: bool = True
    size_assumed: bool = field(default=False, compare=False)

    @property
    def doubt(self) -> str:
        """What a result should say where nobody vouches; empty where somebody does."""
        if self.vouched:
            return ""
        return f"The network is fed {self.words}. If it was trained on other pixels, its answers mean nothing."


GIVEN = Feeding("as given")  # by whoever made the network
UNKNOWN = Feeding("pixels in [0, 1] (assumed: the file does not say; check with labelled images)", vouched=False)


class SpecificationError(DataError, ValueError):
    """No network can be fed so: also a `ValueError`, as Python's own classes raise it for a value that cannot be."""


def as_size(given: object) -> object:
    """A size (height, width) where the side of a square was given; anything else as it is.

    >>> as_size(32), as_size([32, 48])
    ((32, 32), [32, 48])
    """
    return (int(given), int(given)) if isinstance(given, Integral) and not isinstance(given, bool) else given


class InputSpecification(Record):
    """What a network is fed: images of `size` (height, width), `(x - mean) / std` of pixels in [0, 1].

    Images come as RGB; `channels` is what the network takes: `rgb`, `bgr`, or `grey` (one channel, the luma of ITU-R BT.601).
    `mean` and `std` are those of its own channels, in its order; of a grey network only the first counts. `crop` is the share
    of an image's sides that it sees, in the middle: ImageNet's networks are often given 224 of 256 pixels, 0.875. `region`
    `roi` means that it sees traffic signs alone, cut out as GTSRB says where they are. Both count where a data set is read;
    images that are given as tensors are cut already.
    """

    size: tuple[Side, Side] = (32, 32)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    channels: Channels = "rgb"
    crop: Share = 1.0
    region: Region = "whole"

    def __new__(cls, **fields: object) -> "InputSpecification":
        """Refuse in one sentence what pydantic would refuse at length; what is read from files does not come here.

        Raises:
            SpecificationError: if a field cannot have its value; it is a `DataError`.

        >>> InputSpecification(size=32, mean=(0.5, 0.5, 0.5)).size
        (32, 32)
        """
        if fields:
            try:
                cls.__pydantic_validator__.validate_python(fields)
            except ValidationError as error:
                raise refused(error, fields) from None
        return super().__new__(cls)

    @model_validator(mode="before")
    @classmethod
    def _of_a_square(cls, fields: Any) -> Any:
        return {**fields, "size": as_size(fields["size"])} if isinstance(fields, dict) and "size" in fields else fields

    def normalise(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h w"]:
        """Images in [0, 1] as the network wants them: 32-bit floats in channels-last memory (the fastest on a CPU)."""
        images = self._channels_of(images.to(torch.float32))
        mean, std = (images.new_tensor(each)[: images.shape[1]].view(-1, 1, 1) for each in (self.mean, self.std))
        return ((images - mean) / std).contiguous(memory_format=torch.channels_last)

    @property
    def number_of_channels(self) -> int:
        """How many channels the network takes."""
        return 1 if self.channels == "grey" else 3

    @property
    def bytes_per_image(self) -> int:
        """What `normalise` holds for an image beside the image and its result."""
        return 2 * FLOAT * 3 * self.size[0] * self.size[1]

    def _channels_of(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h w"]:
        if self.channels == "rgb":
            return images
        if self.channels == "bgr":
            return images.flip(1)
        return (images * images.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)

    @model_serializer(mode="wrap")
    def _without_the_usual(self, fields: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        """As files have always had it: of channels, crop and region is said only what is not usual."""
        return {name: value for name, value in fields(self).items() if (name, value) not in _USUAL}

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [(name, value) for name, value in super().__repr_args__() if (name, value) not in _USUAL]


def check_specification(given: object) -> None:
    """Refuse what is given where a specification, or none, belongs.

    Raises:
        SpecificationError: if it is neither.
    """
    if given is not None and not isinstance(given, InputSpecification):
        raise SpecificationError(
            f"a specification is an InputSpecification, not {with_article(type(given).__name__)}; make one, such as "
            "trojancam.network.input.InputSpecification(size=(32, 32), mean=(0.5, 0.5, 0.5))"
        )


def refused(
    error: ValidationError, fields: Mapping[str, Any], where: str = "an input specification", also: str = ""
) -> SpecificationError:
    """What is wrong with the first field that is, in words; `also` is what else it could be there."""
    name = str(error.errors()[0]["loc"][0])
    if name == "size":
        return SpecificationError(f"an input's size is {IN_WORDS[name]}, not {repr(fields[name])[:60]}")
    if name not in IN_WORDS:
        return SpecificationError(f"{where} has no field {name!r}; known: {', '.join(IN_WORDS)}")
    return SpecificationError(f"{name} of {where} is {IN_WORDS[name]}{also}, not {repr(fields[name])[:60]}; correct it")
