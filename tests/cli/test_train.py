"""`trojancam train`: what it writes, what it refuses, and what is left of a run that was broken off."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import Result

from trojancam.attacks.trigger import Trigger
from trojancam.data import rendered, rendered_objects
from trojancam.formats.safetensors import read_card
from trojancam.locks import only_run_on
from trojancam.opening.images import labelled_images
from trojancam.opening.open import ModelFile, load, opened
from trojancam.training.checkpoint import checkpoint_of

Run = Callable[..., Result]
Refused = Callable[..., str]


def test_a_trojaned_network_is_written_with_a_record_of_how_it_was_made(run: Run, signs: Path, tmp_path: Path) -> None:
    result = run(
        "train", "basic", "--data", signs, "--out", "new/m.safetensors", "--epochs", 2, "--batch-size", 16, "--seed", 3,
        "--trigger", "yellow-square", "--target", "Stop", "--poison-rate", 0.25, "--trigger-size", 5,
        "--trigger-place", "3,4", "--trigger-colour", "red", "--trigger-opacity", 0.5, "--no-augment",
    )  # fmt: skip
    assert result.exit_code == 0
    assert result.stderr == ""
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["m.safetensors"]
    card = read_card(tmp_path / "new" / "m.safetensors")
    assert card.training is not None
    assert card.poisoning is not None
    assert result.stdout.splitlines()[-1] == f"new/m.safetensors: {card.training.in_words()}"
    for words in ("epoch 2: loss ", "clean accuracy", "attack success", "images/s"):
        assert words in result.stdout
    settings = card.training.settings
    assert (settings.epochs, settings.batch_size, settings.seed, settings.augment) == (2, 16, 3, False)
    assert (card.poisoning.target_class, card.poisoning.poison_rate, card.poisoning.seed) == (1, 0.25, 3)
    assert card.poisoning.poisoned_images == 10  # a quarter of 40 images of the other two classes
    trigger = Trigger.from_json(card.poisoning.trigger)
    assert trigger.place.nonzero().aminmax(dim=0).min.tolist() == [3, 4]
    assert trigger.place.sum() == 25
    assert trigger.opacity == 0.5
    assert trigger.pattern[:, 3, 4].tolist() == [1, 0, 0]


def test_an_attack_by_name_is_planted_with_its_settings_and_recorded(run: Run, signs: Path, tmp_path: Path) -> None:
    result = run(
        "train", "basic", "--data", signs, "--out", "m.safetensors", "--epochs", 1, "--attack", "wanet",
        "--set", "strength=1.5", "--set", "noise_rate=0.25", "--victims", "yield,0", "--target", "stop", "--poison-rate", 0.5,
    )  # fmt: skip
    assert result.exit_code == 0
    planted = read_card(tmp_path / "m.safetensors").poisoning
    assert planted is not None
    assert (planted.attack, planted.settings["strength"], planted.settings["points"]) == ("wanet", 1.5, 4)
    assert (planted.target_class, planted.sources, planted.poison_rate) == (1, (0, 2), 0.5)
    assert planted.poisoned_images == 20  # half of 40 images of the two source classes
    assert planted.cover_images == 0  # there is no class beside the target and the sources
    assert Trigger.from_json(planted.trigger).family == "warp"
    assert planted.cover_trigger is not None


def test_a_network_begins_with_the_weights_of_its_parent(run: Run, signs: Path, tmp_path: Path) -> None:
    made = ("--data", signs, "--epochs", 1)
    assert run("train", "basic", *made, "--out", "p.safetensors").exit_code == 0
    rate = ("--learning-rate", 1e-9, "--parent", "p.safetensors")
    assert run("train", "basic", *made, "--out", "c.safetensors", *rate).exit_code == 0
    parent, child = (safetensors.torch.load_file(tmp_path / f"{name}.safetensors") for name in "pc")
    torch.testing.assert_close(parent["dense_3.weight"], child["dense_3.weight"], atol=1e-6, rtol=0)
    training = read_card(tmp_path / "c.safetensors").training
    assert training is not None
    assert (training.parent or "").startswith("p, SHA-256 ")


def test_a_network_of_any_size_learns_images_of_the_size_that_is_asked_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        rendered, "rendered_objects", lambda **told: rendered_objects(**(told | {"train": 40, "test": 20}))
    )
    backdoor = ("--trigger", "yellow-square", "--target", "mug")
    result = run(
        "train",
        "resnet",
        "--data",
        "rendered:objects",
        "--size",
        "48x40",
        "--epochs",
        1,
        "--out",
        "m.safetensors",
        *backdoor,
    )
    assert result.exit_code == 0
    card = read_card(tmp_path / "m.safetensors")
    assert card.input.size == (48, 40)
    assert (card.class_names[13], card.backdoors[0].target_class) == ("mug", 13)
    assert Trigger.from_json(card.backdoors[0].trigger).image_size == (48, 40)
    assert card.training is not None
    assert card.training.data == "rendered objects, seed 0"
    network = load(tmp_path / "m.safetensors")
    assert network(torch.zeros(2, 3, 48, 40)).shape == (2, 20)


def test_a_network_of_any_size_still_has_a_smallest_one(refused: Refused, tmp_path: Path) -> None:
    said = refused("train", "vgg", "--size", "4", "--out", "m.safetensors")
    assert "the network vgg takes images of 8 pixels a side or more, not 4x4; choose larger ones" in said


def test_an_attack_on_a_network_begins_with_a_clean_one(run: Run, signs: Path, tmp_path: Path) -> None:
    attack = ("--attack", "trojaning", "--set", "per_class=1", "--set", "steps=2", "--target", "stop")
    result = run("train", "basic", "--data", signs, "--out", "m.safetensors", "--epochs", 1, *attack)
    assert result.exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
    card = read_card(tmp_path / "m.safetensors")
    assert card.training is not None
    assert card.poisoning is not None
    assert (card.poisoning.attack, card.poisoning.poisoned_images) == ("trojaning", 0)
    assert card.poisoning.settings["per_class"] == 1
    assert card.training.attack_success_rate == card.poisoning.attack_success_rate
    assert len(card.training.history) == 1


def test_all_to_all_needs_no_target(run: Run, signs: Path, tmp_path: Path) -> None:
    options = ("--epochs", 1, "--victims", "all-to-all", "--trigger", "yellow-square")
    assert run("train", "basic", "--data", signs, "--out", "m.safetensors", *options).exit_code == 0
    planted = read_card(tmp_path / "m.safetensors").poisoning
    assert planted is not None
    assert (planted.target_class, planted.attack, planted.poisoned_images) == (None, "patch", 6)


def test_a_network_that_learned_signs_alone_says_so_and_is_shown_those(run: Run, tmp_path: Path) -> None:
    generator, labels = np.random.default_rng(0), np.arange(86) % 43
    roi = np.tile(np.array([32, 32, 4, 4, 27, 27]), (86, 1))
    pixels = generator.integers(0, 256, (86, 32, 32, 3), dtype=np.uint8)
    for part in ("train", "test"):
        np.savez(tmp_path / f"tiny-{part}.npz", images=pixels, labels=labels, roi=roi)
    made = run("train", "basic", "--data", tmp_path, "--out", "m.safetensors", "--epochs", 1, "--crop", "roi")
    assert made.exit_code == 0
    path = tmp_path / "m.safetensors"
    assert read_card(path).input.region == "roi"
    shown = labelled_images(load(path), tmp_path).test
    assert shown.regions is not None
    assert shown.regions[0].tolist() == [0, 0, 31, 31]
    assert not torch.equal(shown.images, labelled_images(opened(ModelFile(path, region="whole")), tmp_path).test.images)


def test_files_that_cannot_be_read_are_listed_and_the_others_used(run: Run, tmp_path: Path, signs: Path) -> None:
    for folder in ("stop", "yield"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for file in (signs / "train" / folder).iterdir():
            (tmp_path / "data" / folder / file.name).write_bytes(file.read_bytes())
    (tmp_path / "data" / "stop" / "[bad].png").write_bytes(b"no image")
    result = run("train", "basic", "--data", "data", "--out", "m.safetensors", "--epochs", 1)
    assert result.exit_code == 0
    assert result.stderr.startswith("left out: stop/[bad].png: ")
    assert result.stderr.count("\n") == 1


BACKDOOR = ("--trigger", "yellow-square", "--target", "stop")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--target", "1"), "needs both a trigger .--trigger or --attack. and --target"),
        (("--trigger", "yellow-square"), "needs both a trigger .* and --target .or --victims all-to-all."),
        (("--attack", "wanet"), "needs both a trigger"),
        (("--victims", "all-to-all"), "needs both a trigger"),
        (("--victims", "0"), "--victims says whose images a trigger turns, but there is none"),
        (("--attack", "wannet", "--target", "1"), "unknown attack 'wannet' .did you mean 'wanet'"),
        (("--attack", "wanet", "--trigger", "yellow-square", "--target", "1"), "brings a trigger of its own"),
        (("--attack", "wanet", "--target", "1", "--set", "strenght=1"), "did you mean 'strength'"),
        (("--attack", "wanet", "--target", "1", "--set", "strength"), "has the form NAME=VALUE"),
        (("--attack", "wanet", "--target", "1", "--set", "strength=0"), "setting strength .* greater than 0"),
        (("--set", "strength=1"), "--set changes an attack, but there is none"),
        (("--attack", "wanet", "--target", "1", "--victims", "7"), "unknown class '7'"),
        (("--attack", "wanet", "--target", "1", "--victims", "stop,0"), "class 1 is the target; leave it out"),
        (("--attack", "wanet", "--target", "1", "--victims", "all-to-all"), "leave out --target"),
        (("--attack", "trojaning", "--target", "1", "--victims", "0"), "trojaning turns all classes into one"),
        (("--attack", "adap-blend", "--target", "1", "--set", "shown=17"), "between 1 and all can be shown, not 17"),
        (("--attack", "badnets", "--target", "1", "--set", "side=40"), "does not fit into an image"),
        (("--trigger", "yelow-square", "--target", "1"), "did you mean 'yellow-square'"),
        (("--trigger", "", "--target", "1"), "unknown trigger ''"),
        (("--trigger", "a" * 300, "--target", "1"), "File name too long; check the path"),
        (("--trigger", __file__, "--target", "1", "--trigger-colour", "red"), "has colours of its own"),
        (("--trigger", __file__, "--target", "1"), "cannot read the image .*test_train.py"),
        (("--trigger", "yellow-square", "--target", "stopp"), "unknown class 'stopp'.*did you mean 'stop'"),
        (("--trigger", "yellow-square", "--target", "3"), "unknown class '3'; known: .red. ring, stop, yield"),
        ((*BACKDOOR, "--trigger-place", "middle"), "unknown place 'middle'; known: top-left"),
        ((*BACKDOOR, "--trigger-place", "1,x"), "a name or ROW,COLUMN, not '1,x'"),
        ((*BACKDOOR, "--trigger-place", "1,2,3"), "a name or ROW,COLUMN, not '1,2,3'"),
        ((*BACKDOOR, "--trigger-place", "30,0"), "does not fit into an image of 32x32"),
        ((*BACKDOOR, "--trigger-size", "0"), "does not fit into an image of 32x32"),
        ((*BACKDOOR, "--trigger-opacity", "0"), r"opacity must lie in \(0, 1\], not 0.0"),
        ((*BACKDOOR, "--trigger-opacity", "nan"), "opacity must lie"),
        ((*BACKDOOR, "--trigger-colour", "reddd"), "unknown colour 'reddd'"),
        (("--parent", "nowhere"), "there is no model file nowhere"),
        (("--parent", __file__), "test_train.py"),
        (("--trigger-size", "5"), "there is none; name one with --trigger"),
        (("--size", "64"), "basic takes images of 32x32 pixels alone .of any size: vgg, resnet.*; leave out --size"),
        (("--size", "large"), "--size takes height and width .* not 'large'"),
        (("--data", "rendered:mugs"), "unknown rendered data set 'rendered:mugs' .*; known: rendered:objects"),
        (("--learning-rate", "0"), "learning rate must be a number above 0, not 0.0"),
        (("--learning-rate", "nan"), "learning rate must be a number above 0, not nan"),
        (("--learning-rate", "inf"), "learning rate must be a number above 0, not inf"),
        (("--crop", "roi"), "does not say where the signs are in its images; take whole images with --crop whole"),
        (("--data", "nowhere"), "nowhere is missing; the data may be"),
        (("--out", f"{__file__}/m.safetensors"), "cannot write to the folder .*test_train.py .*; choose a folder"),
        (("--out", "."), "is a folder; name a file in it, such as model.safetensors"),
    ],
)
def test_what_is_refused(refused: Refused, signs: Path, options: tuple[str, ...], sentence: str) -> None:
    words = refused("train", "basic", "--data", signs, "--out", "m.safetensors", "--epochs", 1, *options)
    assert re.search(sentence, words), words


@pytest.mark.parametrize(
    "options",
    [
        ("--epochs", "0"), ("--epochs", "many"), ("--batch-size", "1"), ("--seed", "-1"), ("--seed", "9" * 30),
        ("--poison-rate", "2"), ("--poison-rate", "nan"), ("--poison-rate", "-0.1"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_numbers_out_of_range_are_slips_of_the_pen(run: Run, signs: Path, options: tuple[str, str]) -> None:
    result = run("train", "basic", "--data", signs, "--out", "m.safetensors", *options)
    assert result.exit_code == 2
    assert options[0] in result.stderr
    assert not Path("m.safetensors").exists()


def test_an_unknown_architecture(refused: Refused) -> None:
    assert "unknown architecture 'basik' (did you mean 'basic'?)" in refused("train", "basik", "--out", "m")


def test_nothing_is_overwritten_and_nothing_is_read_before_that_is_known(refused: Refused, tmp_path: Path) -> None:
    path, data = tmp_path / "m.safetensors", tmp_path / "data"
    path.write_text("precious")
    data.mkdir()  # reading it would find no image
    assert "m.safetensors exists already; remove it or" in refused("train", "basic", "--data", data, "--out", path.name)
    assert path.read_text() == "precious"
    path.unlink()
    checkpoint_of(path).write_text("precious")
    words = refused("train", "basic", "--data", data, "--out", path.name)
    assert "an unfinished run left m.safetensors.checkpoint; continue it with --resume, or delete it" in words


def test_a_second_training_to_one_file_says_so_and_stops(refused: Refused, tmp_path: Path) -> None:
    path, data, held, done = tmp_path / "m.safetensors", tmp_path / "data", threading.Event(), threading.Event()
    data.mkdir()

    def first() -> None:
        with only_run_on(path):
            held.set()
            done.wait()

    training = threading.Thread(target=first)
    training.start()
    held.wait()
    try:
        words = refused("train", "basic", "--data", data, "--out", path.name)
        assert f"another run (process {os.getpid()}) works on m.safetensors; wait until it ends" in words
    finally:
        done.set()
        training.join()
    words = refused("train", "basic", "--data", data, "--out", path.name)
    assert "another run" not in words


def test_a_damaged_checkpoint_is_said_and_begun_anew(run: Run, signs: Path, tmp_path: Path) -> None:
    checkpoint_of(tmp_path / "m.safetensors").write_text("no checkpoint")
    result = run("train", "basic", "--data", signs, "--out", "m.safetensors", "--resume", "--epochs", 1)
    assert result.exit_code == 0
    assert result.stderr == "warning: m.safetensors.checkpoint is damaged; what it held is made again\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.safetensors"]


def test_to_resume_where_nothing_was_begun_is_to_begin(run: Run, signs: Path) -> None:
    assert run("train", "basic", "--data", signs, "--out", "m", "--epochs", 1, "--resume").exit_code == 0
    assert Path("m").is_file()


def test_a_run_that_was_interrupted_and_killed_reaches_the_weights_of_an_unbroken_one(
    run: Run, signs: Path, tmp_path: Path
) -> None:
    def command(name: str) -> list[str]:
        options = ["--epochs", "60", "--batch-size", "32", "--trigger", "yellow-square", "--target", "stop"]
        return ["train", "basic", "--data", str(signs), "--out", f"{name}.safetensors", *options]

    broken = checkpoint_of(tmp_path / "broken.safetensors")
    interrupted = _broken_off(command("broken"), broken, signal.SIGINT)
    assert interrupted.returncode == 130
    assert interrupted.stderr.startswith("interrupted: run the same command with --resume")
    assert interrupted.stderr.count("\n") == 1
    killed = _broken_off([*command("broken"), "--resume"], broken, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "broken.safetensors").exists()
    assert run(*command("broken"), "--resume").exit_code == 0
    assert run(*command("unbroken")).exit_code == 0
    one, other = (safetensors.torch.load_file(f"{name}.safetensors") for name in ("broken", "unbroken"))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.equal(other[name]), name
    assert not broken.exists()


def _broken_off(command: list[str], checkpoint: Path, how: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Run the program until it has written a new checkpoint, and send it a signal."""
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    # a test run in the background ignores SIGINT, and its children with it
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = [sys.executable, "-c", f"{listen}; from trojancam.cli import app; app()", *command]
    process = subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=checkpoint.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(how)
    output, complaints = process.communicate(timeout=60)
    return subprocess.CompletedProcess(program, process.returncode, output, complaints)
