"""Population: how unusual a network's score is among those of its own architecture on the same shelf; this is no verdict."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trojancam.detection.outliers import outlyingness
from trojancam.fleets.table import Row
from trojancam.showing import Brief

FEWEST = 5  # networks of an architecture, for a spread to mean anything


@dataclass(frozen=True)
class Standing(Brief):
    """How far the score of a row is above the median of its architecture, in robust standard deviations, among `networks`."""

    row: Row
    architecture: str
    z: float
    networks: int


def standings(rows: Sequence[Row]) -> list[Standing]:
    """Where each judged network stands among those of its architecture, the most unusual first.

    `z = (score - median) / (1.4826 MAD)`, after Iglewicz and Hoaglin (1993). Architectures with fewer than five judged networks,
    or of which more than half score the same, have no spread and are left out. Files with the same network count once.
    """
    groups: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found = row.result
        if found is None or found.score is None or found.architecture is None or found.verdict == "not judged":
            continue
        groups[found.architecture][row.unit or row.path].append(row)
    told = []
    for architecture, by_unit in groups.items():
        scores = [same[0].result.score for same in by_unit.values() if same[0].result is not None]
        values = torch.tensor(scores, dtype=torch.float64, device="cpu")
        if len(values) < FEWEST or not (values - values.quantile(0.5)).abs().quantile(0.5) > 0:
            continue
        for same, z in zip(by_unit.values(), outlyingness(values).tolist(), strict=True):
            told += [Standing(row, architecture, z, len(values)) for row in same]
    return sorted(told, key=lambda each: (-each.z, each.row.number))
