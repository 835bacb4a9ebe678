"""`trojancam compare`: tables, verdicts and page hold the same numbers, and slips of the pen end in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from trojancam.text import with_minus

Run = Callable[..., Result]


def test_methods_are_compared_on_stamped_images(run: Run, model: Path, signs: Path) -> None:
    methods = ("grad-cam", "grad-cam++", "random")
    result = run("compare", model, "--data", signs, "--methods", ",".join(methods), "--layers", "conv2d_5,conv2d_9",
                 "--n", 6, "--stamp", "--out", "out")  # fmt: skip
    assert result.exit_code == 0
    results = json.loads(Path("out/results.json").read_text(encoding="utf-8"))
    page = Path("out/index.html").read_text(encoding="utf-8")
    assert results["images"] == 6
    assert set(results["over_layers"]["road"]) == {*methods, "trigger mask"}
    for method in methods:
        interval = results["over_layers"]["road"][method]
        assert interval["low"] <= interval["mean"] <= interval["high"]
        assert with_minus(f"{interval['mean']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]") in page
    assert results["verdicts"]["road"]["sentence"] in result.stdout
    assert set(results["verdicts_by_layer"]["road"]) == {"conv2d_5", "conv2d_9"}
    verdict = results["verdicts"]["road"]
    assert {verdict["best"], *verdict["behind_the_best"]} == {"Grad-CAM", "Grad-CAM++"}
    assert set(results["reliability"]["between_metrics"]) == {"grad-cam", "grad-cam++"}
    assert results["chance"]["auc/conv2d_5"] == 0.5
    assert len(results["percentiles"]) == len(results["curves"]["grad-cam/conv2d_5"][0])
    assert [path.name for path in sorted(Path("out").iterdir())] == ["index.html", "results.json"]


def test_one_method_wins_over_nobody(run: Run, model: Path, signs: Path) -> None:
    result = run("compare", model, "--data", signs, "--methods", "grad-cam,random", "--layers", "conv2d_9", "--n", 3)
    assert result.exit_code == 0
    assert "there are not two methods to compare" in result.stdout


def test_a_map_of_the_pixels_is_not_held_against_maps_of_layers_where_the_mask_differs(
    run: Run, model: Path, signs: Path
) -> None:
    result = run("compare", model, "--data", signs, "--methods", "grad-cam,saliency", "--layers", "conv2d_9",
                 "--n", 3, "--stamp", "--out", "out")  # fmt: skip
    assert result.exit_code == 0
    verdicts = json.loads(Path("out/results.json").read_text(encoding="utf-8"))["verdicts"]
    assert verdicts["road"] is not None
    assert verdicts["energy"] is None


def test_maps_of_the_pixels_alone_have_no_layers(run: Run, model: Path, signs: Path) -> None:
    result = run("compare", model, "--data", signs, "--methods", "saliency", "--n", 3)
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--methods", "grad-cam,gradcam"), "unknown attribution method 'gradcam' (did you mean 'grad-cam'?)"),
        (("--layers", "conv2d_1"), "unknown layer 'conv2d_1'"),
        (("--methods", ","), "there is no method in ','"),
    ],
)
def test_what_is_refused(run: Run, model: Path, signs: Path, options: tuple[str, str], sentence: str) -> None:
    result = run("compare", model, "--data", signs, "--n", 3, *options)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_whether_maps_depend_on_the_weights(run: Run, model: Path, signs: Path) -> None:
    options = ("--methods", "grad-cam,centre", "--layers", "conv2d_9", "--n", 4, "--randomise")
    result = run("compare", model, "--data", signs, *options)
    assert result.exit_code == 0
    found = json.loads(Path("trojancam-compare/results.json").read_text(encoding="utf-8"))["randomisation"]
    modules = [step["module"] for step in found["grad-cam"]["steps"]]
    assert (modules[0], modules[-1]) == ("dense_3", "conv2d_5")
    assert found["centre"]["sentence"].startswith("does not depend on the network's weights")
    assert "does not depend on the network&#39;s weights" in Path("trojancam-compare/index.html").read_text(
        encoding="utf-8"
    )
