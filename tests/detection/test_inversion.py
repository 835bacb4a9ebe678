"""Trigger inversion: its gradient and steps against a derivation in float64, lambda against the authors' code, what it finds."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tests.detection.planted import COLUMNS, MAGENTA, ROWS, TARGET, planted
from tests.nets import assert_same_state, images_for, network, state_of, unchecked
from torch import Tensor

from trojancam.attacks.patch import Patch
from trojancam.detection.inversion import Candidate, Inversion, InversionSettings, Penalty, invert, invert_once
from trojancam.detection.suspect import Suspect, suspect
from trojancam.errors import DataError, UnknownNameError
from trojancam.kept import Kept
from trojancam.progress import stages

ONE_STEP = InversionSettings(rounds=2, steps=1, batch=6, first_penalty=0.3, largest=None)
CORNER = torch.zeros(12, 12, dtype=torch.bool)
CORNER[:5, 7:] = True


def plain(labels: list[int]) -> Suspect:
    _, net = network("plain")
    return suspect(net, images_for(net, len(labels)), torch.tensor(labels))


def same(one: Inversion, other: Inversion) -> bool:
    parts = zip((one.trigger.mask, one.trigger.pattern), (other.trigger.mask, other.trigger.pattern), strict=True)
    return (one.success, one.rounds, one.given_up) == (other.success, other.rounds, other.given_up) and all(
        a.equal(b) for a, b in parts
    )


def by_hand(module: torch.nn.Module, images: Tensor, start: Tensor, candidate: Candidate, steps: int) -> Tensor:
    """What a search's values are after some steps with every image, in float64: loss, gradient and Adam written out."""
    double = {name: value.double() for name, value in module.state_dict().items()}
    region = torch.ones(12, 12) if candidate.region is None else candidate.region.double()
    values, first, second = start.double(), torch.zeros(4, 12, 12).double(), torch.zeros(4, 12, 12).double()
    largest = torch.relu(F.conv2d(images.double(), double["first.weight"], double["first.bias"])).max()
    for step in range(1, steps + 1):
        values = values.detach().requires_grad_()
        mask, pattern = (values[0].tanh() + 1) / 2 * region, (values[1:].tanh() + 1) / 2
        stamped = images.double() * (1 - mask) + mask * pattern
        maps = torch.relu(F.conv2d(stamped, double["first.weight"], double["first.bias"]))
        deep = torch.relu(F.conv2d(F.max_pool2d(maps, 2), double["second.weight"], double["second.bias"]))
        logits = deep.flatten(1) @ double["linear.weight"].T + double["linear.bias"]
        loss = (logits.logsumexp(1) - logits[:, candidate.target_class]).mean() + 0.3 * mask.sum()
        if candidate.feature_maps:
            loss = loss - maps[:, list(candidate.feature_maps)].mean() / largest
        (gradient,) = torch.autograd.grad(loss, values)
        first, second = 0.5 * first + 0.5 * gradient, 0.9 * second + 0.1 * gradient**2
        change = (first / (1 - 0.5**step)) / ((second / (1 - 0.9**step)).sqrt() + 1e-8)
        values = values.detach() - 0.2 * change
    return values


@pytest.mark.parametrize(
    "candidate",
    [Candidate(2), Candidate(1, CORNER), Candidate(3, None, "first", (0, 2)), Candidate(0, CORNER, "first", (1,))],
    ids=["anywhere", "in a region", "exciting maps", "both"],
)
def test_steps_are_those_of_adam_on_the_loss(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = network("plain")
    target = candidate.target_class
    clean = plain([(target + 1) % 4] * 6)  # a batch is all the images
    start = torch.randn(4, 12, 12, generator=torch.Generator().manual_seed(3)) / 2
    monkeypatch.setattr("trojancam.network.draws.Draws.uniform", lambda draws, *size: (start.tanh() + 1) / 2)
    # every round counts as a better one, as no trigger succeeds and the rate does not fall: the last is looked at
    monkeypatch.setattr("trojancam.detection.inversion._State.update", keep_the_latest)
    (found,) = invert(clean, [candidate], replace(ONE_STEP, rounds=4))
    values = by_hand(module, clean.images, start, candidate, steps=3)  # as the fourth step saw them
    region = torch.ones(12, 12) if candidate.region is None else candidate.region.double()
    torch.testing.assert_close(found.trigger.mask.double(), (values[0].tanh() + 1) / 2 * region, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.trigger.pattern.double(), (values[1:].tanh() + 1) / 2, rtol=1e-4, atol=1e-5)


def keep_the_latest(state: object, success: float, size: float, values: Tensor) -> None:
    state.best = values  # type: ignore[attr-defined]


class AuthorsCost:
    """How the authors' published code moves lambda (`visualizer.py`), with its names."""

    def __init__(self) -> None:
        self.cost = 0.0
        self.cost_set_counter = self.cost_up_counter = self.cost_down_counter = 0

    def round(self, avg_loss_acc: float) -> float:
        patience, threshold = 5, 0.99
        if self.cost == 0 and avg_loss_acc >= threshold:
            self.cost_set_counter += 1
            if self.cost_set_counter >= patience:
                self.cost = 1e-3
                self.cost_up_counter = self.cost_down_counter = 0
        else:
            self.cost_set_counter = 0
        if avg_loss_acc >= threshold:
            self.cost_up_counter += 1
            self.cost_down_counter = 0
        else:
            self.cost_up_counter = 0
            self.cost_down_counter += 1
        if self.cost_up_counter >= patience:
            self.cost_up_counter = 0
            self.cost *= 2
        elif self.cost_down_counter >= patience:
            self.cost_down_counter = 0
            self.cost /= 2**1.5
        return self.cost


@pytest.mark.parametrize("seed", range(6))
def test_lambda_moves_as_in_the_authors_code(seed: int) -> None:
    rates = torch.rand(400, generator=torch.Generator().manual_seed(seed)) ** 0.2
    rates = rates.repeat_interleave(1 + seed)  # so that there are long runs of either kind
    reference = AuthorsCost()
    penalty = Penalty(InversionSettings(first_penalty=0.0, penalty=1e-3, patience=5))
    values = []
    for rate in (0.995 + 0.01 * (rates - rates.mean())).tolist():
        penalty.update(rate >= 0.99)
        values.append(penalty.value)
        assert penalty.value == reference.round(rate)
    assert len(set(values)) > 3


def test_lambda_waits_for_five_successes_doubles_after_five_and_falls_after_five_failures() -> None:
    penalty = Penalty(InversionSettings(first_penalty=0.0, penalty=1e-3, patience=5))
    told = []
    for succeeded in [True] * 4 + [False] + [True] * 10 + [False] * 5:
        penalty.update(succeeded)
        told.append(penalty.value)
    assert told[:9] == [0.0] * 9
    assert told[9:13] == [1e-3] * 4  # the fifth success in a row sets it, and counts as the first after that
    assert told[13:19] == [2e-3] * 6
    assert told[19] == pytest.approx(2e-3 / 2**1.5)


def test_it_finds_the_planted_trigger_where_it_is_and_little_else() -> None:
    clean = planted(True)
    found = invert(clean, [Candidate(TARGET), Candidate(0)])
    backdoor, other = found
    assert backdoor.success == other.success == 1.0
    assert backdoor.mask_l1 * 5 < other.mask_l1
    assert backdoor.position is not None
    row, column = backdoor.position
    assert ROWS.start <= row < ROWS.stop
    assert COLUMNS.start <= column < COLUMNS.stop
    shown = backdoor.trigger.apply(torch.full((1, 3, 12, 12), 0.5))[0, :, round(row), round(column)]
    assert min(shown[0], shown[2]) > shown[1], "magenta"


def test_nothing_changes_outside_of_the_region() -> None:
    found = invert(planted(True), [Candidate(TARGET, CORNER), Candidate(TARGET, ~CORNER)])
    for inversion, region in zip(found, (CORNER, ~CORNER), strict=True):
        assert inversion.trigger.place[~region].sum() == 0
    inside, outside = found
    assert inside.mask_l1 * 5 < outside.mask_l1  # where the backdoor does not listen


def test_a_mask_may_be_kept_below_a_size() -> None:
    limited, free = (
        invert(planted(False), [Candidate(4)], InversionSettings(largest=largest))[0] for largest in (4.0, None)
    )
    assert limited.mask_l1 <= 4 < free.mask_l1
    assert limited.success < 0.5 < free.success == 1.0


def test_maps_to_excite_are_excited() -> None:
    clean = planted(False)
    candidates = [Candidate(0), Candidate(0, None, "0", (MAGENTA,))]
    plainly, excited = invert(clean, candidates, InversionSettings(excitation=20.0))
    activations = [
        clean.network.cut("0").before(inversion.trigger.apply(clean.images))[0][:, MAGENTA].mean()
        for inversion in (plainly, excited)
    ]
    assert activations[1] > 2 * activations[0]


def test_what_is_found_does_not_depend_on_the_candidates_beside_it() -> None:
    clean = planted(True)
    settings = InversionSettings(rounds=6)
    alone = invert(clean, [Candidate(2)], settings)[0]
    beside = invert(clean, [Candidate(0), Candidate(TARGET, CORNER, "0", (1,)), Candidate(2)], settings)[2]
    torch.testing.assert_close(alone.trigger.mask, beside.trigger.mask, rtol=1e-3, atol=1e-4)


def test_a_seed_reproduces_and_another_one_does_not() -> None:
    clean, settings = planted(True), InversionSettings(rounds=4)
    first, again, other = (invert(clean, [Candidate(1)], settings, seed)[0] for seed in (3, 3, 4))
    assert same(first, again)
    assert not first.trigger.mask.equal(other.trigger.mask)


def test_hopeless_candidates_are_given_up_after_a_trial() -> None:
    settings = InversionSettings(trial=6, keep=2, rounds=12)
    found = invert(planted(True), [Candidate(number) for number in range(9)], settings)
    assert [inversion.rounds for inversion in found] == [6 if inversion.given_up else 12 for inversion in found]
    assert sum(not inversion.given_up for inversion in found) == 2
    assert not found[TARGET].given_up


def test_a_search_ends_when_nothing_better_comes() -> None:
    settings = InversionSettings(rounds=400, stop_after=5)
    (found,) = invert(planted(True), [Candidate(TARGET)], settings)
    assert found.rounds < 400


def test_only_images_of_other_classes_are_used() -> None:
    clean = planted(True)
    target = clean.labels == TARGET
    scrambled = Suspect(clean.network, clean.images.where(~target[:, None, None, None], 0.5), clean.labels)
    settings = InversionSettings(rounds=3)
    assert same(*(invert(each, [Candidate(TARGET)], settings)[0] for each in (clean, scrambled)))


def test_the_network_and_the_images_stay_as_they_were() -> None:
    clean = planted(True)
    module, images = clean.network._whole, clean.images.clone()
    before = state_of(module)
    with torch.inference_mode():
        invert(clean, [Candidate(TARGET, None, "0", (1,))], InversionSettings(rounds=2))
    assert_same_state(before, state_of(module))
    assert clean.images.equal(images)


def test_progress_is_told_round_by_round() -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int, note: str = "", /) -> None:
        told.append((done, total))

    invert(planted(True), [Candidate(0)], InversionSettings(rounds=3), progress=stages(progress, [10, 3, 7])[1])
    assert told == [(11, 20), (12, 20), (13, 20)]


def test_a_journal_gives_back_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean, settings = planted(True), InversionSettings(rounds=3, keep=1, trial=2)
    candidates = [Candidate(0, CORNER), Candidate(TARGET)]
    first = invert_once(Kept(tmp_path, "run"), "inversion", clean, candidates, settings)
    assert all(same(*pair) for pair in zip(first, invert(clean, candidates, settings), strict=True))
    monkeypatch.setattr("trojancam.detection.inversion.invert", None)  # must not be asked again
    again = invert_once(Kept(tmp_path, "run"), "inversion", clean, candidates, settings)
    assert all(same(*pair) for pair in zip(first, again, strict=True))
    assert [inversion.candidate for inversion in again] == candidates


def test_no_candidates_are_no_inversions() -> None:
    assert invert(planted(True), []) == []
    assert invert_once(Kept(), "inversion", planted(True), []) == []


def test_an_empty_mask_has_no_position() -> None:
    nothing = Patch(torch.zeros(4, 4), torch.zeros(3, 4, 4))
    assert Inversion(Candidate(0), nothing, math.nan, 0).position is None


@pytest.mark.parametrize(
    ("candidate", "error", "message"),
    [
        (Candidate(9), UnknownNameError, "unknown class '9'"),
        (Candidate(-1), UnknownNameError, "unknown class '-1'"),
        (Candidate(0, torch.ones(3, 3, dtype=torch.bool)), DataError, r"this one is of \(3, 3\) and holds 9"),
        (Candidate(0, torch.zeros(12, 12, dtype=torch.bool)), DataError, "holds 0"),
        (Candidate(0, None, "0"), DataError, "give both a layer and feature maps of it"),
        (Candidate(0, None, None, (1,)), DataError, "give both a layer and feature maps of it"),
        (Candidate(0, None, "conv", (1,)), UnknownNameError, "unknown layer 'conv'"),
        (Candidate(0, None, "0", (7,)), UnknownNameError, "layer '0' has no feature map 7"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(candidate: Candidate, error: type[Exception], message: str) -> None:
    with unchecked(), pytest.raises(error, match=message):
        invert(planted(True), [candidate])


def test_images_of_the_target_class_alone_are_refused() -> None:
    with pytest.raises(DataError, match="all images are of class 2, so none could be sent to it"):
        invert(plain([2] * 4), [Candidate(2)])
