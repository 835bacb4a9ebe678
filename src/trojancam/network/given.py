"""Given: what users naturally pass becomes what the library works with, in this one place; below it, types are strict.

A target may be a class by number or name, or a function of the logits; labels may be a list of names; layers and methods
may be one name. What cannot be meant is refused in one sentence with its remedy. Images are read in `given_images`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from trojancam.errors import DataError, UnknownNameError, unknown_name
from trojancam.network import given_images
from trojancam.network.classes import class_index
from trojancam.network.given_images import GivenImages
from trojancam.network.input import InputSpecification
from trojancam.network.layers import Layer
from trojancam.network.targets import ClassChoice, Target, custom, logit, probability
from trojancam.text import with_article

__all__ = [
    "GivenClass", "GivenClasses", "GivenImages", "GivenLabels", "GivenMask", "GivenNames", "GivenNumbers", "GivenTarget",
    "Taker", "check_network", "classes", "images", "labels", "layers", "mask", "names", "number", "numbers", "one_image",
    "target", "target_class", "unknown_layer",
]  # fmt: skip

Integer = int | np.integer[Any]
GivenClass = Integer | str | Tensor | NDArray[Any]
GivenLabels = Tensor | NDArray[Any] | Sequence[Integer | str | Tensor]
GivenTarget = Target | GivenClass | GivenLabels | Callable[[Tensor], Tensor | Target] | None
GivenClasses = GivenClass | Iterable[Integer | str]
GivenMask = Tensor | NDArray[Any]
GivenNames = str | Iterable[str]
GivenNumbers = Integer | Tensor | NDArray[Any] | Iterable[Integer]


@runtime_checkable
class Classifying(Protocol):
    """Whatever tells classes apart: a network, a set of images."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in order."""


@runtime_checkable
class Taker(Protocol):
    """What is asked of a network here; its class lies above."""

    name: str
    class_names: tuple[str, ...]
    input: InputSpecification
    layers: dict[str, Layer]


def check_network(given: object) -> None:
    """Refuse what is given where a network belongs: a module, above all, of which it would have to be made first.

    Raises:
        DataError: if it is no network.
    """
    if isinstance(given, Taker):
        return
    if isinstance(given, nn.Module) or (isinstance(given, type) and issubclass(given, nn.Module)):
        what = f"the class {given.__name__}" if isinstance(given, type) else f"a module ({type(given).__name__})"
        how = "Network.from_module(module, (height, width))"
    elif isinstance(given, str) or hasattr(given, "__fspath__"):
        what, how = f"a path ({given})", "trojancam.load(path)"
    else:
        what, how = _described(given), "trojancam.load(path) or Network.from_module(module, (height, width))"
    raise DataError(f"a Network is wanted here, not {what}; make it a Network first: {how}")


def images(network: Taker, given: object) -> Float[Tensor, "n 3 h w"]:
    """Images for a network: floats in [0, 1], bytes, arrays, pictures and lists of these; see `given_images.read`.

    Raises:
        DataError: if they are none that the network can take, or it is no network.
    """
    check_network(network)
    try:
        return given_images.read(given, network.input.size, network.name)
    except given_images.OtherSizeError as error:
        if not getattr(getattr(network, "feeding", None), "size_assumed", False):
            raise
        raise DataError(
            f"{error.problem}; or, for nobody said what size it takes, make the network with Network.from_module(module, "
            f"input_size={error.own})"
        ) from None


def one_image(network: Taker, given: object) -> Float[Tensor, "1 3 h w"]:
    """A single image, with or without an axis of its own for images.

    Raises:
        DataError: if it is not one, or none that the network can take.
    """
    found = images(network, given)
    if len(found) != 1:
        raise DataError(f"one image is wanted, but these are {len(found)}; choose one, such as images[0]")
    return found


def target(network: Taker, given: object, score: Callable[[ClassChoice], Target] = logit) -> Target:
    """The target that is meant: a `Target`, any function of the logits, or the `score` of a class or of each image's class.

    A class is a number or a name; None is the class predicted for each image.

    Raises:
        UnknownNameError: if the network has no such class.
        DataError: if it is none of these.
    """
    if isinstance(given, Target):
        return given
    if given is None:
        return score(None)
    if callable(given):
        called = given.__name__ if hasattr(given, "__name__") else type(given).__name__
        return given() if given in (logit, probability) else custom(called, given)
    if isinstance(given, str) or number(given) is not None:
        return score(target_class(network, given))
    return score(labels(network, given))


def target_class(network: Classifying, given: object) -> int:
    """The number of a class that is given by its number or its name.

    Raises:
        UnknownNameError: if the network has no such class.
        DataError: if it is no number and no name.
    """
    if isinstance(given, str):
        return class_index(given, network.class_names)
    index = number(given)
    if index is None:
        raise DataError(f"a class is a number or a name, not {_described(given)}; there are {_classes(network)}")
    if not 0 <= index < len(network.class_names):
        raise _unknown_class(network, index)
    return index


def classes(network: Classifying, given: object) -> tuple[int, ...]:
    """The numbers of some classes, one or several, each given by its number or its name.

    Raises:
        UnknownNameError: if the network has no such class.
        DataError: if one is no number and no name.
    """
    single = isinstance(given, str) or number(given) is not None or not isinstance(given, Iterable)
    return tuple(
        target_class(network, one) for one in ([given] if single or not isinstance(given, Iterable) else given)
    )


def labels(network: Classifying, given: object, count: int | None = None) -> Int64[Tensor, " n"]:
    """The classes of images, given as a tensor, an array or a list of numbers or names; `count` is how many there must be.

    Raises:
        UnknownNameError: if the network has no such class.
        DataError: if they are no numbers or names, or not one for each image.
    """
    values = _whole_numbers(network, given)
    if values.ndim != 1:
        hint = (
            "; of one-hot labels take labels.argmax(1)" if values.ndim == 2 else "; give a list, an array or a tensor"
        )
        raise DataError(f"labels are one class for each image, not of shape {tuple(values.shape)}{hint}")
    if count is not None and len(values) != count:
        raise DataError(f"there are {len(values)} labels for {count} images; give one for each image")
    wrong = values[(values < 0) | (values >= len(network.class_names))]
    if len(wrong):
        raise _unknown_class(network, int(wrong[0]))
    return values


def layers(network: Taker, given: GivenNames | None) -> tuple[str, ...]:
    """Layers by one name or several, each once, in the order given; all of them where none is named.

    Raises:
        UnknownNameError: if there is no such layer.
        DataError: if they are no names.
    """
    check_network(network)
    wanted = network.layers if given is None else given
    return names("layer", wanted, network.layers, lambda name: unknown_layer(network, name))


def unknown_layer(network: Taker, name: str) -> UnknownNameError:
    """The error for a layer that does not exist; one that the network has, but not as a layer, is told to have no maps."""
    parts = getattr(network, "parameter_groups", {})
    if name in parts or any(part.startswith(f"{name}.") for part in parts):
        return UnknownNameError(
            f"{name!r} has no feature maps of its own, so it is no layer here; known: {', '.join(network.layers)}"
        )
    return unknown_name("layer", name, network.layers)


def mask(given: GivenMask) -> Bool[Tensor, "h w"]:
    """A mask as truth values: of numbers, those above zero are inside.

    Raises:
        DataError: if it is no mask of one image.

    >>> mask(np.array([[0.0, 0.5]]))
    tensor([[False,  True]])
    """
    values = torch.as_tensor(given)
    if values.ndim != 2:
        raise DataError(f"a mask is of shape (height, width), not {tuple(values.shape)}; give that of one image")
    return values if values.dtype == torch.bool else values > 0


def names(
    kind: str,
    given: GivenNames,
    known: Iterable[str],
    unknown: Callable[[str], UnknownNameError] | None = None,
) -> tuple[str, ...]:
    """One name or several as a tuple, each once, in the order given; `unknown` makes the error for one that is not known.

    Raises:
        UnknownNameError: if one of them is not known.
        DataError: if one of them is no name.

    >>> names("fruit", "apple", ("apple", "pear")), names("fruit", ["pear", "apple", "pear"], ("apple", "pear"))
    (('apple',), ('pear', 'apple'))
    """
    single = isinstance(given, str | nn.Module) or not isinstance(given, Iterable)
    each = [given] if single else list(given)
    for name in each:
        if not isinstance(name, str):
            raise DataError(
                f"{with_article(kind)} is chosen by its name, a word, not by {_described(name)}; known: {', '.join(known)}"
            )
    chosen = tuple(dict.fromkeys(map(str, each)))
    for name in chosen:
        if name not in known:
            raise unknown_name(kind, name, known) if unknown is None else unknown(name)
    return chosen


def numbers(what: str, given: object) -> tuple[int, ...]:
    """One whole number or several as a tuple; `what` they are, for people.

    Raises:
        DataError: if they are none.

    >>> numbers("feature maps", 3), numbers("feature maps", range(2)), numbers("feature maps", np.array([4, 1]))
    ((3,), (0, 1), (4, 1))
    """
    single = number(given) is not None or isinstance(given, str) or not isinstance(given, Iterable)
    each = [given] if single or not isinstance(given, Iterable) else list(given)
    found = [number(one) for one in each]
    if None in found:
        raise DataError(
            f"{what} are whole numbers, not {_described(each[found.index(None)])}; give one number, or a list"
        )
    return tuple(one for one in found if one is not None)


def _whole_numbers(network: Classifying, given: object) -> Int64[Tensor, "..."]:
    """Numbers or names of classes as numbers."""
    if not isinstance(given, Tensor):
        try:
            array = np.asarray(given)
        except ValueError:
            raise DataError(
                "labels are one class for each image, not lists of several lengths; give one for each"
            ) from None
        if array.dtype.kind in "UO" and all(isinstance(name, str) for name in array.flat):
            each = [class_index(str(name), network.class_names) for name in array.flat]
            return torch.tensor(each, dtype=torch.int64).view(array.shape)
        if array.dtype.kind not in "iu":
            how = "labels.astype(int)" if isinstance(given, np.ndarray) else "[int(label) for label in labels]"
            raise _no_labels(
                array.dtype, array.ndim, how if array.dtype.kind == "f" else "[int(label) for label in labels]"
            )
        return torch.from_numpy(array.astype(np.int64))
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise _no_labels(given.dtype, given.ndim, "labels.long()")
    return given.detach().to(torch.int64)


def _no_labels(dtype: object, axes: int, how: str) -> DataError:
    kind = str(dtype).removeprefix("torch.")
    remedy = "of one-hot labels take labels.argmax(1)" if axes == 2 else f"convert them, for instance with {how}"
    return DataError(f"labels are whole numbers or names of classes, not {kind}; {remedy}")


def number(given: object) -> int | None:
    """A whole number, Python's or NumPy's or that of a tensor without axes; None if it is none of these."""
    if isinstance(given, Tensor | np.ndarray) and given.ndim == 0:
        given = given.item()
    return int(given) if isinstance(given, int | np.integer) and not isinstance(given, bool) else None


def _unknown_class(network: Classifying, index: int) -> UnknownNameError:
    return unknown_name("class", index, [_classes(network)])


def _classes(network: Classifying) -> str:
    return f"0 to {len(network.class_names) - 1}"


def _described(given: object) -> str:
    words = repr(given)
    short = len(words) <= 40 and not isinstance(given, Tensor | np.ndarray | nn.Module)
    return words if short else with_article(type(given).__name__)
