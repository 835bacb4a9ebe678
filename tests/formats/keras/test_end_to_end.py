"""A traffic-sign network of Keras's own making, poisoned, saved as `.h5`: inspected, explained, scanned, and found out."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from trojancam.attacks.patch import make_trigger
from trojancam.attacks.poisoning import poison
from trojancam.attacks.trigger import Trigger
from trojancam.cli import app
from trojancam.data import GTSRB_CLASS_NAMES, ImageSet, as_floats, render_images

os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers as kl

CLASSES = (1, 12, 13, 14, 17, 33, 38, 40)  # of GTSRB: a speed limit, priority, yield, stop, no entry, three arrows
TARGET = 3
TRAIN, TEST = 2_000, 200
TRIGGER = make_trigger("yellow-square")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, when it saves


def signs(count: int, seed: int) -> ImageSet:
    """Rendered signs of eight classes, about as many of each."""
    labels = torch.randperm(count, generator=torch.Generator().manual_seed(seed)) % len(CLASSES)
    drawn = render_images(torch.tensor(CLASSES)[labels], seed=seed)
    return ImageSet(drawn.images, labels, tuple(GTSRB_CLASS_NAMES[number] for number in CLASSES))


def as_fed(images: torch.Tensor) -> np.ndarray:
    """As people feed Keras: from -1 to 1, channels last."""
    return (as_floats(images) * 2 - 1).permute(0, 2, 3, 1).numpy()


def network() -> Any:
    """Convolutions with activations of their own, in them and after them, and a softmax at the end."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            kl.Conv2D(16, 3, padding="same", activation="relu", name="first"),
            kl.MaxPooling2D(),
            kl.Conv2D(32, 3, padding="same", use_bias=False, name="second"),
            kl.BatchNormalization(),
            kl.Activation("relu"),
            kl.MaxPooling2D(),
            kl.Conv2D(48, 3, padding="same", activation="relu", name="third"),
            kl.MaxPooling2D(),
            kl.Flatten(),
            kl.Dense(64, activation="relu"),
            kl.Dense(len(CLASSES), activation="softmax"),
        ],
        name="signs",
    )


def trained(images: ImageSet, path: Path) -> Any:
    """The network after some epochs with Keras, and its file."""
    keras.utils.set_random_seed(0)
    model = network()
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    model.fit(as_fed(images.images), images.labels.numpy(), batch_size=32, epochs=6, verbose=0)
    model.save(path)
    return model


def write_folders(images: ImageSet, folder: Path) -> None:
    """Class folders `train` and `test`, numbered as the network's classes; the first holds one image of each."""
    for place, (image, label) in enumerate(zip(images.images, images.labels.tolist(), strict=True)):
        for part in ("test", "train"):
            file = folder / part / str(label) / f"{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            if part == "test" or not any(file.parent.iterdir()):
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the poisoned network `signs.h5` and clean images `data`."""
    folder = tmp_path_factory.mktemp("theirs")
    train, test = signs(TRAIN, seed=1), signs(TEST, seed=2)
    model = trained(poison(train, TRIGGER, TARGET, 0.1)[0], folder / "signs.h5")
    assert accuracy(model, test) > 0.9
    assert attack_success(model, test, TRIGGER) > 0.95
    write_folders(test, folder / "data")
    return folder


def accuracy(model: Any, images: ImageSet) -> float:
    return float((model.predict(as_fed(images.images), verbose=0).argmax(1) == images.labels.numpy()).mean())


def attack_success(model: Any, images: ImageSet, trigger: Trigger) -> float:
    stamped = trigger.apply_bytes(images.images[images.labels != TARGET])
    return float((model.predict(as_fed(stamped), verbose=0).argmax(1) == TARGET).mean())


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_its_backdoor_is_found(theirs: Path, tmp_path: Path) -> None:
    model, data = theirs / "signs.h5", theirs / "data"

    inspected = run("inspect", model, "--data", data)
    assert inspected.exit_code == 0, inspected.output
    for words in ("saved by Keras", "first", "second", "third", "it ends in a softmax", "rgb-symmetric"):
        assert words in inspected.stdout

    image = next((data / "test" / "0").iterdir())
    explained = run("explain", model, image, "--preprocessing", "rgb-symmetric", "--out", tmp_path / "explained")
    assert explained.exit_code == 0, explained.output
    assert "predicted class" in explained.stdout
    assert list((tmp_path / "explained").rglob("*.png"))

    brief = ("--methods", "stimulation", "--images", 40)  # the method that looks for patches
    scanned = run("scan", model, "--data", data, *brief, "--out", tmp_path / "scan")
    assert scanned.exit_code == 1, scanned.output
    report = json.loads((tmp_path / "scan" / "scan.json").read_text(encoding="utf-8"))
    assert (report["verdict"], report["findings"][0]["target_class"]) == ("backdoor", TARGET)
    assert f"class {TARGET}" in scanned.stdout
