"""A lock keeps others out, other threads too, and ends with its process: a killed run locks nobody out."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from trojancam.errors import TrojanCamError
from trojancam.locks import only_run_in, only_run_on

Lock = Callable[[Path], AbstractContextManager[None]]
HOLDER = """
import sys, time
from pathlib import Path
from trojancam import locks

with getattr(locks, sys.argv[1])(Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=[only_run_on, only_run_in])
def lock(request: pytest.FixtureRequest) -> Lock:
    return request.param


@pytest.fixture
def holder(lock: Lock, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has the lock."""
    command = [sys.executable, "-c", HOLDER, lock.__name__, str(tmp_path / "thing")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_keeps_us_out_until_it_is_killed(
    lock: Lock, holder: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    thing = tmp_path / "thing"
    for _ in range(2):  # to be refused changes nothing
        with pytest.raises(TrojanCamError) as refused, lock(thing):
            pass
        where = f"on {thing}" if lock is only_run_on else f"in {thing}"
        assert str(refused.value) == (
            f"another run (process {holder.pid}) works {where}; wait until it ends, or choose another place"
        )
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with lock(thing):
        pass


def test_the_same_thread_may_ask_again_and_others_may_not(lock: Lock, tmp_path: Path) -> None:
    refusals: list[str] = []

    def other() -> None:
        try:
            with lock(tmp_path / "thing"):
                pass
        except TrojanCamError as error:
            refusals.append(str(error))

    def asked_elsewhere() -> int:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return len(refusals)

    with lock(tmp_path / "thing"):
        with lock(tmp_path / "thing"):
            assert asked_elsewhere() == 1
        assert asked_elsewhere() == 2  # the inner one let nothing go
    assert asked_elsewhere() == 2


def test_nothing_is_left_behind(lock: Lock, tmp_path: Path) -> None:
    def fail() -> None:
        with lock(tmp_path / "thing"):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_lock_that_was_removed_is_no_lock(tmp_path: Path) -> None:
    with only_run_in(tmp_path / "thing"):
        (tmp_path / "thing/.lock").unlink()
        (tmp_path / "thing").rmdir()
    assert list(tmp_path.iterdir()) == []


TURNS = """
import os, sys, time
from pathlib import Path
from trojancam.errors import TrojanCamError
from trojancam.locks import only_run_on

place, done = Path(sys.argv[1]), 0
while done < 150:
    try:
        with only_run_on(place):
            os.mkdir(place)  # fails if anybody else is here
            os.rmdir(place)
            done += 1
    except TrojanCamError:
        pass
"""


def test_there_is_never_more_than_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TURNS, str(tmp_path / "place")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[1] for process in processes] == [""] * 3
    assert list(tmp_path.iterdir()) == []


def test_where_no_lock_can_be_written_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(TrojanCamError, match=r"cannot write to the folder .*file.*; choose a folder"),
        only_run_in(tmp_path / "file"),
    ):
        pass
