"""The study as the command line finds it: the entry point of this package."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from trojancam.data.image_set import Dataset
from trojancam.progress import Progress
from trojancam.tasks.reproduce import PublishedStudy
from trojancam_study import study
from trojancam_study.pieces import PIECES
from trojancam_study.reproduction import known_pieces, reproduce

SEEDS, QUICK_SEEDS = 3, 1  # trainings of each network


class StudyOf2023(PublishedStudy):
    """The study of 2023: three networks, two triggers, 17 figures, 2 tables, its claims and its questions."""

    title: ClassVar[str] = "the study of 2023"
    rendered: ClassVar[tuple[int, int]] = (8600, 1290)

    def pieces(self) -> tuple[str, ...]:
        """The names of its figures, tables and claims."""
        return tuple(PIECES)

    def known(self, names: Iterable[str]) -> tuple[str, ...]:
        """These pieces, each once, in the order of the study.

        Raises:
            UnknownNameError: if there is no piece of a name.
        """
        return known_pieces(names)

    def reproduce(
        self,
        dataset: Dataset,
        out: Path,
        *,
        seeds: int | None = None,
        quick: bool = False,
        only: Iterable[str] | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Make its pieces and the page, from so many trainings of each network.

        Raises:
            DataError: if the images are of other classes than those of GTSRB.
            TrojanCamError: if the folder cannot be written to, or another run works in it.
        """
        count = seeds or (QUICK_SEEDS if quick else SEEDS)
        scale = study.QUICK if quick else study.Scale()
        return reproduce(study.Study(dataset, tuple(range(count)), scale), out, only, progress)


STUDY = StudyOf2023()
