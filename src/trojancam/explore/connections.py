"""Connections: how many there may be, how long one may take to ask for something, and how much is written of it all."""

import asyncio
import logging
import time
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 100
DEADLINE = 10.0  # seconds for the head of a request
LINES, PERIOD = 20, 60.0  # of the log, and seconds


class Connection(H11Protocol):
    """A connection that is closed if the head of a request does not come in time.

    Where there are too many, the one that has been silent longest makes room: whoever holds connections open without a
    request cannot lock others out.
    """

    silent: ClassVar[dict["Connection", None]] = {}  # they have asked for nothing yet, in the order in which they came
    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it in."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > CONNECTIONS:
            here = (each for each in Connection.silent if each.connections is self.connections)
            next(here, self)._close()

    def data_received(self, data: bytes) -> None:
        """Take what it sends; the time for a head runs until the head is whole."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._asked()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._asked()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self.deadline is None:
            self.deadline = self.loop.call_later(DEADLINE, self._close)
            Connection.silent[self] = None

    def _close(self) -> None:
        self._asked()
        self.transport.abort()

    def _asked(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None
        Connection.silent.pop(self, None)


class Sparing(logging.Filter):
    """Lets so many lines through in a period; the last of them says that more are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.lines = -PERIOD, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        now = time.monotonic()
        if now - self.began >= PERIOD:
            self.began, self.lines = now, 0
        self.lines += 1
        if self.lines == LINES:
            record.msg, record.args, record.exc_info = f"more lines are left out for {PERIOD:.0f} seconds", (), None
        return self.lines <= LINES


SPARING = Sparing()
