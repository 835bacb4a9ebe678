"""Poisoning: how a training set is poisoned with a trigger, image by image: whose images bear it, and with which labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor

from trojancam.attacks.encoding import UNREADABLE
from trojancam.attacks.trigger import Trigger
from trojancam.data.image_set import ImageSet
from trojancam.errors import DataError
from trojancam.network import given
from trojancam.showing import Brief

Kind = Literal["all-to-one", "source-specific", "all-to-all"]
Labels = Int64[Tensor, " n"]
Indices = Int64[Tensor, " m"]
COVER = 1_000_003  # added to the seed where covers are drawn


@dataclass(frozen=True)
class Poisoning(Brief):
    """A backdoor as the training set teaches it: which images bear the trigger, and as what they are labelled.

    Whose images the trigger turns, and into what:
    - all-to-one: those of every class into `target_class`;
    - source-specific: those of the classes `sources` into `target_class`;
    - all-to-all, where `target_class` is None: those of class y into `permutation[y]`, or y + 1 if there is no permutation.

    `poison_rate` counts images of these victims. `clean_label` poisons images of the target class instead, and leaves their
    labels: then it counts those. Covers bear the trigger, or `cover_trigger`, with their true label: the share `cover_rate` of
    the images of other classes than the sources and the target, or, where every class is a victim, of the images that are
    not poisoned. `training_trigger` is what the training set bears, where the attacker attacks with another trigger.
    """

    trigger: Trigger
    target_class: int | None
    poison_rate: float = 0.1
    seed: int = 0
    sources: tuple[int, ...] = ()
    permutation: tuple[int, ...] = ()
    clean_label: bool = False
    cover_rate: float = 0.0
    cover_trigger: Trigger | None = None
    training_trigger: Trigger | None = None

    @property
    def kind(self) -> Kind:
        """Whose images the trigger turns, in words."""
        if self.target_class is None:
            return "all-to-all"
        return "source-specific" if self.sources else "all-to-one"

    def targets(self, classes: int) -> Int64[Tensor, " classes"]:
        """The target of each class, -1 where the attacker leaves it alone; what `trojancam.rates` takes.

        >>> from trojancam.attacks.patch import make_trigger
        >>> Poisoning(make_trigger("yellow-square"), 2, sources=(0, 3)).targets(4)
        tensor([ 2, -1, -1,  2])
        """
        own = torch.arange(classes)
        if self.target_class is None:
            wanted = torch.tensor(self.permutation) if self.permutation else (own + 1) % classes
        else:
            wanted = torch.full((classes,), self.target_class)
        if self.sources:
            wanted = wanted.masked_fill(~torch.isin(own, torch.tensor(self.sources)), -1)
        return wanted.masked_fill(wanted == own, -1)

    def indices(self, labels: Labels) -> Indices:
        """Which images it poisons: `round(poison_rate * eligible)` of those that it may, drawn with the seed, sorted.

        Raises:
            DataError: if the rate is not in [0, 1].
        """
        return drawn_indices(self._eligible(labels), self.poison_rate, self.seed)

    def cover_indices(self, labels: Labels) -> Indices:
        """Which images bear the trigger with their true label, sorted; none of them is poisoned.

        Raises:
            DataError: if the rate is not in [0, 1].
        """
        free = torch.ones(len(labels), dtype=torch.bool)
        free[self.indices(labels)] = False
        if self.target_class is not None:
            free &= labels != self.target_class
        if self.sources:
            free &= ~torch.isin(labels, torch.tensor(self.sources))
        return drawn_indices(free.nonzero()[:, 0], self.cover_rate, self.seed + COVER, "cover rate")

    def relabelled(self, labels: Labels, classes: int) -> Labels:
        """The labels of poisoned images."""
        return labels if self.clean_label else self.targets(classes)[labels]

    def _eligible(self, labels: Labels) -> Indices:
        if self.clean_label:
            return torch.isin(labels, torch.tensor(self.target_class)).nonzero()[:, 0]
        classes = max(int(labels.max()) + 1 if len(labels) else 0, len(self.permutation), *self._named(), 1)
        return (self.targets(classes)[labels] >= 0).nonzero()[:, 0]

    def _named(self) -> list[int]:
        """One more than each class that is named."""
        return [each + 1 for each in (*self.sources, *self.permutation, self.target_class or 0)]

    def check(self, images: ImageSet) -> None:
        """Refuse what cannot be done to these images.

        Raises:
            UnknownNameError: if a target or a source is not a class of the set.
            DataError: if a rate is not in [0, 1], a trigger is of another size than the images, or the victims contradict
                each other.
        """
        for named in (*self.sources, *self.permutation, self.target_class):
            if named is not None:
                given.target_class(images, named)
        self._check_victims(len(images.class_names))
        for trigger in (self.trigger, self.cover_trigger, self.training_trigger):
            if trigger is not None:
                trigger.check_size(*images.size)
        self.indices(images.labels)
        self.cover_indices(images.labels)

    def _check_victims(self, classes: int) -> None:
        if self.target_class is None and (self.sources or self.clean_label):
            raise DataError("source classes and clean labels need one target class; name it, or leave them out")
        if self.target_class is not None and self.permutation:
            raise DataError("a backdoor has one target class or a permutation of all of them; leave out one of the two")
        if self.permutation and sorted(self.permutation) != list(range(classes)):
            raise DataError(f"the permutation must name each of the {classes} classes once")
        if self.target_class in self.sources:
            raise DataError(f"class {self.target_class} is the target; leave it out of the source classes")
        if self.clean_label and self.sources:
            raise DataError(
                "with clean labels only images of the target class are poisoned; leave out the source classes"
            )

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold; `from_json` reads it. What is as usual is left out."""
        record: dict[str, Any] = {
            "trigger": self.trigger.to_json(),
            "target_class": self.target_class,
            "poison_rate": self.poison_rate,
            "seed": self.seed,
        }
        for name in ("sources", "permutation", "clean_label", "cover_rate"):
            if getattr(self, name):
                value = getattr(self, name)
                record[name] = list(value) if isinstance(value, tuple) else value
        for name in ("cover_trigger", "training_trigger"):
            if getattr(self, name) is not None:
                record[name] = getattr(self, name).to_json()
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Poisoning":
        """The backdoor that `to_json` wrote, or that a model card tells of; what else the record says is left out.

        Raises:
            UnknownNameError: if a trigger is of an unknown family.
            DataError: if the record is not one of a backdoor.
        """
        try:
            triggers = {
                name: Trigger.from_json(record[name])
                for name in ("trigger", "cover_trigger", "training_trigger")
                if record.get(name) is not None
            }
            target = record["target_class"]
            return cls(
                target_class=None if target is None else int(target),
                poison_rate=float(record["poison_rate"]),
                seed=int(record["seed"]),
                sources=tuple(int(each) for each in record.get("sources", ())),
                permutation=tuple(int(each) for each in record.get("permutation", ())),
                clean_label=bool(record.get("clean_label", False)),
                cover_rate=float(record.get("cover_rate", 0.0)),
                **triggers,
            )
        except UNREADABLE as error:
            raise DataError(
                f"this is not the record of a backdoor ({error}); write it with Poisoning.to_json()"
            ) from None


Backdoors = Poisoning | tuple[Poisoning, ...] | None
"""What is planted in one network: nothing, one backdoor, or several."""


def as_tuple(backdoors: Backdoors) -> tuple[Poisoning, ...]:
    """The backdoors, however they were given."""
    if backdoors is None:
        return ()
    return (backdoors,) if isinstance(backdoors, Poisoning) else backdoors


def drawn_indices(eligible: Int64[Tensor, " eligible"], rate: float, seed: int, what: str = "poison rate") -> Indices:
    """`round(rate * eligible)` of the eligible images, drawn with the seed, sorted.

    Raises:
        DataError: if the rate is not in [0, 1].
    """
    if not 0 <= rate <= 1:
        raise DataError(f"the {what} must lie in [0, 1], not {rate}")
    order = torch.randperm(len(eligible), generator=torch.Generator().manual_seed(seed))
    return eligible[order[: round(rate * len(eligible))]].sort().values


def roles(backdoors: Sequence[Poisoning], labels: Labels) -> Labels:
    """What each image is to the backdoors: 2k poisoned by backdoor k, 2k + 1 its cover, -1 neither; the first to claim it has it.

    >>> from trojancam.attacks.patch import make_trigger
    >>> trigger = make_trigger("yellow-square")
    >>> roles([Poisoning(trigger, 1, 1.0, sources=(0,), cover_rate=1.0)], torch.tensor([0, 1, 2]))
    tensor([ 0, -1,  1])
    """
    found = torch.full_like(labels, -1)
    for number, backdoor in enumerate(backdoors):
        for role, indices in ((2 * number, backdoor.indices(labels)), (2 * number + 1, backdoor.cover_indices(labels))):
            found[indices[found[indices] < 0]] = role
    return found


@dataclass(frozen=True)
class Goal(Brief):
    """What an attacker wants: whose images become what, as in `Poisoning`, for images of a size, with draws from a seed.

    `target_class` None is all-to-all: class y becomes `permutation[y]`, or y + 1. `poison_rate` None leaves the attack's own.
    """

    target_class: int | None
    image_size: tuple[int, int] = (32, 32)
    seed: int = 0
    sources: tuple[int, ...] = ()
    permutation: tuple[int, ...] = ()
    poison_rate: float | None = None


@runtime_checkable
class Plan(Protocol):
    """What says how a goal is reached by poisoning: an attack on data."""

    def poisoning(self, goal: Goal) -> Poisoning:
        """What is done to a training set."""


def poison(
    clean: ImageSet,
    trigger: Trigger | Plan,
    target_class: given.GivenClass | None,
    poison_rate: float | None = None,
    seed: int = 0,
    *,
    sources: given.GivenClasses = (),
    permutation: given.GivenClasses = (),
    clean_label: bool = False,
    cover_rate: float = 0.0,
    cover_trigger: Trigger | None = None,
    training_trigger: Trigger | None = None,
) -> tuple[ImageSet, Indices]:
    """A copy of the set with the trigger on some images, labelled as the attacker wants, and the indices of the poisoned ones.

    The settings are those of `Poisoning`, classes by number or name; the poison rate is 0.1 unless told. Covers bear their
    trigger in the copy, too, and are not among the indices. In place of a trigger an attack may be given, such as
    `make_attack("wanet")`: it brings a poison rate, labels and covers of its own.

    Raises:
        UnknownNameError: if a target or a source is not a class of the set.
        DataError: if a rate is not in [0, 1], a trigger is of another size than the images, or the victims contradict each
            other; also if an attack is given and covers or clean labels are asked for.
    """
    if not isinstance(clean, ImageSet):
        raise DataError(
            f"labelled images are poisoned, not a {type(clean).__name__}; make them a set first: "
            "trojancam.data.ImageSet(images, labels, class_names)"
        )
    target = None if target_class is None else given.target_class(clean, target_class)
    victims, becoming = given.classes(clean, sources), given.classes(clean, permutation)
    if isinstance(trigger, Trigger):
        rate = 0.1 if poison_rate is None else poison_rate
        poisoning = Poisoning(
            trigger, target, rate, seed, victims, becoming, clean_label, cover_rate, cover_trigger, training_trigger,
        )  # fmt: skip
    elif clean_label or cover_rate or cover_trigger or training_trigger:
        raise DataError("an attack decides on its labels and covers; give settings to the attack, or a trigger here")
    else:
        poisoning = trigger.poisoning(Goal(target, clean.size, seed, victims, becoming, poison_rate))
    return poisoned_set(clean, poisoning)


def poisoned_set(clean: ImageSet, poisoning: Poisoning) -> tuple[ImageSet, Indices]:
    """As `poison`, for what is told as one."""
    poisoning.check(clean)
    chosen, covers = poisoning.indices(clean.labels), poisoning.cover_indices(clean.labels)
    images, labels = clean.images.clone(), clean.labels.clone()
    generator = torch.Generator().manual_seed(poisoning.seed)
    shown = poisoning.training_trigger or poisoning.trigger
    images[chosen] = shown.apply_bytes(clean.images[chosen], generator)
    images[covers] = (poisoning.cover_trigger or shown).apply_bytes(clean.images[covers], generator)
    labels[chosen] = poisoning.relabelled(labels[chosen], len(clean.class_names))
    return replace(clean, images=images, labels=labels), chosen
