"""A pool on a cluster of dask: paths and hashes are sent, never modules; results come back as soon as there are any."""

import functools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from trojancam.errors import TrojanCamError
from trojancam.fleets.dask_cluster import LOCAL, client_of, library
from trojancam.fleets.limits import Limits
from trojancam.fleets.local_pool import LocalPool
from trojancam.fleets.result import Result
from trojancam.fleets.store import Store
from trojancam.fleets.unit import Unit, data_fingerprint

LOST = 20.0  # seconds that a scheduler may be silent
BESIDE = 2 << 30  # bytes that a worker itself may have
POLL = 1.0  # seconds between two looks at the scheduler
WORKERS = 120.0  # seconds within which a first worker comes

Work = Callable[[str, str, str], str]
"""What a worker runs: a unit, the folder of the fleet and the limits, as JSON and text; it gives a result as JSON."""


def work_on_worker(unit: str, folder: str, limits: str) -> str:
    """The result of a unit, on a worker: its own process for the model, with the same limits as anywhere."""
    asked = Unit.model_validate_json(unit)
    result = _check_data(asked) or _result(asked, folder, limits)
    return json.dumps(result.to_json())


def _result(unit: Unit, folder: str, limits: str) -> Result:
    pool = _pool(folder, limits)
    known = pool.store.kept(unit, pool.limits)
    if known is not None:
        return known
    ((_, result),) = pool.results(iter([unit]))  # to its end: the pool stays only if nothing is at work
    return result


@functools.cache
def _pool(folder: str, limits: str) -> LocalPool:
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    return LocalPool(Store(place), 1, Limits.model_validate_json(limits), stays=True)


def _check_data(unit: Unit) -> Result | None:
    """A result that says so, where the images on this machine are others."""
    path = unit.entry.data
    if path is None:
        return None
    try:
        if _fingerprint(path) == unit.data:
            return None
        why = "the images there are others than where the fleet was started"
    except TrojanCamError as error:
        why = str(error)
    return Result("fault", note=f"a worker cannot use {path}: {why}")


@functools.cache
def _fingerprint(path: Path) -> str:
    return data_fingerprint(path)


class DaskPool:
    """Works on units by a scheduler of dask, one for each thread of its workers; `address` may be `local` or `slurm`.

    A worker that dies loses one model, which is given to another worker; a scheduler that dies ends the run, and loses nothing.
    """

    def __init__(
        self,
        store: Store,
        address: str = LOCAL,
        jobs: int = 1,
        limits: Limits | None = None,
        work: Work = work_on_worker,
    ) -> None:
        self.store, self.address, self.jobs, self.limits, self.work = store, address, jobs, limits or Limits(), work

    def results(self, units: Iterator[Unit]) -> Iterator[tuple[Unit, Result]]:
        """What becomes of each unit, as soon as that is known; a unit is asked for when there is a worker for it.

        Raises:
            DataError: if others can reach the scheduler or a worker without TLS.
            TrojanCamError: if the scheduler is gone, or no worker comes.
        """
        first = next(units, None)
        if first is None:
            return
        with client_of(self.address, self.jobs, self.limits.memory + BESIDE, self.store.folder) as (client, keep):
            yield from _Run(self, client, keep, first, units).run()


class _Run:
    """One run on a cluster: what is at work by future."""

    def __init__(
        self, pool: DaskPool, client: Any, keep: Callable[[], None], first: Unit, units: Iterator[Unit]
    ) -> None:
        self.pool, self.client, self.keep, self.units = pool, client, keep, units
        self.next: Unit | None = first
        self.again: list[Unit] = []
        self.sent: dict[Any, Unit] = {}
        self.seen = time.monotonic()
        self.name = uuid.uuid4().hex[:12]
        self.count = 0

    def run(self) -> Iterator[tuple[Unit, Result]]:
        distributed = library()
        began = time.monotonic()
        while True:
            self.keep()
            self._check_scheduler()
            room = sum(self._threads().values())
            if room:
                began = time.monotonic()
            elif time.monotonic() - began > WORKERS:
                raise TrojanCamError(f"no worker comes to the scheduler {self.pool.address}; start some")
            while len(self.sent) < room and self._send():
                pass
            if not self.sent:
                if room:
                    return
                time.sleep(POLL / 4)
                continue
            yield from self._arrived(distributed)

    def _arrived(self, distributed: Any) -> Iterator[tuple[Unit, Result]]:
        try:
            with self.client.as_current():
                done = distributed.wait(list(self.sent), timeout=POLL, return_when="FIRST_COMPLETED").done
        except (TimeoutError, distributed.TimeoutError):
            return
        except (OSError, distributed.CancelledError) as error:  # the scheduler has left
            self._gone(error)
        for future in done:
            unit = self.sent.pop(future)
            result = self._result(future, distributed)
            future.release()
            if result is None:  # the scheduler has lost it, as one does that was started again
                self.again.append(unit)
                time.sleep(POLL / 4)
                continue
            if self.pool.store.result(unit) is None:
                self.pool.store.keep(unit, result)  # the worker's folder may be another one
            yield unit, result

    def _send(self) -> bool:
        """Give a unit to the scheduler; whether there was one."""
        unit = self.again.pop() if self.again else self._another()
        if unit is None:
            return False
        self.count += 1
        future = self.client.submit(
            self.pool.work,
            unit.model_dump_json(),
            str(self.pool.store.folder),
            self.pool.limits.model_dump_json(),
            key=f"trojancam-{self.name}-{self.count}",
            pure=False,
        )
        self.sent[future] = unit
        return True

    def _another(self) -> Unit | None:
        unit = self.next if self.next is not None else next(self.units, None)
        self.next = None
        if unit is not None:
            self.pool.store.forget(unit)
        return unit

    def _result(self, future: Any, distributed: Any) -> Result | None:
        """What a worker says; None if nobody does."""
        if future.status == "finished":
            return Result.from_json(json.loads(future.result()))
        if future.status in ("cancelled", "lost"):
            return None
        error = future.exception()
        if isinstance(error, distributed.KilledWorker):
            return Result("killed", note="the workers that had it ended again and again without a result")
        return Result("fault", note=f"a worker failed ({type(error).__name__}: {str(error)[:200]})")

    def _threads(self) -> dict[str, int]:
        told = self.client.scheduler_info()["workers"]
        return {address: worker["nthreads"] for address, worker in told.items()}

    def _check_scheduler(self) -> None:
        if self.client.status == "running":
            self.seen = time.monotonic()
        elif time.monotonic() - self.seen > LOST or self.client.status == "closed":
            self._gone(None)

    def _gone(self, error: BaseException | None) -> None:
        why = f" ({type(error).__name__})" if error is not None else ""
        raise TrojanCamError(
            f"the scheduler {self.pool.address} is gone{why}; what is done is kept, and the same command goes on from there"
        ) from None
