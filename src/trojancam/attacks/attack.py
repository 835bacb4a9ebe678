"""Attack: the contract of every way to plant a backdoor, with its settings by name, its source and what it takes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError

from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.errors import DataError, unknown_name
from trojancam.records import Record

Rate = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Attack(Record, ABC):
    """A way to plant a backdoor. A subclass's fields are its settings; their defaults are those that its table was made with.

    `name` is what it is registered under, `source` where it was published, and `summary` what it does, in a sentence.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    summary: ClassVar[str]

    poison_rate: Rate = 0.1

    def rate(self, goal: Goal) -> float:
        """The poison rate: the goal's, or the attack's own."""
        return self.poison_rate if goal.poison_rate is None else goal.poison_rate

    def settings(self) -> dict[str, Any]:
        """All settings by name, in a form that JSON can hold."""
        return self.model_dump(mode="json")


class DataAttack(Attack, ABC):
    """An attack that changes training images and labels, and leaves the training as it is."""

    @abstractmethod
    def poisoning(self, goal: Goal) -> Poisoning:
        """What it does to a training set.

        Raises:
            DataError: if its trigger does not fit the goal's images.
        """


def with_settings(attack: type[Attack], values: Mapping[str, object]) -> Attack:
    """The attack with these settings; the others are as usual.

    Raises:
        UnknownNameError: if there is no such setting.
        DataError: if a value is of another type, or out of its range.
    """
    for name in values:
        if name not in attack.model_fields:
            raise unknown_name(f"setting of the attack {attack.name}", name, attack.model_fields)
    try:
        return attack.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        reason = first["msg"][:1].lower() + first["msg"][1:]
        raise DataError(f"the setting {name or 'named last'} of the attack {attack.name} is wrong: {reason}") from None
