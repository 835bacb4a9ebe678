"""The documents described from their classes: in words, a table for each command and each part; and as JSON Schema.

`python -m trojancam.report.documents.describing FOLDER` writes both into a folder: `results-schema.md`, `results-schema.json`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trojancam.files import written_whole
from trojancam.report.documents.compare import Compare
from trojancam.report.documents.demo import Demo
from trojancam.report.documents.document import RESULTS_VERSION, Part
from trojancam.report.documents.explain import Explain
from trojancam.report.documents.repair import Repair
from trojancam.report.documents.reproduce import Reproduce
from trojancam.report.documents.scan import Scan
from trojancam.report.documents.sift import Sift
from trojancam.report.documents.sign_off import Passport
from trojancam.report.documents.stimulate import Stimulate

DOCUMENTS: dict[str, type[Part]] = {
    "scan": Scan,
    "sift": Sift,
    "explain": Explain,
    "compare": Compare,
    "stimulate": Stimulate,
    "repair": Repair,
    "demo": Demo,
    "reproduce": Reproduce,
    "sign-off": Passport,
}
"""The documents that commands write, by command."""
HEAD = f"""# What `results.json` holds

Beside every page stands a JSON file with every number on it: `results.json`, of a scan `scan.json`, of a passport
`passport.json`. This is version {RESULTS_VERSION} of its form; the version rises when a field goes, or comes to mean something
else, and fields that are new leave it as it is. Numbers are finite; `null` is "not known" or "undefined". Shares and rates lie
in [0, 1].

[results-schema.json](results-schema.json) says the same for machines, as JSON Schema. Both files are made from the classes that
write the documents, in `src/trojancam/report/documents/`, by `python -m trojancam.report.documents.describing docs`.
"""


def json_schema() -> dict[str, Any]:
    """All documents as one JSON Schema: a file is valid if it is one of them."""
    parts: dict[str, Any] = {}
    for document in DOCUMENTS.values():
        schema = document.model_json_schema(ref_template="#/$defs/{model}")
        parts |= schema.pop("$defs", {})
        parts[document.__name__] = schema
    one_of = [{"$ref": f"#/$defs/{document.__name__}"} for document in DOCUMENTS.values()]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Results of TrojanCAM"}
    return {**head, "oneOf": one_of, "$defs": dict(sorted(parts.items()))}


def write_description(folder: Path) -> None:
    """Write `results-schema.md` and `results-schema.json` into a folder, each whole or not at all."""
    texts = {"results-schema.md": markdown(), "results-schema.json": json.dumps(json_schema(), indent=1) + "\n"}
    for name, text in texts.items():
        with written_whole(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")


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
    write_description(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
