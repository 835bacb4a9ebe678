"""Explaining files: the numbers in results.json are those of the recording, and the figures are the right ones."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.nets import network

from trojancam.attacks.patch import make_trigger, square
from trojancam.attribution import grad_cam
from trojancam.data.images import read_image
from trojancam.errors import DataError, UnknownNameError
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.report import explain
from trojancam.report.explain import Options, explain_files, find_images, unique_stems


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "images").mkdir()
    paths = [tmp_path / "images" / f"{number}.png" for number in range(5)]
    generator = torch.Generator().manual_seed(0)
    for path in paths:
        Image.fromarray(torch.randint(0, 256, (12, 12, 3), generator=generator, dtype=torch.uint8).numpy()).save(path)
    return paths


def test_numbers_are_those_of_the_recording_across_batches(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "BATCH", 2)
    monkeypatch.setattr(explain, "_draw", lambda *arguments: [])
    _, net = network("plain")
    trigger = square(3, 0, 0, "white", 0.5, (12, 12))
    found = explain_files(net, files, tmp_path / "out", Options(target_class=2, trigger=trigger))
    images = trigger.apply(torch.stack([read_image(file) for file in files]) / 255)
    recording = record(net, images, logit(2))
    cams = grad_cam(recording)
    assert [one.file for one in found.images] == files
    for index, one in enumerate(found.images):
        logits = recording.logits[index].double()
        assert one.numbers.predicted_class == int(logits.argmax())
        assert one.numbers.explained_class == 2
        assert one.numbers.logit == pytest.approx(float(logits[2]), rel=1e-5)
        assert one.numbers.probability == pytest.approx(float(logits.exp()[2] / logits.exp().sum()), rel=1e-5)
        for name, numbers in one.numbers.layers.items():
            terms = cams[name].contributions[index].double()
            assert numbers.maximum == pytest.approx(max(0.0, float(terms.sum(0).max())), rel=1e-4, abs=1e-8)
            strongest = [entry.contribution for entry in numbers.strongest_feature_maps]
            expected = terms.sum((1, 2)).sort(descending=True).values[: explain.STRONGEST].tolist()
            assert strongest == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_without_a_class_each_image_explains_its_own_prediction(files: list[Path], tmp_path: Path) -> None:
    net = network("plain")[1]
    found = explain_files(net, files, tmp_path / "out", Options(layers=("second",)))
    for one in found.images:
        assert one.numbers.explained_class == one.numbers.predicted_class
        assert list(one.numbers.layers) == ["second"]
        assert one.numbers.figures == [f"{one.file.stem}-layers.png"]
        assert read_image(tmp_path / "out" / one.numbers.figures[0]).shape[2] > 300


def test_progress_counts_the_images(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "_draw", lambda *arguments: [])
    calls: list[tuple[int, int, str]] = []
    explain_files(network("plain")[1], files, tmp_path, Options(), lambda *call: calls.append(call))
    assert calls == [(number + 1, 5, str(file)) for number, file in enumerate(files)]


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        (Options(format="gif"), UnknownNameError, "format"),
        (Options(scale="all"), UnknownNameError, "scale"),
        (Options(layers=("third",)), UnknownNameError, "third"),
        (Options(target_class=4), UnknownNameError, "class"),
        (Options(trigger=make_trigger("yellow-square")), DataError, "the trigger is made for images of"),
    ],
)
def test_what_is_refused_leaves_no_folder(
    files: list[Path], tmp_path: Path, options: Options, kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        explain_files(network("plain")[1], files, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_folders_are_searched_for_images(files: list[Path]) -> None:
    folder = files[0].parent
    (folder / "notes.txt").write_text("no image")
    assert find_images([files[3], folder]) == [files[3], *files]


def test_stems_are_unique_in_any_case_and_keep_their_own_where_they_can() -> None:
    paths = [Path(name) for name in ("a/1.png", "b/1.png", "b/1.jpg", "b/1-2.png", "c/Stop.png", "d/stop.png")]
    assert unique_stems(paths) == ["1", "1-3", "1-4", "1-2", "Stop", "stop-2"]
