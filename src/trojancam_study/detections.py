"""Scans: what detectors say of the study's networks; each is asked once, however many figures and claims it serves."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.data.image_set import as_floats
from trojancam.detection import Finding, ScanReport, scan
from trojancam.detection.abs import ABSSettings, Scheme, StimulatedMap, stimulated_maps, strongest
from trojancam.errors import DataError
from trojancam.files import cache_folder
from trojancam.kept import Kept
from trojancam.locks import only_run_on
from trojancam.progress import Progress, silent, stages
from trojancam.stimulation import Stimulation
from trojancam_study.piece_records import sources
from trojancam_study.study import Study

Images = tuple[Float[Tensor, "n 3 h w"], Int64[Tensor, " n"]]
ABS, SCAN = "ABS", "scan"  # who flags


def clean_images(study: Study) -> tuple[Images, Images]:
    """Random test images of all classes with their labels: those that a detector is given, and others to measure on."""
    given = study.given_set()
    return (as_floats(given.images), given.labels), study.test_images()


def scanned(study: Study, name: str, seed: int, progress: Progress = silent) -> ScanReport:
    """What a scan says of a network, from the cache or asked now."""
    (images, labels), _ = clean_images(study)
    network = study.network(name, seed)

    def work(unfinished: Path) -> dict[str, Any]:
        return scan(network, images, labels, "stimulation", journal=unfinished, progress=progress).to_json()

    record = _kept(f"scan {network.fingerprint}", images, work)
    plain = {field: record[field] for field in ("verdict", "score", "threshold", "settings", "timing")}
    return ScanReport(**plain, findings=tuple(Finding.from_json(finding) for finding in record["findings"]))


def strongest_finding(report: ScanReport) -> Finding:
    """The finding of a scan that has the highest score.

    Raises:
        DataError: if there is none.
    """
    if not report.findings:
        raise DataError("the scan has no finding to show: no class could be tried; give it images of more classes")
    return report.findings[0]


@dataclass(frozen=True)
class Flag:
    """A feature map that a detector flags, and what it does to that map alone; `elevation` is what ABS gives it.

    ABS replaces the whole map by a constant, a scan puts activations into a window of it.
    """

    by: str
    layer: str
    feature_map: int
    stimulation: Stimulation
    elevation: float | None = None


def flags(study: Study, name: str, seed: int, progress: Progress = silent) -> list[Flag]:
    """The feature maps of a network that are flagged for its target class, by ABS and then by a scan.

    ABS flags at most one of each layer. A scan flags those of its strongest finding, if that is about the target class,
    the one that does most by itself first. Which class is the target no detector knows: it is used here to say which flags
    are about the backdoor.
    """
    stimulating, scanning = stages(progress, (1, 3))
    found = abs_flags(study, name, seed, stimulating)
    finding = strongest_finding(scanned(study, name, seed, scanning))
    return found + (scan_flags(finding) if finding.target_class == study.target_class(name) else [])


def abs_flags(study: Study, name: str, seed: int, progress: Progress = silent) -> list[Flag]:
    """Of each layer the map that Artificial Brain Stimulation flags for the network's target class, if any."""
    (images, labels), _ = clean_images(study)
    network, settings = study.network(name, seed), ABSSettings()
    seeds = torch.linspace(0, len(images) - 1, min(settings.seeds, len(images))).round().long()

    def work(_: Path) -> dict[str, Any]:
        found = {}
        for done, layer in enumerate(network.layers, start=1):
            rows = stimulated_maps(network, layer, images[seeds], labels[seeds], settings.schemes)
            found[layer] = [asdict(row) for row in rows]
            progress(done, len(network.layers), f"stimulated {layer}")
        return found

    record = _kept(f"maps {network.fingerprint}", images, work)
    target = study.target_class(name)
    chosen = [of_class([_row(each) for each in rows], target) for rows in record.values()]
    return [
        Flag(ABS, row.layer, row.feature_map, Stimulation(row.layer, row.feature_map, value=row.value), row.elevation)
        for row in chosen
        if row is not None
    ]


def scan_flags(finding: Finding) -> list[Flag]:
    """The maps of a scan's finding, each with its own part of the stimulation."""
    stimulation = finding.stimulation
    if finding.layer is None or stimulation is None or not isinstance(stimulation.value, Tensor):
        return []
    return [
        Flag(
            SCAN, finding.layer, number, replace(stimulation, feature_maps=(number,), value=stimulation.value[[place]])
        )
        for place, number in enumerate(finding.feature_maps)
    ]


def of_class(rows: list[StimulatedMap], target_class: int) -> StimulatedMap | None:
    """The strongest of the feature maps that are flagged for a class."""
    return next((row for row in strongest(rows) if row.target_class == target_class), None)


def _row(record: dict[str, Any]) -> StimulatedMap:
    return StimulatedMap(**{**record, "scheme": Scheme(**record["scheme"])})


def _kept(key: str, images: Tensor, work: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """What was found for this key, on these images, by the detectors as they are now; worked out if it was not yet.

    `work` is given a folder for its steps, so that a run that was killed goes on; it is removed in the end.
    """
    digest = hashlib.sha256("\n".join((key, *sources("trojancam_study.detections"))).encode())
    digest.update(images.contiguous().numpy().tobytes())
    run, folder = digest.hexdigest(), cache_folder("scans")
    unfinished = folder / run[:16]

    def alone() -> dict[str, Any]:
        with only_run_on(unfinished):
            return work(unfinished)

    found: dict[str, Any] = Kept(folder, run).data(unfinished.name, alone)
    shutil.rmtree(unfinished, ignore_errors=True)
    return found
