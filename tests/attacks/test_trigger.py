"""The contract of triggers: records name their family, a class refuses another's, and what changed is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attacks.moving_patch import MovingPatch
from trojancam.attacks.patch import Patch, make_trigger, square
from trojancam.attacks.trigger import Trigger
from trojancam.errors import DataError, UnknownNameError


@dataclass(frozen=True)
class Darker(Trigger):
    """A trigger as somebody else might add one: the left half of bright images is darkened."""

    family: ClassVar[str] = "darker"
    unit: ClassVar[str] = "share of the light"

    share: float
    name: str = "darker"

    @property
    def image_size(self) -> tuple[int, int]:
        return 4, 4

    @property
    def size(self) -> float:
        return self.share

    def _apply(self, images: Float[Tensor, "n 3 h w"], generator: torch.Generator | None) -> Float[Tensor, "n 3 h w"]:
        bright = (images.mean((1, 2, 3), keepdim=True) > 0.5).to(images)
        left = torch.tensor([1.0, 1.0, 0.0, 0.0]).to(images)
        return images * (1 - self.share * bright * left)

    def _to_record(self) -> dict[str, Any]:
        return {"share": self.share}

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> "Darker":
        return cls(float(record["share"]))


def test_a_new_kind_of_trigger_is_read_from_its_record() -> None:
    assert Trigger.from_json(Darker(0.25).to_json()) == Darker(0.25)
    assert Darker(0.25).to_json() == {"family": "darker", "name": "darker", "share": 0.25}


def test_the_longer_side_of_its_window_is_known_where_it_changes_one() -> None:
    assert square(3, 4, 7).side == 3
    assert Patch(torch.zeros(8, 8).index_fill(0, torch.tensor([2, 4]), 1.0), torch.zeros(3, 8, 8)).side == 8
    assert Patch(torch.zeros(8, 8), torch.zeros(3, 8, 8)).side is None
    assert MovingPatch(torch.ones(2, 5), torch.ones(3, 2, 5)).side == 5
    assert Darker(0.25).side is None


def test_a_class_refuses_the_record_of_another() -> None:
    with pytest.raises(DataError, match="of the family darker, not of the family patch"):
        Patch.from_json(Darker(0.25).to_json())


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown family of triggers 'pach' .did you mean 'patch'.*known: .*patch"
    ):
        Trigger.from_json({"family": "pach"})
    with pytest.raises(UnknownNameError, match="unknown family of triggers '3'"):
        Trigger.from_json({"family": 3})


def test_a_record_without_a_family_is_a_patch() -> None:
    record = make_trigger("yellow-square").to_json()
    assert record.pop("family") == "patch"
    found = Trigger.from_json(record)
    assert isinstance(found, Patch)
    assert found.mask.equal(make_trigger("yellow-square").mask)


def test_what_changed_is_told_image_by_image_where_there_is_no_place() -> None:
    images = torch.stack([torch.full((3, 4, 4), 0.8), torch.full((3, 4, 4), 0.2)])
    changed = Darker(0.25).changed(images)
    assert changed[0].equal(torch.tensor([[True, True, False, False]] * 4))
    assert not changed[1].any()
    assert not Darker(0.4 / 255 / 0.8).changed(images).any(), "less than half a byte is no change"
    assert Darker(0.6 / 255 / 0.8).changed(images)[0, :, :2].all()


def test_a_patch_changes_its_place_in_every_image() -> None:
    trigger = make_trigger("yellow-square")
    assert trigger.changed(torch.rand(3, 3, 32, 32)).equal(trigger.place.expand(3, -1, -1))


@pytest.mark.parametrize("trigger", [make_trigger("yellow-square"), Darker(0.5)])
def test_images_of_another_size_are_refused(trigger: Trigger) -> None:
    for act in (trigger.apply, trigger.changed):
        with pytest.raises(DataError, match=r"made for images of .* pixels, but these are \(5, 6\)"):
            act(torch.rand(2, 3, 5, 6))


def test_gradients_pass_to_the_images() -> None:
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    Darker(0.25).apply(images).sum().backward()
    bright = (images.detach().mean((1, 2, 3)) > 0.5).float()
    assert images.grad is not None
    torch.testing.assert_close(images.grad[:, 0, 0, 0], 1 - 0.25 * bright)
    assert (images.grad[..., 3] == 1).all()


def test_its_picture_shows_it_over_grey() -> None:
    picture = make_trigger("yellow-square").picture()
    assert picture[:, 3, 3].tolist() == [1, 1, 0]
    assert picture[:, 20, 20].tolist() == [0.5, 0.5, 0.5]
