"""Serving: the explorer's application on a port of this machine, until ctrl-C."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from trojancam.errors import Remedy, TrojanCamError
from trojancam.explore.connections import CONNECTIONS, SPARING, Connection
from trojancam.explore.repairs import Repairs
from trojancam.explore.scans import Scans
from trojancam.explore.security import Access
from trojancam.explore.server import application
from trojancam.explore.session import Session

FAREWELL = 2  # seconds that open requests are given when it ends
BACKLOG = 128
REQUESTS = 2 * CONNECTIONS  # uvicorn counts connections as requests


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any that is free.

    Raises:
        TrojanCamError: if the port is taken, or the host is none of this machine's.
    """
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError):
        raise TrojanCamError(f"there is no host {host!r}; give an address of this machine, such as 127.0.0.1") from None
    listening = socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # said, so that answers are not held back
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise _refusal(error, host, port) from None
    return listening


def serve(session: Session, host: str, listening: socket.socket, ready: Callable[[Access], None]) -> None:
    """Serve the session there until ctrl-C; `ready` is told who may come in, just before it begins."""
    access = Access(host, listening.getsockname()[1])
    made = server(session, access)
    ready(access)
    made.run(sockets=[listening])


class Server(uvicorn.Server):
    """A server that, asked to end, lets those who follow a scan know first, instead of cutting them off."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        app = self.config.app
        if isinstance(app, FastAPI):
            await asyncio.to_thread(app.state.explorer.end)
        await super().shutdown(sockets)


def server(session: Session, access: Access, scans: Scans | None = None, repairs: Repairs | None = None) -> Server:
    """The server, not yet begun: it writes only what goes wrong, a few lines a minute, and does not say what it is."""
    for name in ("uvicorn.error", "asyncio"):  # what any visitor can make them write
        logging.getLogger(name).addFilter(SPARING)
    return Server(
        uvicorn.Config(
            application(session, access, scans, repairs),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=FAREWELL,
            http=Connection,
            limit_concurrency=REQUESTS,
            lifespan="on",
        )
    )


def _refusal(error: OSError, host: str, port: int) -> TrojanCamError:
    if error.errno == errno.EADDRINUSE:
        return TrojanCamError(f"port {port} of {host} is taken", Remedy.PORT)
    if error.errno == errno.EACCES:
        return TrojanCamError(f"you may not listen on port {port}", Remedy.PORT)
    if error.errno == errno.EADDRNOTAVAIL:
        return TrojanCamError(f"{host} is no address of this machine; give one of its own, such as 127.0.0.1")
    return TrojanCamError(f"cannot listen on port {port} of {host} ({error})", Remedy.PORT)
