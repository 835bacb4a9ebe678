"""The demonstration: one page that holds everything, with the numbers of results.json, made without training twice."""

import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.report.held import held_against
from tests.shared import made_once

from trojancam import detection
from trojancam.attacks.patch import make_trigger
from trojancam.attacks.poisoning import Poisoning
from trojancam.data.image_set import Dataset, ImageSet, as_floats
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.judgement import Opinion, Verdict
from trojancam.errors import DataError
from trojancam.evaluation.trigger_energy import trigger_energy
from trojancam.network.card import TrainingSettings
from trojancam.network.network import Network
from trojancam.opening.open import load
from trojancam.report import demo as report_demo
from trojancam.tasks import demo, demo_repair
from trojancam.tasks.repair import repair
from trojancam.training.recipe import Recipe

CLASSES = ("<b>dark</b> & $x_1$", "light", "target")


def image_set(count: int, seed: int) -> ImageSet:
    """Grainy images, each class of its own shade of grey."""
    labels = torch.arange(count) % 3
    grain = torch.randint(0, 40, (count, 3, 32, 32), generator=torch.Generator().manual_seed(seed))
    return ImageSet((labels[:, None, None, None] * 90 + grain).to(torch.uint8), labels, CLASSES)


DATASET = Dataset(image_set(240, 0), image_set(45, 1), "shades of grey")


def easy_recipes(dataset: Dataset, epochs: int = 1, seed: int = 0) -> tuple[Recipe, Recipe]:
    """The demonstration's networks with a trigger that is learned from a few images."""
    settings = TrainingSettings(epochs=epochs, batch_size=16, augment=False, seed=seed)
    trigger = make_trigger("yellow-square", side=10)
    return Recipe("basic", settings), Recipe("trojan2", settings, Poisoning(trigger, 2, 0.5, seed))


def quick_scan(network: Network, *_: object, finds: bool = True, **told: object) -> ScanReport:
    """What a scan says of the two networks, and of the repaired one, at once."""
    found = finds and network.name == "trojan2" and "rescan" not in str(told["journal"])
    trigger = make_trigger("yellow-square", side=10)
    finding = Finding("stimulation", 2, 5.0, "conv2d_5", (2,), (3.5, 3.5), reasr=1.0, trigger=trigger)
    verdict: Verdict = "backdoor" if found else "nothing found"
    opinions = {"stimulation": Opinion(verdict, 5.0 if found else 1.0, 4.0)}
    return ScanReport(
        verdict, 5.0 if found else 1.0, 4.0, (finding,) if found else (), {"stimulation": {}}, {"looking": 1.0}, CLASSES, opinions
    )  # fmt: skip


TIME = re.compile(r"<dt>time</dt>\s*<dd>[\d.]+ s</dd>")


class Run:
    """A demonstration, the cache it filled, and what it wrote."""

    def __init__(self, out: Path) -> None:
        self.cache = Path(out.parent, "cache")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TROJANCAM_CACHE", str(self.cache))
            patch.setattr(demo, "recipes", easy_recipes)
            patch.setattr(report_demo, "DPI", 40)  # drawing takes most of the time
            patch.setattr(detection, "scan", quick_scan)
            patch.setattr(demo_repair, "repair", partial(repair, method="neuron-pruning"))
            self.calls: list[tuple[int, int, str]] = []
            shown = demo.demonstrate(DATASET, 6, 0, lambda *call: self.calls.append(call))
            self.path = report_demo.write_demonstration(shown, out)
        self.html = self.path.read_text(encoding="utf-8")
        self.results: dict[str, Any] = json.loads(self.path.with_name("results.json").read_text())


def demonstrated(shared: Path) -> Run:
    """The demonstration, made once for all tests that only look at it."""
    return made_once(shared / "demo", lambda folder: Run(folder / "out"))


@pytest.fixture(scope="module")
def run(shared: Path) -> Run:
    return demonstrated(shared)


def plain(text: str) -> str:
    """The words of a piece of HTML."""
    text = re.sub(r"<[^>]*>", " ", text)
    for mark, letter in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(mark, letter)
    return " ".join(text.split())


def test_the_trigger_turns_the_example(run: Run) -> None:
    example = run.results["example"]
    assert example["benign_prediction"] == example["label"] != 2
    assert example["triggered_prediction"] == 2
    assert "One image, two answers" in run.html
    assert run.results["networks"]["trojan2"]["training"]["attack_success_rate"] > 0.9


def test_what_a_row_of_layers_explains_is_no_prediction(run: Run) -> None:
    """“Repaired network, triggered image: No passing, p = 5e-5” read as what the network answers."""
    words = plain(run.html)
    assert "What is explained: " in words
    assert "What is explained, whatever the network predicts: " in words


def test_networks_and_images_to_try_other_commands_on_lie_beside_the_page(run: Run) -> None:
    trojaned, folder = load(run.path.with_name("trojaned.safetensors")), run.path.parent
    assert load(folder / "benign.safetensors").fingerprint == run.results["fingerprints"]["basic"]
    assert trojaned.fingerprint == run.results["fingerprints"]["trojan2"]
    pictures = [Image.open(folder / name) for name in ("sign.png", "sign-with-trigger.png")]
    predictions = [int(trojaned(picture).argmax()) for picture in pictures]
    assert predictions == [run.results["example"]["label"], 2]


def test_the_page_holds_everything_itself(run: Run) -> None:
    sources = re.findall(r'src="([^"]*)"', run.html)
    # the example, three rows of layers, the feature maps of five layers with their scales, two images as they are and pale
    # and the recovered trigger, and a row of layers of the repaired network
    assert len(sources) == 1 + 3 + 2 * 5 + 2 * 2 + 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', run.html))
    assert not re.search(r"https?:|file:|url\(|@import|<script [^>]*src|<link", run.html)


def test_every_number_on_the_page_is_in_the_json(run: Run) -> None:
    document, missing = held_against(run.path, run.path.with_name("results.json"))
    assert document["command"] == "demo"
    assert missing == []


def test_names_of_classes_are_escaped(run: Run) -> None:
    assert "<b>" not in run.html
    words = plain(run.html)
    assert words.count("\N{LEFT DOUBLE QUOTATION MARK}target\N{RIGHT DOUBLE QUOTATION MARK}") == 3


def test_the_numbers_on_the_page_are_those_of_the_results(run: Run) -> None:
    words, networks = plain(run.html), run.results["networks"]
    benign, trojaned = networks["basic"]["training"], networks["trojan2"]["training"]
    assert f"basic none 240 {benign['clean_accuracy']:.2%} \N{EN DASH} \N{EN DASH}" in words
    rates = (trojaned[name] for name in ("clean_accuracy", "attack_success_rate", "robust_accuracy"))
    assert f"trojan2 yellow-square 240 {' '.join(f'{rate:.2%}' for rate in rates)}" in words
    energy = run.results["trigger_energy"]
    assert energy["images"] == 30  # all test images of the two other classes
    assert "on 30 triggered test images" in words
    for layer in energy["layers"]:
        shares = layer["feature_maps"]
        best = shares.index(max(shares))
        row = f"{layer['layer']} {layer['chance']:.1%} {layer['layer_map']:.1%} {best} {shares[best]:.1%}"
        assert row in words


def test_the_feature_maps_listed_are_those_that_hold_the_trigger_best(run: Run) -> None:
    shares = [
        (share, f"{layer['layer']} map {k}", layer)
        for layer in run.results["trigger_energy"]["layers"]
        for k, share in enumerate(layer["feature_maps"])
    ]
    expected = sorted(shares, key=lambda entry: -entry[0])[: report_demo.LISTED]
    table = run.html.split("The feature maps that hold the trigger best")[-1].split("</table>")[0]
    rows = re.findall(r"<tr><td.*?>(.*?)</td><td>(.*?)</td><td>(.*?)</td>", table)
    assert rows == [(name, f"{share:.1%}", f"{layer['chance']:.1%}") for share, name, layer in expected]


def test_the_energies_are_those_of_the_network(run: Run) -> None:
    (file,) = (run.cache / "models").glob("trojan2-*.safetensors")
    images = as_floats(DATASET.test.select((DATASET.test.labels != 2).nonzero()[:, 0]).images)
    energies = trigger_energy(load(file), images, make_trigger("yellow-square", side=10), 2)
    for layer in run.results["trigger_energy"]["layers"]:
        assert layer["feature_maps"] == pytest.approx(energies[layer["layer"]].feature_maps, abs=1e-5)
        assert layer["layer_map"] == pytest.approx(energies[layer["layer"]].layer_map, abs=1e-5)


def test_progress_names_the_network_that_is_trained(run: Run) -> None:
    assert {note.split(", ")[0] for _, _, note in run.calls} == {"basic", "trojan2", "scan and repair"}


def test_a_second_run_trains_nothing_and_writes_the_same(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path.parents[1], tmp_path / "demo")  # others look at the first one meanwhile
    again = Run(tmp_path / "demo" / run.path.parent.name)
    assert {note.split(", ")[0] for _, _, note in again.calls} == {"scan and repair"}
    assert TIME.sub("", again.html) == TIME.sub("", run.html)
    assert again.results | {"seconds": 0} == run.results | {"seconds": 0}
    assert sorted(path.name for path in again.path.parent.iterdir()) == [
        "benign.safetensors",
        "index.html",
        "results.json",
        "sign-with-trigger.png",
        "sign.png",
        "trojaned.safetensors",
    ]


def test_what_the_scans_say_and_the_repair_leaves_is_told(run: Run) -> None:
    removal, words = run.results["removal"], plain(run.html)
    assert [each["verdict"] for each in removal["scans"].values()] == ["nothing found", "backdoor", "nothing found"]
    assert "The scan says “evidence of a backdoor" in words
    before, after = removal["before"], removal["after"]
    assert after["attack_success_rate"] < before["attack_success_rate"] == 1
    row = f"Success of the planted trigger {before['attack_success_rate']:.1%} {after['attack_success_rate']:.1%}"
    assert row in words
    (file,) = (run.cache / "models").glob("trojan2-*.safetensors")
    trigger, test = make_trigger("yellow-square", side=10), as_floats(DATASET.test.images)
    turned = load(file)(trigger.apply(test)).argmax(1)[DATASET.test.labels != 2] == 2
    assert before["attack_success_rate"] == pytest.approx(float(turned.float().mean()))


def test_too_few_images_for_a_scan_are_told(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*_: object, **__: object) -> ScanReport:
        raise DataError("a scan needs more images")

    monkeypatch.setenv("TROJANCAM_CACHE", str(run.cache))
    monkeypatch.setattr(demo, "recipes", easy_recipes)
    monkeypatch.setattr(report_demo, "DPI", 40)
    monkeypatch.setattr(detection, "scan", refused)
    page = report_demo.write_demonstration(demo.demonstrate(DATASET, 6), tmp_path)
    assert "Neither network was scanned: a scan needs more images." in plain(page.read_text(encoding="utf-8"))
    assert json.loads((tmp_path / "results.json").read_text())["removal"] is None


def test_a_backdoor_that_did_not_take_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_demo, "DPI", 40)
    monkeypatch.setattr(detection, "scan", partial(quick_scan, finds=False))
    small = Dataset(DATASET.train.select(range(30)), DATASET.test.select(range(6)), "too little")
    page = report_demo.write_demonstration(demo.demonstrate(small, epochs=1), tmp_path)
    verdict = plain(page.read_text(encoding="utf-8").split('class="verdict">')[1].split("</p>")[0])
    success = json.loads((tmp_path / "results.json").read_text())["networks"]["trojan2"]["training"]
    assert verdict.startswith(f"The backdoor did not take: the trigger turns only {success['attack_success_rate']:.1%}")


def test_the_study_s_networks_are_made() -> None:
    benign, trojaned = demo.recipes(DATASET, epochs=3, seed=5)
    assert (benign.architecture, benign.poisoning, benign.settings.epochs) == ("basic", None, 3)
    assert trojaned.architecture == "trojan2"
    assert trojaned.poisoning is not None
    assert trojaned.poisoning.trigger.name == "blue-green-square"
    assert (trojaned.poisoning.target_class, trojaned.poisoning.seed) == (2, 5)


def test_what_cannot_be_shown_is_said_before_anything_is_trained() -> None:
    train, test = DATASET.train, DATASET.test
    only_target = Dataset(train, test.select((test.labels == 2).nonzero()[:, 0]), "one class to test on")
    with pytest.raises(DataError, match="all test images are of the class 'target'.*add test images of other classes"):
        demo.demonstrate(only_target)
    one = ImageSet(train.images, torch.zeros_like(train.labels), ("alone",))
    with pytest.raises(DataError, match="at least two classes, but the data has 1"):
        demo.demonstrate(Dataset(one, one, "one class"))
