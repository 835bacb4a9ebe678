"""Scans: those of a session, started, followed, cancelled; what they find of feature maps is known afterwards."""

from collections.abc import Sequence
from pathlib import Path

from trojancam.detection.scanning import known_methods
from trojancam.explore.child import Kind, Report, Running
from trojancam.explore.children import Children, common, journal
from trojancam.explore.models import Model
from trojancam.explore.scan_process import PICTURE, ScanJob, write_job
from trojancam.explore.session import Session
from trojancam.explore.subjects import ScanRequest
from trojancam.processes import python

COMMAND = python("-m", "trojancam.explore.scan_process")  # and the folder of the job


class Scans(Children[ScanRequest]):
    """The scans of a session, one at a time."""

    kind = Kind("scan", "scanning", "scan.json")
    letter = "s"

    def __init__(self, session: Session, command: Sequence[str] = COMMAND) -> None:
        super().__init__(session, command)

    def picture(self, identifier: str) -> bytes:
        """A picture of the strongest finding of a finished scan.

        Raises:
            UnknownError: if there is no such scan, it is not finished, or it found nothing.
        """
        made = self._made(identifier, PICTURE, "the scan found nothing that could be drawn; take its JSON instead")
        return made.read_bytes()

    def _check(self, asked: ScanRequest) -> None:
        known_methods(asked.methods)

    def _job(self, folder: Path, model: Model, asked: ScanRequest) -> ScanJob:
        images = model.images.sample(asked.images, asked.seed, spread=True)
        settings = {
            "model": model.source.name,
            "data": self._session.source,
            "images": len(images),
            "methods": list(asked.methods),
            "seed": asked.seed,
            "made by": "trojancam explore",
        }
        job = ScanJob(
            **common(model),
            methods=asked.methods,
            seed=asked.seed,
            journal=journal("explored-scans", model, (asked.methods, asked.seed), images),
            settings=settings,
        )
        write_job(folder, job, images)
        return job

    def _learn(self, _: str, child: Running, report: Report) -> None:
        found = success_rates(report)
        for layer, of_maps in child.rates.items():
            found.setdefault(layer, {}).update(enumerate(of_maps))
        self._session.success_rates[child.asked.model] = found


def success_rates(report: Report) -> dict[str, dict[int, float]]:
    """The stimulation ASR of each feature map by itself, by layer, as far as a scan's page has it: what it names, and neighbours.

    >>> view = {"layer": "a", "feature_map": 3, "stimulation_asr": 0.5}
    >>> success_rates({"validations": [{"flagged": [view], "neighbours": []}]})
    {'a': {3: 0.5}}
    """
    rates: dict[str, dict[int, float]] = {}
    for validation in reversed(report["validations"]):  # of several findings the first counts
        for view in (*validation["flagged"], *validation["neighbours"]):
            if view["stimulation_asr"] is not None:
                rates.setdefault(view["layer"], {})[view["feature_map"]] = view["stimulation_asr"]
    return rates
