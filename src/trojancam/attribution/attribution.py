"""Attribution: the map of one layer for each image of a batch, split into feature maps where the method can be."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Never

import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from trojancam.attribution import diagnoses
from trojancam.errors import DataError, unknown_feature_map, unknown_name
from trojancam.network.placement import Placement, laid_over, stretched
from trojancam.showing import Shown

FeatureMaps = Float[Tensor, "n k h w"]
Weights = Float[Tensor, "n k"]
Maps = Float[Tensor, "n h w"]
Flags = Bool[Tensor, " n"]


class Attribution(Shown, ABC):
    """What one method says of one layer, for each image of a batch; all maps are in the layer's cells.

    `target` names the score and `method` how it was shared out; `placement` says where the cells lie in the image.
    Methods that split the layer's map into feature maps give a `FeatureMapAttribution`, the others a `MapAttribution`,
    whose `contributions` and `weights` are an error that says so.
    """

    contributions: FeatureMaps
    weights: Weights
    layer: str
    method: str
    target: str
    image_size: tuple[int, int]
    placement: Placement
    on_path: bool
    saturated: Flags | None

    @abstractmethod
    def terms(self) -> FeatureMaps:
        """Signed terms that add up to the layer's map before its ReLU: of each feature map, or a single one."""

    @abstractmethod
    def _all_weights(self) -> Weights | None:
        """The weights of the feature maps, where there are any."""

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.terms())

    @property
    def cells(self) -> tuple[int, int]:
        """Height and width of the layer's maps in cells."""
        height, width = self.terms().shape[-2:]
        return height, width

    def layer_map(self) -> Maps:
        """The map of the whole layer, in cells: `ReLU` of the sum of its terms."""
        return self.terms().sum(1).relu()

    def feature_maps(self) -> FeatureMaps:
        """`ReLU(C_k)`, the map of each single feature map (the study's equation 2), in cells.

        Raises:
            DataError: if the method does not split the layer's map.
        """
        return self.contributions.relu()

    def feature_map_heatmaps(self, index: int) -> Float[Tensor, "n height width"]:
        """One single feature map at the size of the image.

        Raises:
            UnknownNameError: if there is no such feature map.
            DataError: if the method does not split the layer's map.
        """
        maps = self.contributions.shape[1]
        if not 0 <= index < maps:
            raise unknown_feature_map(self.layer, index, maps)
        return self.at_image_size(self.contributions[:, index : index + 1].relu())[:, 0]

    def heatmap(self) -> Float[Tensor, "n height width"]:
        """The layer's map at the size of the image, each cell where it looks."""
        return self.at_image_size(self.layer_map()[:, None])[:, 0]

    def at_image_size(self, maps: FeatureMaps, smooth: bool = True) -> Float[Tensor, "n k height width"]:
        """Maps of this layer's cells at the size of the image, bilinear between the centres of the cells."""
        return laid_over(maps, self.placement, self.image_size, smooth)

    def diagnoses(self, index: int) -> tuple[str, ...]:
        """What makes the map of one image say less than it seems to, in sentences; empty where nothing does.

        Raises:
            UnknownNameError: if there is no such image.
        """
        terms = self.terms()
        if not 0 <= index < len(terms):
            raise unknown_name("image of the batch", index, [f"0 to {len(terms) - 1}"])
        saturated = self.saturated is not None and bool(self.saturated[index])
        return diagnoses.diagnose(terms[index], self._weights_in(index), self.on_path, saturated)

    def blank_reason(self, index: int) -> str:
        """Why the map of an image is blank, where it is, in a few words."""
        return diagnoses.blank_reason(self.terms()[index], self._weights_in(index))

    def _weights_in(self, index: int) -> Float[Tensor, " k"] | None:
        weights = self._all_weights()
        return None if weights is None else weights[index]


@dataclass(frozen=True)
class FeatureMapAttribution(Attribution):
    """The signed contributions `n k h w` of a layer's feature maps to the score of each image, in cells.

    `weights` are the `w_k` behind them, `n k`; where a method weighs every cell on its own, their mean over the cells.
    `on_path` is false where no gradient came back from the score; `saturated` marks images whose score, a probability,
    has none to give.
    """

    contributions: FeatureMaps
    weights: Weights
    layer: str
    method: str
    target: str
    image_size: tuple[int, int]
    placement: Placement
    on_path: bool = True
    saturated: Flags | None = None

    def terms(self) -> FeatureMaps:
        """The contributions."""
        return self.contributions

    def _all_weights(self) -> Weights | None:
        return self.weights


@dataclass(frozen=True)
class MapAttribution(Attribution):
    """A map `n h w` of a layer, or of the pixels, that is not made of feature maps; it may be signed."""

    map: Maps
    layer: str
    method: str
    target: str
    image_size: tuple[int, int]
    placement: Placement
    on_path: bool = True
    saturated: Flags | None = None

    def terms(self) -> FeatureMaps:
        """The map as the only term of its sum."""
        return self.map[:, None]

    def _all_weights(self) -> Weights | None:
        return None

    def __getattr__(self, name: str) -> Never:
        if name in ("contributions", "weights"):
            raise DataError(
                f"{self.method} gives a map of the whole layer, not of its feature maps, so it has no {name}; "
                "use layer_map() or heatmap(), or a method that splits"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


GivenMaps = Attribution | Tensor | NDArray[Any]


def heatmaps_of(given: GivenMaps) -> Float[Tensor, "*n h w"]:
    """The heat maps of an attribution, or maps that are given as they are.

    Raises:
        DataError: if they are no floats.
    """
    maps = given.heatmap() if isinstance(given, Attribution) else torch.as_tensor(given)
    if not maps.is_floating_point():
        raise DataError(
            f"heat maps are floats, not {str(maps.dtype).removeprefix('torch.')}; convert them with .float()"
        )
    return maps


def from_map(
    maps: Float[Tensor, "n h w"],
    image_size: tuple[int, int],
    method: str = "given map",
    layer: str = "input",
    target: str = "no score",
    placement: Placement | None = None,
) -> MapAttribution:
    """Any map `n h w` as an attribution, a known trigger's mask for one: it is judged and drawn like the others.

    Its cells divide the image evenly, unless `placement` says where they lie.

    Raises:
        DataError: if it is no batch of maps, or not finite.

    >>> mask = torch.zeros(4, 4)
    >>> mask[0, 3] = 1
    >>> from_map(mask.expand(2, -1, -1), (4, 4), "trigger").heatmap()[1, 0]
    tensor([0., 0., 0., 1.])
    """
    if maps.ndim != 3 or not maps.is_floating_point() or 0 in maps.shape:
        raise DataError(f"maps must be floats of shape (n, h, w), not {maps.dtype} of shape {tuple(maps.shape)}")
    if not bool(torch.isfinite(maps).all()):
        raise DataError("the given maps hold values that are not finite")
    cells = (maps.shape[1], maps.shape[2])
    return MapAttribution(maps, layer, method, target, image_size, placement or stretched(cells, image_size))
