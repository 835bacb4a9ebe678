"""Keras files with other numbers in their arrays: Keras itself reads what was written."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from trojancam.formats.keras.arrays import Array
from trojancam.formats.keras.writing_back import _stored
from trojancam.opening.open import ModelFile, opened
from trojancam.opening.saving import check_saveable, save_as

os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers as kl

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, when it saves


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_reads_the_changed_network(tmp_path: Path, suffix: str):
    path, out = tmp_path / f"net{suffix}", tmp_path / f"fixed{suffix}"
    kl.Conv2D(1, 1)  # Keras counts: the next layers have other names than their arrays; seven hold zeros or ones
    layers = [kl.Conv2D(4, 3), kl.BatchNormalization(), kl.ReLU(), kl.Conv2D(4, 3), kl.Flatten(), kl.Dense(4)]
    keras.Sequential([keras.Input((8, 8, 3)), *layers]).save(path)
    file = ModelFile(path)
    network = opened(file)
    check_saveable(network, file, out)
    fixed = network.with_parameters({name: values * 1.5 for name, values in network.parameters.items()})
    save_as(fixed, file, out)
    before, after = (keras.models.load_model(each) for each in (path, out))
    for old, new in zip(before.weights, after.weights, strict=True):
        assert torch.equal(new.value, old.value * (1.5 if old.trainable else 1))
    assert before.get_config() == after.get_config()
    images = torch.rand(3, 3, *network.input.size)
    assert torch.equal(opened(ModelFile(out))(images), fixed(images))


def test_16_bit_numbers_are_written_as_such():
    values = np.array([1.0, -2.5, 3.140625], np.float32)  # exact in the 8 bits of bfloat16
    assert np.frombuffer(_stored(values, Array((3,), "<f2", 0)), "<f2").tolist() == values.tolist()
    upper = np.frombuffer(_stored(values, Array((3,), "bfloat16", 0)), "<u2").astype(np.uint32) << 16
    assert upper.view(np.float32).tolist() == values.tolist()
