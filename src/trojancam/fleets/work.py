"""Work: what is done with one model, in this process; each task is a function that gives a result, and writes a page."""

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from trojancam.data.image_set import Dataset
from trojancam.detection.budget import BudgetSpentError
from trojancam.detection.judgement import strength
from trojancam.errors import DataError, Remedy, TrojanCamError
from trojancam.faults import in_words, logged, memory_missed, out_of_memory
from trojancam.files import writable_folder
from trojancam.fleets.result import NOT_JUDGED, UNKNOWN, Result, suspicion
from trojancam.fleets.store import MODELS, Store
from trojancam.fleets.unit import Settings, Task, Unit
from trojancam.formats.inspection import inspection, sha256
from trojancam.kept import Kept
from trojancam.network.network import Network
from trojancam.opening.feeding import in_words as input_in_words
from trojancam.opening.images import fitted_to, labelled_images
from trojancam.opening.open import ModelFile, opened
from trojancam.opening.preprocessing import TRIED
from trojancam.processes import peak_bytes
from trojancam.records import without_nan

STEPS = "steps"  # finished steps of the work on a model, in the folder of its page
LONGEST = 200  # characters of an error of the system


def work_on(unit: Unit, store: Store, memory: float = math.inf) -> Result:
    """Do what a unit asks for, here and now, keep the result, and return it; whatever goes wrong becomes a result.

    `memory` are the bytes that this process may take.

    Raises:
        TrojanCamError: if the result cannot be written.
    """
    started = time.perf_counter()
    with _less_memory(memory):
        found = _tried(unit, store, memory)
    found = replace(found, seconds=round(time.perf_counter() - started, 3), megabytes=peak_megabytes())
    store.keep(unit, found)
    return found


def _tried(unit: Unit, store: Store, memory: float) -> Result:
    try:
        with warnings.catch_warnings(), chdir(unit.code), memory_missed():
            warnings.simplefilter("ignore")  # nobody reads what one process of many prints
            return _attempted(unit, store)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # foreign code can end the process; a panic of Rust is no `Exception`
        cause = out_of_memory(error)
        if cause is not None:
            words = (str(cause).strip().splitlines() or ["out of memory"])[0][:LONGEST]
            limit = None if math.isinf(memory) else memory
            return Result("memory", note=f"it takes more memory than a model may ({words})", limit=limit)
        if isinstance(error, TrojanCamError):
            return _refused(error)
        return Result("fault", note=in_words(error, logged(error)))


def _refused(error: TrojanCamError) -> Result:
    """What a model is refused for; another state where the same file may be taken later, as with a library or more time."""
    passing = type(error) is TrojanCamError or isinstance(error, BudgetSpentError) or Remedy.INSTALL in error.remedies
    return Result("fault" if passing else "refused", note=str(error))


@contextmanager
def _less_memory(most: float) -> Iterator[None]:
    """So much memory and no more, beside what this process has: a system without such limits sets none."""
    if math.isinf(most) or sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + int(most)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def peak_megabytes() -> float:
    """The most memory that this process had so far."""
    used = peak_bytes()
    return math.nan if used is None else round(used / 2**20, 1)


def _attempted(unit: Unit, store: Store) -> Result:
    """The task's result.

    Raises:
        TrojanCamError: if the file has changed since its SHA-256 was taken, or cannot be read.
        MemoryError: if there is not enough memory; PyTorch raises RuntimeError for that.
    """
    path = unit.entry.path
    if sha256(path) != unit.sha256:
        raise TrojanCamError(f"{path} has changed since the fleet began; run the same command again")
    outside = inspection(path)
    try:
        found = TASKS[unit.settings.task](unit, store.place(unit))
    except TrojanCamError as error:
        if out_of_memory(error):
            raise
        found = _refused(error)
    runs = "; ".join(outside.would_run)
    return replace(found, format=outside.format, would_run=None if outside.problems and not runs else runs)


def _file(unit: Unit) -> ModelFile:
    said = unit.entry
    return ModelFile(
        said.path,
        said.architecture,
        said.output,
        said.preprocessing,
        said.size,
        said.class_names,
        key=said.key,
        region=said.crop,
    )


@contextmanager
def _page_folder(folder: Path) -> Iterator[Path]:
    """The folder of a model's page; finished steps go with the end of the work, and all of it if there is nothing else in it."""
    writable_folder(folder)
    try:
        yield folder
    except TrojanCamError:
        _clear(folder)
        raise
    _clear(folder)


def _clear(folder: Path) -> None:
    Kept(folder / STEPS).clear()
    if not any(folder.iterdir()):
        folder.rmdir()


def _fitted(unit: Unit) -> tuple[Network, Dataset]:
    """The network of a unit, fed as it wants, and its labelled images."""

    def tried_on(network: Network) -> Any:
        return labelled_images(network, unit.entry.data).test.take(TRIED, unit.settings.seed)

    network = opened(_file(unit), tried_on)
    dataset = labelled_images(network, unit.entry.data)
    return fitted_to(network, dataset.test, seed=unit.settings.seed), dataset


def _facts(network: Network) -> dict[str, Any]:
    return {"architecture": network.name, "parameters": sum(network.parameter_counts.values())}


def _said(unit: Unit, network: Network, dataset: Dataset) -> dict[str, Any]:
    """What a page says of how it was made."""
    return {
        "model": unit.entry.path.name,
        "model_sha256": unit.sha256,
        "data": dataset.source,
        "input": input_in_words(network.input),
        "fed": network.feeding.words,
        "seed": unit.settings.seed,
        "unit": unit.key,
    }


def _inspect(unit: Unit, _: Path) -> Result:
    from trojancam.tasks.inspect import inspected

    def labelled(network: Network) -> Any:
        return labelled_images(network, unit.entry.data).test.take(unit.settings.count, unit.settings.seed)

    found = inspected(_file(unit), None if unit.entry.data is None else labelled)
    if found.refused is not None:
        raise found.refused
    assert found.network is not None
    return Result(
        "done",
        "opened",
        accuracy=None if found.wants is None else found.accuracies[found.wants],
        details={"wants": found.wants, "fed": found.network.feeding.words, "classes": len(found.network.class_names)},
        **_facts(found.network),
    )


def _scan(unit: Unit, folder: Path) -> Result:
    from trojancam.detection.settings import parsed
    from trojancam.report.scan import PAGE, write_scan
    from trojancam.tasks.scan import scan

    network, dataset = _fitted(unit)
    said = unit.settings
    images, labels = dataset.test.take(said.count, said.seed, spread=True)
    with _page_folder(folder):
        result = scan(
            network,
            images,
            labels,
            said.methods or None,
            families=said.families,
            victims=said.victims,
            budget=said.budget,
            reference=said.reference,
            settings=parsed(list(said.changed)),
            seed=said.seed,
            journal=folder / STEPS,
        )
        write_scan(result, folder, _said(unit, network, dataset) | {"images": len(images)})
    return _of_scan(result.report, network, f"{MODELS}/{folder.name}/{PAGE}")


def _of_scan(report: Any, network: Network, page: str | None = None) -> Result:
    score = strength(report.score, report.threshold)
    judged = report.verdict != NOT_JUDGED
    first = report.findings[0] if report.findings else None
    told = {} if first is None else _first(first, network)
    accuracy = report.judgement.accuracy
    return Result(
        "done",
        report.verdict,
        suspicion=suspicion(score) if judged else UNKNOWN,
        score=score,
        p_value=report.judgement.p,
        accuracy=None if accuracy is None else accuracy.value,
        note=report.judgement.reason or " ".join(report.remarks),
        page=page,
        details={"opinions": {name: each.to_json() for name, each in report.opinions.items()}},
        **told,
        **_facts(network),
    )


def _first(finding: Any, network: Network) -> dict[str, Any]:
    """The strongest finding, in a few cells."""
    return {
        "target_class": finding.target_class,
        "class_name": network.class_names[finding.target_class],
        "place": finding.in_words(network.class_names)[1],
        "method": finding.detector,
    }


def _repair(unit: Unit, folder: Path) -> Result:
    from trojancam import detection
    from trojancam.opening.saving import PROGRAM, check_saveable, save_as
    from trojancam.removal.repairing import DEFAULT, REPAIRS
    from trojancam.report.repair import PAGE, write_repair
    from trojancam.tasks.repair import SCANNED, in_words, parted, repair

    network, dataset = _fitted(unit)
    said, file = unit.settings, _file(unit)
    method = (said.methods or (DEFAULT,))[0]
    edits = REPAIRS.named(method).edits
    out = folder / f"repaired{PROGRAM if edits else unit.entry.path.suffix}"
    check_saveable(network, file, out, edits)
    ours, further = parted(dataset.test, said.count, said.seed)
    with _page_folder(folder):
        clean = dataset.test.take(SCANNED, said.seed, spread=True)
        report = detection.scan(network, *clean, seed=said.seed, journal=folder / STEPS / "before")
        if report.verdict in ("nothing found", NOT_JUDGED):
            return _of_scan(report, network)
        result = repair(
            network,
            *ours.take(len(ours), said.seed),
            report,
            method,
            test=None if further is None else further.take(len(further), said.seed),
            seed=said.seed,
            journal=folder / STEPS,
        )
        write_repair(result, folder, _said(unit, network, dataset) | {"images of a class": said.count})
        if result.network is not None:
            save_as(result.network, file, out if result.repaired else out.with_stem("not-repaired"))
    ledger = result.ledger
    return replace(
        _of_scan(report, network, f"{MODELS}/{folder.name}/{PAGE}"),
        verdict=ledger.verdict,
        method=ledger.method,
        accuracy=ledger.accuracy_before.overall.share,
        note=" ".join(in_words(ledger)),
        details={"ledger": without_nan(ledger.to_json())},
    )


def _compare(unit: Unit, folder: Path) -> Result:
    from trojancam.report.compare import write_comparison
    from trojancam.tasks.compare import USUAL, compare, drawn_images

    network, dataset = _fitted(unit)
    said = unit.settings
    with _page_folder(folder):
        result = compare(
            network,
            drawn_images(dataset.test, said.count, seed=said.seed),
            "all" if said.methods == ("all",) else said.methods or USUAL,
            seed=said.seed,
            folder=folder / STEPS,
        )
        page = write_comparison(result, folder, _said(unit, network, dataset))
    means = {
        metric: {name: interval.mean for name, interval in by_method.items()}
        for metric, by_method in result.summary.overall.items()
    }
    return Result(
        "done",
        "compared",
        note=" ".join(result.summary.in_words()),
        page=f"{MODELS}/{folder.name}/{page.name}",
        details={"means": without_nan(means)},
        **_facts(network),
    )


TASKS: Mapping[Task, Callable[[Unit, Path], Result]] = {
    "scan": _scan,
    "inspect": _inspect,
    "repair": _repair,
    "compare": _compare,
}


TAKES: Mapping[Task, tuple[str, ...]] = {
    "scan": ("methods", "families", "victims", "budget", "reference", "changed"),
    "inspect": (),
    "repair": ("methods",),
    "compare": ("methods",),
}
"""Which settings a task takes, beside the images and the seed."""


def check_settings(said: Settings) -> None:
    """Refuse settings that no model could be worked on with, before any is.

    Raises:
        TrojanCamError: if a method, family or setting does not exist or is not the task's, or there are too few images.
    """
    for name in TAKES["scan"]:
        if getattr(said, name) and name not in TAKES[said.task]:
            raise DataError(
                f"the task {said.task} takes no {NAMES.get(name, name)}; leave it out, or choose another task"
            )
    fewest = 2 if said.task in ("repair", "compare") else 4
    if said.count < fewest:
        raise DataError(f"the task {said.task} needs {fewest} images or more, not {said.count}")
    {"scan": _check_scan, "repair": _check_repair, "compare": _check_compare}.get(said.task, lambda _: None)(said)


NAMES = {"changed": "settings"}


def _check_scan(said: Settings) -> None:
    from trojancam.detection.budget import Budget
    from trojancam.detection.references import read_reference
    from trojancam.detection.scanning import known_methods, known_settings
    from trojancam.detection.settings import parsed

    names = known_methods(said.methods or None, families=said.families, victims=said.victims)
    known_settings(names, parsed(list(said.changed)))
    if said.budget is not None:
        Budget.of(said.budget)
    if said.reference is not None:
        read_reference(said.reference)


def _check_repair(said: Settings) -> None:
    from trojancam.removal import REPAIRS

    if len(said.methods) > 1:
        raise DataError(f"a repair has one method, not {len(said.methods)}")
    for name in said.methods:
        REPAIRS.named(name)


def _check_compare(said: Settings) -> None:
    from trojancam.attribution import METHODS
    from trojancam.tasks.compare import CONTROLS

    for name in said.methods:
        if name not in CONTROLS and said.methods != ("all",):
            METHODS.named(name)
