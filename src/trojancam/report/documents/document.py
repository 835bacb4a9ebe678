"""Document: a JSON file beside a page, and the parts that it is made of. The class that writes it is its description.

The version rises when a field goes, or comes to mean something else; fields that are new leave it as it is.
"""

import json
import platform
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from pydantic import ConfigDict, Field

from trojancam.files import writable_folder, written_whole
from trojancam.records import Fraction, Record, without_nan
from trojancam.text import as_text
from trojancam.version import __version__

RESULTS_VERSION = 1

Share = Fraction
Cells = tuple[int, int]
Kind = TypeVar("Kind", bound="Document")


class Part(Record):
    """A part of a document; it can be read by the names of the JSON alone."""

    model_config = ConfigDict(populate_by_name=True)


class Document(Part):
    """What every file begins with; of a subclass, all that a command writes.

    >>> class Answer(Document):
    ...     command: Literal["answer"]
    ...     share: Share
    ...     remark: str = ""
    >>> Answer.of(command="answer", share=0.5).to_json()["share"]
    0.5
    """

    file_name: ClassVar = "results.json"

    results_version: Literal[1] = Field(description="The version of this form.")
    versions: dict[str, str] = Field(description="Of TrojanCAM, of what it builds on, and the system.")

    @classmethod
    def of(cls: type[Kind], **fields: Any) -> Kind:
        """The document with these fields, of this version. Numbers that are not finite are null: JSON has no word for them.

        Raises:
            ValidationError: if a field is missing, is not known, or is not of its kind.
        """
        return cls.model_validate({"results_version": RESULTS_VERSION, "versions": versions(), **without_nan(fields)})

    def to_json(self) -> dict[str, Any]:
        """The fields for `json.dumps`; what was not given, and may be missing, is missing."""
        fields: dict[str, Any] = _in_text(self.model_dump(mode="json", by_alias=True, exclude_unset=True))
        return fields

    def write(self, folder: Path) -> Path:
        """Write the file into the folder, whole or not at all; its path.

        Raises:
            TrojanCamError: if the folder cannot be written to.
        """
        path = writable_folder(folder) / self.file_name
        with written_whole(path) as partial:
            partial.write_text(json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        return path


def versions() -> dict[str, str]:
    """What the results were made with."""
    return {
        "trojancam": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _in_text(value: Any) -> Any:
    """The same for JSON, with names of files that are no text escaped."""
    if isinstance(value, dict):
        return {as_text(key): _in_text(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_in_text(each) for each in value]
    return as_text(value) if isinstance(value, str) else value
