"""No defence sees a model card, a trigger, a mask or a target, wherever a data set or a model file hides one."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.defences.planted import ANY_NETWORK, recovered, triggered
from tests.detection.test_secrecy import SECRETS, TrappedTensor, data, network, peeked, reachable, trapped

from trojancam.defences import DEFENCES, Reference, Scores, Seen, learned, sieve
from trojancam.defences.defence import Test, as_defence
from trojancam.registry import Registry


def secrets_in(root: object) -> list[str]:
    return [type(each).__name__ for each in reachable(root) if isinstance(each, (*SECRETS, TrappedTensor))]


@pytest.mark.parametrize("method", ANY_NETWORK)
def test_no_defence_reads_what_is_hidden(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    known = (recovered(),) if method == "input-filter" else ()

    def spy(reference: Reference) -> Test:
        assert reference.triggers == known
        given.append(replace(reference, triggers=()))  # what a scan recovered is no secret
        test = DEFENCES[method].learn(reference)

        def watched(seen: Seen) -> Scores:
            given.append(seen)
            return test(seen)

        return watched

    spying = {method: replace(DEFENCES[method], learn=spy)}
    monkeypatch.setattr(sieve, "DEFENCES", Registry("defence", "trojancam.none", as_defence, spying))
    images, _ = data()
    made = learned(network(), images, [method], triggers=known, false_alarms=0.2)
    peeked.clear()  # of the card, by the network when it was made
    found = made(trapped(triggered(3)))
    assert [secrets_in(each) for each in given] == [[]] * len(given)
    assert len(given) >= 3  # what it learns from, what sets the threshold, and the images
    for each in given:
        assert vars(each.images) == {}  # type: ignore[attr-defined]
    assert peeked == []
    assert secrets_in(found) == []


def test_the_same_check_catches_it_where_something_is_left() -> None:
    leaky = Reference(network(), data()[0])
    assert {"TrappedCard", "BackdoorRecord", "TrappedTensor"} <= set(secrets_in(leaky))


def test_the_trap_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def cheat(reference: Reference) -> Callable[[Seen], Scores]:
        return lambda seen: Scores(seen.images.mean((1, 2, 3)) * float(hasattr(seen.images, "secret")))

    monkeypatch.setattr(
        sieve, "DEFENCES", Registry("defence", "trojancam.none", as_defence, {"cheat": as_defence("cheat", cheat)})
    )
    assert not learned(network(), data()[0], ["cheat"], false_alarms=0.2)(trapped(triggered(3))).suspicious.any()
