"""Stimulating images: what the network answers before and after, the class that it is judged by, and the effect of strength."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.errors import DataError
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.network.targets import logit
from trojancam.progress import Progress, silent
from trojancam.showing import Brief
from trojancam.stimulation import DoseResponse, Stimulated, Stimulation, dose_response
from trojancam.stimulation import stimulate as stimulated_by
from trojancam.tasks.results import on_processor

STRENGTHS = tuple(step / 4 for step in range(9))  # of the value asked for: from none to twice as much


@dataclass(frozen=True)
class StimulationAnswer(Brief):
    """What stimulated images were answered: the images with their own classes, the result, and the class it is judged by.

    `doses` is None where the stimulation has no strength.
    """

    network: Network
    images: Float[Tensor, "n 3 h w"]
    labels: Int64[Tensor, " n"]
    stimulated: Stimulated
    target_class: int
    doses: DoseResponse | None
    seconds: float

    @property
    def success_rate(self) -> float:
        """The stimulation ASR; NaN where all images are of the target class."""
        return self.stimulated.success_rate(self.target_class, self.labels)

    @property
    def logit_changes(self) -> list[float]:
        """By how much the target class's logit rose, for each image."""
        before, after = self.stimulated.before.logits, self.stimulated.after.logits
        return [float(change) for change in (after - before)[:, self.target_class]]


def stimulate(
    network: Network,
    images: given.GivenImages,
    labels: given.GivenLabels,
    stimulations: Sequence[Stimulation],
    target_class: given.GivenClass | None = None,
    progress: Progress = silent,
) -> StimulationAnswer:
    """Stimulate images, and follow the answer from no strength to twice the strength.

    The class to judge by is, by default, the one most images are given when stimulated.

    Raises:
        TrojanCamError: if images, labels or a stimulation do not fit the network.
    """
    started = time.perf_counter()
    images = given.images(network, images)
    labels = given.labels(network, labels, len(images))
    if target_class is None:
        chosen = int(stimulated_by(network, images, stimulations).after.logits.argmax(1).mode().values)
    else:
        chosen = given.target_class(network, target_class)
    found = on_processor(stimulated_by(network, images, stimulations, logit(chosen)))
    doses = None
    if any(stimulation.kind != "zero" for stimulation in stimulations):
        doses = on_processor(dose_response(network, images, stimulations, STRENGTHS, chosen, progress=progress))
    return StimulationAnswer(network, images, labels, found, chosen, doses, time.perf_counter() - started)


def read_stimulations(path: Path) -> list[Stimulation]:
    """The stimulations in a JSON file: one record as `Stimulation.to_json` gives it, or a list of them.

    Raises:
        DataError: if the file cannot be read, or holds anything else.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"cannot read stimulations from {path} ({reason}); write them with Stimulation.to_json()"
        ) from None
    return [Stimulation.from_json(record) for record in (records if isinstance(records, list) else [records])]
