"""Explaining files: the numbers in results.json are those of the recording, and the figures are the right ones."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.nets import network

from trojancam.attacks.patch import make_trigger, square
from trojancam.attribution import grad_cam
from trojancam.data.image_files import read_image
from trojancam.errors import DataError, UnknownNameError
from trojancam.network.network import Network
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.report import explain
from trojancam.report.explain import Drawing, unique_stems, write_explanations
from trojancam.tasks import explain as task
from trojancam.tasks.explain import ExplainSettings, Explanation, explained_files, find_images


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
    monkeypatch.setattr(task, "BATCH", 2)
    monkeypatch.setattr(explain, "_draw", lambda *arguments: [])
    _, net = network("plain")
    trigger = square(3, 0, 0, "white", 0.5, (12, 12))
    explanations = explained_files(net, files, ExplainSettings(target_class=2, trigger=trigger))
    found = write_explanations(explanations, tmp_path / "out").document
    images = trigger.apply(torch.stack([read_image(file) for file in files]) / 255)
    recording = record(net, images, logit(2))
    cams = grad_cam(recording)
    assert [one.file for one in found.images] == [str(file) for file in files]
    for index, one in enumerate(found.images):
        logits = recording.logits[index].double()
        assert one.predicted_class == int(logits.argmax())
        assert one.explained_class == 2
        assert one.logit == pytest.approx(float(logits[2]), rel=1e-5)
        assert one.probability == pytest.approx(float(logits.exp()[2] / logits.exp().sum()), rel=1e-5)
        for name, numbers in one.layers.items():
            terms = cams[name].contributions[index].double()
            assert numbers.maximum == pytest.approx(max(0.0, float(terms.sum(0).max())), rel=1e-4, abs=1e-8)
            strongest = [entry.contribution for entry in numbers.strongest_feature_maps]
            expected = terms.sum((1, 2)).sort(descending=True).values[: explain.STRONGEST].tolist()
            assert strongest == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_without_a_class_each_image_explains_its_own_prediction(files: list[Path], tmp_path: Path) -> None:
    net = network("plain")[1]
    explanations = explained_files(net, files, ExplainSettings(("second",)))
    for one in write_explanations(explanations, tmp_path / "out").document.images:
        assert one.explained_class == one.predicted_class
        assert list(one.layers) == ["second"]
        assert one.figures == [f"{Path(one.file).stem}-layers.png"]
        assert read_image(tmp_path / "out" / one.figures[0]).shape[2] > 300


def test_progress_counts_the_images(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "_draw", lambda *arguments: [])
    calls: list[tuple[int, int, str]] = []
    explanations = explained_files(network("plain")[1], files, ExplainSettings())
    write_explanations(explanations, tmp_path, progress=lambda *call: calls.append(call))
    assert calls == [(number + 1, 5, str(file)) for number, file in enumerate(files)]


@pytest.mark.parametrize(
    ("settings", "kind", "sentence"),
    [
        (ExplainSettings(layers=("third",)), UnknownNameError, "third"),
        (ExplainSettings(target_class=4), UnknownNameError, "class"),
        (ExplainSettings(trigger=make_trigger("yellow-square")), DataError, "the trigger is made for images of"),
    ],
)
def test_what_does_not_fit_the_network_is_refused_before_a_file_is_read(
    settings: ExplainSettings, kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        explained_files(network("plain")[1], [Path("no.png")], settings)


@pytest.mark.parametrize("wrong", ["scale", "format"])
def test_a_drawing_that_does_not_exist_is_refused(wrong: str) -> None:
    with pytest.raises(UnknownNameError, match=wrong):
        Drawing(**{wrong: "gif"})


def test_images_in_memory_are_explained_as_files_are(files: list[Path]) -> None:
    net = network("plain")[1]
    of_files = task.explain(net, files[0].parent, layers="second", target="class 1")
    of_tensors = task.explain(net, torch.stack([read_image(file) for file in files]) / 255, layers=["second"], target=1)
    assert len(of_files) == len(of_tensors) == 5
    for one, other in zip(of_files, of_tensors, strict=True):
        torch.testing.assert_close(one.logits, other.logits)
        torch.testing.assert_close(
            one.attributions["second"].contributions[one.index], other.attributions["second"].contributions[other.index]
        )


def test_explanations_are_a_sequence_that_holds_one_batch(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Network, "rows", lambda *_, **__: 2)  # so large that no more fit into the budget
    found = task.explain(network("plain")[1], files)
    assert [one.name for one in found[1:4]] == [str(file) for file in files[1:4]]
    assert isinstance(found[-1], Explanation)
    assert found[-1].name == str(files[4])
    assert len(found[0].attributions["second"].contributions) == 2
    with pytest.raises(IndexError):
        found[5]
    assert len(repr(found)) < 200 > len(repr(found[0]))


def test_folders_are_searched_for_images(files: list[Path]) -> None:
    folder = files[0].parent
    (folder / "notes.txt").write_text("no image")
    assert find_images([files[3], folder]) == [files[3], *files]


def test_stems_are_unique_in_any_case_and_keep_their_own_where_they_can() -> None:
    paths = [Path(name) for name in ("a/1.png", "b/1.png", "b/1.jpg", "b/1-2.png", "c/Stop.png", "d/stop.png")]
    assert unique_stems(paths) == ["1", "1-3", "1-4", "1-2", "Stop", "stop-2"]
