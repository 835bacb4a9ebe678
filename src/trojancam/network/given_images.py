"""Given images: arrays, bytes, pictures and lists of them become float images `n 3 h w` in [0, 1], or are refused.

What can be meant in one way only is done; all else is refused in a sentence with the remedy that fits it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from trojancam.errors import DataError
from trojancam.pictures import as_floats, as_rgb

Images = Float[Tensor, "n 3 h w"]
Size = tuple[int, int]


@runtime_checkable
class Labelled(Protocol):
    """A set of labelled images, such as `trojancam.data.ImageSet`."""

    images: Tensor
    labels: Tensor


One = Tensor | NDArray[Any] | Image.Image
GivenImages = One | Sequence[One] | Labelled
"""Images as users have them: float tensors `n 3 h w`, and whatever `read` makes into that."""


class OtherSizeError(DataError):
    """Images are of another size, `own`, than the network takes."""

    def __init__(self, problem: str, own: Size) -> None:
        super().__init__(problem)
        self.own = own


LAYOUTS = ("n 3 h w", "n h w 3", "3 h w", "h w 3", "n 1 h w", "n h w 1", "1 h w", "h w 1", "n h w", "h w")
"""How axes may be ordered; of several that fit, the first is meant."""

SLACK = 0.01  # out of [0, 1], from rounding
OVERSHOOT = 0.25  # of images that were resized with overshoot: neither normalised nor bytes
BY_THE_GREATEST = "divide them, as floats, by the greatest value that they can have (65535 of 16 bits)"


def read(given: object, size: Size, name: str) -> Images:
    """Images of `size` pixels for the network called `name`: floats `n 3 h w` in [0, 1], at least one.

    Floats in [0, 1] and bytes are taken, as tensors or arrays `n 3 h w`, `n h w 3`, or without the `n`; grey ones without
    the 3, or with a 1; Pillow's images; lists of any of these; and sets of labelled images. If `n 3 h w` and `n h w 3` both
    fit, the first is meant. A float tensor `n 3 h w` is returned as it is.

    Raises:
        DataError: if it is none of these, or images of another size, number of channels or range, or not finite, or none.

    >>> read(np.zeros((2, 8, 8, 3), np.uint8), (8, 8), "network").shape, read(torch.rand(8, 8), (8, 8), "network").shape
    (torch.Size([2, 3, 8, 8]), torch.Size([1, 3, 8, 8]))
    """
    images = arranged(given, size, name)
    _check_range(images)
    return images


def arranged(given: object, size: Size, name: str) -> Images:
    """As `read`, but in whatever range they are.

    Raises:
        DataError: if they are none, or of another size or number of channels.
    """
    values, several = _values(given, size, name)
    return _floats(_arranged(values, several, size, name))


def size_of(given: object) -> Size | None:
    """Height and width of given images, as their axes are most likely meant; None if they are no images.

    >>> size_of(np.zeros((2, 8, 9, 3), np.uint8)), size_of([torch.rand(3, 8, 9)]), size_of(Image.new("L", (9, 8)))
    ((8, 9), (8, 9), (8, 9))
    """
    if isinstance(given, list | tuple):
        return size_of(given[0]) if given else None
    if isinstance(given, Image.Image):
        return given.height, given.width
    shape = tuple(getattr(given.images if isinstance(given, Labelled) else given, "shape", ()))
    layout = next((each for each in LAYOUTS if _fits(each, shape, None)), None)
    extents = dict(zip(layout.split(), shape, strict=True)) if layout else {}
    return (extents["h"], extents["w"]) if extents else None


def _values(given: object, size: Size, name: str) -> tuple[Shaped[Tensor, "..."], bool]:
    """The numbers given, and whether their first axis is known to count images."""
    if isinstance(given, Tensor):
        return given, False
    if isinstance(given, Labelled) and isinstance(given.images, Tensor):
        return given.images, True
    if isinstance(given, Image.Image):
        return _pixels(given, size, name), False
    if isinstance(given, list | tuple):
        return _stacked(given, size, name), True
    if hasattr(given, "__array__"):
        return _tensor(np.asarray(given)), False
    raise _no_images(given)


def _pixels(picture: Image.Image, size: Size, name: str) -> Shaped[Tensor, "h w 3"]:
    """A picture as bytes."""
    own = picture.height, picture.width
    if own != size:
        raise _of_another_size(own, size, name, f"picture.resize(({size[1]}, {size[0]}))")
    return torch.from_numpy(np.array(as_rgb(picture)))


def _stacked(given: Sequence[object], size: Size, name: str) -> Shaped[Tensor, "n ..."]:
    """Several images as one tensor."""
    if not given:
        raise DataError("there are no images; give at least one")
    each = [_values(one, size, name)[0] for one in given]
    if len(each) == 2 and each[0].ndim > 2 and each[1].ndim == 1:
        raise DataError("these are images and labels; give the images alone: images, labels = ...")
    shapes, kinds = {tuple(values.shape) for values in each}, {_kind(values.dtype) for values in each}
    if len(shapes) > 1:
        raise DataError(
            f"the images in a list must be of one shape, but these are {_some(shapes)}; resize them to "
            f"{size[0]}x{size[1]} pixels"
        )
    if len(kinds) > 1:
        raise DataError(f"the images in a list must be of one kind, but these are {_some(kinds)}; convert some of them")
    return torch.stack(each)


def _tensor(array: NDArray[Any]) -> Tensor:
    """The array as a tensor, on the same memory where that can be."""
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"images must be numbers, but this is an array of {array.dtype}; give floats in [0, 1], or bytes"
        )
    longer = array.dtype.kind == "f" and array.itemsize > 8
    plain = array.astype(np.float64 if longer else array.dtype.newbyteorder("="), copy=False)
    backwards = any(stride < 0 for stride in plain.strides)
    return torch.from_numpy(plain.copy() if backwards or not plain.flags.writeable else plain)


def _arranged(values: Shaped[Tensor, "..."], several: bool, size: Size, name: str) -> Shaped[Tensor, "n 3 h w"]:
    """The same numbers, the axes in order."""
    shape = tuple(values.shape)
    if 0 in shape:
        raise DataError(f"there are no images in a shape of {shape}; give at least one")
    layouts = _possible(shape, several)
    layout = next((each for each in layouts if _fits(each, shape, size)), None)
    if layout is None:
        raise _of_another_shape(shape, layouts, size, name)
    images = values if layout.startswith("n") else values[None]
    if layout.endswith(("3", "1")):
        images = images.movedim(-1, 1)
    elif layout in ("n h w", "h w"):
        images = images[:, None]
    return images.expand(-1, 3, -1, -1)


def _possible(shape: tuple[int, ...], several: bool) -> list[str]:
    """The layouts that may be meant; four grey images are as likely as one of four channels, so neither is taken."""
    if several:
        return [layout for layout in LAYOUTS if layout.startswith("n")]
    return [layout for layout in LAYOUTS if layout != "n h w" or shape[0] != 4]


def _fits(layout: str, shape: tuple[int, ...], size: Size | None) -> bool:
    """Whether the axes may mean this, for images of some size, or of any."""
    axes = layout.split()
    wanted = dict(zip("hw", size or (), strict=False)) | {"3": 3, "1": 1}
    alike = (wanted.get(axis, extent) == extent for axis, extent in zip(axes, shape, strict=False))
    return len(axes) == len(shape) and all(alike)


def _floats(images: Shaped[Tensor, "n 3 h w"]) -> Images:
    """Bytes become floats; other whole numbers are refused."""
    if images.is_floating_point():
        return images
    if images.dtype == torch.uint8:
        return as_floats(images)
    if images.dtype == torch.bool or images.is_complex():
        raise DataError(f"images must be floats in [0, 1], or bytes, not {_kind(images.dtype)}; convert them to floats")
    low, high = (int(extreme) for extreme in images.aminmax())
    what = f"images must be floats in [0, 1], or bytes, but these are {_kind(images.dtype)} from {low} to {high}"
    if low >= 0 and high <= 255:
        raise DataError(f"{what}; make them bytes, with images.to(torch.uint8), or images.astype('uint8') in NumPy")
    raise DataError(f"{what}; {BY_THE_GREATEST}")


def _check_range(images: Images) -> None:
    low, high = (float(extreme) for extreme in images.detach().aminmax())
    if low >= -SLACK and high <= 1 + SLACK:
        return
    finite = images.detach().isfinite().flatten(1).all(1)
    if not bool(finite.all()):
        index = int(finite.logical_not().nonzero()[0])
        raise DataError(
            f"image {index} holds values that are not finite (NaN or infinity); correct it, or leave it out"
        )
    what = f"images must lie in [0, 1], but these run from {low:g} to {high:g}"
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        raise DataError(f"{what}; if resizing made them overshoot, cut that off with images.clamp(0, 1)")
    if low < 0:
        raise DataError(f"{what}, as normalised ones do; give images in [0, 1]: the network normalises them itself")
    if high <= 255:
        raise DataError(f"{what}; divide them by 255")
    raise DataError(f"{what}; {BY_THE_GREATEST}")


def _no_images(given: object) -> DataError:
    kind = type(given).__name__
    if isinstance(given, str) or hasattr(given, "__fspath__"):
        return DataError(
            f"{str(given)!r} is a path, not an image; read it first, with trojancam.data.read_image(path, size)"
        )
    if isinstance(given, Mapping):
        listed, key = by_key(given)
        return DataError(
            f"images are not taken from a {kind} ({listed}) as a whole; take them by their key: batch[{key}]"
        )
    if isinstance(given, Iterable):
        return DataError(
            f"images are not taken from a {kind} one by one; give one batch, such as next(iter(loader))[0], or "
            "next(iter(loader))['image'] where a batch is a dict, or stream them"
        )
    return DataError(f"images must be a tensor, an array, a Pillow image or a list of these, not {kind}; convert them")


def by_key(given: Mapping[Any, object]) -> tuple[str, str]:
    """The keys of a batch or an item, in words, and the one that most likely holds the images.

    >>> by_key({"label": 3, "image": torch.zeros(3, 8, 8)})
    ("'label', 'image'", "'image'")
    """
    likely = [key for key, value in given.items() if isinstance(value, Image.Image) or getattr(value, "ndim", 0) > 1]
    listed = ", ".join(repr(key)[:40] for key in list(given)[:6]) or "empty"
    return listed, repr(next(iter((*likely, *given)), "image"))[:40]


def _of_another_shape(shape: tuple[int, ...], layouts: Sequence[str], size: Size, name: str) -> DataError:
    channels = (shape[1], shape[3]) if len(shape) == 4 else (shape[0], shape[2]) if len(shape) == 3 else ()
    layout = next((each for each in layouts if _fits(each, shape, None)), None)
    if 4 in channels and layout in (None, "n h w"):
        return DataError(
            f"images of shape {shape} have four channels; leave out the fourth: images[:, :3] of n c h w, images[..., :3] "
            "of n h w c"
        )
    if layout is None:
        return DataError(
            f"images are of shape (n, 3, height, width) or (n, height, width, 3), not {shape}; move their axes"
        )
    extents = dict(zip(layout.split(), shape, strict=True))
    how = f"torch.nn.functional.interpolate(images, {size}, mode='bilinear', antialias=True)"
    return _of_another_size((extents["h"], extents["w"]), size, name, how)


def _of_another_size(own: Size, size: Size, name: str, how: str) -> DataError:
    return OtherSizeError(
        f"{name} takes images of {size[0]}x{size[1]} pixels (height x width), but these are {own[0]}x{own[1]}; resize "
        f"them, with {how}",
        own,
    )


def _kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _some(found: Iterable[object]) -> str:
    """What was found, the first few in words."""
    words = sorted(map(str, found))
    return " and ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
