"""Opening any model file: size, class names and scaling by options, by the file, or by trying; in all four commands."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from onnx import helper
from tests.formats.onnx_graphs import graph
from typer.main import get_command

import trojancam
import trojancam.detection
import trojancam.report.scan_pictures
import trojancam.report.stimulate
from trojancam.architectures import architecture
from trojancam.cli import app
from trojancam.cli.options import SHOWING, ModelOptions, command_line, fitted, images_for, opened
from trojancam.data import load_dataset
from trojancam.data.rendered import rendered_signs
from trojancam.data.rendered.signs import RENDERED
from trojancam.detection import ScanReport
from trojancam.errors import TrojanCamError

Run = Callable[..., Result]
Refused = Callable[..., str]
SHADES = (0.1, 0.41, 0.72)  # of the three classes in `signs`


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (trojancam.report.stimulate, trojancam.report.scan_pictures):
        monkeypatch.setattr(module, "DPI", 40)  # drawing takes most of the time


def shades(path: Path, channels: int = 3, size: tuple[int | str, int | str] = (64, 48), full: float = 255.0) -> Path:
    """An ONNX network that tells the three shades apart by the mean over the pixels, where white is `full`."""
    weights = {
        "mean": np.full((2, channels, 1, 1), 1 / channels / full, dtype=np.float32),
        "centres": np.array([[20 * shade, 0] for shade in SHADES], dtype=np.float32),
        "middles": np.array([-10 * shade**2 for shade in SHADES], dtype=np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "mean"], ["means"], name="/look/Conv"),
        helper.make_node("Relu", ["means"], ["rectified"]),
        helper.make_node("GlobalAveragePool", ["rectified"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "centres", "middles"], ["y"], transB=1),
    ]
    return graph(path, nodes, weights, images=("n", channels, *size), outputs={"y": ("n", 3)})


@pytest.fixture
def nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that says so at once."""
    report = ScanReport("nothing found", 1.0, 2.0, (), {}, {"looking": 1.0}, ("a", "b", "c"))
    monkeypatch.setattr(trojancam.detection, "scan", lambda *_, **__: report)


@pytest.fixture(params=[(3, (64, 48)), (1, (48, 64))], ids=["colour-64x48", "grey-48x64"])
def theirs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A network that is not square, takes bytes, and says nothing of either names or scaling."""
    channels, size = request.param
    return shades(tmp_path / "theirs.onnx", channels, size)


def results(path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(path).read_text())
    return document


def test_every_command_finds_out_how_it_is_fed(run: Run, theirs: Path, signs: Path) -> None:
    image = signs / "test" / "stop" / "0.png"
    explained = run("explain", theirs, image, "--data", signs, "--out", "explain")
    stimulated = run("stimulate", theirs, "--layer", "look", "--data", signs, "--target", "yield", "--out", "stimulate")
    compared = run("compare", theirs, "--data", signs, "--methods", "grad-cam,random", "--n", 2, "--out", "compare")
    for result in (explained, stimulated, compared):
        assert (result.exit_code, result.stderr) == (0, "")
    for result in (explained, stimulated, compared):
        assert "-bytes, found by trying: right on 100.0% of 12 labelled images" in result.stdout
    assert "predicted stop" in explained.stdout
    for settings in (results(f"{name}/results.json")["settings"] for name in ("explain", "compare")):
        assert "found by trying" in settings["fed"]
        assert "mean 0, deviation 0.003922" in settings["input"]
        assert settings["command"].startswith("trojancam ")
    assert "found by trying" in Path("stimulate/index.html").read_text(encoding="utf-8")


def test_a_grey_network_that_is_not_square_is_scanned(run: Run, signs: Path, tmp_path: Path) -> None:
    result = run("scan", shades(tmp_path / "theirs.onnx", 1, (24, 16)), "--data", signs, "--images", 4, "--out", "out")
    assert result.exit_code in (0, 1, 3)
    assert "fed as grey-bytes, found by trying: right on 100.0% of 12 labelled images" in result.stdout
    options = results("out/scan.json")["options"]
    assert options["input"] == "grey of 24x16 pixels, mean 0, deviation 0.003922"
    assert options["fed"].startswith("grey-bytes, found by trying")


def test_without_labelled_images_explain_warns_that_nobody_vouches(run: Run, signs: Path, tmp_path: Path) -> None:
    path, image = shades(tmp_path / "theirs.onnx"), signs / "test" / "stop" / "0.png"
    warned = run("explain", path, image, "--out", "out")
    assert warned.exit_code == 0
    assert warned.stderr.startswith("warning: ")
    assert warned.stderr.count("\n") == 1
    assert "say how it is fed with --preprocessing, or give labelled images to try on with --data" in warned.stderr
    assert "predicted class 0" in warned.stdout
    said = run("explain", path, image, "--preprocessing", "rgb-bytes", "--out", "out")
    assert (said.exit_code, said.stderr) == (0, "")
    assert "predicted class 1" in said.stdout


def test_what_its_architecture_says_is_taken_without_a_warning(run: Run, signs: Path, tmp_path: Path) -> None:
    torch.save(architecture("trojan2").build(3).state_dict(), tmp_path / "weights.pt")
    image = signs / "test" / "stop" / "0.png"
    result = run("explain", "weights.pt", image, "--architecture", "trojan2", "--layer", "conv2d_9", "--out", "out")
    assert (result.exit_code, result.stderr) == (0, "")
    settings = results("out/results.json")["settings"]
    assert settings["input"] == "rgb of 32x32 pixels, mean 0.5, deviation 0.25"
    assert settings["fed"] == "as its file or architecture says"
    assert settings["command"] == (
        f"trojancam explain weights.pt {image} --architecture trojan2 --device cpu --layer conv2d_9 --scale shared "
        "--format png --seed 0 --out out"
    )


def test_options_are_repeated_in_the_command(run: Run, signs: Path, tmp_path: Path, nothing_found: None) -> None:
    path = shades(tmp_path / "my net.onnx", 3, ("height", "width"))
    (tmp_path / "names.txt").write_text("[red] ring\nstop\nyield\n\n")
    (tmp_path / "fed.json").write_text(json.dumps({"std": 1 / 255, "crop": 0.875}))
    options = ("--preprocessing", "fed.json", "--size", "40x24", "--class-names", "names.txt", "--data", signs)
    result = run("scan", path, *options, "--images", 8, "--out", "a b")
    assert result.exit_code == 0
    command = results("a b/scan.json")["options"]["command"]
    assert command == (
        f"trojancam scan '{path}' --preprocessing fed.json --size 40x24 --class-names names.txt --device cpu --data {signs} "
        "--images 8 --seed 0 --out 'a b'"
    )
    assert results("a b/scan.json")["options"]["fed"] == "fed.json, as given"


@pytest.mark.parametrize(
    "line",
    [
        "explain net.onnx a.png 'b c.png' --layer one --layer two --class 'Speed limit' --stamp --size 64x48 --signed",
        "stimulate net.pt --layer one --maps 31,12 --value -0.125 --window 0,9,3,3 --data signs --target 3",
        "compare net.keras --methods all --layers one,two --n 7 --randomise --output logits --seed 5 --device auto",
        'scan net.safetensors --set stimulation.rounds=80 --set abs.maps=3 --methods abs,stimulation --out "it\'s"',
        "explore one.onnx two.onnx --no-open --port 0 --architecture mine:net",
        "inspect net.h5 --json --class-names names.txt",
    ],
)
def test_the_command_again_is_parsed_to_the_same(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, *given = shlex.split(line)
    monkeypatch.chdir(tmp_path)  # whether the files are there is looked at first
    for file in (
        "net.onnx",
        "net.pt",
        "net.keras",
        "net.safetensors",
        "net.h5",
        "names.txt",
        "one.onnx",
        "two.onnx",
        "a.png",
        "b c.png",
    ):
        Path(file).touch()
    Path("signs").mkdir()
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    parsed = command.make_context(name, list(given))
    assert command_line(parsed).startswith(f"trojancam {name} {given[0]}")
    again = command.make_context(name, shlex.split(command_line(parsed))[2:])
    asked, repeated = (
        {key: value for key, value in each.params.items() if key not in SHOWING} for each in (parsed, again)
    )
    assert repeated == asked  # but for how the result is shown


def test_the_crop_is_cut_from_the_images(signs: Path, tmp_path: Path) -> None:
    (tmp_path / "fed.json").write_text(json.dumps({"std": 1 / 255, "crop": 0.5}))
    told = ModelOptions(preprocessing=str(tmp_path / "fed.json"))
    network = opened(shades(tmp_path / "theirs.onnx", size=(16, 16)), told)
    dataset = images_for(network, signs)
    whole = load_dataset(signs, size=32).test.images
    assert torch.equal(dataset.test.images, whole[..., 8:24, 8:24])
    assert fitted(network, dataset, 0).class_names == ("[red] ring", "stop", "yield")


def test_the_class_folders_of_a_network_that_names_its_classes_are_found_by_name(signs: Path, tmp_path: Path) -> None:
    names = "yield\nstop\n[red] ring"
    (tmp_path / "names.txt").write_text(names)
    network = opened(shades(tmp_path / "theirs.onnx"), ModelOptions(class_names=tmp_path / "names.txt"))
    dataset = images_for(network, signs)
    assert dataset.test.class_names == ("yield", "stop", "[red] ring")
    with pytest.raises(TrojanCamError, match=r"and in its order"):
        fitted(network, dataset, 0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--size", "32"), "takes images of 64x48 pixels, not 32x32; leave out --size"),
        (("--size", "64 by 48"), "--size takes height and width from 1 to 4096 pixels, such as 64x48, or one number"),
        (("--size", "64x5000"), "--size takes height and width from 1 to 4096 pixels"),
        (
            ("--preprocessing", "rgb-byte"),
            "unknown preprocessing 'rgb-byte' (did you mean 'rgb-bytes'?); known: as-said",
        ),
        (("--preprocessing", "none.json"), "there is no file none.json; give --preprocessing a file that is there"),
        (("--class-names", "none.txt"), "there is no file none.txt; give --class-names a file that is there"),
        (("--class-names", __file__), "the network has 3 classes, but"),
        (("--architecture", "basic"), "holds a network of its own"),
        (("--output", "z"), "unknown output"),
    ],
)
def test_options_that_do_not_fit(
    refused: Refused, signs: Path, tmp_path: Path, options: tuple[str, str], sentence: str
) -> None:
    path = shades(tmp_path / "theirs.onnx")
    assert sentence in refused("explain", path, signs / "test" / "stop" / "0.png", *options)


def test_a_file_that_leaves_its_size_open(refused: Refused, run: Run, signs: Path, tmp_path: Path) -> None:
    path, image = shades(tmp_path / "open.onnx", 3, ("h", "w")), signs / "test" / "stop" / "0.png"
    assert "does not say of what size its images are; say it with --size HEIGHTxWIDTH" in refused(
        "explain", path, image
    )
    said = run("explain", path, image, "--size", "20", "--preprocessing", "rgb-bytes")
    assert said.exit_code == 0
    assert results("trojancam-explain/results.json")["settings"]["input"].startswith("rgb of 20x20 pixels")


def test_channels_must_be_those_that_the_file_takes(refused: Refused, signs: Path, tmp_path: Path) -> None:
    (tmp_path / "grey.json").write_text('{"channels": "grey"}')
    words = refused("explain", shades(tmp_path / "theirs.onnx"), signs, "--preprocessing", "grey.json")
    assert "takes 3 channels, but the preprocessing is for grey, which is 1" in words


@pytest.mark.parametrize("command", ["scan", "compare", "stimulate"])
def test_classes_must_be_those_of_the_network(run: Run, signs: Path, tmp_path: Path, command: str) -> None:
    two = tmp_path / "two"
    for part in ("train", "test"):
        for name in ("stop", "yield"):
            (two / part / name).parent.mkdir(parents=True, exist_ok=True)
            (two / part / name).symlink_to(signs / part / name)
    layer = ("--layer", "look") if command == "stimulate" else ()
    result = run(command, shades(tmp_path / "theirs.onnx"), "--data", two, *layer)
    assert result.exit_code == 2
    assert "the network tells 3 classes apart, but the data has 2" in result.stderr
    assert "give images of the classes that it was made for" in result.stderr


def test_the_program_is_run_as_a_module_too() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "trojancam", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"trojancam {trojancam.__version__}\n"
    help_words = subprocess.run(
        [sys.executable, "-m", "trojancam", "scan", "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: trojancam scan" in help_words.stdout


@pytest.mark.parametrize(("moved", "rate"), [(0, "100%"), (1, "0%")])
def test_what_stands_in_for_data_is_said_before_the_work_begins(
    moved: int, rate: str, signs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that reads few of the rendered signs would be searched for minutes on images that it does not know."""
    network = opened(shades(tmp_path / "theirs.onnx"), ModelOptions(preprocessing="rgb-bytes"))
    dataset = images_for(network, signs)
    fitted(network, dataset, 0)
    assert "no --data" not in capsys.readouterr().err
    test = replace(dataset.test, labels=(dataset.test.labels + moved) % 3)
    fitted(network, replace(dataset, test=test, source="rendered signs, seed 0"), 0)
    assert (
        capsys.readouterr().err
        == f"no --data: rendered signs stand in; the network {network.name} is right on {rate} of them\n"
    )
    assert rendered_signs(train=0, test=1).source.startswith(RENDERED)


def test_a_file_of_source_code_that_is_not_there_is_told_how_to_name_one(refused: Refused, tmp_path: Path) -> None:
    torch.save(architecture("trojan2").build(3).state_dict(), tmp_path / "weights.pt")
    told = refused("inspect", "weights.pt", "--architecture", f"{tmp_path / 'signnet'}.py:build")
    assert "signnet.py, which is not there; give the path of the Python file, as folder/file.py:callable" in told
