"""Repairs: those of a session, started, followed, cancelled; the repaired network is then looked at beside the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trojancam.data.image_set import ImageSet
from trojancam.explore.child import Kind, Report, Running
from trojancam.explore.children import Children, common, journal
from trojancam.explore.models import Model, Source
from trojancam.explore.refusals import RefusedError, UnknownError
from trojancam.explore.repair_process import RepairWork, file_of, opened, write_work
from trojancam.explore.scans import Scans
from trojancam.explore.session import Session, described
from trojancam.explore.subjects import RepairRequest
from trojancam.processes import python
from trojancam.removal.repairing import REPAIRS
from trojancam.tasks.repair import parted

COMMAND = python("-m", "trojancam.explore.repair_process")  # and the folder of the job


class Repairs(Children[RepairRequest]):
    """The repairs of a session, one at a time; each may take over the findings of one of the session's scans."""

    kind = Kind("repair", "repairing", "repair.json")
    letter = "r"

    def __init__(self, session: Session, scans: Scans, command: Sequence[str] = COMMAND) -> None:
        super().__init__(session, command)
        self._scans = scans
        self._repaired: dict[str, Model] = {}

    def told(self, identifier: str) -> dict[str, Any]:
        """What a page is told of it, with the repaired network once there is one."""
        model = self._repaired.get(identifier)
        still = model is not None and model.identifier in self._session.models
        return super().told(identifier) | {"repaired": described(model) if model is not None and still else None}

    def network(self, identifier: str) -> Path:
        """The file of the repaired network.

        Raises:
            UnknownError: if there is no such repair, it is not finished, or no try kept clean accuracy.
        """
        file = file_of(self.child(identifier).folder)
        if file is None:
            raise UnknownError("this repair has left no network; look at its report")
        return file

    def _check(self, asked: RepairRequest) -> None:
        REPAIRS.named(asked.method)
        if asked.scan is None:
            return
        scan = self._scans.child(asked.scan)
        if scan.state != "finished" or scan.asked.model != asked.model:
            raise RefusedError(
                "this scan is not finished, or is of another network; scan this one, or repair without it"
            )

    def _job(self, folder: Path, model: Model, asked: RepairRequest) -> RepairWork:
        ours, further = parted(model.images, asked.images, asked.seed)
        report = None if asked.scan is None else self._scans.child(asked.scan).folder / self._scans.kind.document
        settings = {
            "model": model.source.name,
            "data": self._session.source,
            "images of a class": asked.images,
            "repair": asked.method,
            "seed": asked.seed,
            "made by": "trojancam explore",
        }
        run = (asked.method, asked.images, asked.budget, asked.force, asked.seed, report is not None)
        images: tuple[ImageSet, ...] = (ours,) if further is None else (ours, further)
        work = RepairWork(
            **common(model),
            methods=(),
            seed=asked.seed,
            journal=journal("explored-repairs", model, run, *images),
            settings=settings,
            method=asked.method,
            budget=asked.budget / 100,
            force=asked.force,
            report=report,
        )
        write_work(folder, work, ours, further)
        return work

    def _learn(self, identifier: str, child: Running, report: Report) -> None:
        """Open the repaired network beside the others."""
        network = opened(child.folder)
        if network is None:
            return
        file, work = file_of(child.folder), child.job
        assert file is not None
        of = self._session.models.get(child.asked.model)
        name = f"{'repaired' if report['ledger']['verdict'] == 'repaired' else 'best try'}: {work.settings['model']}"
        bare = file.suffix != ".pt2"
        source = Source(
            file, name, work.architecture if bare else None, None, work.key if bare else None, uploaded=True
        )
        self._repaired[identifier] = self._session.add(
            network, source, None if of is None else self._session.dataset(of)
        )
