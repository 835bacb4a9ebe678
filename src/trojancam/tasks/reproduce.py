"""Reproducing a published study: what a study is to the command line, and those that installed packages bring.

A package that holds a study names it among its entry points:

    [project.entry-points."trojancam.studies"]
    2023 = "trojancam_study.published:STUDY"
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from trojancam.data import Dataset, load_dataset
from trojancam.data.rendered import rendered_signs
from trojancam.errors import DataError, Remedy, TrojanCamError
from trojancam.progress import Progress, silent
from trojancam.registry import Registry


class PublishedStudy(ABC):
    """A study of figures, tables and claims, each a piece with a name, that are made again on labelled images.

    `rendered` is how many training and test signs are rendered for a quick run without data.
    """

    title: ClassVar[str]
    rendered: ClassVar[tuple[int, int]]

    @abstractmethod
    def pieces(self) -> Sequence[str]:
        """The names of all pieces, in the order of the study."""

    @abstractmethod
    def known(self, names: Iterable[str]) -> tuple[str, ...]:
        """These pieces, each once, in the order of the study.

        Raises:
            UnknownNameError: if there is no piece of a name.
        """

    @abstractmethod
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
        """Make the pieces, or `only` these, and write the page and its numbers into `out`; the path of the page.

        Each network is trained from so many `seeds` (None: as the study does). What is there is kept.

        Raises:
            DataError: if the images are of other classes than the study needs.
            TrojanCamError: if the folder cannot be written to, or another run works in it.
        """

    def images(self, path: Path | None = None, *, quick: bool = False, progress: Progress = silent) -> Dataset:
        """The labelled images at `path`, or rendered signs, of which a quick run takes fewer.

        Raises:
            DataError: if they cannot be read.
        """
        if quick and path is None:
            return rendered_signs(*self.rendered, progress=progress)
        return load_dataset(path, progress=progress)


def as_study(name: str, given: object) -> PublishedStudy:
    """What a package brings as a study.

    Raises:
        DataError: if it is none.
    """
    if not isinstance(given, PublishedStudy):
        raise DataError(f"{name!r} is no study; derive its class from trojancam.tasks.reproduce.PublishedStudy")
    return given


STUDIES = Registry("study", "trojancam.studies", as_study, {})


def study_named(name: str | None = None) -> PublishedStudy:
    """The study of this name, or the only one that is installed.

    Raises:
        TrojanCamError: if none is installed, or several are and no name is given.
        UnknownNameError: if there is none of this name.
    """
    if not STUDIES:
        raise TrojanCamError(
            "no study to reproduce is installed; the study of 2023 comes with trojancam: pip install --force-reinstall trojancam"
        )
    if name is None and len(STUDIES) > 1:
        raise TrojanCamError(f"several studies are installed ({', '.join(STUDIES)})", Remedy.STUDY)
    return STUDIES.named(next(iter(STUDIES)) if name is None else name)
