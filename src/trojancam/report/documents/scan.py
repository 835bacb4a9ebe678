"""What `trojancam scan` writes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from trojancam.detection.coverage import Coverage
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.judgement import Judgement, Opinion, Verdict
from trojancam.detection.validation import Validation
from trojancam.errors import DataError
from trojancam.report.documents.document import Document, Part, Share
from trojancam.report.documents.maps import MapNumbers


@dataclass(frozen=True, kw_only=True)
class FindingValidation(Validation):
    """What heat maps say of a finding, on images of other classes that are stamped with its recovered trigger."""

    finding: Annotated[int, Field(description="Its place in `findings`.")]


class Example(Part):
    """The clean image that a finding is shown on, with the recovered trigger."""

    finding: int = Field(description="Its place in `findings`.")
    label: int
    layer: str
    mask_share: Share = Field(description="The recovered mask's sum, as a share of the image.")
    feature_maps: MapNumbers


class Scan(Document):
    """`trojancam scan`, in `scan.json`."""

    file_name: ClassVar = "scan.json"

    command: Literal["scan"]
    options: dict[str, Any] = Field(description="Of the command: the model file, its hash, the data and the like.")
    fingerprint: str
    verdict: Verdict
    score: float = Field(description="Of the method that says most, in units of its threshold.")
    threshold: float
    judgement: Judgement
    coverage: Coverage
    opinions: dict[str, Opinion]
    findings: list[Finding] = Field(description="The strongest first.")
    settings: dict[str, Any] = Field(description="All that the result depends on beside network and images.")
    timing: dict[str, float] = Field(description="Seconds, by step.")
    class_names: list[str]
    remarks: list[str] = Field(description="What makes the verdict worth less.")
    validations: list[FindingValidation] = Field(description="Of the strong findings.")
    examples: list[Example] = Field(description="Of the same.")


def scan_in(path: Path) -> tuple[Scan, str]:
    """What `trojancam scan` wrote into a folder, or its `scan.json` itself, and the SHA-256 of that file.

    Raises:
        DataError: if it cannot be read, or is no such file.
    """
    file = path / Scan.file_name if path.is_dir() else path
    try:
        content = file.read_bytes()
        return Scan.model_validate_json(content), hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise DataError(
            f"cannot read the scan {file} ({error.strerror}); check the path, or make one with 'trojancam scan'"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(
            f"{file} is not what 'trojancam scan' writes ({place}: {first['msg']}); give its scan.json"
        ) from None


def read_scan(path: Path, fingerprint: str) -> ScanReport:
    """What the `scan.json` of a network with this fingerprint says was found, and by which thresholds.

    Raises:
        DataError: if it cannot be read, is no such file, or is of another network, or of one that was fed otherwise.
    """
    document, _ = scan_in(path)
    if document.fingerprint != fingerprint:
        raise DataError(f"{path} is the scan of another network, or of one that was fed otherwise; scan this one")
    record = document.to_json()
    return ScanReport(
        verdict=document.verdict,
        score=document.score,
        threshold=document.threshold,
        findings=tuple(document.findings),
        settings=record["settings"],
        timing=record["timing"],
        class_names=tuple(document.class_names),
        opinions=document.opinions,
        remarks=tuple(document.remarks),
    )
