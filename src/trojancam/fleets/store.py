"""Store: the folder of a fleet, with finished results by what they depend on, and a folder for each model's page."""

from pathlib import Path

from trojancam.fleets.limits import Limits
from trojancam.fleets.result import Result
from trojancam.fleets.unit import Unit
from trojancam.kept import SUFFIX, read_step, write_step

DONE, MODELS, LOGS = "done", "models", "logs"  # finished results, pages, and what processes printed


class Store:
    """The folder of a fleet as far as the work on one model goes: results by key, and a folder for each model's page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, unit: Unit) -> Path:
        """The folder of a model."""
        return self.folder / MODELS / unit.folder_name

    def kept(self, unit: Unit, limits: Limits) -> Result | None:
        """The result of a unit that need not be worked on again.

        What a limit kept from ending counts for limits that are no larger; what may come out otherwise next time does not count.
        """
        found = self.result(unit)
        if found is None or not found.lasting:
            return None
        allowed = {"deadline": limits.seconds, "memory": limits.memory}.get(found.state, 0)
        return found if found.limit is None or found.limit >= allowed else None

    def result(self, unit: Unit) -> Result | None:
        """What came of the work on a unit, whatever that was; None if there is nothing."""
        step = read_step(self._path(unit))
        return Result.from_json(step.data) if step is not None and step.run == unit.key else None

    def keep(self, unit: Unit, result: Result) -> None:
        """Keep a result.

        Raises:
            TrojanCamError: if the folder cannot be written to.
        """
        write_step(self._path(unit), unit.key, data=result.to_json())

    def forget(self, unit: Unit) -> None:
        """Forget a result: the work begins anew."""
        self._path(unit).unlink(missing_ok=True)

    def log(self, unit: Unit) -> Path:
        """The file for what the process of a model prints."""
        return self.folder / LOGS / f"{unit.folder_name}.txt"

    def _path(self, unit: Unit) -> Path:
        return self.folder / DONE / f"{unit.key}{SUFFIX}"
