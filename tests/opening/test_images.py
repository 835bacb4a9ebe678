"""Labelled images for a network: of its classes, in its order, and what they add to it."""

from pathlib import Path

import pytest
import torch
from tests.cli.conftest import CLASSES, signs
from tests.cli.test_options import shades

from trojancam.errors import DataError, ModelError, Remedy
from trojancam.opening.images import fitted_to, labelled_images
from trojancam.opening.open import load

__all__ = ["signs"]


def test_a_network_takes_names_and_feeding_from_the_images(signs: Path, tmp_path: Path) -> None:
    network = load(shades(tmp_path / "m.onnx"))
    dataset = labelled_images(network, signs)
    assert dataset.test.size == (64, 48)
    fitted = fitted_to(network, dataset.test)
    assert fitted.class_names == CLASSES
    assert "-bytes, found by trying" in fitted.feeding.words  # red and blue count alike in it
    assert fitted_to(fitted, dataset.test) is fitted


def test_images_in_another_order_tell_nothing(signs: Path, tmp_path: Path) -> None:
    network = load(shades(tmp_path / "m.onnx"), class_names=CLASSES[::-1])
    dataset = labelled_images(network, signs)
    assert dataset.test.class_names == CLASSES[::-1]
    with pytest.raises(ModelError, match="in its order") as raised:
        fitted_to(network, dataset.test)
    assert raised.value.remedies == (Remedy.ITS_CLASSES, Remedy.PREPROCESSING)


def test_images_of_fewer_classes_are_refused(signs: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    for part in ("train", "test"):
        for name in ("stop", "yield"):
            (two / part / name).parent.mkdir(parents=True, exist_ok=True)
            (two / part / name).symlink_to(signs / part / name)
    with pytest.raises(DataError, match="tells 3 classes apart, but the data has 2 .images at") as raised:
        labelled_images(load(shades(tmp_path / "m.onnx")), two)
    assert raised.value.remedies == (Remedy.SAME_CLASSES,)
    assert torch.is_grad_enabled()
