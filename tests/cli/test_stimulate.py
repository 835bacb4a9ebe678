"""`trojancam stimulate`: page, figures and numbers agree with the library, and slips of the pen end in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from tests.report.test_page import Reader

import trojancam.report.stimulate
from trojancam.data import load_dataset
from trojancam.network.targets import logit
from trojancam.opening.open import load
from trojancam.stimulation import Stimulation, stimulate

Run = Callable[..., Result]
Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trojancam.report.stimulate, "DPI", 40)  # drawing takes most of the time


def results(folder: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
    return document


def test_what_is_printed_and_written_is_what_the_library_finds(run: Run, model: Path, signs: Path) -> None:
    result = run("stimulate", model, "--layer", "conv2d_6", "--maps", "31, 12", "--value", 2, "--unit", "layer",
                 "--window", "0,9,3,3", "--rest", "zero", "--data", signs, "--images", 3, "--target", "YIELD",
                 "--out", "new/out", "--seed", 1)  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    network = load(model)
    images, labels = load_dataset(signs, size=32).test.take(3, 1)
    stimulation = Stimulation("conv2d_6", (31, 12), value=2.0, window=(0, 9, 3, 3), rest="zero", unit="layer")
    found = stimulate(network, images, stimulation, logit(2))
    document = results("new/out")
    assert [Stimulation.from_json(record) for record in document["stimulations"]] == [stimulation]
    assert document["largest_clean_activations"] == found.peaks.tolist()
    assert (document["target_class"], document["target_name"]) == (2, "yield")
    assert document["stimulation_asr"] == pytest.approx(found.success_rate(2, labels))
    change = (found.after.logits - found.before.logits)[:, 2]
    assert document["logit_change"] == pytest.approx(float(change.mean()), rel=1e-4)
    for index, row in enumerate(document["images"]):
        assert row["label"] == int(labels[index])
        for when, recording in (("before", found.before), ("after", found.after)):
            assert row[when]["predicted_class"] == int(recording.logits[index].argmax())
            assert row[when]["logit"] == pytest.approx(float(recording.logits[index, 2]), rel=1e-4, abs=1e-6)
        line = f"image {index + 1}: {row['before']['predicted_name']} -> {row['after']['predicted_name']}; "
        assert f"{line}logit of yield {float(change[index]):+.2f}" in result.stdout
    doses = document["doses"]
    assert doses["strengths"][4] == 1.0
    assert doses["logits"][4] == pytest.approx(found.after.logits[:, 2].tolist(), rel=1e-4, abs=1e-6)
    assert doses["stimulation_asr"][4] == document["stimulation_asr"]
    pictures = ["doses.png", "image-1.png", "image-2.png", "image-3.png"]
    assert document["figures"] == pictures
    assert sorted(path.name for path in Path("new/out").iterdir()) == [*pictures, "index.html", "results.json"]
    page = Path("new/out/index.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 4
    assert f"{document['stimulation_asr']:.0%} of the images of other classes the class “yield”" in Reader(page).words
    assert "http" not in page


def test_a_file_of_stimulations_is_taken_as_it_was_written(run: Run, model: Path, signs: Path, tmp_path: Path) -> None:
    mask = torch.zeros(12, 12, dtype=torch.bool)
    mask[0, 9:] = True
    given = Stimulation("conv2d_6", (3, 5), value=torch.rand(2, 12, 12), mask=mask)
    two = [given, Stimulation("conv2d_6", 7, "zero")]
    (tmp_path / "two.json").write_text(json.dumps([one.to_json() for one in two]))
    (tmp_path / "one.json").write_text(json.dumps(two[1].to_json()))
    for name, expected in (("two", two), ("one", two[1:])):
        result = run("stimulate", model, "--stimulation", f"{name}.json", "--data", signs, "--images", 2, "--out", name)
        assert result.exit_code == 0
        assert results(name)["stimulations"] == [one.to_json() for one in expected]
    assert results("two")["doses"] is not None
    assert results("one")["doses"] is None  # setting to zero has no strength
    assert results("one")["figures"] == ["image-1.png", "image-2.png"]


def test_a_target_class_that_all_images_are_of_has_no_success_rate(
    run: Run, model: Path, signs: Path, tmp_path: Path
) -> None:
    only = tmp_path / "only"
    for part in ("train", "test"):
        (only / part).mkdir(parents=True)
        (only / part / "stop").symlink_to(signs / part / "stop")
    result = run(
        "stimulate", model, "--layer", "conv2d_9", "--data", only, "--images", 2, "--target", "1", "--out", "out"
    )
    assert result.exit_code == 0
    assert results("out")["stimulation_asr"] is None
    assert "All 2 images are of the class “stop”, so none can become it" in result.stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "name a layer with --layer, or a file with --stimulation; one of the two"),
        (("--layer", "conv2d_6", "--stimulation", __file__), "one of the two"),
        (("--layer", "conv2d_1"), "unknown layer 'conv2d_1' (did you mean 'conv2d_9'?); known: conv2d_5"),
        (("--layer", "conv2d_6", "--maps", "32"), "layer 'conv2d_6' has no feature map 32; known: 0 to 31"),
        (
            ("--layer", "conv2d_6", "--maps", "1;2"),
            "--maps takes whole numbers with commas between such as 31,12 or all",
        ),
        (("--layer", "conv2d_6", "--window", "1,2,3"), "--window takes row, column, height and width such as 0,9,3,3"),
        (("--layer", "conv2d_6", "--window", "0,10,3,3"), "at row 0, column 10 does not fit into the 12x12 cells"),
        (("--layer", "conv2d_6", "--kind", "double"), "unknown kind of a stimulation 'double'; known: replace, scale"),
        (("--layer", "conv2d_6", "--unit", "image"), "unknown unit of a stimulation 'image'"),
        (("--layer", "conv2d_6", "--rest", "one"), "unknown rest of a stimulation 'one'"),
        (("--layer", "conv2d_6", "--value", "nan"), "the value of a stimulation must be finite"),
        (("--layer", "conv2d_6", "--target", "go"), "unknown class 'go'"),
        (("--layer", "conv2d_6", "--out", __file__), "cannot write to the folder"),
        (("--stimulation", "none.json"), "there is no file none.json; give --stimulation a file that is there"),
        (("--stimulation", __file__), "cannot read stimulations from"),
    ],
)
def test_what_is_refused(refused: Refused, model: Path, signs: Path, options: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused("stimulate", model, "--data", signs, *options)
