"""How a network is fed is found by trying, and nothing is picked that is not clearly right."""

import json
from itertools import pairwise
from math import comb
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trojancam.errors import DataError, ModelError, Remedy, UnknownNameError
from trojancam.network.input import InputSpecification
from trojancam.network.network import Network
from trojancam.opening.preprocessing import (
    AS_SAID,
    TRIED,
    Preprocessing,
    _at_least,
    _best_factor,
    _log_likelihoods,
    clear_winner,
    is_right,
    preprocessing_of,
    renumbered_accuracy,
    tried,
    usual_ways,
)

SIZE = (4, 4)


class ReddestPixels(nn.Module):
    """Class 1 where the first channel, as it is fed, exceeds `level` on average, and the last does not exceed the first."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[..., None, None])
            self.conv.bias.fill_(0.0)
        self.level = level

    def forward(self, x: Tensor) -> Tensor:
        means = self.conv(x).mean((2, 3))
        return torch.stack([torch.full_like(means[:, 0], self.level), means[:, 0]], 1)


def images_and_labels(count: int = 60) -> tuple[Tensor, Tensor]:
    """Half of the images are reddish, half bluish; the first are of class 1."""
    generator = torch.Generator().manual_seed(0)
    images = 0.2 * torch.rand(count, 3, *SIZE, generator=generator)
    labels = torch.arange(count) % 2
    images[labels == 1, 0] += 0.7
    images[labels == 0, 2] += 0.7
    return images, labels


def network(level: float) -> Network:
    return Network.from_module(ReddestPixels(level), SIZE)


def way(name: str, logits: Tensor, labels: Tensor) -> Preprocessing:
    """What `tried` makes of these logits."""
    logits = logits.double()
    scored = _log_likelihoods(_best_factor(logits, labels) * logits, labels)
    return Preprocessing(name, InputSpecification(), logits.argmax(1), labels, scored)


def sorted_ways(**logits: Tensor) -> list[Preprocessing]:
    """Ways on labels 0, 1, 2, ..., the most accurate first."""
    labels = torch.arange(len(next(iter(logits.values())))) % CLASSES
    return sorted((way(name, each, labels) for name, each in logits.items()), key=lambda each: -each.accuracy)


def noisy(count: int, noise: float, seed: int, contrast: float = 1.0, shift: int = 0) -> Tensor:
    """Logits that favour the label, plus noise: the more of it, the less they tell."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.arange(count) + shift) % CLASSES
    clean = torch.nn.functional.one_hot(labels, CLASSES).double()
    return contrast * (clean + noise * torch.randn(count, CLASSES, generator=generator, dtype=torch.float64))


CLASSES = 8


def test_the_right_way_is_found() -> None:
    images, labels = images_and_labels()
    found = tried(network(100.0), images, labels)  # only pixels of up to 255 reach so far
    best = clear_winner(found, 2)
    assert best.name in ("rgb-bytes", "rgb-caffe")
    assert best.accuracy == 1
    assert {each.name: each.accuracy for each in found}["rgb-unit"] == 0.5


def test_ways_that_are_the_same_are_tried_once_by_their_usual_name() -> None:
    images, labels = images_and_labels(8)
    names = [each.name for each in tried(network(0.5), images, labels)]
    assert len(names) == 16
    assert AS_SAID not in names
    own = network(0.5).fed(InputSpecification(size=SIZE, mean=(0.1, 0.2, 0.3)))
    assert len(tried(own, images, labels)) == 17


def test_ways_that_are_as_right_on_other_images_are_refused() -> None:
    images, labels = images_and_labels(8)
    with pytest.raises(ModelError, match="or say how it is fed with preprocessing="):
        clear_winner(tried(network(0.5), images, labels.flip(0) * 0 + torch.tensor([0, 1, 1, 0, 0, 1, 1, 0])), 2)


def test_images_of_other_classes_are_refused() -> None:
    images, labels = images_and_labels()
    with pytest.raises(ModelError, match=r"no usual preprocessing makes the network right on most images"):
        clear_winner(tried(network(0.5), images, torch.full_like(labels, 1) * 0 + (torch.arange(60) // 2) % 2), 2)


def right_on(share: float, count: int, classes: int, wrong: str) -> Preprocessing:
    """Answers that are right on a share of the images; the others are drawn, or those of the class's other name."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    others = {"drawn": (labels + torch.randint(1, classes, (count,), generator=generator)) % classes}
    others["renamed"] = labels.new_tensor([1, 2, 0, *range(3, classes)])[labels]
    answers = torch.where(torch.rand(count, generator=generator) < share, labels, others[wrong])
    return Preprocessing("way", InputSpecification(), answers, labels, torch.zeros(count))


@pytest.mark.parametrize(
    ("share", "classes", "wrong", "right"),
    [
        (0.4, 10, "drawn", True),  # a poor network of ten classes
        (0.6, 10, "drawn", True),
        (0.2, 10, "drawn", False),
        (0.4, 43, "drawn", True),
        (0.4, 3, "renamed", False),  # the other answers are all the same other class
    ],
)
def test_a_poor_network_is_fed_and_one_whose_labels_are_in_another_order_is_not(
    share: float, classes: int, wrong: str, right: bool
) -> None:
    best = right_on(share, 400, classes, wrong)
    assert is_right(best, classes, 16) == right


def test_labels_in_another_order_are_called_so() -> None:
    logits, labels = noisy(200, 0.1, 0), torch.arange(200) % CLASSES
    kept = torch.tensor([0, 1, 2, 4, 5, 6, 7, 3])  # three of eight classes kept their numbers
    with pytest.raises(ModelError, match=r"right on most images.*with its classes numbered otherwise .* right on 100%"):
        clear_winner([way("only", logits, kept[labels])], CLASSES)


@pytest.mark.parametrize(("classes", "share"), [(100, 0.0), (2, 0.45), (43, 0.1)])
def test_a_network_that_guesses_is_not_said_to_know_other_numbers(classes: int, share: float) -> None:
    poor = right_on(share, 100, classes, "drawn")
    assert renumbered_accuracy(poor) < 0.5 if classes > 2 else renumbered_accuracy(poor) < 0.6
    with pytest.raises(ModelError) as raised:
        clear_winner([poor], classes)
    assert "numbered otherwise" not in str(raised.value)


def test_a_poor_network_with_two_images_a_class_is_fed() -> None:
    assert is_right(right_on(0.47, 86, 43, "drawn"), 43, 16)


def test_a_way_that_tells_less_is_clearly_worse_though_it_is_nearly_as_accurate() -> None:
    best, other = sorted_ways(right=noisy(400, 0.25, 0), other=noisy(400, 0.29, 1))
    ahead, behind = int((best.right & ~other.right).sum()), int((other.right & ~best.right).sum())
    assert _at_least(ahead, ahead + behind, 0.5) > 0.005
    assert best.agrees_with(other) < 0.95
    assert clear_winner([best, other], CLASSES).name == "right"


def test_confidence_alone_does_not_count() -> None:
    """The same answers at ten times the contrast: surer, and no better."""
    plain, loud = sorted_ways(plain=noisy(200, 0.4, 0), loud=noisy(200, 0.4, 0, contrast=10))
    assert plain.log_likelihood == pytest.approx(loud.log_likelihood, abs=1e-6)
    assert clear_winner([plain, loud], CLASSES) in (plain, loud)


def test_where_two_ways_are_as_good_but_answer_otherwise_nothing_is_picked() -> None:
    found = sorted_ways(one=noisy(60, 0.4, 0), other=noisy(60, 0.4, 1))
    assert found[0].agrees_with(found[1]) < 0.9
    with pytest.raises(ModelError, match=r"which preprocessing the network wants is not clear from these 60 images"):
        clear_winner(found, CLASSES)


def test_where_all_images_that_are_tried_do_not_tell_more_are_not_asked_for() -> None:
    """More images would not be looked at; and of three ways that are nearly right, none need be the network's."""
    found = sorted_ways(one=noisy(TRIED, 0.4, 0), other=noisy(TRIED, 0.4, 1))
    with pytest.raises(
        ModelError, match=r"not clear from these 2000 images .*none of the usual ways need be right"
    ) as told:
        clear_winner(found, CLASSES)
    assert told.value.remedies == (Remedy.PREPROCESSING,)


def test_a_likelier_way_that_is_clearly_less_accurate_is_not_picked() -> None:
    """It tells the second-best classes so well that its likelihood is higher; the two contradict each other."""
    count = 400
    labels = torch.arange(count) % CLASSES
    hit = torch.nn.functional.one_hot(labels, CLASSES).double()
    near = torch.nn.functional.one_hot((labels + 1) % CLASSES, CLASSES).double()
    doubtful = (torch.arange(count) % 3 == 0)[:, None]
    accurate = torch.where(torch.arange(count)[:, None] % 5 == 0, 6 * near, 6 * hit)  # wrong and sure on a fifth
    likely = torch.where(doubtful, 6 * hit + 6.1 * near, 6 * hit)  # wrong by a hair on a third
    found = sorted_ways(accurate=accurate, likely=likely)
    assert found[0].name == "accurate"
    assert found[1].log_likelihood > found[0].log_likelihood
    with pytest.raises(ModelError, match=r"not clear from these 400 images"):
        clear_winner(found, CLASSES)


def test_labels_in_another_order_are_refused_though_some_classes_kept_their_places() -> None:
    labels = torch.arange(2000) % CLASSES
    order = torch.tensor([0, 1, 3, 2, 5, 4, 7, 6])
    found = [
        way("only", torch.nn.functional.one_hot(order[labels], CLASSES) + 0.01 * torch.rand(2000, CLASSES), labels)
    ]
    assert found[0].accuracy == 0.25
    with pytest.raises(ModelError, match=r"in its order"):
        clear_winner(found, CLASSES)


def test_a_network_that_always_answers_the_most_frequent_class_is_refused() -> None:
    labels = (torch.arange(500) % 10 >= 6).long()  # of class 0 are six in ten
    logits = torch.tensor([[1.0, 0.0, 0.0]]).repeat(500, 1) + 0.01 * torch.rand(500, 3)
    with pytest.raises(ModelError, match=r"more often than guessing"):
        clear_winner([way("only", logits, labels)], 3)


@pytest.mark.parametrize("contrast", [0.01, 1.0, 300.0])
def test_the_factor_is_the_best_there_is(contrast: float) -> None:
    labels = torch.arange(64) % CLASSES
    logits = noisy(64, 0.5, 3, contrast)
    found = _best_factor(logits, labels)
    smoothed = torch.full((64, CLASSES), 1 / 66 / CLASSES, dtype=torch.float64)
    smoothed[torch.arange(64), labels] += 65 / 66

    def likelihood(factor: float) -> float:
        scaled = factor * logits
        return float((smoothed * (scaled - scaled.exp().sum(1, keepdim=True).log())).sum(1).mean())

    tried_out = [likelihood(found * step) for step in (0.5, 0.9, 1.0, 1.1, 2.0)]
    assert tried_out[2] == max(tried_out)
    rising = [left < right for left, right in pairwise(tried_out)]
    assert rising == [True, True, False, False]


def test_chances_are_those_of_the_binomial() -> None:
    expected = sum(comb(30, k) * 0.3**k * 0.7 ** (30 - k) for k in range(12, 31))
    assert _at_least(12, 30, 0.3) == pytest.approx(expected, rel=1e-10)
    assert _at_least(0, 30, 0.3) == 1
    assert _at_least(1000, 2000, 0.5) == pytest.approx(0.5089, abs=1e-4)  # the numbers of ways exceed any float


def test_what_is_fed_is_what_the_name_says() -> None:
    own = network(0.5).input
    way = preprocessing_of(own, "bgr-caffe")
    assert way == InputSpecification(size=SIZE, mean=(0.406, 0.456, 0.485), std=(1 / 255,) * 3, channels="bgr")
    image = torch.rand(1, 3, *SIZE)
    expected = image.flip(1) * 255 - torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1)
    torch.testing.assert_close(way.normalise(image), expected, atol=1e-3, rtol=0)
    assert usual_ways(own)[AS_SAID] == own
    with pytest.raises(UnknownNameError, match=r"unknown preprocessing 'rgb'.*known: as-said, rgb-unit.*JSON file"):
        preprocessing_of(own, "rgb")


def test_a_file_says_how_a_network_is_fed(tmp_path: Path) -> None:
    own = InputSpecification(size=SIZE, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5))
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"std": 0.25, "crop": 0.875, "channels": "bgr"}))
    said = preprocessing_of(own, str(path))
    assert said == InputSpecification(
        size=SIZE, mean=(0.1, 0.2, 0.3), std=(0.25, 0.25, 0.25), channels="bgr", crop=0.875
    )
    path.write_text(json.dumps({"mean": [0.4], "channels": "grey"}))
    assert preprocessing_of(own, str(path)).mean == (0.4, 0.4, 0.4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot read a preprocessing from"),
        ("[" * 100_000, "cannot read a preprocessing from"),
        ("[1]", "holds no JSON object; give one with mean, std, channels, crop"),
        (
            '{"means": 1}',
            "unknown field of the preprocessing in .*'means' .did you mean 'mean'.*known: mean, std, channels",
        ),
        ('{"size": [2, 2]}', "unknown field"),
        (
            '{"std": 0}',
            "std of the preprocessing in .*own.json is three numbers above 0, .*, or one for all, not 0; correct it",
        ),
        ('{"mean": NaN}', "mean of .* is three finite numbers, .*, not nan; correct it"),
        ('{"mean": [1, 2]}', r"mean of .* is three finite numbers, one for each channel, or one for all, not \[1, 2\]"),
        (
            '{"crop": 1.5}',
            "crop of .* is a share of the images' sides, above 0 and at most 1, or roi or whole, not 1.5",
        ),
        ('{"crop": "sign"}', "crop of .* at most 1, or roi or whole, not 'sign'"),
        ('{"channels": "rbg"}', "channels of .* is rgb, bgr or grey, not 'rbg'; correct it"),
    ],
)
def test_files_that_say_nothing_of_the_kind(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(text)
    with pytest.raises((DataError, UnknownNameError), match=sentence):
        preprocessing_of(InputSpecification(), str(path))
    with pytest.raises(DataError, match=r"No such file"):
        preprocessing_of(InputSpecification(), str(tmp_path / "none.json"))


def test_what_is_usual_is_not_written_down() -> None:
    plain, cut = InputSpecification(), InputSpecification(crop=0.875)
    assert "crop" not in plain.model_dump_json()
    assert "crop" not in repr(plain)
    assert InputSpecification.model_validate_json(cut.model_dump_json()) == cut
    assert repr(cut).endswith("crop=0.875)")
    signs = InputSpecification(region="roi")
    assert "region" not in plain.model_dump_json()
    assert InputSpecification.model_validate_json(signs.model_dump_json()) == signs


@pytest.mark.parametrize("region", ["roi", "whole"])
def test_a_region_is_said_where_a_share_is_said(tmp_path: Path, region: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"crop": region}))
    found = preprocessing_of(InputSpecification(crop=0.875, region="roi"), str(path))
    assert (found.region, found.crop) == (region, 0.875)


def test_a_dictionary_says_what_a_file_would() -> None:
    own = InputSpecification(size=(8, 8))
    said = preprocessing_of(own, {"mean": (0.5, 0.4, 0.3), "std": 0.25, "channels": "bgr", "crop": "roi"})
    assert said == own.model_copy(
        update={"mean": (0.5, 0.4, 0.3), "std": (0.25,) * 3, "channels": "bgr", "region": "roi"}
    )
    with pytest.raises(UnknownNameError, match="unknown field of the preprocessing 'men'.*did you mean 'mean'"):
        preprocessing_of(own, {"men": 0.5})
    with pytest.raises(DataError, match="std of the preprocessing is three numbers above 0, .*, not 0; correct it"):
        preprocessing_of(own, {"std": 0})
