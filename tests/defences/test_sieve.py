"""The contract of all defences, and what a sieve makes of them: batches and order do not matter, bad input is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.defences.planted import ANY_NETWORK, network, recovered, triggered
from tests.detection.planted import pictures
from tests.nets import unchecked
from torch import Tensor

from trojancam.defences import DEFENCES, Defence, Reference, Scores, Seen, Sieve, defence, learned, sieve
from trojancam.errors import DataError, TrojanCamError, UnknownNameError
from trojancam.registry import Registry

CLEAN = pictures(42)[0]
FEW = 0.06  # of false alarms: 21 - 5 images are enough


@pytest.fixture(scope="module")
def sieves() -> Callable[[str], Sieve]:
    made: dict[str, Sieve] = {}

    def of(name: str) -> Sieve:
        if name not in made:
            made[name] = learned(network(), CLEAN, [name], triggers=[recovered()], false_alarms=FEW, seed=3)
        return made[name]

    return of


@pytest.mark.parametrize("method", ANY_NETWORK)
def test_every_defence_keeps_the_contract(method: str, sieves: Callable[[str], Sieve]) -> None:
    images = torch.cat([triggered(3), pictures(4, seed=8)[0]])
    whole = sieves(method)(images, first=10)
    judged = whole.by_method[method]
    assert torch.equal(whole.classes, network()(images).argmax(1))
    assert judged.scores.isfinite().all()
    assert ((judged.p_values > 0) & (judged.p_values <= 1)).all()
    assert torch.equal(judged.suspicious, judged.p_values <= FEW + 1e-9)
    if DEFENCES[method].shows_place:
        assert judged.places is not None
        assert judged.places.shape == (7, 12, 12)
        assert (judged.places >= 0).all()
    else:
        assert judged.places is None


@pytest.mark.parametrize("method", ANY_NETWORK)
def test_batches_do_not_matter(method: str, sieves: Callable[[str], Sieve]) -> None:
    images = torch.cat([triggered(3), pictures(2, seed=8)[0]])
    whole, made = sieves(method)(images, first=10), sieves(method)
    single = [made(image[None], first=10 + number).by_method[method].scores for number, image in enumerate(images)]
    torch.testing.assert_close(torch.cat(single), whole.by_method[method].scores, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ANY_NETWORK)
def test_the_same_seed_gives_the_same_scores(method: str, sieves: Callable[[str], Sieve]) -> None:
    again = learned(network(), CLEAN, [method], triggers=[recovered()], false_alarms=FEW, seed=3)
    images = triggered(3)
    assert torch.equal(again(images).by_method[method].scores, sieves(method)(images).by_method[method].scores)


@pytest.mark.parametrize("method", ["contributions", "strip", "input-filter"])
def test_a_planted_patch_is_found(method: str, sieves: Callable[[str], Sieve]) -> None:
    assert float(sieves(method)(triggered()).suspicious.float().mean()) >= 0.9


def test_the_order_of_the_clean_images_does_not_matter() -> None:
    methods, images = ["contributions", "strip"], triggered(3)
    one, other = (learned(network(), clean, methods, false_alarms=FEW)(images) for clean in (CLEAN, CLEAN.flip(0)))
    for name in methods:
        torch.testing.assert_close(one.by_method[name].scores, other.by_method[name].scores)
        assert one.by_method[name].threshold == pytest.approx(other.by_method[name].threshold)


def test_the_first_defence_decides_and_all_are_asked() -> None:
    found = learned(network(), CLEAN, ["scale-up", "contributions"], false_alarms=FEW)(triggered(4))
    assert list(found.by_method) == ["scale-up", "contributions"]
    assert torch.equal(found.suspicious, found.by_method["scale-up"].suspicious)
    assert found.places is not None  # of the second: the first knows none


def test_one_recording_serves_all_defences(monkeypatch: pytest.MonkeyPatch) -> None:
    made = learned(network(), CLEAN, ["contributions", "sentinet"], false_alarms=FEW)
    recorded: list[int] = []

    def spy(of: Any, images: Tensor, **options: Any) -> Any:
        recorded.append(len(images))
        return recording(of, images, **options)

    recording = defence.record
    monkeypatch.setattr(defence, "record", spy)
    made(triggered(4))
    assert recorded == [4]


def test_too_few_clean_images_and_unknown_names_are_refused() -> None:
    for count, words in (
        (1, "198 clean images, half of which set the threshold, but there is 1;"),
        (42, "there are 42;"),
    ):
        with pytest.raises(DataError, match=words):
            learned(network(), CLEAN[:count])
    with unchecked(), pytest.raises(DataError, match="there are no images; give at least one"):
        learned(network(), [])
    with pytest.raises(DataError, match="between 0 and 1"):
        learned(network(), CLEAN, false_alarms=0.0)
    with pytest.raises(UnknownNameError, match="unknown defence 'stripp' .did you mean 'strip'"):
        learned(network(), CLEAN, ["stripp"])
    with pytest.raises(DataError, match="at least one defence"):
        learned(network(), CLEAN, [])


def test_a_function_can_be_registered_and_must_give_one_score_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry("defence", "trojancam.none", defence.as_defence, {})
    monkeypatch.setattr(sieve, "DEFENCES", registry)

    @registry.register("mean", title="mean pixel", records=False)
    def learn(reference: Reference) -> Callable[[Seen], Scores]:
        usual = reference.images.mean()
        return lambda seen: Scores((seen.images.mean((1, 2, 3)) - usual).abs())

    @registry.register("odd")
    def odd(reference: Reference) -> Callable[[Seen], Scores]:
        return lambda seen: Scores(torch.zeros(len(seen.images) + 1))

    assert isinstance(registry["mean"], Defence)
    assert learned(network(), CLEAN, ["mean"], false_alarms=FEW)(triggered(2)).by_method["mean"].scores.shape == (2,)
    with pytest.raises(TrojanCamError, match="'odd' must return Scores, one for each image"):
        learned(network(), CLEAN, ["odd"], false_alarms=FEW)
    with unchecked(), pytest.raises(TrojanCamError, match="must be a Defence"):
        registry.register("number")(3)
