"""Exhibits: what a figure, a table or a claim of the study came to, as data that a page can be made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from matplotlib.figure import Figure

from trojancam.progress import Progress
from trojancam.report.page import Table
from trojancam_study.measurements import Measurement, Verdict
from trojancam_study.study import Study, Training


@dataclass(frozen=True)
class Exhibit:
    """What was made and measured.

    `found` says it in words; `verdict` whether it bears the study out, where it can; `pictures` are by the ending of their
    file's name ("" for the only one), each with its caption; `numbers` is what a JSON file can hold.
    """

    found: str
    verdict: Verdict | None = None
    pictures: dict[str, tuple[Figure, str]] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    measurements: Sequence[Measurement] = ()
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """A figure, a table or a claim of the study: its title, what the study said, and how it is made here.

    `networks` are those that it needs, from every seed or (`every_seed` is false) from the first alone, with `every_opacity`
    trained with a trigger of each; `cost` is about how many seconds it takes at full scale (of each seed) once they are
    there, for the progress bar.
    """

    title: str
    said: str
    make: Callable[[Study, Progress], Exhibit]
    networks: tuple[str, ...] = ()
    every_seed: bool = False
    every_opacity: bool = False
    cost: int = 5

    def trainings(self, study: Study) -> tuple[Training, ...]:
        """The networks that it needs, each once."""
        seeds = study.seeds if self.every_seed else study.seeds[:1]
        opacities = (None, *study.scale.opacities) if self.every_opacity else (None,)
        needed = (study.training(*each) for each in product(self.networks, seeds, opacities))
        return tuple(dict.fromkeys(needed))
