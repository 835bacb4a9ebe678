"""What `trojancam sign-off` writes: a passport, which is a statement of in-toto about a model file."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from trojancam.detection.coverage import NotSearched, Searched
from trojancam.detection.judgement import Verdict
from trojancam.errors import DataError
from trojancam.files import written_whole
from trojancam.formats.inspection import Inspection
from trojancam.report.documents.document import Document, Part

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://trojancam.invalid/passport/v1"  # a name, not an address: nothing is fetched from it
LARGEST = 16 << 20  # bytes of a passport that is read

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Digest(Part):
    """What a file is known by."""

    sha256: Sha256


class Subject(Part):
    """A file that the passport is of."""

    name: str = Field(description="Relative to the model file's folder.")
    digest: Digest


class SignedData(Part):
    """The clean images that the verdict rests on."""

    source: str
    images: int | None
    sha256: Sha256 | None = Field(description="Of shape, pixels and labels; null where the scan did not write it.")


class Limit(Part):
    """Something that no scan can see."""

    limit: str
    meaning: str


class SignOff(Document):
    """What a passport says of its subject."""

    command: Literal["sign-off"]
    date: str = Field(description="When it was made: ISO 8601, UTC.")
    verdict: Verdict
    score: float
    threshold: float
    findings: list[str] = Field(description="Those that the verdict rests on, in words, the strongest first.")
    weighed: list[str] = Field(description="What the verdict is to be weighed by, and what makes it worth less.")
    covered: list[Searched]
    not_covered: list[NotSearched]
    limits: list[Limit]
    data: SignedData
    options: dict[str, Any] = Field(description="Of the scan: its command, how the network was fed and the like.")
    settings: dict[str, Any] = Field(description="Of the scan's methods.")
    fingerprint: str = Field(description="Of the network in the file, as it was fed.")
    class_names: list[str]
    inspection: Inspection = Field(description="What a careless loader would run or reach for in the file.")
    scan_versions: dict[str, str] = Field(description="What the scan was made with.")
    scan_sha256: Sha256 = Field(description="Of the scan.json that this was made from.")


class Passport(Part):
    """A statement of in-toto, version 1: a predicate about files that are known by their digests.

    It bears no signature of its own; any tool that signs in-toto statements, or the file as it is, can add one.
    """

    model_config = ConfigDict(populate_by_name=True)

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: list[Subject] = Field(min_length=1, description="The model file first, then its data files.")
    predicate_type: Literal["https://trojancam.invalid/passport/v1"] = Field(alias="predicateType")
    predicate: SignOff

    @classmethod
    def of(cls, subject: list[Subject], predicate: SignOff) -> "Passport":
        """The passport of these files."""
        return cls.model_validate(
            {"_type": STATEMENT, "subject": subject, "predicateType": PREDICATE, "predicate": predicate}
        )

    def write(self, path: Path) -> Path:
        """Write the passport, whole or not at all; its path.

        Raises:
            TrojanCamError: if it cannot be written.
        """
        record = {
            "_type": self.type,
            "subject": [each.model_dump(mode="json") for each in self.subject],
            "predicateType": self.predicate_type,
            "predicate": self.predicate.to_json(),
        }
        with written_whole(path) as partial:
            partial.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        return path


def read_passport(path: Path) -> Passport:
    """A passport that was written before.

    Raises:
        DataError: if it cannot be read, or is none.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise DataError(f"cannot read the passport {path} ({error.strerror}); check the path") from None
    if len(content) > LARGEST:
        raise DataError(f"{path} is larger than any passport; give the passport.json of 'trojancam sign-off'")
    try:
        return Passport.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(
            f"{path} is not what 'trojancam sign-off' writes ({place}: {first['msg']}); give its passport.json"
        ) from None
