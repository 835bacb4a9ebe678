"""Workers: what waits is bounded, and whoever comes too late is told so."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from trojancam.explore.refusals import BusyError, GoneError
from trojancam.explore.workers import Workers


def played(scene):
    """In a thread of its own: a browser that another test drives may have left a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(scene())).result()


def test_too_many_are_refused_and_room_is_made_again():
    async def scene():
        workers, go = Workers(1, waiting=2), threading.Event()
        first, second = (asyncio.ensure_future(workers.do(lambda: go.wait(5))) for _ in range(2))
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="try again"):
            await workers.do(lambda: 3)
        go.set()
        assert await asyncio.gather(first, second) == [True, True]
        assert await workers.do(lambda: 3) == 3
        workers.close()

    played(scene)


def test_what_goes_wrong_is_raised_and_leaves_room():
    async def scene():
        workers = Workers(1, waiting=1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await workers.do(lambda: 1 / 0)
        workers.close()

    played(scene)


def test_a_worker_computes_by_itself():
    async def scene():
        workers = Workers()
        assert await workers.do(torch.get_num_threads) == 1
        workers.close()

    played(scene)


def test_nothing_is_done_for_one_who_has_left():
    async def scene():
        workers, go, done, here = Workers(1), threading.Event(), [], asyncio.Event()

        async def gone():
            return here.is_set()

        first = asyncio.ensure_future(workers.do(lambda: go.wait(5), gone))
        second = asyncio.ensure_future(workers.do(lambda: done.append(1), gone))
        await asyncio.sleep(0.01)
        here.set()
        go.set()
        assert await first
        with pytest.raises(GoneError):
            await second
        assert not done
        workers.close()

    played(scene)
