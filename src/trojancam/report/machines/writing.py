"""Writing outcomes: the formats by name, one text for one model file or for many."""

import json
from collections.abc import Callable, Mapping, Sequence

from trojancam.records import without_nan
from trojancam.report.machines.junit import junit
from trojancam.report.machines.markdown import markdown
from trojancam.report.machines.outcome import Outcome
from trojancam.report.machines.sarif import sarif


def as_json(outcomes: Sequence[Outcome]) -> str:
    """One object: the document of the one outcome, or all of them in a list under `results`."""
    documents = [without_nan(each.document) for each in outcomes]
    return json.dumps(documents[0] if len(documents) == 1 else {"results": documents}, indent=2, allow_nan=False) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Outcome]], str]] = {
    "json": as_json,
    "sarif": sarif,
    "junit": junit,
    "markdown": markdown,
}
"""The formats for machines, each a function from outcomes to a text.

>>> sorted(FORMATS)
['json', 'junit', 'markdown', 'sarif']
"""
