"""Attribution: how much each feature map of a layer, cell by cell, speaks for the score; the CAM family.

A class activation map is a sum over feature maps, and here the sum stays open: an attribution holds its signed terms,
and the layer's map, the single feature maps and the heat maps for display all follow from them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from trojancam.errors import unknown_name
from trojancam.placement import Placement, laid_over
from trojancam.recording import Recording

FeatureMaps = Float[Tensor, "n k h w"]
Maps = Float[Tensor, "n h w"]


@dataclass(frozen=True)
class Attribution:
    """The signed contributions `n k h w` of a layer's feature maps to the score of each image, in cells.

    `weights` are the `w_k` behind them, `n k`; `target` names the score and `method` how it was shared out;
    `placement` says where the cells lie in the image.
    """

    contributions: FeatureMaps
    weights: Float[Tensor, "n k"]
    layer: str
    method: str
    target: str
    image_size: tuple[int, int]
    placement: Placement

    def layer_map(self) -> Maps:
        """`ReLU(sum_k C_k)`, the map of the whole layer, in cells."""
        return self.contributions.sum(1).relu()

    def feature_maps(self) -> FeatureMaps:
        """`ReLU(C_k)`, the map of each single feature map (the study's equation 2), in cells."""
        return self.contributions.relu()

    def heatmap(self) -> Float[Tensor, "n height width"]:
        """The layer's map at the size of the image, each cell where it looks."""
        return self.at_image_size(self.layer_map()[:, None])[:, 0]

    def feature_map_heatmaps(self, index: int) -> Float[Tensor, "n height width"]:
        """One single feature map at the size of the image.

        Raises:
            UnknownNameError: if there is no such feature map.
        """
        maps = self.contributions.shape[1]
        if not 0 <= index < maps:
            raise unknown_name(f"feature map of layer {self.layer!r}", index, [f"0 to {maps - 1}"])
        return self.at_image_size(self.contributions[:, index : index + 1].relu())[:, 0]

    def at_image_size(self, maps: FeatureMaps) -> Float[Tensor, "n k height width"]:
        """Maps of this layer's cells at the size of the image, bilinear between the centres of the cells."""
        return laid_over(maps, self.placement, self.image_size)


def grad_cam(recording: Recording, layers: Iterable[str] | None = None) -> dict[str, Attribution]:
    """Grad-CAM of every recorded layer (or those named), split into feature maps: `C_k = w_k A^k`.

    `w_k = (1/Z) sum_ij dy/dA^k_ij` is the mean gradient over the Z cells of map k (arXiv 1610.02391); the layer's map is
    `ReLU(sum_k C_k)` and a single feature map's is `ReLU(C_k)`.

    Raises:
        UnknownNameError: if a layer was not recorded.

    >>> import torch
    >>> from torch import nn
    >>> from trojancam.network import Network
    >>> from trojancam.recording import record
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> grad_cam(record(network, torch.rand(5, 3, 8, 8)))["0"].heatmap().shape
    torch.Size([5, 8, 8])
    """
    cams = {}
    for name in recording.layers if layers is None else layers:
        if name not in recording.layers:
            raise unknown_name("recorded layer", name, recording.layers)
        layer = recording.layers[name]
        weights = layer.gradients.mean((2, 3))
        contributions = weights[:, :, None, None] * layer.activations
        cams[name] = Attribution(
            contributions, weights, name, "Grad-CAM", recording.target, recording.image_size, layer.placement
        )
    return cams
