"""Fleets: what a process for each model costs, how fast many are, what stays in memory, and what kills lose on a cluster.

    python -m benchmarks.fleet [processes scans memory cluster] [--models 40] [--zoo NETS] [--rows 10000] [--kills 20]

`processes` inspects different small files one after the other in one process, and with a fleet of two at a time; `scans` does the
same with short scans, of the networks in a folder or else of small ones of its own; `memory` looks at the process that forks as
models come and go; `cluster` has dask do rows of a stub task while workers are killed at random.
Seconds of computing are told beside those of the clock: others may keep the machine busy.
"""

import argparse
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import torch
from torch import nn

from trojancam.fleets.dask_pool import DaskPool
from trojancam.fleets.local_pool import LocalPool
from trojancam.fleets.manifest import Entry, read_manifest
from trojancam.fleets.result import Result
from trojancam.fleets.store import Store
from trojancam.fleets.unit import Settings, Unit, Units
from trojancam.fleets.work import work_on

JOBS = 2


def models(folder: Path, count: int) -> list[Unit]:
    """Small exported programs, all different."""
    for number in range(count):
        torch.manual_seed(number)
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 4)).eval()
        program = torch.export.export(net, (torch.zeros(2, 3, 16, 16),))
        torch.export.save(program, folder / f"{number:05}.pt2")
    units = Units(Settings(task="inspect"), None, folder)
    return [units.of(entry) for entry in read_manifest(folder)]


def computing() -> float:
    """Seconds that this process and all that it has waited for have computed."""
    return sum(os.times()[:4])


def memory(process: int) -> float:
    """Megabytes that a process has for itself."""
    told = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(line.split()[1]) for line in told.splitlines() if line.startswith("Private_")) / 1024


def networks(folder: Path, count: int, zoo: Path | None) -> list[Unit]:
    """Short scans of the networks in a folder, or of untrained ones of 43 classes, on rendered signs."""
    if zoo is None:
        for number in range(count):
            torch.manual_seed(number)
            layers = nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2), nn.ReLU(), nn.Flatten()
            net = nn.Sequential(*layers, nn.Linear(32 * 7 * 7, 43)).eval()
            program = torch.export.export(net, (torch.zeros(2, 3, 32, 32),))
            torch.export.save(program, folder / f"{number:05}.pt2")
    said = {"methods": ("stimulation",), "changed": ("stimulation.rounds=10",), "images": 100}
    units = Units(Settings(task="scan", **said), None, folder)
    fed = None if zoo else "rgb-unit"  # of an untrained network nobody can find it out
    entries = [each.model_copy(update={"preprocessing": fed}) for each in read_manifest(zoo or folder)]
    return [units.of(entry) for entry in entries[:count]]


def processes(folder: Path, units: list[Unit], what: str) -> None:
    """One process for all, against one for each."""
    work_on(units[0], Store(folder / "warm"))
    clock, computed = time.perf_counter(), computing()
    first = [work_on(unit, Store(folder / "one")) for unit in units]
    alone, alone_computed = time.perf_counter() - clock, computing() - computed
    pool = LocalPool(Store(folder / "many"), JOBS, stays=True)
    (folder / "many").mkdir()
    list(pool.results(iter(units[:1])))  # the start, which is once for all
    clock, computed = time.perf_counter(), cpu_of(pool)
    found = {unit.key: result for unit, result in pool.results(iter(units))}
    many, many_computed = time.perf_counter() - clock, cpu_of(pool) - computed
    pool.end()
    assert all(result.state == "done" for result in first), first[0].note
    assert [result.score for result in first] == [found[unit.key].score for unit in units]
    count = len(units)
    print(f"{count} different files, {what}: {alone:.1f} s one after the other in one process, {many:.1f} s by {JOBS}")
    print(f"  {alone / many:.2f} times as fast; {1000 * many / count:.0f} s for 1,000 files")
    print(f"  a model takes {(JOBS * many - alone) / count:.2f} s of the clock more than in one process")
    each = (many_computed - alone_computed) / count
    print(
        f"  computing: {alone_computed / count:.2f} s a file in one process; a process of its own costs {each:.2f} s more"
    )


def cpu_of(pool: LocalPool) -> float:
    """Seconds that the forking process and the copies that it has waited for have computed."""
    assert pool.forker.process is not None
    fields = Path(f"/proc/{pool.forker.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def memory_over(folder: Path, count: int) -> None:
    """What the process that forks has for itself, as models come and go."""
    units = models(folder, min(count, 20))
    (folder / "out").mkdir()
    pool = LocalPool(Store(folder / "out"), JOBS, stays=True)
    told: list[float] = []
    for turn in range(count // len(units)):
        list(pool.results(iter(units)))
        assert pool.forker.process is not None
        told.append(memory(pool.forker.process.pid))
        print(f"  after {(turn + 1) * len(units)} models: {told[-1]:.1f} MB of its own", flush=True)
    pool.end()
    print(f"the process that forks grows by {told[-1] - told[0]:+.1f} MB over {count - len(units)} models")


def stub(unit: str, folder: str, _limits: str) -> str:
    """Work that notes that it was done."""
    asked = Unit.model_validate_json(unit)
    with Path(folder, f"done-by-{os.getpid()}").open("a", encoding="ascii") as log:
        log.write(f"{asked.sha256}\n")
    return json.dumps(Result("done", "opened", details={"sha256": asked.sha256}).to_json())


def cluster(folder: Path, rows: int, kills: int) -> None:
    """Rows of a stub task on dask; from time to time a worker is killed."""
    from trojancam.fleets import dask_cluster

    own: list[dask_cluster.OwnCluster] = []
    plain = dask_cluster.OwnCluster.__enter__
    dask_cluster.OwnCluster.__enter__ = lambda self: own.append(self) or plain(self)  # type: ignore[method-assign,func-returns-value]
    plan = sorted(random.Random(0).sample(range(rows // 20, rows), kills))
    units = (
        Unit(entry=Entry(path=Path(f"/{n}")), sha256=f"{n:064x}", data="", settings=Settings(), code=Path("/"))
        for n in range(rows)
    )
    found: Counter[str] = Counter()
    killed, began = 0, time.perf_counter()
    for done, (_, result) in enumerate(DaskPool(Store(folder), "local", JOBS, work=stub).results(units)):
        found[result.details["sha256"] if result.state == "done" else result.state] += 1
        if done % 1000 == 0:
            print(f"  {done} rows, {time.perf_counter() - began:.0f} s, {threading.active_count()} threads", flush=True)
        if plan and done >= plan[0]:
            plan.pop(0)
            alive = [each for each in own[0].workers if each.poll() is None]
            if alive:
                os.kill(random.Random(done).choice(alive).pid, signal.SIGKILL)
                killed += 1
        if done == rows - JOBS:
            assert own[0].scheduler is not None
            print(f"  the scheduler has {memory(own[0].scheduler.pid):.0f} MB of its own")
    done_by = Counter(line for log in folder.glob("done-by-*") for line in log.read_text().split())
    print(
        f"{rows} rows, {killed} workers killed: {sum(found.values())} results of {len(found)} rows, "
        f"{sum(each > 1 for each in found.values())} told twice; {rows - len(done_by)} never done, "
        f"{sum(each > 1 for each in done_by.values())} begun again after a kill; {time.perf_counter() - began:.0f} s"
    )


def main() -> None:
    """Measure the parts named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["processes", "scans", "memory", "cluster"])
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--zoo", type=Path, help="a folder of networks to scan, in place of small ones")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    told = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for part in told.parts:
            place = Path(folder, part)
            place.mkdir()
            if part == "processes":
                processes(place, models(place, told.models), "inspected")
            elif part == "scans":
                processes(place, networks(place, told.models, told.zoo), "scanned")
            elif part == "memory":
                memory_over(place, max(told.models, 200))
            else:
                cluster(place, told.rows, told.kills)


if __name__ == "__main__":
    main()
