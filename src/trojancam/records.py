"""Records: frozen, and they refuse what they do not know; the kinds of numbers that their fields take.

A result that JSON holds as it is has one class: a dataclass whose fields say in `Annotated` what they are. `Written` writes and
reads it, and a document that has it among its fields describes it.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

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
Rate = Annotated[float, Field(ge=-1e-6, le=1 + 1e-6)] | None  # as measured: floats round
Measured = Annotated[  # NaN, for which JSON has no word, is null there
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]}),
]

Kind = TypeVar("Kind", bound="Written")


class Record(BaseModel):
    """A frozen record that refuses fields it does not know and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _all_there(schema: dict[str, Any]) -> None:
    """What is written has every field, also where code may leave it out."""
    schema["required"] = list(schema["properties"])
    for field in schema["properties"].values():
        field.pop("default", None)


class Written:
    """A frozen dataclass that JSON holds field by field.

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
    def from_json(cls: type[Kind], record: Mapping[str, Any]) -> Kind:
        """What `to_json` wrote.

        Raises:
            ValidationError: if it did not.
        """
        found: Kind = _form(cast(Any, cls)).validate_python(record)
        return found


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
