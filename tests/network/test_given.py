"""Targets, labels, layers and masks as users have them: each comes out as what it means, or is refused."""

import numpy as np
import pytest
import torch
from tests.nets import images_for, network

from trojancam.errors import DataError, UnknownNameError
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
