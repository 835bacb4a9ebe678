"""What is made is kept, what was cut off goes on, and the page says what the numbers' file says."""

import html
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.report.test_page import Reader
from tests.study.conftest import kept_for_all

from trojancam import figures
from trojancam.errors import DataError, UnknownNameError
from trojancam.progress import Progress
from trojancam.report.page import Table
from trojancam.text import with_minus
from trojancam_study import measurements, piece_records, reproduction
from trojancam_study.exhibits import Exhibit, Piece
from trojancam_study.measurements import measured
from trojancam_study.questions import QUESTIONS, research_questions
from trojancam_study.study import Study

Made = list[str]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Two pieces in place of the study's; the names of those that are made are noted down."""
    noted: Made = []

    def figure(study: Study, progress: Progress) -> Exhibit:
        noted.append("fig1")
        picture = figures.image_row(study.test_images()[0][:2], ["one", "two"])
        return Exhibit(
            "Two <signs>.", pictures={"": (picture, "Two signs.")}, tables=[Table(["a", "b"], [["c|d", "1"]])]
        )

    def claim(study: Study, progress: Progress) -> Exhibit:
        noted.append("claim-f")
        progress(1, 2, "half")
        share = measured("share", [torch.tensor([0.1234, 0.5678]), torch.tensor([0.2, 0.9])], chance=0.0625)
        return Exhibit(f"It is {share}.", "agrees", measurements=[share], numbers={"layers": ["conv2d_1"]})

    pieces = {
        "fig1": Piece("signs", "Signs have surroundings.", figure, ("basic",)),
        "claim-f": Piece("opacity counts", "It counts.", claim, ("trojan1",), every_seed=True),
    }
    monkeypatch.setattr(reproduction, "PIECES", pieces)
    return noted


def test_everything_is_written_and_a_second_run_makes_nothing(study: Study, made: Made, tmp_path: Path) -> None:
    page = reproduction.reproduce(study, tmp_path)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    expected = {"index.html", "results.json", "research-questions.md", "pieces/fig1.json", "pieces/claim-f.json"}
    expected |= {"pieces/fig1.kept", "pieces/claim-f.kept"}
    expected |= {"figures/fig1.png", "figures/fig1.pdf", "tables/fig1.csv", "tables/fig1.md"}
    assert files == expected
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert reproduction.reproduce(study, tmp_path) == page
    assert made == ["fig1", "claim-f"]
    assert {path: path.read_bytes() for path in before} == before


def test_the_page_holds_the_numbers_of_the_file(study: Study, made: Made, tmp_path: Path) -> None:
    page = reproduction.reproduce(study, tmp_path).read_text(encoding="utf-8")
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    (share,) = results["pieces"]["claim-f"]["measurements"]
    assert share["mean"] == pytest.approx((0.1234 + 0.5678 + 0.2 + 0.9) / 4)
    assert_shown(results, page)
    assert "Two &lt;signs&gt;." in page
    assert "Of 1 claims measured here: borne out 1." in page
    assert results["seeds"] == list(study.seeds)


def assert_shown(results: dict[str, Any], page: str) -> None:
    """Every number of the file stands in the page, in its own row, and every sentence and table cell."""
    text, words = html.unescape(page), Reader(page).words
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)]
    for name, record in results["pieces"].items():
        assert with_minus(record["found"]) in words, name
        for each in record["measurements"]:
            chance = "" if each["chance"] is None else f"{each['chance']:.3f}"
            by_seed = ", ".join(f"{mean:.3f}" for mean in each["by_seed"])
            interval, over = f"{each['low']:.3f} to {each['high']:.3f}", f"{each['count']:,} {each['unit']}"
            cells = [each["name"], f"{each['mean']:.3f}", interval, chance, by_seed, over]
            assert [with_minus(cell) for cell in cells] in rows, name
        for table in record["tables"]:
            assert all([with_minus(cell) for cell in row] in rows for row in table["rows"]), name


def test_every_piece_is_made_from_nothing_on_a_tiny_budget(
    study: Study, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole registry, as `trojancam reproduce --quick` makes it, of networks trained for one epoch."""
    monkeypatch.setattr(
        figures, "save", partial(figures.save, dpi=40)
    )  # drawing and drawing lots take a third of the time
    monkeypatch.setattr(measurements, "DRAWS", 200)
    small = Study(study.dataset, study.seeds[:1], replace(study.scale, images=8, road_images=2), study._loaded)
    with kept_for_all(shared / "study"):
        page = reproduction.reproduce(small, tmp_path).read_text(encoding="utf-8")
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert list(results["pieces"]) == list(reproduction.PIECES)
    assert_shown(results, page)
    for name, record in results["pieces"].items():
        assert all((tmp_path / file).stat().st_size for file in record["files"]), name
        assert name.startswith("claim") == (record["verdict"] is not None), name
        assert record["pictures"] or record["tables"], name
    questions = (tmp_path / "research-questions.md").read_text(encoding="utf-8")
    assert "Not measured yet" not in questions


def test_one_piece_alone_and_the_page_keeps_what_was_there(study: Study, made: Made, tmp_path: Path) -> None:
    reproduction.reproduce(study, tmp_path, ["claim-f"])
    assert made == ["claim-f"]
    reproduction.reproduce(study, tmp_path, ["fig1"])
    assert made == ["claim-f", "fig1"]
    assert list(json.loads((tmp_path / "results.json").read_text())["pieces"]) == ["fig1", "claim-f"]


@pytest.mark.parametrize("broken", ["figures/fig1.pdf", "pieces/fig1.json"])
def test_a_piece_that_lacks_a_file_is_made_again(study: Study, made: Made, tmp_path: Path, broken: str) -> None:
    reproduction.reproduce(study, tmp_path)
    (tmp_path / broken).unlink()
    reproduction.reproduce(study, tmp_path)
    assert made == ["fig1", "claim-f", "fig1"]
    assert (tmp_path / broken).is_file()


def test_another_study_does_not_show_this_ones_pieces(study: Study, made: Made, tmp_path: Path) -> None:
    reproduction.reproduce(study, tmp_path)
    other = Study(study.dataset, study.seeds[:1], study.scale, study._loaded)
    reproduction.reproduce(other, tmp_path, ["fig1"])
    assert made == ["fig1", "claim-f", "fig1"]
    assert list(json.loads((tmp_path / "results.json").read_text())["pieces"]) == ["fig1"]


def test_a_pieces_key_covers_the_code_that_it_rests_on() -> None:
    texts = piece_records.sources("trojancam_study.place")
    folder = Path(piece_records.__file__).parent
    for file in ("place.py", "shares.py", "measurements.py", "study.py"):
        assert (folder / file).read_text(encoding="utf-8") in texts
    assert (folder / "visible.py").read_text(encoding="utf-8") not in texts
    for file in ("evaluation/road.py", "detection/inversion.py", "data/rendered/signs.py", "training/training.py"):
        assert (folder.parent / "trojancam" / file).read_text(encoding="utf-8") in texts


def test_an_unknown_name_lists_the_known_ones(study: Study, made: Made, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"fig99.*fig1, claim-f"):
        reproduction.reproduce(study, tmp_path, ["fig1", "fig99"])
    assert made == []


def test_progress_runs_to_its_end_and_never_back(study: Study, made: Made, tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    reproduction.reproduce(study, tmp_path, progress=lambda done, total, note="": told.append((done, total, note)))
    shares = [done / total for done, total, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert any(note == "claim-f: half" for *_, note in told)


def test_data_without_the_classes_says_which(study: Study) -> None:
    short = study.dataset.train.class_names[:14]
    few = [part.select((part.labels < 14).nonzero()[:, 0]) for part in (study.dataset.train, study.dataset.test)]
    cut = [type(part)(part.images, part.labels, short) for part in few]
    with pytest.raises(DataError, match=r"lacks 'Stop', 'No vehicles', .* and 24 more;"):
        Study(type(study.dataset)(*cut, source="some signs"))
    without = study.dataset.test.select((study.dataset.test.labels != 4).nonzero()[:, 0])
    with pytest.raises(DataError, match=r"no test image of 'Speed limit \(70km/h\)'"):
        Study(type(study.dataset)(study.dataset.train, without, "fewer signs"))


def test_questions_quote_the_claims_and_say_what_is_missing() -> None:
    found = {
        claim: {"verdict": "agrees", "found": f"{claim} gave 0.5."}
        for question in QUESTIONS
        for claim in (*question.claims, *question.beside)
    }
    text = research_questions(found, "GTSRB", (0, 1, 2))
    assert len(re.findall(r"^## \d\.", text, re.MULTILINE)) == 8
    for question in QUESTIONS:
        answer = question.answer(found)
        assert answer is not None
        assert answer in text
        assert answer.startswith(question.answers["agrees"])
        assert all(f"{claim} gave 0.5." in answer for claim in (*question.claims, *question.beside))
        against = found | {question.claims[-1]: {"verdict": "disagrees", "found": "Not so."}}
        assert (question.answer(against) or "").startswith(question.answers["disagrees"])
    del found["claim-g"]
    assert "Not measured yet: it needs claim-g and claim-d." in research_questions(found, "GTSRB", (0,))
