"""A finding is written, read and described by one class: nothing is lost on the way, and nothing foreign is taken."""

import json
import math
from dataclasses import fields

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from trojancam.attacks.patch import square
from trojancam.detection.findings import Finding
from trojancam.stimulation import Stimulation

WHOLE = Finding(
    "by hand", 1, 2.5, "conv", (4, 6), (3.0, 27.5), elevation=1.5, stimulation_asr=0.5, reasr=1.0, ablation_asr=0.0,
    trigger=square(2, 4, 7), stimulation=Stimulation("conv", (4, 6), value=torch.rand(2, 3, 3)), moves=False,
    class_map=((0, 1), (2, 0)), evidence={"mask_l1": 4.0, "undefined": math.nan},
)  # fmt: skip


@pytest.mark.parametrize("finding", [WHOLE, Finding("by hand", 0, 1.0)])
def test_json_holds_all_of_it(finding: Finding) -> None:
    text = json.dumps(finding.to_json(), allow_nan=False)
    again = Finding.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert (again.feature_maps, again.position, again.class_map) == (
        finding.feature_maps,
        finding.position,
        finding.class_map,
    )
    for name in ("trigger", "stimulation"):
        assert type(getattr(again, name)) is type(getattr(finding, name))


def test_what_could_not_be_measured_is_null_in_json() -> None:
    record = WHOLE.to_json()
    assert record["evidence"] == {"mask_l1": 4.0, "undefined": None}
    assert math.isnan(Finding.from_json(record).evidence["undefined"])


@pytest.mark.parametrize("wrong", [{"surprise": 1}, {"reasr": 1.5}, {"feature_maps": "all"}])
def test_what_is_no_finding_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Finding.from_json(WHOLE.to_json() | wrong)


def test_it_describes_every_field_that_it_writes() -> None:
    schema = TypeAdapter(Finding).json_schema()
    names = [field.name for field in fields(Finding)]
    assert list(WHOLE.to_json()) == list(schema["properties"]) == schema["required"] == names
    assert schema["additionalProperties"] is False
