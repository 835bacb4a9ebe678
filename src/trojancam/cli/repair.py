"""`trojancam repair`: a network without the backdoor that a scan finds, and a ledger of what that cost."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trojancam.cli.console import interruptible, names_in, progress_bar, say
from trojancam.cli.options import (
    DataOption,
    ModelArgument,
    ModelOptions,
    Parsed,
    SeedOption,
    command_line,
    fitted,
    images_for,
    input_settings,
    labelled_by,
    opened,
    read_later,
    takes_options,
    there,
)

if TYPE_CHECKING:
    from trojancam.detection.findings import ScanReport
    from trojancam.network.network import Network
    from trojancam.opening.open import ModelFile
    from trojancam.tasks.repair import Repaired

NOT_REPAIRED = 3  # the exit code; 2 is what the user can fix
STEPS = "steps"  # the folder in `--report` where finished steps are kept until the report is written


@takes_options
def repair(
    context: Parsed,
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="The file of the repaired network: of the kind it came in, .pt2 or .onnx.")],
    told: ModelOptions,
    data: DataOption = None,
    images: Annotated[
        int, typer.Option(min=2, help="How many clean test images of each class to learn from; the rest only measure.")
    ] = 5,
    method: Annotated[str, typer.Option(help="How to repair; 'trojancam methods' lists all.")] = "ladder",
    scan: Annotated[
        Path | None,
        typer.Option(
            callback=read_later("--scan"),
            help="The scan.json of a scan of this network; without it, it is scanned first.",
        ),
    ] = None,
    scan_methods: Annotated[
        str | None,
        typer.Option(help="The methods of the scans, with commas between; those of 'trojancam scan' if left out."),
    ] = None,
    accuracy_budget: Annotated[
        float, typer.Option(min=0, max=100, help="How many points of clean accuracy may be lost.")
    ] = 1.0,
    force: Annotated[bool, typer.Option("--force", help="Repair even where the scan finds nothing.")] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            callback=there,
            help="A network of the same classes that is known to be clean: its figures stand beside the result's.",
        ),
    ] = None,
    seed: SeedOption = 0,
    report: Annotated[Path, typer.Option(help="The folder for the page and its numbers.")] = Path("trojancam-repair"),
) -> None:
    """Remove the backdoor that a scan finds, and report which layers changed and how much accuracy was lost.

    Exit code 0: repaired; 2: an error; 3: not repaired, and the best attempt is in a file whose name says so.
    If interrupted, run the same command again to resume. The repair does not read the model card.
    """
    from trojancam.files import writable_folder
    from trojancam.kept import Kept
    from trojancam.opening.saving import check_saveable
    from trojancam.removal import REPAIRS
    from trojancam.report.provenance import file_facts
    from trojancam.report.repair import write_repair
    from trojancam.tasks.repair import parted
    from trojancam.tasks.repair import repair as run

    names = _known(method, scan_methods)
    apart = _apart(out)
    network, file = opened(model, told, labelled_by(data, seed)), told.of(model)
    check_saveable(network, file, out, REPAIRS.named(method).edits)
    found = None if scan is None else _scanned(scan, network)
    dataset = images_for(network, data)
    network = fitted(network, dataset, seed)
    clean = None if reference is None else fitted(opened(reference, told, labelled_by(data, seed)), dataset, seed)
    ours, further = parted(dataset.test, images, seed)
    settings = {
        **file_facts(model), "data": dataset.source, "images of a class": images, **input_settings(network),
        "repair": method, "seed": seed, "command": command_line(context),
    }  # fmt: skip
    if out.parent.exists():
        writable_folder(out.parent)  # better known now than after minutes of work
    advice = f"finished steps are kept in {report}; run the same command again to resume"
    with interruptible(lambda: advice), _clean_refusal(report):
        with progress_bar("repair") as progress:
            result = run(
                network, *ours.take(len(ours), seed), found, method,
                test=None if further is None else further.take(len(further), seed),
                scan_methods=names, budget=accuracy_budget / 100, force=force, reference=clean, seed=seed,
                journal=report / STEPS, progress=progress,
            )  # fmt: skip
        page = write_repair(result, report, settings)
        # Last: a file that is there is refused, so all else must be there.
        written = _saved(result, file, out if result.repaired else apart)
    Kept(report / STEPS).clear()
    _show(result, written, page)
    raise typer.Exit(0 if result.repaired else NOT_REPAIRED)


def _known(method: str, scan_methods: str | None) -> tuple[str, ...]:
    """The methods of the scans, if these and that of the repair are known."""
    from trojancam.detection import DETECTORS
    from trojancam.detection.scanning import known_methods
    from trojancam.removal import REPAIRS

    REPAIRS.named(method)
    return known_methods(None if scan_methods is None else names_in(scan_methods, "method", DETECTORS))


def _apart(out: Path) -> Path:
    """The file of a network that is not repaired, beside that of a repaired one: neither may be there."""
    from trojancam.files import check_new

    apart = out.with_name(f"{out.stem}.not-repaired{out.suffix}")
    for file in (out, apart):
        check_new(file, "--out")
    return apart


def _saved(result: "Repaired", file: "ModelFile", path: Path) -> Path | None:
    """Where the network was written to, if there is one."""
    from trojancam.opening.saving import save_as

    return None if result.network is None else save_as(result.network, file, path)


def _show(result: "Repaired", written: Path | None, page: Path) -> None:
    from trojancam.tasks.repair import in_words

    for line in in_words(result.ledger):
        say(line)
    say(f"the network is in {written}" if written else "there is no file: no try kept clean accuracy within the budget")
    say(f"the page is at {page.resolve()}, its numbers beside it in repair.json")


@contextmanager
def _clean_refusal(report: Path) -> Iterator[None]:
    """Where the repair is refused, leave nothing of it."""
    from trojancam.errors import DataError

    there = report.exists()
    try:
        yield
    except DataError:
        shutil.rmtree(report / STEPS if there else report, ignore_errors=True)
        raise


def _scanned(path: Path, network: "Network") -> "ScanReport":
    from trojancam.report.documents.scan import read_scan

    return read_scan(path, network.fingerprint)
