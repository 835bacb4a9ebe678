"""References: what scans of clean networks came to, which the scores of a suspect are held against.

Only statistics are kept of them: scores, accuracy, and where the network came from. Those of this package lie beside this file;
`trojancam calibrate` makes others.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, ValidationError

from trojancam.detection.settings import Settings
from trojancam.errors import DataError
from trojancam.evaluation.statistics import conformal_p_values
from trojancam.files import written_whole
from trojancam.records import Record
from trojancam.version import __version__

VERDICTS = ("backdoor", "inconclusive")  # settings that only judge a score, and do not change it
OWN = "the clean networks that came with TrojanCAM"
ALIKE = 2  # two networks are alike if one has at most so many times the classes of the other


class ReferenceNetwork(Record):
    """A clean network: what it is, how accurate it is on the images of its scan, and its score by every method."""

    name: str
    fingerprint: str
    architecture: str
    data: str
    classes: int
    accuracy: float
    images: int
    scores: dict[str, float]


class Reference(Record):
    """Clean networks that were scanned alike; `settings` hold, by method, the fingerprint of what it was set to."""

    version: Literal[1] = 1
    trojancam: str = __version__
    about: str = ""
    settings: dict[str, str] = Field(default_factory=dict)
    networks: tuple[ReferenceNetwork, ...] = ()

    def alike(self, classes: int) -> tuple[ReferenceNetwork, ...]:
        """Those with about as many classes, at most twice as many and at least half as many; all, if there are none.

        Of fewer classes, the one that is reached most easily stands out further by chance.
        """
        found = [each for each in self.networks if max(classes, each.classes) <= ALIKE * min(classes, each.classes)]
        return tuple(found) or self.networks

    def null(self, method: str, settings: Settings | None, classes: int, without: str = "") -> dict[str, float]:
        """The score of each network alike by a method that was set as here; none if it was set otherwise.

        The network whose fingerprint is `without` is left out: a suspect is not held against itself.
        """
        if self.settings.get(method) != settings_fingerprint(settings):
            return {}
        return {
            each.fingerprint: each.scores[method]
            for each in self.alike(classes)
            if method in each.scores and each.fingerprint != without
        }

    def write(self, path: Path) -> None:
        """Write it to a JSON file, whole or not at all.

        Raises:
            TrojanCamError: if the file cannot be written.
        """
        with written_whole(path) as partial:
            partial.write_text(json.dumps(self.model_dump(), indent=1) + "\n", encoding="utf-8")


def read_reference(path: Path) -> Reference:
    """The reference networks in a JSON file.

    Raises:
        DataError: if it cannot be read, or holds anything else.
    """
    try:
        return Reference.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"cannot read {path} ({error.strerror or error}); give a file that 'trojancam calibrate' wrote"
        ) from None
    except (ValidationError, UnicodeDecodeError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        why = f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}" if first else str(error)
        raise DataError(
            f"{path} holds no reference networks ({why}); give a file that 'trojancam calibrate' wrote"
        ) from None


@cache
def own_reference() -> Reference:
    """The reference networks of this package."""
    text = files("trojancam.detection").joinpath("reference", "clean.json").read_text(encoding="utf-8")
    return Reference.model_validate_json(text)


def settings_fingerprint(settings: Settings | None) -> str:
    """A name for all that the score of a method depends on: its settings, less the scores at which verdicts change.

    >>> strict, usual = Settings(backdoor=3.0, inconclusive=2.0), Settings(backdoor=2.0, inconclusive=1.0)
    >>> settings_fingerprint(strict) == settings_fingerprint(usual)
    True
    """
    values: Mapping[str, object] = {} if settings is None else asdict(settings)
    counted = {name: value for name, value in values.items() if name not in VERDICTS}
    if settings is not None and settings.coarse:  # a coarse search differs from a thorough one with the same numbers
        counted["coarse"] = True
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:16]


def p_value(score: float, null: Mapping[str, float]) -> float | None:
    """How unusual a score is among clean networks: `(1 + #{null >= score}) / (n + 1)`, None without any.

    If the suspect is clean, and drawn as the n networks were, it is at most p with a probability of at most p (conformal
    p-value; Vovk et al., "Algorithmic Learning in a Random World", 2005).

    >>> p_value(2.0, {"a": 1.0, "b": 2.0, "c": 3.0})
    0.75
    """
    if not null:
        return None
    clean = torch.tensor(sorted(null.values()), dtype=torch.float64)
    return float(conformal_p_values(torch.tensor([score], dtype=torch.float64), clean))
