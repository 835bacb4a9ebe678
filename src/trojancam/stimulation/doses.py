"""Doses: one stimulation turned up step by step, and what the network answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.attribution import energy_in_mask
from trojancam.errors import DataError, unknown_name
from trojancam.network.network import Network
from trojancam.network.targets import logit
from trojancam.progress import Progress, silent
from trojancam.rates import attack_success_rate
from trojancam.stimulation.edits import Stimulations, as_tuple
from trojancam.stimulation.stimulating import stimulate
from trojancam.stimulation.variants import stimulated_logits


@dataclass(frozen=True)
class DoseResponse:
    """What s strengths of one stimulation do to n images.

    `logits` of the target class, the class `predicted`, and `energy`: the share of the layer's Grad-CAM map of the target
    class that lies inside the stimulated cells (NaN where the map is blank), all `s n`; `before` are the logits of the
    images as they are, `n classes`.
    """

    strengths: tuple[float, ...]
    target_class: int
    logits: Float[Tensor, "s n"]
    predicted: Int64[Tensor, "s n"]
    energy: Float[Tensor, "s n"]
    before: Float[Tensor, "n classes"]

    def success_rates(self, labels: Int64[Tensor, " n"] | None = None) -> list[float]:
        """The stimulation ASR at each strength, as `Stimulated.success_rate`."""
        own = self.before.argmax(1) if labels is None else labels
        return [attack_success_rate(predicted, own, self.target_class) for predicted in self.predicted]


def dose_response(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    stimulation: Stimulations,
    strengths: Sequence[float],
    target_class: int | None = None,
    *,
    progress: Progress = silent,
) -> DoseResponse:
    """How a class's logit and its heat map answer to a stimulation whose value is multiplied by each of the strengths.

    With a value of 1 the strengths are in the stimulation's unit. The class is, by default, the one predicted for most
    images at the last strength.

    Raises:
        UnknownNameError, DataError, ModelError: as `stimulate`; also without strengths, and where setting maps to zero is
            all that the stimulation does.

    >>> from torch import nn
    >>> from trojancam.stimulation import Stimulation
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> doses = dose_response(network, torch.rand(5, 3, 8, 8), Stimulation("0", 2, window=(0, 3, 3, 3)), (0.0, 1.0, 2.0))
    >>> doses.logits.shape, doses.strengths
    (torch.Size([3, 5]), (0.0, 1.0, 2.0))
    """
    stimulations = as_tuple(stimulation)
    if not len(strengths):
        raise DataError("there are no strengths to stimulate with; give at least one")
    if stimulations and all(each.kind == "zero" for each in stimulations):
        raise DataError("setting feature maps to zero has no strength; replace, scale or add to them instead")
    doses = [tuple(each.times(strength) for each in stimulations) for strength in strengths]
    if target_class is None:
        target_class = int(stimulated_logits(network, images, doses[-1:])[0].argmax(1).mode().values)
    elif not 0 <= target_class < len(network.class_names):
        raise unknown_name("class", target_class, [f"0 to {len(network.class_names) - 1}"])
    logits, predicted, energy = [], [], []
    for number, dose in enumerate(doses):
        found = stimulate(network, images, dose, logit(target_class))
        logits.append(found.after.scores)
        predicted.append(found.after.logits.argmax(1))
        energy.append(energy_in_mask(found.cams_after[found.layer].layer_map(), found.cells))
        progress(number + 1, len(doses), f"strength {strengths[number]:g}")
    return DoseResponse(
        tuple(strengths), target_class, torch.stack(logits), torch.stack(predicted), torch.stack(energy),
        found.before.logits,
    )  # fmt: skip
