"""The JSON beside a page: of the documented form, and with every number that the page shows."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from tests.defences.planted import network as planted_network
from tests.defences.planted import triggered
from tests.detection.planted import pictures
from tests.nets import images_for, network
from tests.report.held import Records, altered, held_against
from tests.report.test_scan_page import judged, report
from tests.shared import made_once
from tests.study.conftest import kept_for_all, small_study
from tests.tasks.test_demo import demonstrated

import trojancam.report.scan_pictures
import trojancam.report.sift
import trojancam.report.stimulate
from trojancam.attacks.patch import square
from trojancam.errors import DataError
from trojancam.report.compare import write_comparison
from trojancam.report.documents import DOCUMENTS
from trojancam.report.documents.describing import json_schema, markdown
from trojancam.report.documents.document import RESULTS_VERSION
from trojancam.report.explain import Drawing, write_explanations
from trojancam.report.provenance import file_facts
from trojancam.report.scan import write_scan
from trojancam.report.sift import documented, write_sift
from trojancam.report.stimulate import write_stimulation
from trojancam.stimulation import Stimulation
from trojancam.tasks.compare import compare
from trojancam.tasks.explain import ExplainSettings, explained_files
from trojancam.tasks.sift import sift
from trojancam.tasks.stimulate import stimulate
from trojancam_study.reproduction import reproduce

ROOT = Path(__file__).parents[2]
OF_SEVERAL_RECORDS = {
    "Score",
    "Size of the recovered trigger",
    "Stimulation maps",
}  # rows that compare a number with a threshold or a size, or say of a search where it looked and what it came to
CAUGHT = 0.15  # of wrong last digits, on the smallest page; others happen to be right of something else
Write = Callable[[Path], tuple[Path, Path]]
PIECES_SHOWN = ("fig1", "table1", "fig12", "claim-d")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (trojancam.report.scan_pictures, trojancam.report.sift, trojancam.report.stimulate):
        monkeypatch.setattr(module, "DPI", 40)


def files(folder: Path) -> list[Path]:
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for number in range(3):
        pixels = torch.randint(0, 256, (12, 12, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def explained(settings: ExplainSettings, drawing: Drawing | None = None) -> Write:
    def write(folder: Path) -> tuple[Path, Path]:
        explanations = explained_files(network("plain")[1], files(folder / "images"), settings)
        found = write_explanations(explanations, folder, drawing, settings={"seed": 3})
        return found.page, folder / "results.json"

    return write


def written_scan(folder: Path) -> tuple[Path, Path]:
    return write_scan(judged(report()), folder, {"model": "planted"}), folder / "scan.json"


def written_sift(folder: Path) -> tuple[Path, Path]:
    clean, _ = pictures(42)
    found = sift(
        planted_network(), torch.cat([triggered(2), pictures(3, seed=8)[0]]), clean, ["contributions", "strip"],
        false_alarms=0.06,
    )  # fmt: skip
    document = documented(found, {"seed": 0}, 1.0)
    return write_sift(found, document, folder), folder / "results.json"


def written_stimulation(folder: Path) -> tuple[Path, Path]:
    _, net = network("plain")
    wanted = [Stimulation("second", 1, value=50.0)]
    answer = stimulate(net, images_for(net, 3), torch.tensor([0, 1, 1]), wanted)
    return write_stimulation(answer, folder, {"seed": 0}).page, folder / "results.json"


def written_comparison(folder: Path) -> tuple[Path, Path]:
    _, net = network("plain")
    methods = ("grad-cam", "hirescam", "random")
    trigger = square(4, 2, 2, "white", 0.5, (12, 12))
    layers = ("first", "second")
    found = compare(net, images_for(net, 6), methods, layers=layers, target=1, trigger=trigger, randomise=True)
    page = write_comparison(found, folder, {"seed": 0})
    return page, folder / "results.json"


def written_study(folder: Path) -> tuple[Path, Path]:
    """A few pieces, of pictures, tables and numbers."""
    with kept_for_all(folder.parent / "study"):
        page = reproduce(small_study((0,)), folder, PIECES_SHOWN)
    return page, folder / "results.json"


WRITTEN: dict[str, Write] = {
    "explain": explained(ExplainSettings()),
    "explain with a trigger": explained(
        ExplainSettings(trigger=square(3, 0, 0, "white", 0.5, (12, 12))), Drawing(True, scale="each", signed=True)
    ),
    "explain a class": explained(ExplainSettings(("second",), 2), Drawing(feature_maps=True)),
    "scan": written_scan,
    "sift": written_sift,
    "stimulate": written_stimulation,
    "compare": written_comparison,
}
# What takes long is made once for all, in the folder that the processes of a run share.
SHARED: dict[str, Write] = {
    "demo": lambda shared: _page_and_results(demonstrated(shared).path),
    "reproduce": lambda shared: made_once(shared / "reproduce", written_study),
}
COMMANDS = (*WRITTEN, *SHARED)


def pages(command: str, shared: Path, own: Path) -> tuple[Path, Path]:
    """The page of a command and its JSON, in a folder of one's own or in one that all look at."""
    return SHARED[command](shared) if command in SHARED else WRITTEN[command](own)


def _page_and_results(page: Path) -> tuple[Path, Path]:
    return page, page.with_name("results.json")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_number_on_the_page_is_in_the_json_where_it_belongs(command: str, shared: Path, tmp_path: Path) -> None:
    page, results = pages(command, shared, tmp_path)
    document, missing = held_against(page, results)
    assert document["command"] == command.split(maxsplit=1)[0]
    assert missing == []
    records = Records(page, results)
    assert {row[0] for row in records.rows if not records.hold(row)} <= OF_SEVERAL_RECORDS
    changed = [row for each in records.rows if records.hold(each) for row in altered(each)]
    assert sum(not records.hold(row) for row in changed) > CAUGHT * len(changed), "a wrong number would not be noticed"


def test_a_number_that_is_nowhere_is_missed(tmp_path: Path) -> None:
    page, results = explained(ExplainSettings())(tmp_path)
    page.write_text(page.read_text(encoding="utf-8").replace("<tbody>", "<tbody><tr><td>0.123456</td></tr>", 1))
    assert held_against(page, results)[1] == ["0.123456 in '0.123456'"]


def test_the_study_s_results_are_of_the_form() -> None:
    document = json.loads((ROOT / "docs" / "study" / "results.json").read_text(encoding="utf-8"))
    DOCUMENTS["reproduce"].model_validate(document)


def test_fields_that_nobody_described_are_refused(tmp_path: Path) -> None:
    _, results = explained(ExplainSettings())(tmp_path)
    document = json.loads(results.read_text(encoding="utf-8"))
    with pytest.raises(ValidationError, match="surprise"):
        DOCUMENTS["explain"].model_validate(document | {"surprise": 1})
    with pytest.raises(ValidationError, match="results_version"):
        DOCUMENTS["explain"].model_validate(document | {"results_version": RESULTS_VERSION + 1})


def test_the_documentation_is_that_of_the_schema() -> None:
    """If it is not: python -m trojancam.report.documents.describing docs."""
    assert (ROOT / "docs" / "results-schema.md").read_text(encoding="utf-8") == markdown()
    assert json.loads((ROOT / "docs" / "results-schema.json").read_text(encoding="utf-8")) == json_schema()


def test_the_json_schema_takes_what_the_commands_write_and_nothing_else() -> None:
    schema = json_schema()
    document = json.loads((ROOT / "docs" / "study" / "results.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)
    for wrong in ({**document, "surprise": 1}, {**document, "results_version": 2}, {**document, "pieces": 3}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_a_model_file_is_told_by_its_hash(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"weights")
    expected = {"model": "net.onnx", "model_sha256": hashlib.sha256(b"weights").hexdigest()}
    assert file_facts(tmp_path / "net.onnx") == expected
    with pytest.raises(DataError, match="check the path"):
        file_facts(tmp_path / "no.onnx")
