"""Targets, labels, layers and masks as users have them: each comes out as what it means, or is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.nets import build, images_for, network, unchecked
from torch import nn
from torch.utils.data import DataLoader

import trojancam
from trojancam.errors import DataError, TrojanCamError, UnknownNameError
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.network.targets import custom, logit, probability

LOGITS = torch.tensor([[0.0, 1.0, 4.0, 2.0], [3.0, 1.0, 0.0, 5.0]])
NAMES = ("Yield", "Stop", "No entry", "7")


@pytest.fixture(scope="module")
def net() -> Network:
    return network("plain")[1].with_class_names(NAMES)


def test_a_target_is_taken_as_it_is(net):
    target = custom("mine", lambda logits: logits[:, 0])
    assert given.target(net, target) is target


@pytest.mark.parametrize("one", [1, "Stop", "stop", "1", np.int64(1), torch.tensor(1), np.array(1)])
def test_a_class_by_number_or_name(net, one):
    assert given.target(net, one)(LOGITS).tolist() == [1.0, 1.0]
    assert given.target(net, one).name == "logit of class 1"
    assert given.target_class(net, one) == 1


def test_a_class_that_is_called_by_a_number(net):
    assert given.target_class(net, "7") == 3


@pytest.mark.parametrize(
    "each",
    [
        [2, 0],
        ("No entry", "Yield"),
        ["No entry", 0],
        np.array([2, 0]),
        torch.tensor([2, 0]),
        torch.tensor([2, 0]).int(),
    ],
)
def test_a_class_for_each_image(net, each):
    assert given.target(net, each)(LOGITS).tolist() == [4.0, 3.0]
    assert torch.equal(given.labels(net, each, 2), torch.tensor([2, 0]))


def test_no_target_is_the_predicted_class(net):
    assert given.target(net, None)(LOGITS).tolist() == [4.0, 5.0]
    assert given.target(net, None, probability).name == probability().name


def test_a_class_is_scored_as_the_function_scores(net):
    expected = LOGITS.softmax(1)[:, 1]
    torch.testing.assert_close(given.target(net, "Stop", probability)(LOGITS), expected)


def test_any_function_of_the_logits_is_a_target_and_bears_its_name(net):
    def margin(logits):
        return logits[:, 0] - logits[:, 1]

    assert given.target(net, margin)(LOGITS).tolist() == [-1.0, 2.0]
    assert given.target(net, margin).name == "margin"
    assert given.target(net, torch.nn.Flatten(0)).name == "Flatten"


def test_a_target_that_was_not_called_is_that_of_the_predicted_class(net):
    assert given.target(net, logit)(LOGITS).tolist() == [4.0, 5.0]
    assert given.target(net, probability).bounds == (0.0, 1.0)


@pytest.mark.parametrize(
    ("one", "kind", "sentence"),
    [
        (4, UnknownNameError, "unknown class '4'; known: 0 to 3"),
        (-1, UnknownNameError, "unknown class '-1'; known: 0 to 3"),
        ("Stopp", UnknownNameError, "unknown class 'Stopp' .did you mean 'Stop'"),
        (True, DataError, "a class is a number or a name, not True; there are 0 to 3"),
        (1.0, DataError, "a class is a number or a name, not 1.0"),
        (torch.tensor(1.0), DataError, "a class is a number or a name, not a Tensor"),
    ],
)
def test_no_class(net, one, kind, sentence):
    with pytest.raises(kind, match=sentence):
        given.target_class(net, one)


@pytest.mark.parametrize(
    ("labels", "kind", "sentence"),
    [
        ([0, 1, 2], DataError, "there are 3 labels for 2 images; give one for each image"),
        ([0, 4], UnknownNameError, "unknown class '4'; known: 0 to 3"),
        (torch.tensor([-1, 0]), UnknownNameError, "unknown class '-1'"),
        (["Stop", "Halt"], UnknownNameError, "unknown class 'Halt'"),
        (torch.eye(4)[:2].long(), DataError, r"not of shape \(2, 4\); of one-hot labels take labels.argmax\(1\)"),
        (torch.tensor([0.0, 1.0]), DataError, "whole numbers or names of classes, not float32; convert them"),
        (np.array([0.5, 1.0]), DataError, "not float64"),
        (torch.tensor([True, False]), DataError, "not bool"),
        ([True, False], DataError, "not bool"),
        ([[0], [1, 2]], DataError, "not lists of several lengths"),
        (1, DataError, r"not of shape \(\); give a list, an array or a tensor"),
        ([None, 1], DataError, "not object"),
        (np.eye(4)[:2], DataError, r"not float64; of one-hot labels take labels.argmax\(1\)$"),
        (torch.eye(4)[:2], DataError, r"not float32; of one-hot labels take labels.argmax\(1\)$"),
        (np.array([0.0, 1.0]), DataError, r"not float64; convert them, for instance with labels.astype\(int\)$"),
    ],
)
def test_no_labels(net, labels, kind, sentence):
    with pytest.raises(kind, match=sentence):
        given.labels(net, labels, 2)


def test_layers_by_one_name_or_several(net):
    assert given.layers(net, "second") == ("second",)
    assert given.layers(net, ["second", "first", "second"]) == ("second", "first")
    assert given.layers(net, None) == ("first", "second")
    with pytest.raises(UnknownNameError, match="unknown layer 'third'; known: first, second"):
        given.layers(net, "third")


@pytest.mark.parametrize(
    "mask", [[[0, 1]], np.array([[0, 7]], np.uint8), torch.tensor([[False, True]]), np.array([[-1.0, 0.1]])]
)
def test_a_mask_of_anything_is_true_above_zero(mask):
    assert given.mask(mask if not isinstance(mask, list) else torch.tensor(mask)).tolist() == [[False, True]]


def test_a_mask_has_rows_and_columns():
    with pytest.raises(DataError, match=r"a mask is of shape .height, width., not \(1, 2, 2\)"):
        given.mask(torch.ones(1, 2, 2))


@pytest.mark.parametrize("wrong", [1.5, "3", [1, 2.5], [True], None])
def test_no_whole_numbers(wrong):
    with pytest.raises(DataError, match="feature maps are whole numbers, not .*; give one number, or a list"):
        given.numbers("feature maps", wrong)


def test_one_image_is_one(net):
    images = images_for(net, 2)
    assert torch.equal(given.one_image(net, images[0]), images[:1])
    with pytest.raises(DataError, match=r"one image is wanted, but these are 2; choose one, such as images\[0\]"):
        given.one_image(net, images)


@pytest.mark.parametrize("use", [
    trojancam.scan, trojancam.record, trojancam.attribute, trojancam.Guard, trojancam.compare, trojancam.explain,
    lambda net, images: trojancam.stream(net, images, "maps.npz"),
    lambda net, images: trojancam.stimulate(net, images, trojancam.Stimulation("first", 0)),
    lambda net, images: trojancam.dose_response(net, images, trojancam.Stimulation("first", 0), 2),
])  # fmt: skip
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (build("plain"), r"not a module \(\w+\); make it a Network first: Network.from_module\(module, \(height, width\)\)$"),
        ("net.onnx", r"not a path \(net.onnx\); make it a Network first: trojancam.load\(path\)$"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused_wherever_one_belongs(use, wrong, sentence):
    with pytest.raises(DataError, match=f"a Network is wanted here, {sentence}"), unchecked():
        use(wrong, images_for(network("plain")[1], 4))


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda net, images: trojancam.record(net, images, layers=2), "a layer is chosen by its name, a word, not by 2"),
        (lambda net, images: trojancam.record(net, images, layers=nn.ReLU()), "by its name, a word, not by a ReLU; known: f"),
        (lambda net, images: trojancam.record(net, images, layers=[["first"]]), r"not by \['first'\]"),
        (lambda net, images: trojancam.attribute(net, images, 3), "an attribution method is chosen by its name, a word"),
        (trojancam.grad_cam, "a recording is wanted here, not a Network; make one first"),
        (lambda net, images: trojancam.logit("Stop"), "give its number, or the name itself as target='Stop'"),
        (lambda net, images: trojancam.probability([0.5]), "a score is of a class by its number"),
        (lambda net, images: trojancam.rates.clean_accuracy(["Stop"], [1]), "rates are of classes by number"),
        (lambda net, images: trojancam.rates.attack_success_rate([1], [2], "Stop"), "by number, not 'Stop'; of a name take"),
        (lambda net, images: trojancam.poison(images.numpy(), None, 1), "not a ndarray; make them a set first"),
        (
            lambda net, images: trojancam.dose_response(net, images, trojancam.Stimulation("first", 0), "strong"),
            "strengths must be finite numbers; give one, or a list of several",
        ),
        (lambda net, images: trojancam.attribute(net, images, progress=print_one), "give a function of three arguments"),
        (lambda net, images: trojancam.scan(net, images, progress=print_one), "give a function of three arguments"),
        (lambda net, images: net({"label": 1, "image": images}), r"\('label', 'image'\) as a whole; .*: batch\['image'\]$"),
        (lambda net, images: trojancam.record(net, DataLoader(images)), r"or next\(iter\(loader\)\)\['image'\] where"),
        (
            lambda net, images: trojancam.stream(net, DataLoader([{"image": each} for each in images]), "maps.npz"),
            r"the items of this data set are dicts \('image'\).* such as \[item\['image'\] for item in data_set\]$",
        ),
        (lambda net, images: trojancam.load(net), "a model file is named by its path, .*not by a Network; a module becomes a"),
        (lambda net, images: trojancam.load(nn.ReLU()), "not by a ReLU; a module becomes a network with Network.from_module"),
        (lambda net, images: trojancam.inspect(None), "a model file is named by its path, .* not by a NoneType"),
        (lambda net, images: trojancam.cleanse(nn.ReLU(), images), "a Network is wanted here, not a module"),
        (trojancam.cleanse, "a set that names its files, not a Tensor; read the folders"),
        (lambda net, images: trojancam.fleet([net]), "a model file is named by its path, .*; save each network first"),
        (lambda net, images: trojancam.fleet(3), "a manifest or a folder of models is named by its path"),
        (lambda net, images: trojancam.sign_off(net), "a model file is named by its path, .*; save the network first"),
        (lambda net, images: trojancam.verify(3, "net.pt2"), "a passport is named by its path, .* not by an int; give that"),
        (lambda net, images: net.save(3), "the file of a network is named by its path"),
        (lambda net, images: trojancam.data.load_dataset(images), "not by a Tensor; images and labels in memory make a"),
        (lambda net, images: trojancam.read_stream(3), "a file of attributions is named by its path"),
        (lambda net, images: trojancam.make_trigger(3), "a trigger that is no preset is named by its path, .*; known presets: y"),
        (lambda net, images: trojancam.stimulate(net, images, {"layer": "f"}), "a stimulation is wanted here, not a str; make"),
        (lambda net, images: trojancam.repair(net, images, [0, 1, 2, 0], "scan.json"), "ScanReport .*, not a str; of a written"),
        (lambda net, images: Network.from_module(nn.ReLU(), 8, class_names=5), "class names are words, .*, not '5'; give a list"),
        (lambda net, images: net.with_class_names("abc"), "class names are words, one for each class, not 'abc'"),
        (lambda net, images: net.with_class_names([1, 2, 3]), "class names are words, one for each class, not '1'"),
        (lambda net, images: Network.from_module(nn.ReLU(), specification={"mean": 0}), "an InputSpecification, not a dict; "),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_one_sentence(net, tmp_path, monkeypatch, mistake, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrojanCamError, match=sentence), unchecked():
        mistake(net, images_for(net, 4))


def print_one(done: Any) -> None:
    print(done)


def test_one_strength_is_a_dose(net):
    with unchecked():
        doses = trojancam.dose_response(net, images_for(net, 2), trojancam.Stimulation("first", 0), 2)
    assert doses.strengths == (2.0,)
    assert doses.logits.shape == (1, 2)


def test_a_class_of_numpy_is_a_class(net):
    with unchecked():
        assert logit(np.int64(1))(LOGITS).tolist() == [1.0, 1.0]
        assert logit([2, 0])(LOGITS).tolist() == [4.0, 3.0]


def test_where_the_size_was_assumed_the_refusal_of_images_says_so():
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    sentence = r"antialias=True\); or, for nobody said what size it takes, .*input_size=\(48, 64\)\)$"
    with pytest.raises(DataError, match=sentence):
        Network.from_module(pooled)(torch.rand(1, 3, 48, 64))
    with pytest.raises(DataError, match=r"antialias=True\)$"):
        Network.from_module(pooled, (32, 32))(torch.rand(1, 3, 48, 64))
