"""A repair in a process of its own: `python -P -m trojancam.explore.repair_process FOLDER`; it tells of itself as a scan does."""

import json
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from trojancam.data.image_set import ImageSet, as_floats
from trojancam.errors import ModelError
from trojancam.explore.scan_process import IMAGES, JOB, WORDS, ScanJob, main
from trojancam.kept import Kept
from trojancam.network.network import Network
from trojancam.opening.open import ModelFile, load
from trojancam.opening.saving import check_saveable, save_as
from trojancam.progress import Progress
from trojancam.report.documents.scan import read_scan
from trojancam.report.repair import ledger_rows, return_words, verdict_words, write_repair
from trojancam.tasks.repair import Repaired, repair

REPAIRED = "network"  # the name of the repaired network's file, without its suffix


class RepairWork(ScanJob):
    """What is repaired, and how; `report` is the scan whose findings are removed, None where it is scanned first."""

    method: str
    budget: float
    force: bool
    report: Path | None

    @property
    def file(self) -> ModelFile:
        """The network's file, as it was opened."""
        return ModelFile(self.path, architecture=self.architecture, output=self.output, key=self.key)


def write_work(folder: Path, work: RepairWork, ours: ImageSet, further: ImageSet | None) -> None:
    """Leave a job, the images to learn from, and those that only measure."""
    (folder / JOB).write_text(work.model_dump_json(), encoding="utf-8")
    tensors = {"images": ours.images, "labels": ours.labels}
    if further is not None:
        tensors |= {"test_images": further.images, "test_labels": further.labels}
    save_file({name: each.contiguous() for name, each in tensors.items()}, folder / IMAGES)


def run(folder: Path, progress: Progress) -> None:
    """Do the job in a folder, and leave `repair.html`, `repair.json`, the words of the page, and the repaired network there.

    Raises:
        TrojanCamError: if the network cannot be opened or repaired, or nothing was found in it.
    """
    work = _work(folder)
    tensors, network = load_file(folder / IMAGES), work.network()
    test = (as_floats(tensors["test_images"]), tensors["test_labels"]) if "test_images" in tensors else None
    result = repair(
        network, as_floats(tensors["images"]), tensors["labels"],
        None if work.report is None else read_scan(work.report, network.fingerprint), work.method,
        test=test, budget=work.budget, force=work.force, seed=work.seed, journal=work.journal, progress=progress,
    )  # fmt: skip
    (folder / WORDS).write_text(json.dumps(words(result)), encoding="utf-8")
    write_repair(result, folder, work.settings)
    if result.network is not None:
        _save(result.network, network, work, folder)
    Kept(work.journal).clear()


def words(result: Repaired) -> dict[str, object]:
    """What a page says of a repair, in the words of its report."""
    ledger = result.ledger
    return {
        "answer": "Repaired" if result.repaired else "Not repaired",
        "tone": "calm" if result.repaired else "alarm",
        "summary": verdict_words(result),
        "rows": ledger_rows(result),
        "returns": return_words(ledger),
        "limits": list(ledger.remarks),
    }


def file_of(folder: Path) -> Path | None:
    """The repaired network's file, if there is one."""
    return next(iter(sorted(folder.glob(f"{REPAIRED}.*"))), None)


def opened(folder: Path) -> Network | None:
    """The repaired network, fed as the one before."""
    file, work = file_of(folder), _work(folder)
    if file is None:
        return None
    given = {"preprocessing": work.preprocessing, "class_names": work.class_names}
    if file.suffix == ".pt2":
        return load(file, **given)  # type: ignore[arg-type]
    return load(file, architecture=work.architecture, key=work.key, output=work.output, **given)  # type: ignore[arg-type]


def _work(folder: Path) -> RepairWork:
    return RepairWork.model_validate_json((folder / JOB).read_text(encoding="utf-8"))


def _save(repaired: Network, network: Network, work: RepairWork, folder: Path) -> None:
    """In the format that it came in, where that can be written again; else as an exported program."""
    out = folder / f"{REPAIRED}{work.path.suffix}"
    try:
        check_saveable(network, work.file, out, bool(repaired.bounds))
    except ModelError:
        out = folder / f"{REPAIRED}.pt2"
    save_as(repaired, work.file, out)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), run))
