"""`trojancam inspect`: what a file holds, what it would run, how it is fed; and a scan of a file that is not ours."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from junitparser import JUnitXml
from tests.cli.conftest import CLASSES, Run
from tests.formats import hostile_keras, hostile_pytorch
from tests.formats.hostile_left_alone import ESCAPES, OTHERS

from trojancam.architectures import architecture
from trojancam.formats.safetensors import save_model
from trojancam.network.card import ModelCard, TrainingRecord, TrainingSettings
from trojancam.training.recipe import initial_module


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of three classes as an exported program, with weights drawn at random."""
    torch.manual_seed(0)
    module = architecture("trojan2").build(3).eval()
    path = tmp_path_factory.mktemp("program") / "theirs.pt2"
    shapes = ({0: torch.export.Dim("n")},)
    torch.export.save(torch.export.export(module, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=shapes), path)
    return path


def test_it_tells_what_a_file_holds(run: Run, program: Path) -> None:
    result = run("inspect", program)
    assert result.exit_code == 0
    for words in (
        "exported program",
        "SHA-256",
        f"the file says: made by PyTorch: {torch.__version__}",
        "it would run: nothing",
        "3 classes",
        "1,217,487 parameters",
        "conv2d_9",
        "55,392",
        "dense_3",
        "classes: 3, without names",
        "rgb of 32x32 pixels",
        "assumed: the file does not say",
    ):
        assert words in result.stdout, words


def test_what_a_card_says_is_the_files_own_words(run: Run, model: Path) -> None:
    said = run("inspect", model).stdout
    assert "the file says: made by trojancam" in said
    assert "architecture trojan2" in said
    assert "the file says: trained with 4 poisoned images (10.0%); a trigger (blue-green-square) turns" in said
    assert "turns images of all classes into class 1, stop" in said
    assert f"classes: {', '.join(CLASSES)}" in said


def test_the_same_for_machines(run: Run, model: Path, program: Path) -> None:
    told = json.loads(run("inspect", model, "--json").stdout)
    assert told["format"] == "safetensors"
    assert len(told["sha256"]) == 64
    assert told["network"]["class_names"] == list(CLASSES)
    assert told["network"]["layers"][0] == {"name": "conv2d_5", "feature_maps": 9, "size": [28, 28]}
    assert told["network"]["parameters"]["conv2d_5"] == 684
    assert told["network"]["card"]["backdoors"][0]["target_class"] == 1
    assert "refused" not in told
    other = json.loads(run("inspect", program, "--json").stdout)
    assert other["network"]["card"] is None


def test_a_refused_file_is_shown_from_outside(run: Run, tmp_path: Path) -> None:
    path = hostile_keras.HOSTILE["lambda of a command"](tmp_path, tmp_path / "canary")
    result = run("inspect", path)
    assert result.exit_code == 2
    for words in ("Keras, ", "SHA-256", "the file says: saved by Keras: 3.9.0", "the Keras layer Lambda", "os.system"):
        assert words in result.stdout, words
    assert result.stderr.startswith("error: ")
    assert "'Lambda'" in result.stderr
    told = run("inspect", path, "--json")
    assert told.exit_code == 2
    assert json.loads(told.stdout)["refused"] in told.stderr
    assert "os.system" in json.loads(told.stdout)["would_run"]
    assert not (tmp_path / "canary").exists()


def test_a_missing_file_is_refused_in_json_too(run: Run) -> None:
    told = run("inspect", "nothing.onnx", "--json")
    assert told.exit_code == 2
    refused = told.stderr.removeprefix("error: ").strip()
    assert json.loads(told.stdout) == {"command": "inspect", "file": "nothing.onnx", "refused": refused}


def test_an_archive_that_leads_out_of_itself(run: Run, tmp_path: Path) -> None:
    """It cannot be looked into; that is said, and what is known is shown."""
    result = run("inspect", hostile_pytorch.HOSTILE["a member that is a link"](tmp_path, tmp_path / "canary"))
    assert result.exit_code == 2
    for words in ("SHA-256", "reach for: the member 'archive/link', a link to another place", "nothing that is known"):
        assert words in result.stdout, words
    assert "is a link to another place" in result.stderr
    assert "could not be searched" not in result.stdout, "the error has said it"


@pytest.mark.parametrize("name", ["terminal escapes in class names", "terminal escapes in ONNX"])
def test_names_do_not_steer_the_terminal(run: Run, tmp_path: Path, name: str) -> None:
    result = run("inspect", OTHERS[name](tmp_path, tmp_path / "canary"))
    assert result.exit_code == 0
    assert all(letter.isprintable() or letter == "\n" for letter in result.output)
    assert ESCAPES not in result.output
    assert "[bold]red[/]" in result.stdout, "markup is printed, not obeyed"


def test_it_names_what_a_pickle_would_run_and_runs_nothing(run: Run, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Hostile:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return Path.touch, (str(canary),)

    path = tmp_path / "hostile.pt"
    path.write_bytes(pickle.dumps({"weight": Hostile()}))
    result = run("inspect", path, "--architecture", "basic")
    assert result.exit_code == 2
    assert "loaded carelessly, it would run" in result.stdout
    assert "touch" in result.stdout or "getattr" in result.stdout
    assert not canary.exists()


def test_how_it_is_fed_is_tried_on_images(run: Run, signs: Path, program: Path) -> None:
    """This one was never trained, so nothing is clearly right; all that was tried is shown all the same."""
    result = run("inspect", program, "--data", signs, "--images", "8")
    assert result.exit_code == 2
    assert "rgb-symmetric" in result.stdout
    assert "Tried on 8 images" in result.stdout
    told = run("inspect", program, "--data", signs, "--images", "8", "--json")
    assert told.exit_code == 2
    assert "rgb-symmetric" in json.loads(told.stdout)["preprocessings"]


def test_a_missing_file(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "check the path" in refused("inspect", tmp_path / "nowhere.pt")
    assert "check the path" in refused("inspect", "/dev/zero")


def test_a_network_that_knows_nothing_is_not_scanned(refused: Callable[..., str], signs: Path, program: Path) -> None:
    assert "--preprocessing" in refused("scan", program, "--data", signs, "--images", "8")
    words = refused("scan", program, "--data", signs, "--preprocessing", "rgb-symmetrical")
    assert "unknown preprocessing 'rgb-symmetrical' (did you mean 'rgb-symmetric'?)" in words
    assert "leave out --architecture" in refused("inspect", program, "--architecture", "basic")


def test_another_ones_file_is_scanned_as_it_is_fed(run: Run, signs: Path, program: Path, tmp_path: Path) -> None:
    fed, quick = ("--preprocessing", "rgb-quarter"), ("--methods", "abs")
    result = run("scan", program, "--data", signs, "--images", "8", *fed, *quick, "--out", "out")
    assert result.exit_code in (0, 1, 3)
    assert "--preprocessing rgb-quarter" in (tmp_path / "out" / "scan.html").read_text(encoding="utf-8")


def test_several_files_are_one_object_and_the_worst_code(run: Run, program: Path, model: Path, tmp_path: Path) -> None:
    hostile = hostile_keras.HOSTILE["lambda of a command"](tmp_path, tmp_path / "canary")
    told = run("inspect", hostile, program, model, "--json", "-")
    assert told.exit_code == 2
    assert [Path(each["file"]).name for each in json.loads(told.stdout)["results"]] == [
        Path(each).name for each in (hostile, program, model)
    ]
    assert told.stderr.count("error: ") == 1
    assert run("inspect", program, model, "--strict").exit_code == 0


def test_a_file_that_opens_and_would_run_something_ends_a_strict_inspection_with_1(run: Run, tmp_path: Path) -> None:
    """Code that this reader leaves alone, and a careless one would not."""
    path = OTHERS["code in the sample inputs of a .pt2"](tmp_path, tmp_path / "canary")
    told = run("inspect", path, "--format", "junit", "--strict")
    assert told.exit_code == 1
    (suite,) = JUnitXml.fromstring(told.stdout.encode())
    assert [case.name for case in suite if case.result] == ["runs nothing"]
    assert run("inspect", path).exit_code == 0


def test_the_words_of_a_training_tell_its_seed_from_that_of_its_data(run: Run, tmp_path: Path) -> None:
    """“signs, seed 0, 12 epochs, seed 0” did not say which seed is whose."""
    chosen, path = architecture("trojan2"), tmp_path / "trained.safetensors"
    settings = TrainingSettings(epochs=12, seed=3)
    training = TrainingRecord(data="rendered signs, seed 0", images=2580, settings=settings, clean_accuracy=0.5)
    card = ModelCard(architecture="trojan2", class_names=CLASSES, input=chosen.input, training=training)
    save_model(path, initial_module(chosen, len(CLASSES), seed=0), card)
    assert (
        "trained for 12 epochs with seed 3 on 2,580 images of rendered signs, seed 0; " in run("inspect", path).stdout
    )
