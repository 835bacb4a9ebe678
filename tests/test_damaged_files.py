"""Whatever is kept, and wherever it is damaged: that is said, and the run goes on to what it comes to undamaged."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.attribution.test_streaming import image_set as streamed_images
from tests.data.test_gtsrb_files import official
from tests.detection.planted import planted
from tests.fleets.shelf import good, timeless
from tests.nets import network
from tests.removal import test_repairing as repairs
from tests.removal import trojaned
from tests.training import test_recipe as trained

import trojancam as tc
from trojancam import figures
from trojancam.attribution.streaming import read_stream, stream
from trojancam.data.gtsrb_files import gtsrb
from trojancam.data.image_set import Dataset
from trojancam.detection import scan
from trojancam.errors import TrojanCamError, TrojanCamWarning
from trojancam.evaluation import comparison
from trojancam.fleets.store import Store
from trojancam.fleets.table import Row, read_rows
from trojancam.fleets.work import work_on
from trojancam.formats.safetensors import read_model
from trojancam.progress import silent
from trojancam.removal import judging, unlearning
from trojancam.removal.repairing import remove
from trojancam.report.page import Table
from trojancam.training.recipe import cached_model, make_model
from trojancam_study import detections, piece_records
from trojancam_study.exhibits import Exhibit, Piece

Result = Callable[[Path], Any]


class KilledError(Exception):
    """What stops a run in these tests."""


@dataclass(frozen=True)
class Kind:
    """A kind of kept files: what leaves them in a folder, which they are, and what a run that finds them comes to."""

    leave: Result
    files: str
    go_on: Result


def broken_at(step: int) -> Callable[..., None]:
    def progress(done: int, total: int, note: str = "", /) -> None:
        if done == step:
            raise KilledError

    return progress


def left_by(run: Callable[..., object]) -> Result:
    """What is there when a run was broken off."""

    def leave(folder: Path) -> None:
        with pytest.raises(KilledError):
            run(folder)

    return leave


def checkpoint(folder: Path, **options: Any) -> dict[str, bytes]:
    make_model(trained.RECIPE, TINY, folder / "m", **options)
    return weights(folder / "m")


def broken_training(folder: Path) -> None:
    def stop(done: int, total: int, note: str = "", /) -> None:
        if done > 24:  # in the second of two epochs
            raise KilledError

    checkpoint(folder, progress=stop)


def model(folder: Path) -> dict[str, bytes]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TROJANCAM_CACHE", str(folder))
        return weights(cached_model(trained.RECIPE, TINY))


def weights(path: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in read_model(path)[0].state_dict().items()}


def streamed(folder: Path, **options: Any) -> dict[str, bytes]:
    path = stream(network("plain")[1], streamed_images(8), folder / "out.npz", batch_size=3, **options)
    arrays = {name: array.tobytes() for name, array in read_stream(path)[1].items()}
    path.unlink()
    return arrays


def compared(folder: Path, **options: Any) -> dict[str, bytes]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(comparison, "BATCH", 2)
        images = torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(0))
        found = comparison.compare(
            network("plain")[1], images, ["random"], ["first"], faithfulness=["road"], folder=folder, **options
        )
    return {
        f"{metric} {place}": value.numpy().tobytes()
        for metric in found.scores
        for place, value in found.scores[metric].items()
    }


def scanned(folder: Path) -> dict[str, Any]:
    suspect, settings = planted(True), {"stimulation": {"rounds": 3, "candidates": 2}}
    report = scan(suspect.network, suspect.images, suspect.labels, "stimulation", settings=settings, journal=folder)
    return {name: value for name, value in report.to_json().items() if name != "timing"}


def repaired(folder: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patched:
        repairs.registered(patched, mine=repairs.by(("same", repairs.unchanged), ("deaf", repairs.deaf)))
        for module in (unlearning, judging):  # how well triggers are found anew is tested where repairs are
            patched.setattr(module, "POOL_STEPS", 2)
        found = remove(trojaned.network(), *trojaned.clean(), [trojaned.finding()], "mine", journal=folder)
    rulings = {each.rung: each.ruling.to_json() for each in found.tries}
    weights = {f"weights of {each.rung}": each.network.fingerprint for each in found.tries}
    return {"before": found.before.to_json(), "chosen": found.chosen, **rulings, **weights}


class HerePool:
    """Works on the models of a fleet in this process: what it keeps is what processes of their own keep."""

    def __init__(self, store: Store, *_: object) -> None:
        self.store = store

    def results(self, units: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        for unit in units:
            yield unit, work_on(unit, self.store)


def worked_on(folder: Path) -> list[dict[str, Any]]:
    return timeless(fleet_in(folder))


def fleet_in(folder: Path) -> Sequence[Row]:
    model = folder.parent / "net.pt2"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trojancam.fleets.running.LocalPool", HerePool)
        return tc.fleet(model if model.exists() else good(model, 0), "inspect", out=folder).rows


def piece(folder: Path) -> dict[str, Any]:
    def make(*_: object) -> Exhibit:
        picture = figures.image_row(torch.full((2, 3, 8, 8), 0.5), ["one", "two"])
        return Exhibit("Found.", pictures={"": (picture, "Two.")}, tables=[Table(["a"], [["1"]])], numbers={"x": 1 / 3})

    study: Any = SimpleNamespace(seeds=(0,))  # this piece looks at no network
    if piece_records.kept(folder, "fig1", "key") is None:
        piece_records.made(study, "fig1", Piece("title", "said", make, ()), folder, "key", silent)
    record = piece_records.kept(folder, "fig1", "key")
    assert record is not None
    written = {path: (folder / path).read_bytes() for path in record["files"] if not path.endswith(".pdf")}
    return {name: value for name, value in record.items() if name != "seconds"} | written


def asked(folder: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TROJANCAM_CACHE", str(folder))
        return detections._kept("key", torch.zeros(1), lambda unfinished: {"rows": [(1, 1 / 3)]})


def images(folder: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TROJANCAM_CACHE", str(folder / "cache"))
        data = folder.parent / "data"  # always the same place: what is kept is that of a folder
        read = gtsrb(data if data.exists() else official(data))
    return {
        f"{part} {name}": value.numpy().tobytes() if isinstance(value, torch.Tensor) else value
        for part, shown in (("train", read.train), ("test", read.test))
        for name, value in vars(shown).items()
    }


TINY = Dataset(trained.image_set(24, 0), trained.image_set(9, 1), "made up")
KINDS = {
    "checkpoint": Kind(left_by(broken_training), "*.checkpoint", lambda folder: checkpoint(folder, resume=True)),
    "model": Kind(model, "models/*", model),
    "stream": Kind(left_by(lambda folder: streamed(folder, progress=broken_at(8))), "*.partial/*", streamed),
    "comparison": Kind(left_by(lambda folder: compared(folder, progress=broken_at(6))), ".compare-*/*", compared),
    "scan": Kind(scanned, "*.kept", scanned),
    "repair": Kind(repaired, "*.kept", repaired),
    "result of a fleet": Kind(worked_on, "done/*", worked_on),
    "piece": Kind(piece, "*/*", piece),
    "scan of the study": Kind(asked, "scans/*", asked),
    "images": Kind(images, "cache/data/*", images),
}


def damages(content: bytes) -> Iterator[bytes]:
    """A bit flipped at the start, within and at the end; and half of it missing. (Each bit of a step: see `test_kept`.)"""
    for place in (0, len(content) // 2, len(content) - 1):
        yield content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
    yield content[: len(content) // 2]


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_said_and_changes_nothing(tmp_path: Path, kind: str) -> None:
    left, chosen = tmp_path / "left", KINDS[kind]
    left.mkdir()
    chosen.leave(left)
    expected = chosen.go_on(copied(left, tmp_path / "undamaged"))
    files = sorted(path.relative_to(left) for path in left.glob(chosen.files) if path.is_file())
    assert files
    for file in files:
        for number, damaged in enumerate(damages((left / file).read_bytes())):
            folder = copied(left, tmp_path / "damaged")
            (folder / file).write_bytes(damaged)
            with pytest.warns(TrojanCamWarning) as said:
                found = chosen.go_on(folder)
            assert all("is damaged; what it held is made again" in str(each.message) for each in said)
            assert found == expected, f"{file}, damage {number}"
            shutil.rmtree(folder)


def test_a_fleet_s_damaged_table_is_never_read_as_if_it_were_whole(tmp_path: Path) -> None:
    """Wherever a bit flips in it, its rows are those that were written, or it is refused; the same command makes it again."""
    written = fleet_in(tmp_path / "out")
    table = tmp_path / "out" / "fleet.sqlite"
    content, refused = table.read_bytes(), 0
    for place in range(0, len(content), 61):
        table.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        try:
            assert read_rows(table) == written, place
        except TrojanCamError as error:
            assert "remove it, and the same command makes it again" in str(error) or "newer" in str(error)  # noqa: PT017
            refused += 1
    assert refused
    table.write_bytes(content.replace(b"opened", b"closed"))
    with pytest.raises(TrojanCamError, match=r"fleet.sqlite \(it is damaged\); remove it"):
        read_rows(table)
    table.unlink()
    assert fleet_in(tmp_path / "out") == written


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))
