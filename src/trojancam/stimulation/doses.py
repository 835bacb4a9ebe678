"""Doses: one stimulation turned up step by step, and what the network answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from trojancam.attribution import energy_in_mask, grad_cam
from trojancam.errors import DataError
from trojancam.network import given
from trojancam.network.batches import Gathered, parts
from trojancam.network.network import Network
from trojancam.network.recording import Recording
from trojancam.network.replay import replay
from trojancam.network.targets import logit
from trojancam.progress import Progress, checked, silent
from trojancam.rates import GivenClasses, attack_success_rate
from trojancam.showing import Brief
from trojancam.stimulation.edits import Stimulations, as_tuple, stimulated_cells, the_layer
from trojancam.stimulation.stimulating import edited_once, recorded_from
from trojancam.stimulation.variants import stimulated_logits


@dataclass(frozen=True)
class DoseResponse(Brief):
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

    def success_rates(self, labels: GivenClasses | None = None) -> list[float]:
        """The stimulation ASR at each strength, as `Stimulated.success_rate`."""
        own = self.before.argmax(1) if labels is None else labels
        return [attack_success_rate(predicted, own, self.target_class) for predicted in self.predicted]


def dose_response(
    network: Network,
    images: given.GivenImages,
    stimulation: Stimulations,
    strengths: float | Sequence[float] | Tensor | NDArray[Any],
    target_class: given.GivenClass | None = None,
    *,
    progress: Progress = silent,
) -> DoseResponse:
    """How a class's logit and its heat map answer to a stimulation whose value is multiplied by each of the strengths.

    With a value of 1 the strengths are in the stimulation's unit. The class is, by default, the one predicted for most
    images at the last strength.

    Raises:
        UnknownNameError, DataError, ModelError: as `stimulate`; also DataError without strengths, and where setting maps to
            zero is all that the stimulation does.

    >>> from torch import nn
    >>> from trojancam.stimulation import Stimulation
    >>> network = Network.from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), (8, 8))
    >>> doses = dose_response(network, torch.rand(5, 3, 8, 8), Stimulation("0", 2, window=(0, 3, 3, 3)), (0.0, 1.0, 2.0))
    >>> doses.logits.shape, doses.strengths
    (torch.Size([3, 5]), (0.0, 1.0, 2.0))
    """
    given.check_network(network)
    stimulations, strengths, progress = as_tuple(stimulation), _several(strengths), checked(progress)
    if not strengths:
        raise DataError("there are no strengths to stimulate with; give at least one")
    if stimulations and all(each.kind == "zero" for each in stimulations):
        raise DataError("setting feature maps to zero has no strength; replace, scale or add to them instead")
    doses = [tuple(each.times(strength) for each in stimulations) for strength in strengths]
    images = given.images(network, images)
    if target_class is None:
        chosen = int(stimulated_logits(network, images, doses[-1:])[0].argmax(1).mode().values)
    else:
        chosen = given.target_class(network, target_class)
    layer = the_layer(stimulations)
    answers: list[Answers] = []
    with torch.inference_mode(False):
        clean = replay(network, layer, images)
        peaks, cells = clean.peaks(), stimulated_cells(stimulations, network.layer(layer).size).to(network.device)
        for number, dose in enumerate(doses):
            answers.append(Answers(*(Gathered(len(images)) for _ in range(3))))
            for part in parts(len(images), clean.rows(gradients=True)):
                some = clean.of(part)
                edited = edited_once(network, some, dose, peaks)
                answers[-1].add(recorded_from(network, layer, some, edited, (), logit(chosen)), layer, cells)
            progress(number + 1, len(doses), f"strength {strengths[number]:g}")
    logits, predicted, energy = (torch.stack([rows.whole for rows in each]) for each in zip(*answers, strict=True))
    return DoseResponse(strengths, chosen, logits, predicted, energy, network(images))


def _several(strengths: object) -> tuple[float, ...]:
    """One strength or several as a tuple."""
    try:
        values = np.asarray(strengths.detach().cpu() if isinstance(strengths, Tensor) else strengths, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if values.ndim > 1 or not bool(np.isfinite(values).all()):
        raise DataError("strengths must be finite numbers; give one, or a list of several, such as (0, 1, 2)")
    return tuple(values.reshape(-1).tolist())


class Answers(NamedTuple):
    """What the images answer to one dose: the target class's logit, the class predicted, the energy in the cells."""

    logits: Gathered
    predicted: Gathered
    energy: Gathered

    def add(self, recording: Recording, layer: str, cells: Bool[Tensor, "h w"]) -> None:
        """Take what the next images answer."""
        self.logits.add(recording.scores)
        self.predicted.add(recording.logits.argmax(1))
        self.energy.add(energy_in_mask(grad_cam(recording)[layer].layer_map(), cells))
