"""`trojancam explain`: figures and numbers for good images, one sentence for each bad one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image
from tests.nets import network

Run = Callable[..., Result]
Refused = Callable[..., str]


@pytest.fixture
def image(signs: Path) -> Path:
    return signs / "test" / "stop" / "0.png"


def results(folder: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
    return document


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_one_image_and_one_layer_with_its_feature_maps(run: Run, model: Path, image: Path) -> None:
    result = run(
        "explain", model, image, "--layer", "conv2d_6", "--layer", "conv2d_6", "--feature-maps",
        "--class", "YIELD", "--stamp", "--scale", "each", "--format", "svg", "--out", "new/out",
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    assert names("new/out") == ["0-conv2d_6.svg", "0-layers.svg", "index.html", "results.json"]
    document = results("new/out")
    (row,) = document["images"]
    assert (document["trigger"], document["left_out"]) == ("blue-green-square", [])
    assert row["figures"] == ["0-layers.svg", "0-conv2d_6.svg"]
    assert (row["explained_class"], row["explained_name"]) == (2, "yield")
    assert list(row["layers"]) == ["conv2d_6"]
    last = result.stdout.splitlines()[-3:]
    assert last[0] == (
        f"{image}: predicted {row['predicted_name']}; explained yield, "
        f"logit {row['logit']:.2f}, probability {row['probability']:.3g}"
    )
    assert last[1] == "1 image explained: figures and results.json in new/out"
    assert last[2] == f"the page is at {Path('new/out/index.html').resolve()}"


def test_good_images_are_done_and_broken_ones_listed(run: Run, model: Path, image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(4):
        shutil.copy(image, folder / f"{number}.png")
    (folder / "1.png").write_bytes(image.read_bytes()[:200])
    (folder / "2.png").write_bytes(b"")
    result = run("explain", model, folder, "missing [/red].png", "--layer", "conv2d_9", "--out", "out")
    assert result.exit_code == 2
    assert names("out") == ["0-layers.png", "3-layers.png", "index.html", "results.json"]
    assert result.stderr.splitlines() == [f"left out: {line}" for line in results("out")["left_out"]]
    assert [line.split(": ")[-1] for line in results("out")["left_out"]] == [
        "it is cut short", "it is empty", "there is no such file",
    ]  # fmt: skip
    assert "2 images explained" in result.stdout


def test_images_of_other_sizes_and_modes_and_odd_names(run: Run, model: Path, image: Path, tmp_path: Path) -> None:
    with Image.open(image) as opened:
        original = opened.copy()
    folder = tmp_path / "[" / "red] 50 %"
    folder.mkdir(parents=True)
    for mode, name in (("L", "grey.png"), ("RGBA", "-alpha.png"), ("CMYK", "cmyk.jpg"), ("P", "$x_1$.png")):
        original.convert(mode).resize((50, 20)).save(folder / name)
    Image.new("I;16", (40, 40), 30_000).save(folder / "Straße 标志.png")
    result = run("explain", model, "[/red] 50 %", "--layer", "conv2d_9", "--out", "out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(names("out")) == 7
    assert {str(Path(row["file"]).parent) for row in results("out")["images"]} == {"[/red] 50 %"}
    assert "[/red] 50 %/$x_1$.png: predicted" in result.stdout


def test_files_of_one_name_in_two_folders_do_not_overwrite_each_other(
    run: Run, model: Path, signs: Path, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(signs / "test" / "stop" / "0.png", tmp_path / folder / "same.png")
    shutil.copy(signs / "test" / "stop" / "0.png", tmp_path / "b" / "same-2.png")
    assert run("explain", model, "a", "b", "--layer", "conv2d_9", "--out", "out").exit_code == 0
    figures = [row["figures"][0] for row in results("out")["images"]]
    assert len(set(figures)) == 3
    assert names("out") == sorted([*figures, "index.html", "results.json"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--layer", "conv2d_10"), "unknown layer 'conv2d_10' (did you mean 'conv2d_9'?); known: conv2d_5"),
        (("--class", "stopp"), "unknown class 'stopp' (did you mean 'stop'?); known: [red] ring, stop, yield"),
        (("--class", "3"), "unknown class '3'"),
        (("--scale", "all"), "unknown scale 'all'; known: shared, each"),
        (("--format", "gif"), "unknown format 'gif'; known: png, svg, pdf"),
        (("--out", __file__), "cannot write to the folder"),
        (("--out", f"{__file__}/sub"), "choose a folder you can write to"),
    ],
)
def test_what_is_refused(refused: Refused, model: Path, image: Path, options: tuple[str, str], sentence: str) -> None:
    assert sentence in refused("explain", model, image, *options)


def test_images_that_are_none(refused: Refused, model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("text")
    assert "no.png is missing; give image files or folders" in refused("explain", model, "no.png")
    assert "the folder empty holds no image; give image files" in refused("explain", model, "empty")
    assert "cannot read the image text.png: it is not an image" in refused("explain", model, "text.png")
    assert "none of the 2 images can be read; the first is no.png" in refused("explain", model, "no.png", "text.png")


def test_models_that_are_none(refused: Refused, model: Path, image: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(model.read_bytes()[:-9])
    (tmp_path / "text").write_text("text")
    assert "there is no model file no that can be read" in refused("explain", "no", image)
    assert ". is a folder, not a model file; give the file in it" in refused("explain", ".", image)
    assert "cut.safetensors is not a whole safetensors file" in refused("explain", "cut.safetensors", image)
    assert "text is no model file of a known kind" in refused("explain", "text", image)


def test_only_a_recorded_trigger_can_be_stamped(run: Run, refused: Refused, signs: Path, image: Path) -> None:
    assert run("train", "basic", "--data", signs, "--out", "clean", "--epochs", 1).exit_code == 0
    assert "clean records no trigger; stamp images only of models" in refused("explain", "clean", image, "--stamp")


def test_further_methods_explain_the_network_as_a_whole(run: Run, model: Path, image: Path) -> None:
    result = run("explain", model, image, "--layer", "conv2d_9", "--method", "lime", "--method", "occlusion", "--stamp")
    assert (result.exit_code, result.stderr) == (0, "")
    document = results("trojancam-explain")
    (row,) = document["images"]
    assert list(row["whole"]) == document["settings"]["methods"] == ["lime", "occlusion"]
    assert all(found["maximum"] >= 0 and 0 <= found["energy"] <= 1 for found in row["whole"].values())
    assert "LIME" in Path("trojancam-explain", "index.html").read_text(encoding="utf-8")


def test_a_method_of_layers_or_of_other_networks_is_refused(refused: Refused, model: Path, image: Path) -> None:
    known = "known: saliency, occlusion, lime, attention-rollout, legrad"
    assert known in refused("explain", model, image, "--method", "grad-cam")
    assert "choose attnlrp or a class activation map" in refused("explain", model, image, "--method", "legrad")


def test_heads_of_a_transformer_are_layers_for_the_asking(run: Run, image: Path, tmp_path: Path) -> None:
    net = network("transformer")[1].save(tmp_path / "net.pt2")
    result = run("explain", net, image, "--heads", "--method", "legrad", "--feature-maps")
    assert result.exit_code == 0
    (row,) = results("trojancam-explain")["images"]
    assert row["layers"]["blocks.0.attn.heads"]["number_of_feature_maps"] == 2
    assert list(row["whole"]) == ["legrad"]
    assert run("explain", net, image, "--out", "plain").exit_code == 0
    assert "blocks.0.attn.heads" not in results("plain")["images"][0]["layers"]
