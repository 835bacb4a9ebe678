"""Stimulations as data: which feature maps of a layer are edited, how, how strongly and where; to JSON and back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from trojancam.errors import DataError, unknown_name
from trojancam.network import given
from trojancam.network.layers import Layer
from trojancam.network.network import Network
from trojancam.records import Record
from trojancam.showing import Brief

FeatureMapChoice = int | tuple[int, ...] | Literal["all"]
GivenFeatureMaps = given.GivenNumbers | Literal["all"]
Window = tuple[int, int, int, int]
Value = float | tuple[float, ...] | Float[Tensor, "k h w"]

KINDS = {"replace": (0, 0, 1), "scale": (0, 1, 0), "add": (1, 0, 1), "zero": (0, 0, 0)}
"""What each kind makes of an activation `A` and a value `v`, as `(a, b, c)` of `a A + b v A + c v`."""

UNITS = ("absolute", "map", "layer")
"""What a stimulation's strength is measured in: activations as they are, or the largest of the map or of the layer."""
RESTS = ("keep", "zero")
"""What happens to the other feature maps of a stimulated layer."""
LARGEST = 1e9  # of a value: far beyond what a network computes, and no sum of such numbers leaves 32 bits


@dataclass(frozen=True, init=False)
class Stimulation(Brief):
    """An edit of some feature maps of a layer, the same for every image: `A^k` becomes what `kind` makes of it.

    `kind` is one of `KINDS`: `replace` by `value`, `scale` by it, `add` it, or set to `zero`. `value` is one number, one
    for each feature map, or activations `k h w` for the feature maps in their order. It counts in `unit`: as it is
    (`absolute`), or in multiples of the largest activation that the `map` itself, or any map of the `layer`, reaches on
    the images stimulated. `window` (row, column, height, width; in cells) or `mask` (`h w`, painted in cells) says where;
    the `rest` of the same feature maps is kept, or set to zero. Other feature maps stay as they are. Lists and arrays are
    taken as well as tuples and tensors.

    Raises:
        UnknownNameError: if there is no such kind, unit or rest.
        DataError: if the parts do not go together, or a value is not finite, or further than 1e9 from 0.

    >>> Stimulation("conv2d_6", 31, value=2.0, window=(0, 9, 3, 3), rest="zero", unit="layer").to_json()["window"]
    [0, 9, 3, 3]
    """

    layer: str
    feature_maps: FeatureMapChoice = "all"
    kind: str = "replace"
    value: Value = 1.0
    window: Window | None = None
    mask: Bool[Tensor, "h w"] | None = None
    rest: str = "keep"
    unit: str = "absolute"

    def __init__(
        self,
        layer: str,
        feature_maps: GivenFeatureMaps = "all",
        kind: str = "replace",
        value: float | Sequence[float] | Tensor | NDArray[Any] = 1.0,
        window: Sequence[int] | None = None,
        mask: given.GivenMask | None = None,
        rest: str = "keep",
        unit: str = "absolute",
    ) -> None:
        self.__dict__.update(
            layer=layer, feature_maps=_chosen(feature_maps), kind=kind, value=_value(value),
            window=window if window is None or _is_whole(window) else given.numbers("the numbers of a window", window),
            mask=None if mask is None else given.mask(mask), rest=rest, unit=unit,
        )  # fmt: skip
        self._check()

    def _check(self) -> None:
        for what, name, known in (("kind", self.kind, KINDS), ("rest", self.rest, RESTS), ("unit", self.unit, UNITS)):
            if name not in known:
                raise unknown_name(f"{what} of a stimulation", name, known)
        if self.kind == "scale" and self.unit != "absolute":
            raise DataError(f"a stimulation scales by a factor, which has no unit {self.unit!r}; leave the unit out")
        if self.window is not None and self.mask is not None:
            raise DataError("a stimulation has a window or a mask, not both; paint the window into the mask")
        if self.window is not None and not (
            len(self.window) == 4 and min(self.window[:2]) >= 0 and min(self.window[2:]) > 0
        ):
            raise DataError(
                f"a window is row, column, height and width in cells, from row and column 0 on and at least one cell high "
                f"and wide, not {self.window}"
            )
        if self.mask is not None and not bool(self.mask.any()):
            raise DataError("the mask of the stimulation marks no cell; mark at least one")
        _check_maps(self.feature_maps)
        if not _finite(self.value):
            raise DataError("the value of a stimulation must be finite; it holds NaN or infinity")
        if not _within(self.value, LARGEST):
            raise DataError(f"the value of a stimulation lies between {-LARGEST:g} and {LARGEST:g}; give a smaller one")

    def __str__(self) -> str:
        maps = "all feature maps" if self.feature_maps == "all" else f"feature maps {_as_list(self.feature_maps)}"
        amount = "given activations" if isinstance(self.value, Tensor) else str(_as_list(self.value))
        words = f"{self.layer}, {maps}: {self.kind} {'' if self.kind == 'zero' else amount}".rstrip()
        if self.unit != "absolute":
            words += f" in units of the {self.unit}'s largest activation"
        if self.window is not None:
            words += f", in the window {_as_list(self.window)}"
        if self.mask is not None:
            words += f", in {int(self.mask.sum())} painted cells"
        return words + ", the rest set to zero" * (self.rest == "zero")

    @property
    def differs_by_map(self) -> bool:
        """Whether each feature map has values of its own."""
        return isinstance(self.value, Tensor | tuple)

    def maps(self, count: int) -> Sequence[int]:
        """The numbers of the feature maps it edits in a layer that has `count` of them."""
        if isinstance(self.feature_maps, str):
            return range(count)
        return (self.feature_maps,) if isinstance(self.feature_maps, int) else self.feature_maps

    def check(self, network: Network) -> Layer:
        """The layer it edits, if it can be done to this network.

        Raises:
            UnknownNameError: if the network has no such layer, or the layer no such feature map.
            DataError: if window, mask or values do not fit the layer's feature maps.
        """
        layer = network.layer(self.layer)
        maps = self.maps(layer.feature_maps)
        for index in maps:
            network.feature_map(self.layer, index)
        self._check_place(layer)
        if isinstance(self.value, tuple) and len(self.value) != len(maps):
            raise DataError(
                f"{len(self.value)} values were given for {len(maps)} feature maps of layer {self.layer!r}; "
                "give one for all, or one for each"
            )
        if isinstance(self.value, Tensor) and tuple(self.value.shape) != (len(maps), *layer.size):
            raise DataError(
                f"the activations given are of shape {tuple(self.value.shape)}, but {len(maps)} of the feature maps of "
                f"layer {self.layer!r} are of shape {(len(maps), *layer.size)}"
            )
        return layer

    def _check_place(self, layer: Layer) -> None:
        (rows, columns), name = layer.size, self.layer
        if self.window is not None:
            row, column, height, width = self.window
            if row + height > rows or column + width > columns:
                raise DataError(
                    f"the window of {height}x{width} cells at row {row}, column {column} does not fit into the "
                    f"{rows}x{columns} cells of layer {name!r}"
                )
        if self.mask is not None and tuple(self.mask.shape) != layer.size:
            height, width = self.mask.shape
            raise DataError(
                f"the mask is of {height}x{width} cells, but the maps of layer {name!r} of {rows}x{columns}"
            )

    def place(self, size: tuple[int, int]) -> Bool[Tensor, "h w"]:
        """Which cells of feature maps of this size it stimulates, on the processor."""
        if self.mask is not None:
            return self.mask.cpu()
        row, column, height, width = self.window or (0, 0, *size)
        cells = torch.zeros(size, dtype=torch.bool, device="cpu")
        cells[row : row + height, column : column + width] = True
        return cells

    def times(self, factor: float) -> "Stimulation":
        """The same stimulation with its value so many times as large."""
        if isinstance(self.value, tuple):
            return replace(self, value=tuple(factor * value for value in self.value))
        return replace(self, value=factor * self.value)

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold; masks and activations are nested lists, exact to the last bit."""
        return {
            "layer": self.layer,
            "feature_maps": _as_list(self.feature_maps),
            "kind": self.kind,
            "value": _as_list(self.value),
            "window": _as_list(self.window),
            "mask": None if self.mask is None else _as_list(self.mask.int()),
            "rest": self.rest,
            "unit": self.unit,
        }

    @classmethod
    def from_json(cls, record: Any) -> "Stimulation":
        """The stimulation that `to_json` wrote; what is left out is as in `Stimulation` itself.

        Raises:
            UnknownNameError: if there is no such kind, unit or rest.
            DataError: if the record is not one of a stimulation.
        """
        try:
            form = _Form.model_validate(record)
            given = form.model_dump(exclude_unset=True)
            if isinstance(form.value, list):
                given["value"] = _cells(form.value, 3, torch.float32)
            if form.mask is not None:
                given["mask"] = _cells(form.mask, 2, torch.bool)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "all of it"
            raise _no_record(f"{place}: {first['msg']}") from None
        except ValueError as error:
            raise _no_record(str(error)) from None
        return cls(**given)


class _Form(Record):
    """What JSON may hold; the fields are those of `Stimulation`."""

    layer: str
    feature_maps: int | tuple[int, ...] | Literal["all"] = "all"
    kind: str = "replace"
    value: float | tuple[float, ...] | list[list[list[float]]] = 1.0
    window: Window | None = None
    mask: list[list[bool]] | None = None
    rest: str = "keep"
    unit: str = "absolute"


def donated(
    network: Network,
    donor: given.GivenImages,
    layer: str,
    feature_maps: GivenFeatureMaps = "all",
    *,
    window: Sequence[int] | None = None,
    mask: given.GivenMask | None = None,
    rest: str = "keep",
) -> Stimulation:
    """The stimulation that pastes a donor image's feature maps over those of other images.

    Raises:
        UnknownNameError: if the network has no such layer, or the layer no such feature map.
        DataError: if the network cannot take the donor, or window or mask do not fit the layer's feature maps.

    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> donated(network, torch.rand(3, 8, 8), "0", (1, 3)).value.shape
    torch.Size([2, 6, 6])
    """
    given.check_network(network)
    pasted = Stimulation(layer, feature_maps, "replace", 0.0, window, mask, rest)
    maps = list(pasted.maps(pasted.check(network).feature_maps))
    image = given.one_image(network, donor)
    with torch.inference_mode(False):
        return replace(pasted, value=network.cut(layer).before(image)[0][0, maps].cpu().contiguous())


def _as_list(value: Any) -> Any:
    """Tuples and tensors as (nested) lists; anything else as it is."""
    if isinstance(value, Tensor):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _chosen(feature_maps: GivenFeatureMaps) -> FeatureMapChoice:
    """The number of a feature map, or the numbers of several; a word stands for itself."""
    if isinstance(feature_maps, str) or type(feature_maps) is int:
        return feature_maps
    number = given.number(feature_maps)
    return given.numbers("feature maps", feature_maps) if number is None else number


def _is_whole(window: Sequence[int]) -> bool:
    """Whether a window is what it should be: a search makes hundreds of thousands of them."""
    return type(window) is tuple and all(type(number) is int for number in window)


def _value(value: float | Sequence[float] | Tensor | NDArray[Any]) -> Value:
    """One number, a tuple of one for each feature map, or their activations as a tensor."""
    if isinstance(value, float | int):
        return value
    try:
        numbers = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value, dtype=np.float64))
    except (TypeError, ValueError):
        raise DataError(
            "the value of a stimulation is one number, or as many for each feature map; it holds others"
        ) from None
    if numbers.ndim == 0:
        return float(numbers)
    if numbers.ndim == 1:
        return tuple(numbers.tolist())
    if numbers.ndim != 3:
        raise DataError(
            f"the value of a stimulation is one number, one for each feature map, or activations of shape (k, h, w), not of "
            f"shape {tuple(numbers.shape)}"
        )
    return numbers if isinstance(value, Tensor) else numbers.float()


def _check_maps(chosen: FeatureMapChoice) -> None:
    if isinstance(chosen, str) and chosen != "all":
        raise unknown_name("choice of feature maps", chosen, ["all", "or their numbers"])
    if isinstance(chosen, tuple) and len(set(chosen)) != len(chosen):
        raise DataError(f"feature maps are named twice in {list(chosen)}; name each once")
    if chosen == ():
        raise DataError("a stimulation without feature maps does nothing; name at least one")


def _finite(value: float | tuple[float, ...] | Tensor) -> bool:
    if isinstance(value, Tensor):
        return bool(value.isfinite().all())
    return all(map(math.isfinite, value if isinstance(value, tuple) else (value,)))


def _within(value: float | tuple[float, ...] | Tensor, largest: float) -> bool:
    if isinstance(value, Tensor):
        return not value.numel() or bool(value.abs().max() <= largest)
    return all(abs(each) <= largest for each in (value if isinstance(value, tuple) else (value,)))


def _cells(rows: list[Any], dimensions: int, dtype: torch.dtype) -> Tensor:
    """Nested lists as a tensor.

    Raises:
        ValueError: if they are ragged or empty.
    """
    cells = torch.tensor(rows, dtype=dtype, device="cpu")
    if cells.ndim != dimensions or not cells.numel():
        raise ValueError("it holds no cell")
    return cells


def _no_record(reason: str) -> DataError:
    return DataError(f"this is not the record of a stimulation ({reason}); write it with Stimulation.to_json()")
