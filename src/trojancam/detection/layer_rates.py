"""Rates of a layer: how well each of its feature maps, stimulated by itself, sends images to a finding's class."""

from jaxtyping import Float
from torch import Tensor

from trojancam.detection.findings import Finding
from trojancam.detection.suspect import halves, suspect
from trojancam.detection.validation import stimulated_alone
from trojancam.errors import DataError
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.progress import Progress, silent
from trojancam.stimulation.variants import variants_read


def layer_rates(
    network: Network,
    images: given.GivenImages,
    labels: given.GivenLabels,
    finding: Finding,
    *,
    progress: Progress = silent,
) -> Float[Tensor, " k"]:
    """The stimulation ASR of every feature map of a finding's layer, each as the scan's page stimulates it by itself.

    The images are those of the page, too: the half that detectors leave out when they make triggers, without the finding's class.

    Raises:
        DataError: if the finding names no layer, or all images are of its class.

    >>> import torch
    >>> from torch import nn
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> labels = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1])
    >>> layer_rates(network, torch.rand(8, 3, 8, 8), labels, Finding("by hand", 1, 1.0, "0", (2,))).shape
    torch.Size([4])
    """
    if finding.layer is None:
        raise DataError("the finding names no layer, so that there are no feature maps to stimulate")
    held_out = halves(suspect(network, images, labels))[1]
    others = held_out.images[held_out.labels != finding.target_class]
    if not len(others):
        raise DataError("all images are of the finding's class; give some of other classes")
    count = network.layer(finding.layer).feature_maps
    each = [stimulated_alone(finding, finding.layer, number) for number in range(count)]
    goes = variants_read(
        network, others, each, lambda logits: logits.argmax(-1) == finding.target_class, progress=progress
    )
    return goes.float().mean(1).cpu()
