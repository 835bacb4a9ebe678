"""Trigger setting: a trigger as a setting of an attack, by a name or as the record that JSON holds."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator

from trojancam.attacks.patch import make_trigger
from trojancam.attacks.trigger import Trigger

Size = tuple[int, int]


def _record_of(given: object) -> object:
    """A trigger as its record; all else as it is."""
    return given.to_json() if isinstance(given, Trigger) else given


TriggerSetting = Annotated[str | dict[str, Any], BeforeValidator(_record_of)]
"""A trigger's name, or its record; a trigger that is given becomes its record."""


def trigger_of(setting: str | dict[str, Any], image_size: Size, own: dict[str, Callable[[], Trigger]]) -> Trigger:
    """The trigger of a setting: one of the attack's own by name, a preset, a picture file, or the one of a record.

    Raises:
        DataError: if it is made for images of another size, or its record is none.
        UnknownNameError: if there is no trigger of this name.
    """
    if isinstance(setting, dict):
        trigger = Trigger.from_json(setting)
        trigger.check_size(*image_size)
        return trigger
    return own[setting]() if setting in own else make_trigger(setting, image_size)
