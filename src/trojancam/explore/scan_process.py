"""A scan in a process of its own: `python -P -m trojancam.explore.scan_process FOLDER`; it tells of itself in lines of JSON.

The folder holds the job and the images, and receives the report. The process ends when its standard input does, so that
none is left behind by an explorer that was killed.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor

from trojancam import faults
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.detection.layer_rates import layer_rates
from trojancam.detection.words import ANSWERS
from trojancam.errors import TrojanCamError
from trojancam.explore.refusals import told_to_page
from trojancam.kept import Kept
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.progress import Progress
from trojancam.records import Record
from trojancam.report.scan import LIMITS, TONES, write_scan
from trojancam.report.scan_pictures import sheet
from trojancam.report.scan_words import headline, opinions_in_words, weighed
from trojancam.startup import draw_as_delivered
from trojancam.tasks.scan import Scanned, scan

JOB, IMAGES, PICTURE = "job.json", "images.safetensors", "finding.png"
WORDS, RATES = "words.json", "rates.json"
KINDNESS = 5  # how far it steps back behind the explorer itself


class ScanJob(Record):
    """What is scanned, and where finished steps are kept; `settings` are those that the report repeats.

    `code` is the folder in which the user named an architecture of their own; it counts for that alone.
    """

    path: Path
    architecture: str | None
    output: str | None
    key: str | None
    preprocessing: InputSpecification
    class_names: tuple[str, ...]
    methods: tuple[str, ...]
    seed: int
    journal: Path
    settings: dict[str, Any]
    code: Path

    def network(self) -> Network:
        """The network, without what its file says of its training."""
        with chdir(self.code if self.architecture else Path.cwd()):
            network = load(
                self.path,
                architecture=self.architecture,
                output=self.output,
                key=self.key,
                preprocessing=self.preprocessing,
                class_names=self.class_names,
            )
        return network.without_card()


def write_job(folder: Path, job: ScanJob, images: ImageSet) -> None:
    """Leave a job and its images in a folder."""
    (folder / JOB).write_text(job.model_dump_json(), encoding="utf-8")
    save_file({"images": images.images.contiguous(), "labels": images.labels.contiguous()}, folder / IMAGES)


def run(folder: Path, progress: Progress) -> None:
    """Do the job in a folder, and leave `scan.html`, `scan.json`, and a picture of the strongest finding there.

    Raises:
        TrojanCamError: if the network cannot be opened or scanned.
    """
    job = ScanJob.model_validate_json((folder / JOB).read_text(encoding="utf-8"))
    tensors = load_file(folder / IMAGES)
    pixels: UInt8[Tensor, "n 3 h w"] = tensors["images"]
    network, images, labels = job.network(), as_floats(pixels), tensors["labels"]
    found = scan(network, images, labels, job.methods, seed=job.seed, journal=job.journal, progress=progress)
    if found.cases:
        (folder / PICTURE).write_bytes(sheet(network, found.cases[0]).png)
    write_words(found, folder)
    write_rates(network, images, labels, found, folder)
    write_scan(found, folder, job.settings)
    Kept(job.journal).clear()


def write_words(found: Scanned, folder: Path) -> None:
    """Leave the words of the report's page: the verdict, what stands below it, and what no scan could see."""
    report, known = found.report, found.report.coverage.track_record
    words = {
        "answer": ANSWERS[report.verdict],
        "tone": TONES[report.verdict],
        "summary": headline(found),
        "weighed": [*weighed(found), *opinions_in_words(report), *(known.in_words() if known else ())],
        "limits": [f"{limit}: {meaning}" for limit, meaning in LIMITS],
    }
    (folder / WORDS).write_text(json.dumps(words), encoding="utf-8")


def write_rates(network: Network, images: Tensor, labels: Tensor, found: Scanned, folder: Path) -> None:
    """Leave the success rate of every feature map of the layers that findings name, by layer; the strongest finding counts."""
    rates: dict[str, list[float]] = {}
    for case in found.cases:
        layer = case.finding.layer
        if layer is not None and layer not in rates:
            rates[layer] = layer_rates(network, images, labels, case.finding).tolist()
    (folder / RATES).write_text(json.dumps(rates), encoding="utf-8")


def main(folder: Path, do: Callable[[Path, Progress], None] = run) -> int:
    """Do the job and tell of it; the exit code."""
    draw_as_delivered()
    threading.Thread(target=_end_with_input, daemon=True).start()
    os.nice(KINDNESS)
    torch.set_num_threads(max(1, (os.cpu_count() or 1) - 1))
    try:
        with faults.memory_missed():
            do(folder, lambda done, total, note="": _tell(done=done, total=total, note=note))
    except TrojanCamError as error:
        _tell(**told_to_page(error))
        return faults.MENDABLE
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # libraries written in Rust raise what is no `Exception`
        _tell(error=faults.in_words(error, faults.logged(error)))
        return faults.FAULT
    return 0


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1024):  # not through `sys.stdin`, whose lock would be held when all is done
        pass
    os._exit(1)


def _tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
