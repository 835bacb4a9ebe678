"""Records: frozen, and they refuse what they do not know; the kinds of numbers that their fields take.

A result that JSON holds as it is has one class: a dataclass whose fields say in `Annotated` what they are. `Written` writes and
reads it, and a document that has it among its fields describes it.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

Positive = Annotated[float, Field(gt=0)]
Side = Annotated[int, Field(gt=0, le=8192)]
Share = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(ge=-1e-6, le=1 + 1e-6)]  # as measured: floats round
Rate = Fraction | None
Measured = Annotated[  # NaN, for which JSON has no word, is null there
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]}),
]

Kind = TypeVar("Kind", bound="Written")
Method = TypeVar("Method", bound=Callable[..., Any])


class Record(BaseModel):
    """A frozen record that refuses fields it does not know and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _all_there(schema: dict[str, Any]) -> None:
    """What is written has every field, also where code may leave it out."""
    schema["required"] = list(schema["properties"])
    for field in schema["properties"].values():
        field.pop("default", None)


def derived(method: Method) -> Method:
    """A method of a `Written` class, without arguments, whose result is written beside the fields; for properties, inside."""
    cast(Any, method).is_written = True
    return method


@dataclass(frozen=True)
class _Derived:
    """What a class writes beside its fields: how it comes to it, and how that is written and described."""

    get: Callable[[Any], Any]

    @functools.cached_property
    def form(self) -> Any:
        return TypeAdapter(get_type_hints(self.get, include_extras=True)["return"])

    @property
    def said(self) -> dict[str, str]:
        return {"description": self.get.__doc__} if self.get.__doc__ else {}


class Written:
    """A frozen dataclass that JSON holds field by field; what is `derived` is written, too, and not read.

    >>> @dataclass(frozen=True)
    ... class Place(Written):
    ...     row: Annotated[int, Field(description="From the top.")]
    ...     names: tuple[str, ...] = ()
    >>> Place(2, ("a", "b")).to_json(), Place.from_json({"row": 2, "names": ["a"]})
    ({'row': 2, 'names': ['a', 'b']}, Place(row=2, names=('a',)))
    """

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True, json_schema_extra=_all_there)

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold."""
        plain: dict[str, Any] = _form(cast(Any, type(self))).dump_python(self, mode="json")
        return plain

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        beside = _derived(cls)
        own = handler(source)
        if not beside:
            return own

        def read(record: Any) -> Any:
            if not isinstance(record, Mapping):
                return record
            return {name: value for name, value in record.items() if name not in beside}

        def written(value: Any, plainly: Callable[[Any], Any]) -> Any:
            more = {name: each.form.dump_python(each.get(value), mode="json") for name, each in beside.items()}
            return plainly(value) | more

        plain = cast(CoreSchema, dict(handler.resolve_ref_schema(own)))
        reference = cast(Any, plain).pop("ref")  # goes to the whole, so that a document names it as a part
        serialization = core_schema.wrap_serializer_function_ser_schema(written, schema=plain)
        return core_schema.no_info_before_validator_function(read, plain, ref=reference, serialization=serialization)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        reference = handler(schema)
        described = handler.resolve_ref_schema(reference)
        for name, each in _derived(cls).items():
            described["properties"].setdefault(name, each.form.json_schema() | each.said)
            described["required"] = list(described["properties"])
        return reference

    @classmethod
    def from_json(cls: type[Kind], record: Mapping[str, Any]) -> Kind:
        """What `to_json` wrote.

        Raises:
            ValidationError: if it did not.
        """
        found: Kind = _form(cast(Any, cls)).validate_python(record)
        return found


def _derived(kind: type) -> dict[str, _Derived]:
    """What a class writes beside its fields, by name."""
    members = {name: value for base in reversed(kind.__mro__) for name, value in vars(base).items()}
    methods: dict[str, Any] = {name: getattr(value, "fget", value) for name, value in members.items()}
    return {name: _Derived(method) for name, method in methods.items() if getattr(method, "is_written", False)}


@functools.cache
def _form(kind: Any) -> Any:
    return TypeAdapter(kind)


@dataclass(frozen=True)
class InOwnForm:
    """In `Annotated`: a field of this kind, or none, in the form that the kind's `to_json` gives and its `from_json` takes."""

    kind: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: self.kind.from_json(value) if isinstance(value, Mapping) else value,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: None if value is None else value.to_json()
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "object", "additionalProperties": True}, {"type": "null"}]}


def without_nan(value: Any) -> Any:
    """The same with None for numbers that are not finite.

    >>> without_nan({"a": [1.0, math.nan], "b": (math.inf,)})
    {'a': [1.0, None], 'b': [None]}
    """
    if isinstance(value, Mapping):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
