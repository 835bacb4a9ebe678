"""Scans: each in a process of its own, so that it can be cancelled, and killed without harm to the explorer."""

import hashlib
import itertools
import shutil
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from trojancam.data.image_set import ImageSet
from trojancam.detection.scanning import known_methods
from trojancam.explore.models import Model
from trojancam.explore.refusals import TakenError, UnknownError
from trojancam.explore.running_scan import Report, Scan
from trojancam.explore.scan_process import PICTURE, ScanJob, write_job
from trojancam.explore.session import Session, unlikely_twice
from trojancam.explore.subjects import ScanRequest
from trojancam.files import cache_folder
from trojancam.processes import python

KEPT = 16  # scans whose reports are kept
COMMAND = python("-m", "trojancam.explore.scan_process")  # and the folder of the job


class Scans:
    """The scans of a session, one at a time; their steps are kept in the cache until they are finished."""

    def __init__(self, session: Session, command: Sequence[str] = COMMAND) -> None:
        self._session, self._command = session, command
        self._scans: OrderedDict[str, Scan] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def start(self, asked: ScanRequest) -> str:
        """Begin a scan; whoever asks for the one that is running gets that. Its identifier.

        Raises:
            TakenError: if another one is running.
            TrojanCamError: if there is no such model or method.
        """
        known_methods(asked.methods)
        model = self._session.model(asked.model)
        with self._lock:
            for identifier, scan in self._scans.items():
                if scan.state == "running":
                    if scan.asked == asked:
                        return identifier
                    raise TakenError("another scan is running; wait until it is done, or cancel it", identifier)
            identifier = unlikely_twice(f"s{next(self._numbers)}")
            self._scans[identifier] = self._begun(identifier, model, asked)
            self._forget_old()
        return identifier

    @property
    def running(self) -> str | None:
        """The identifier of the scan that is running, if one is."""
        return next((name for name, scan in list(self._scans.items()) if scan.state == "running"), None)

    def scan(self, identifier: str) -> Scan:
        """The scan of this identifier.

        Raises:
            UnknownError: if there is none, or no longer.
        """
        scan = self._scans.get(identifier)
        if scan is None:
            raise UnknownError("this scan is not, or no longer, known to the explorer; start it again")
        return scan

    def cancel(self, identifier: str) -> None:
        """End a scan that is running; its finished steps are kept.

        Raises:
            UnknownError: if there is no such scan.
        """
        self.scan(identifier).cancel()

    def page(self, identifier: str) -> str:
        """The report of a finished scan as a page.

        Raises:
            UnknownError: if there is no such scan, or it is not finished.
        """
        return self._made(identifier, "scan.html").read_text(encoding="utf-8")

    def results(self, identifier: str) -> bytes:
        """The report of a finished scan as JSON.

        Raises:
            UnknownError: if there is no such scan, or it is not finished.
        """
        return self._made(identifier, "scan.json").read_bytes()

    def picture(self, identifier: str) -> bytes:
        """A picture of the strongest finding of a finished scan.

        Raises:
            UnknownError: if there is no such scan, it is not finished, or it found nothing.
        """
        made = self._made(identifier, PICTURE, "the scan found nothing that could be drawn; take its JSON instead")
        return made.read_bytes()

    def close(self) -> None:
        """End all that is running."""
        for identifier in list(self._scans):
            self.cancel(identifier)

    def _made(
        self, identifier: str, name: str, otherwise: str = "the scan has no report yet; wait until it is done"
    ) -> Path:
        path = self.scan(identifier).folder / name
        if not path.is_file():
            raise UnknownError(otherwise)
        return path

    def _begun(self, identifier: str, model: Model, asked: ScanRequest) -> Scan:
        folder = self._session.folder / identifier
        folder.mkdir()
        images = model.images.sample(asked.images, asked.seed, spread=True)
        job = _job(self._session, model, asked, images)
        write_job(folder, job, images)
        scan = Scan(asked, folder, job)
        scan.begin(self._command, lambda report: self._learn(asked.model, report))
        return scan

    def _learn(self, model: str, report: Report) -> None:
        self._session.success_rates[model] = success_rates(report)

    def _forget_old(self) -> None:
        over = [name for name, scan in self._scans.items() if scan.state != "running"][
            : max(0, len(self._scans) - KEPT)
        ]
        for name in over:
            shutil.rmtree(self._scans.pop(name).folder, ignore_errors=True)


def success_rates(report: Report) -> dict[str, dict[int, float]]:
    """The stimulation ASR of each feature map by itself, by layer, as far as a scan measured it: what it names, and neighbours.

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


def _job(session: Session, model: Model, asked: ScanRequest, images: ImageSet) -> ScanJob:
    network, source = model.network, model.source
    settings = {
        "model": source.name,
        "data": session.source,
        "images": len(images),
        "methods": list(asked.methods),
        "seed": asked.seed,
        "made by": "trojancam explore",
    }
    run = hashlib.sha256(f"{network.fingerprint} {asked.methods} {asked.seed}".encode())
    run.update(images.images.contiguous().numpy().tobytes())
    return ScanJob(
        path=source.path.resolve(),
        architecture=source.architecture,
        output=source.output,
        key=source.key,
        preprocessing=network.input,
        class_names=network.class_names,
        methods=asked.methods,
        seed=asked.seed,
        journal=cache_folder("explored-scans", run.hexdigest()[:32]),
        settings=settings,
        code=Path.cwd(),
    )
