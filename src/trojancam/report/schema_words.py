"""The schema in words: a table for each command and for each part; `python -m trojancam.report.schema_words` prints it."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from trojancam.report.page import RESULTS_VERSION
from trojancam.report.schema import DOCUMENTS

HEAD = f"""# What `results.json` holds

Beside every page stands a JSON file with every number on it: `results.json`, of a scan `scan.json`. This is version
{RESULTS_VERSION} of its form; the version rises when a field goes, or comes to mean something else, and fields that are new
leave it as it is. Numbers are finite; `null` is "not known" or "undefined". Shares and rates lie in [0, 1].

This file is made from `src/trojancam/report/schema.py` by `python -m trojancam.report.schema_words > docs/results-schema.md`,
and a test holds what the commands write against it.
"""


def markdown() -> str:
    """All documents, then the parts that they are made of."""
    parts: dict[str, dict[str, Any]] = {}
    lines = [HEAD]
    for name, document in DOCUMENTS.items():
        schema = document.model_json_schema()
        parts |= schema.get("$defs", {})
        lines += _described(f"`trojancam {name}`", schema, "##", said="")
    lines.append("## Parts\n")
    for name in sorted(parts):
        if "properties" in parts[name]:
            lines += _described(name, parts[name], "###", said=parts[name].get("description", ""))
    return "\n".join(lines).rstrip() + "\n"


def _described(title: str, schema: dict[str, Any], level: str, said: str) -> Iterator[str]:
    yield f"{level} {title}\n"
    if said:
        yield f"{' '.join(said.split())}\n"
    yield "| field | type | |\n| --- | --- | --- |"
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        optional = "" if name in required else "may be missing; "
        words = f"{optional}{field.get('description', '')}".removesuffix("; ")
        yield f"| `{name}` | {_type(field)} | {' '.join(words.split())} |"
    yield ""


def _type(field: dict[str, Any]) -> str:
    """A type in words."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(each) for each in field["anyOf"]))
    if "const" in field or "enum" in field:
        return " or ".join(f"`{json.dumps(value)}`" for value in field.get("enum", [field.get("const")]))
    kind = str(field.get("type", "anything"))
    return {"array": _list, "object": _object}[kind](field) if kind in ("array", "object") else kind


def _list(field: dict[str, Any]) -> str:
    if "prefixItems" in field:
        return f"[{', '.join(_type(each) for each in field['prefixItems'])}]"
    return f"list of {_type(field.get('items', {}))}"


def _object(field: dict[str, Any]) -> str:
    inner = field.get("additionalProperties")
    return f"object of {_type(inner)}" if isinstance(inner, dict) and inner else "object"


if __name__ == "__main__":
    sys.stdout.write(markdown())
