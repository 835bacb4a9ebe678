"""A cluster of dask: only safe addresses; a worker that is killed loses one unit at most, a scheduler none that was done."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fleets import stub_work
from tests.fleets.shelf import ROOT

import trojancam as tc
from trojancam.errors import DataError, ModelError, TrojanCamError
from trojancam.fleets import dask_cluster, dask_pool
from trojancam.fleets.dask_cluster import OwnCluster, check_scheduler, safe
from trojancam.fleets.dask_pool import DaskPool, work_on_worker
from trojancam.fleets.limits import Limits
from trojancam.fleets.manifest import Entry
from trojancam.fleets.result import Result
from trojancam.fleets.store import Store
from trojancam.fleets.unit import Settings, Unit

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # dask's own


@pytest.fixture(autouse=True)
def _workers_find_the_stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))


def units(count: int, first: int = 0) -> list[Unit]:
    return [
        Unit(entry=Entry(path=Path(f"/{n}.pt")), sha256=f"{n:064x}", data="", settings=Settings(), code=Path("/"))
        for n in range(first, first + count)
    ]


def in_this_process() -> Any:
    """A scheduler and two workers of dask's own."""
    return distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp://", host="127.0.0.1", dashboard_address=None
    )


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.5:8786", "tcp://example.org:80", "tcp://0.0.0.0:8786", "tcp://127.0.0.1.example.org:1"]
)
def test_what_others_can_reach_is_refused_and_why(address: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="whoever reaches a dask scheduler can run code on its workers; use tls://"):
        check_scheduler(address)
    with pytest.raises(DataError, match="without TLS"):
        tc.fleet(["a.pt"], "inspect", scheduler=address, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "address", ["", "lokal", "127.0.0.1:8786", "tcp://127.0.0.1", "http://127.0.0.1:1", "tcp://a:99999"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(DataError, match=r"a scheduler is local, slurm, tcp://HOST:PORT or tls://HOST:PORT"):
        check_scheduler(address)


def test_what_is_on_this_machine_or_behind_tls_is_taken() -> None:
    for address in (
        "local",
        "slurm",
        "tcp://127.0.0.1:8786",
        "tcp://localhost:1",
        "tcp://[::1]:1",
        "tls://10.0.0.5:8786",
    ):
        check_scheduler(address)
    assert safe("tcp://127.8.8.8:1")
    assert not safe("tcp://169.254.0.1:1")
    assert not safe("ucx://127.0.0.1:1")


def test_where_a_scheduler_really_listens_counts() -> None:
    """A tunnel, or 127.0.0.1, may lead to one that all can reach."""

    class Client:
        def __init__(self, scheduler: str, *workers: str) -> None:
            self.told = {"address": scheduler, "workers": {each: {} for each in workers}}

        def scheduler_info(self) -> dict[str, Any]:
            return self.told

    near = "tcp://127.0.0.1:1"
    dask_cluster._check_all(Client(near, near, "tls://10.0.0.7:1"), near)
    for client, what in [
        (Client("tcp://10.0.0.5:1"), "the scheduler of"),
        (Client(near, near, "tcp://10.0.0.6:1"), "a worker of"),
    ]:
        with pytest.raises(DataError, match=f"{what} tcp://127.0.0.1:1 listens at tcp://10.0.0..:1"):
            dask_cluster._check_all(client, near)


def test_no_scheduler_and_no_library_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECTED", 0.5)
    with pytest.raises(TrojanCamError, match="no scheduler answers at tcp://127.0.0.1:9"):
        list(DaskPool(Store(tmp_path), "tcp://127.0.0.1:9").results(iter(units(1))))
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(ModelError, match="pip install 'trojancam"):
        tc.fleet(["a.pt"], scheduler="local", out=tmp_path / "out")


def test_a_cluster_of_dask_s_own(tmp_path: Path) -> None:
    asked = units(12)
    with in_this_process() as cluster:
        pool = DaskPool(Store(tmp_path), cluster.scheduler_address, work=stub_work.work)
        found = {unit.key: result for unit, result in pool.results(iter(asked))}
        failed = [result for _, result in DaskPool(Store(tmp_path), cluster.scheduler_address, work=stub_work.failing)
                  .results(iter(units(1, 100)))]  # fmt: skip
    assert {unit.key: unit.sha256 for unit in asked} == {key: each.details["sha256"] for key, each in found.items()}
    assert all(pool.store.result(unit) == found[unit.key] for unit in asked)
    assert failed[0].state == "fault"
    assert "no work today" in failed[0].note


def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    asked = units(40)
    results = DaskPool(Store(tmp_path), "local", 2, work=stub_work.work).results(iter(asked))
    found = [next(results) for _ in range(6)]
    os.kill(sorted(stub_work.workers(tmp_path))[0], signal.SIGKILL)
    found += results
    assert sorted(result.details["sha256"] for _, result in found) == [unit.sha256 for unit in asked]
    assert {result.verdict for _, result in found} == {"opened"}
    assert len(stub_work.done(tmp_path)) <= len(asked) + 1  # the one that was just done when the kill came


def test_a_scheduler_that_is_killed_loses_nothing_that_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_pool, "LOST", 2.0)
    begun: list[OwnCluster] = []
    plain = OwnCluster.__enter__
    monkeypatch.setattr(OwnCluster, "__enter__", lambda self: begun.append(self) or plain(self))
    asked = units(30)
    store = Store(tmp_path)

    def outstanding() -> Iterator[Unit]:
        return (unit for unit in asked if store.kept(unit, Limits()) is None)

    found: list[Result] = []

    def until_it_is_killed() -> None:
        for _, result in DaskPool(store, "local", 2, work=stub_work.work).results(outstanding()):
            found.append(result)
            if len(found) == 5:
                assert begun[0].scheduler is not None
                begun[0].scheduler.kill()

    with pytest.raises(TrojanCamError, match="is gone.*the same command goes on from there"):
        until_it_is_killed()
    assert 5 <= len(found) < len(asked)
    assert [each.poll() is not None for each in begun[0].workers] == [True, True]
    with in_this_process() as cluster:
        pool = DaskPool(store, cluster.scheduler_address, work=stub_work.work)
        found += [result for _, result in pool.results(outstanding())]
    assert sorted(result.details["sha256"] for result in found) == [unit.sha256 for unit in asked]


def test_a_worker_gives_what_is_kept_and_takes_no_other_images(tmp_path: Path) -> None:
    """It starts no process for that."""
    unit = units(1)[0]
    Store(tmp_path).keep(unit, Result("done", "opened"))
    told = work_on_worker(unit.model_dump_json(), str(tmp_path), Limits().model_dump_json())
    assert Result.from_json(json.loads(told)) == Result("done", "opened")
    (tmp_path / "signs").mkdir()
    moved = unit.model_copy(
        update={"entry": unit.entry.model_copy(update={"data": tmp_path / "signs"}), "data": "other"}
    )
    told = work_on_worker(moved.model_dump_json(), str(tmp_path), Limits().model_dump_json())
    assert json.loads(told)["state"] == "fault"
    assert "the images there are others" in json.loads(told)["note"]


BEGUN = """
import os, sys, time
from trojancam.fleets.dask_cluster import OwnCluster
with OwnCluster(1, 1 << 30) as cluster:
    if not os.fork():  # a copy that goes on, and holds what this process holds
        time.sleep(60)
        os._exit(0)
    print(cluster.folder, cluster.scheduler.pid, *(worker.pid for worker in cluster.workers), flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc to look for processes in")
def test_nothing_of_a_driver_that_is_killed_stays(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", BEGUN], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        folder, *begun = driver.stdout.readline().split()
        assert len(begun) == 2
        assert all(Path("/proc", process).exists() for process in begun)
        driver.kill()
    left = [folder, *(f"/proc/{process}" for process in begun)]
    end = time.monotonic() + 30
    while any(Path(each).exists() for each in left) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [each for each in left if Path(each).exists()]
