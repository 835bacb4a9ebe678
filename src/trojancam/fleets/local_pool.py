"""A pool on this machine: so many models at a time, each in a process of its own, killed where it takes too long."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from trojancam import processes
from trojancam.errors import TrojanCamError
from trojancam.fleets.limits import Limits
from trojancam.fleets.result import Result
from trojancam.fleets.store import Store
from trojancam.fleets.unit import Unit

STARTS = 5  # of the process that forks, in a row, without one model done
PATIENCE = 5  # seconds that it is given to end


@dataclass
class _Job:
    unit: Unit
    failures: int = 0
    last: str = ""


class Forker:
    """The process that works on models in copies of itself: begun when it is first needed, and again if it is killed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.process: processes.Popen[bytes] | None = None

    def send(self, number: int, unit: Unit, limits: Limits) -> None:
        """Have it begin a job."""
        if self.process is None:
            self.process = self._begun(unit.settings.task)
        told = {"job": number, "unit": unit.model_dump(mode="json"), "limits": limits.model_dump(mode="json")}
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # its output has ended, too: that is heard next
            self.process.stdin.write(json.dumps(told).encode() + b"\n")
            self.process.stdin.flush()

    def heard(self) -> dict[str, Any] | None:
        """The next line that it says; None if it has ended."""
        assert self.process is not None
        assert self.process.stdout is not None
        try:
            told = json.loads(self.process.stdout.readline() or "null")
        except ValueError:
            return None
        return told if isinstance(told, dict) else None

    def end(self, patience: float = PATIENCE) -> None:
        """End it, and with it all that it has started."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(patience)
        except processes.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process = None

    def _begun(self, task: str) -> "processes.Popen[bytes]":
        folder = self.store.folder
        return processes.begun(
            processes.python("-m", "trojancam.fleets.forking", str(folder), task),
            folder,
            stdin=processes.PIPE,
            stdout=processes.PIPE,
            stderr=sys.stderr if _has_number(sys.stderr) else processes.DEVNULL,
            start_new_session=True,  # ctrl-C is for the driver, which ends the rest in order
        )


class LocalPool:
    """Works on units, `jobs` at a time; a model that breaks its process is a row that says so, and the rest goes on.

    A pool that `stays` keeps its process for the next call of `results`, until `end` is called.
    """

    def __init__(self, store: Store, jobs: int = 1, limits: Limits | None = None, *, stays: bool = False) -> None:
        self.store, self.jobs, self.limits, self.stays = store, jobs, limits or Limits(), stays
        self.forker = Forker(store)

    def results(self, units: Iterator[Unit]) -> Iterator[tuple[Unit, Result]]:
        """What becomes of each unit, as soon as that is known; a unit is asked for when there is room for it.

        Raises:
            TrojanCamError: if no process can be started here.
        """
        if not processes.CAN_FORK:
            raise TrojanCamError(
                "a fleet needs a system that can copy processes (Linux or macOS); use the Windows Subsystem for Linux"
            )
        whole = False
        try:
            yield from _Work(self, units).run()
            whole = True
        finally:
            if not (whole and self.stays):
                self.end()

    def end(self) -> None:
        """End the process of the pool."""
        self.forker.end()


class _Work:
    """One run of a pool: what is at work, and what is to be tried again."""

    def __init__(self, pool: LocalPool, units: Iterator[Unit]) -> None:
        self.pool, self.units = pool, units
        self.running: dict[int, _Job] = {}
        self.again: list[_Job] = []
        self.count = self.starts = 0

    def run(self) -> Iterator[tuple[Unit, Result]]:
        while True:
            self._fill()
            if not self.running:
                return
            told = self.pool.forker.heard()
            if told is None:
                self._restart()
            elif "job" in told:
                job = self.running.pop(told["job"])
                result = self._ended(job, told["code"], told["late"])
                if result is not None:
                    self.starts = 0
                    yield job.unit, result

    def _fill(self) -> None:
        """As many models at work as there may be."""
        while len(self.running) < self.pool.jobs:
            job = self.again.pop() if self.again else None
            if job is None:
                unit = next(self.units, None)
                if unit is None:
                    return
                job = _Job(unit)
            self.pool.store.forget(job.unit)  # what is there after the work is of the work
            self.count += 1
            self.running[self.count] = job
            self.pool.forker.send(self.count, job.unit, self.pool.limits)

    def _restart(self) -> None:
        """The process was ended by somebody else, and with it all models at work; they are begun again.

        Raises:
            TrojanCamError: if that happens again and again.
        """
        self.pool.forker.end(patience=0)
        self.starts += 1
        if self.starts >= STARTS:
            raise TrojanCamError(
                "the process that works on models ends again and again; see what it printed, and how much memory is left"
            )
        self.again += self.running.values()
        self.running.clear()

    def _ended(self, job: _Job, code: int, late: bool) -> Result | None:
        """What became of a model whose process has ended; None if it is to be tried again."""
        limits, store = self.pool.limits, self.pool.store
        found = store.result(job.unit)
        if found is not None:
            return found
        if late:
            found = Result(
                "deadline",
                note=f"it takes longer than {limits.seconds:g} s",
                seconds=limits.seconds,
                limit=limits.seconds,
            )
            store.keep(job.unit, found)
            return found
        job.failures += 1
        job.last = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if job.failures < limits.failures:
            self.again.append(job)
            return None
        times = {1: "once", 2: "twice"}.get(job.failures, f"{job.failures} times")
        return Result("killed", note=f"its process ended {times} without a result (it was {job.last})")


def _has_number(stream: Any) -> bool:
    try:
        return isinstance(stream.fileno(), int)
    except (AttributeError, OSError, ValueError):
        return False
