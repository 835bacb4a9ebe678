"""Workers: a few threads for all requests, and a bounded queue before them; PyTorch works outside Python's lock.

Each works by itself: for one image PyTorch's own threads gain little, and where other programs want the processors, too,
they wait for one another for longer than the work takes.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from trojancam.explore.refusals import BusyError, GoneError

Result = TypeVar("Result")

WAITING = 100  # requests, at most, that are worked on or wait
MOST_WORKERS = 4


class Workers:
    """Threads that answer requests, as many as there are processors, a few at most; asked from one event loop."""

    def __init__(self, workers: int | None = None, waiting: int = WAITING) -> None:
        count = workers or min(os.cpu_count() or 1, MOST_WORKERS)
        self._pool = ThreadPoolExecutor(count, "explore", initializer=torch.set_num_threads, initargs=(1,))
        self._free = asyncio.Semaphore(count)
        self._waiting, self._most = 0, waiting
        self._ending = False

    async def do(self, work: Callable[[], Result], gone: Callable[[], Awaitable[bool]] | None = None) -> Result:
        """What a function gives, once a thread is free; nothing is done for one who is `gone` by then.

        Raises:
            BusyError: if too many wait already.
            GoneError: if nobody waits for it any more, or the explorer is ending.
        """
        if self._waiting >= self._most:
            raise BusyError(
                f"the explorer is busy: {self._waiting} requests are waiting already; try again in a moment"
            )
        self._waiting += 1
        try:
            async with self._free:
                if self._ending or (gone is not None and await gone()):
                    raise GoneError("nobody waits for this any more; ask again")
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def end(self) -> None:
        """Do nothing more but what is being done."""
        self._ending = True

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
