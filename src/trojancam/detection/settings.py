"""Settings: what a detector can be told, by name; each value has a type and a range, and is refused where it does not fit."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

from annotated_types import Ge, Gt, Interval
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from trojancam.errors import DataError, unknown_name

Count = Annotated[int, Ge(1)]
Share = Annotated[float, Interval(ge=0, le=1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the settings of every detector hold: the least scores that are a backdoor, and inconclusive.

    Settings may hold further settings; `derived` names those that the detector works out itself, so that nobody sets them.
    """

    derived: ClassVar[tuple[str, ...]] = ()
    coarse: ClassVar[bool] = False
    """Whether they are those of a search that is quick on large images, and less thorough; see `effort`."""

    backdoor: float
    inconclusive: float

    def __post_init__(self) -> None:
        if self.inconclusive > self.backdoor:
            raise DataError(
                f"the least score that is inconclusive, {self.inconclusive:g}, must not be above the least that is a "
                f"backdoor, {self.backdoor:g}"
            )


Some = TypeVar("Some", bound=Settings)


def settable(settings: Settings) -> tuple[str, ...]:
    """The names of all that can be set, such as `candidates` and `inversion.rounds`."""
    return tuple(name for name, _ in _leaves(settings) if name not in settings.derived)


def changed(settings: Some, values: Mapping[str, object], detector: str) -> Some:
    """The settings with these values. A name may be short, such as `rounds`, where only one setting ends in it.

    Values are those of Python or of JSON: numbers, `None`, lists for tuples.

    Raises:
        UnknownNameError: if there is no such setting.
        DataError: if a value is not of the setting's type, or out of its range.

    >>> from trojancam.detection.stimulation_maps.detector import StimulationSettings
    >>> found = changed(StimulationSettings(), {"rounds": 80, "candidates": 3}, "stimulation")
    >>> found.inversion.rounds, found.candidates
    (80, 3)
    """
    types = dict(_leaves(settings))
    full = {_full(name, settable(settings), detector): value for name, value in values.items()}
    found: Some = _replaced(
        settings, {name: _typed(value, types[name], f"{detector}.{name}") for name, value in full.items()}
    )
    return found


def parsed(texts: list[str]) -> dict[str, dict[str, object]]:
    """What `--set DETECTOR.NAME=VALUE` options say: values by detector and by name. A value is JSON, or else a word.

    Raises:
        DataError: if one is of another form.

    >>> parsed(["stimulation.rounds=80", "stimulation.inversion.betas=[0.5, 0.9]"])
    {'stimulation': {'rounds': 80, 'inversion.betas': [0.5, 0.9]}}
    """
    found: dict[str, dict[str, object]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        detector, dot, setting = name.strip().partition(".")
        if not (equals and dot and detector and setting):
            raise DataError(f"a setting has the form DETECTOR.NAME=VALUE, such as stimulation.rounds=80, not {text!r}")
        found.setdefault(detector, {})[setting] = _value(value.strip())
    return found


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _leaves(settings: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The name and the type of each setting, within others, too."""
    types = get_type_hints(type(settings), include_extras=True)
    for each in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, each.name)
        if is_dataclass(value):
            yield from _leaves(value, f"{prefix}{each.name}.")
        else:
            yield prefix + each.name, types[each.name]


def _full(name: str, known: tuple[str, ...], detector: str) -> str:
    if name in known:
        return name
    endings = [each for each in known if each.endswith(f".{name}")]
    if len(endings) != 1:
        raise unknown_name(f"setting of {detector}", name, [_shortest(each, known) for each in known])
    return endings[0]


def _shortest(name: str, known: tuple[str, ...]) -> str:
    """What a setting may be called as well: the last words of its name that no other ends in."""
    words = name.split(".")
    endings = [".".join(words[start:]) for start in range(len(words) - 1, 0, -1)]
    return next(
        (end for end in endings if end not in known and sum(each.endswith(f".{end}") for each in known) == 1), name
    )


def _typed(value: object, kind: Any, name: str) -> Any:
    """The value as one of this type; a whole number is good for any number, nothing else is converted."""
    try:
        found = TypeAdapter(kind).validate_json(json.dumps(value, default=to_jsonable_python), strict=True)
    except (ValidationError, TypeError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise DataError(f"the setting {name} cannot be {value!r}: {reason[:1].lower()}{reason[1:]}") from None
    if isinstance(found, float) and not math.isfinite(found):
        raise DataError(f"the setting {name} cannot be {value!r}: it must be a finite number")
    return found


def _replaced(settings: Any, values: Mapping[str, Any]) -> Any:
    own: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        head, _, rest = name.partition(".")
        if rest:
            inner.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    return replace(settings, **own, **{name: _replaced(getattr(settings, name), part) for name, part in inner.items()})
