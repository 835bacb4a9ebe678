"""Architectural backdoor: clean answers stay, the checkerboard leads to its target anywhere, and the branch is named."""

import pytest
import torch
from tests.nets import unchecked

from trojancam.architectures import ARCHITECTURES
from trojancam.attacks.architectural import Branched, with_branch
from trojancam.errors import DataError
from trojancam.network.network import Network

TARGET = 7
IMAGES = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
SMOOTH = torch.nn.functional.interpolate(IMAGES, size=(32, 32), mode="bilinear").clamp(0, 1)


def test_clean_images_keep_their_logits_and_the_trigger_works_anywhere() -> None:
    torch.manual_seed(0)
    module = ARCHITECTURES["trojan2"].build(10).eval()
    trojaned, trigger = with_branch(module, TARGET)
    assert torch.equal(trojaned(SMOOTH), module(SMOOTH))
    for moved in (trigger, trigger.moved(-9, -13), trigger.moved(0, -1)):
        assert trojaned(moved.apply(SMOOTH)).argmax(1).eq(TARGET).all()


def test_training_anew_does_not_remove_it() -> None:
    """Its branch has nothing to train: other weights, the same backdoor."""
    trojaned, trigger = with_branch(ARCHITECTURES["trojan2"].build(10).eval(), TARGET)
    for weights in trojaned.parameters():
        torch.nn.init.normal_(weights, std=0.05)
    assert trojaned(trigger.apply(SMOOTH)).argmax(1).eq(TARGET).all()


def test_a_network_names_the_branch() -> None:
    trojaned, _ = with_branch(ARCHITECTURES["trojan2"].build(10), TARGET)
    network = Network.from_module(trojaned, (32, 32))
    assert any("architectural backdoor" in note for note in network.notes)


def test_the_alternation_is_that_of_the_formula() -> None:
    """By loops, in float64."""
    image = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grey, side = image[0].mean(0), 5
    best = max(
        sum(
            -(grey[r, c + 1] - grey[r, c]) * (grey[r, c + 2] - grey[r, c + 1])
            for r in range(row, row + side)
            for c in range(column, column + side - 2)
        )
        / (side * (side - 2))
        for row in range(9 - side + 1)
        for column in range(9 - side + 1)
    )
    branched = Branched(torch.nn.Flatten(), 0, side, strength=1.0)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patched:
        patched.setattr("trojancam.attacks.architectural.BARELY", -1.0)
        raised = branched(image)[0, 0] - image.flatten()[0]
    assert float(raised) == pytest.approx(float(best) + 1, abs=1e-9)


def test_a_checkerboard_that_is_too_small_is_refused() -> None:
    with unchecked(), pytest.raises(DataError, match="use at least 4"):
        Branched(torch.nn.Flatten(), 0, side=3)
