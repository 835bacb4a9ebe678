"""SARIF 2.1.0: findings as tools for code review read them (OASIS, 2020), with the model file as their location."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from trojancam.report.machines.outcome import Check, Detail, Outcome
from trojancam.report.machines.rules import RULES, Rule
from trojancam.text import as_text, printable
from trojancam.version import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
NUMBERS = {rule.number: place for place, rule in enumerate(RULES)}


def sarif(outcomes: Sequence[Outcome]) -> str:
    """One run with a result for each finding and each check without an answer; what was skipped is a notification.

    A result has the level of its rule, also where the check gave no answer: viewers hide results of other kinds.
    """
    files = list(dict.fromkeys((outcome.file, outcome.sha256) for outcome in outcomes))
    run = {
        "tool": {
            "driver": {"name": "TrojanCAM", "semanticVersion": __version__, "rules": [_rule(each) for each in RULES]}
        },
        "automationDetails": {"id": f"trojancam/{'+'.join(sorted({each.command for each in outcomes}))}/"},
        "artifacts": [_artifact(file, sha256) for file, sha256 in files],
        "results": [result for outcome in outcomes for result in _results(outcome)],
        "invocations": [_invocation(outcome) for outcome in outcomes],
        "columnKind": "unicodeCodePoints",
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, allow_nan=False) + "\n"


def address(file: str) -> str:
    """The address of a file: relative ones stay relative, as tools that know the checkout want them.

    >>> address("models/a net.onnx"), address("/srv/net.onnx")
    ('models/a%20net.onnx', 'file:///srv/net.onnx')
    """
    path = PurePath(as_text(file))
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.number,
        "name": rule.name,
        "shortDescription": {"text": rule.meaning},
        "help": {"text": rule.advice},
        "defaultConfiguration": {"level": rule.level},
        "properties": {"tags": ["security", "machine-learning"]},
    }


def _artifact(file: str, sha256: str | None) -> dict[str, Any]:
    digest = {"hashes": {"sha-256": sha256}} if sha256 else {}
    return {"location": {"uri": address(file)}, "roles": ["analysisTarget"], **digest}


def _results(outcome: Outcome) -> Iterator[dict[str, Any]]:
    for check in outcome.checks:
        if check.state in ("failed", "undecided"):
            for detail in check.details or (Detail(check.message),):
                yield _result(outcome, check, detail)


def _result(outcome: Outcome, check: Check, detail: Detail) -> dict[str, Any]:
    place: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": address(check.file or outcome.file)},
            "region": {"startLine": 1},  # a model has no lines, but viewers show no result without one
        }
    }
    if detail.place:
        place["logicalLocations"] = [{"fullyQualifiedName": printable(detail.place), "kind": "layer"}]
    known = repr((outcome.command, outcome.sha256, check.rule.number, check.name, detail.message))
    return {
        "ruleId": check.rule.number,
        "ruleIndex": NUMBERS[check.rule.number],
        "level": check.rule.level,
        "message": {"text": printable(detail.message) or check.rule.meaning},
        "locations": [place],
        "partialFingerprints": {"finding/v1": hashlib.sha256(known.encode()).hexdigest()},
        "properties": {"check": printable(check.name), "model": printable(outcome.file), **detail.properties},
    }


def _invocation(outcome: Outcome) -> dict[str, Any]:
    skipped = [check for check in outcome.checks if check.state == "skipped"]
    told = [*outcome.notes, *(f"Not done: {check.name} ({check.message})." for check in skipped)]
    return {
        "executionSuccessful": outcome.verdict != "Refused",
        "exitCode": outcome.exit_code,
        "toolExecutionNotifications": [{"level": "note", "message": {"text": printable(each)}} for each in told],
        "properties": {"command": outcome.command, "verdict": outcome.verdict, "seconds": round(outcome.seconds, 3)},
    }
