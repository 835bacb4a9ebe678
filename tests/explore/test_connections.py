"""Connections: whoever holds many of them open, or sends a request byte by byte, neither stays nor shuts others out."""

import logging
import socket
import time

import httpx
import pytest
from tests.explore.conftest import asking, new_session, served

from trojancam.explore import connections
from trojancam.explore.connections import CONNECTIONS, LINES, Sparing


@pytest.fixture(scope="module")
def open_session(data, model_file):
    made = new_session(data, model_file)
    yield made
    made.close()


def closed(connection: socket.socket, within: float) -> bool:
    connection.settimeout(within)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:  # reset
        return True


def test_four_hundred_silent_connections_shut_nobody_out(open_session):
    with served(open_session) as (access, _):
        silent = []
        for _ in range(400):
            silent.append(socket.create_connection(("127.0.0.1", access.port)))
            silent[-1].sendall(b"G")
        for _ in range(3):
            with asking(access, f"http://127.0.0.1:{access.port}") as client:
                assert client.get("/api/session").status_code == 200
        still = sum(not closed(each, 0.01) for each in silent)
        assert still <= CONNECTIONS
        for each in silent:
            each.close()


def test_who_is_refused_does_not_stay(open_session):
    """A hundred of them, who would ask again before their connections are closed for silence, shut nobody out."""
    with served(open_session) as (access, _):
        refused = [socket.create_connection(("127.0.0.1", access.port)) for _ in range(CONNECTIONS)]
        for each in refused:
            each.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{access.port}\r\n\r\n".encode())
        for each in refused:
            each.settimeout(10)
            assert b"403" in each.recv(1 << 16)
        with asking(access, f"http://127.0.0.1:{access.port}") as client:
            assert client.get("/api/session").status_code == 200
        for each in refused:
            while each.recv(1 << 16):  # until the server closes it
                pass
            each.close()


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"])
def test_a_head_that_comes_byte_by_byte_is_not_waited_for(open_session, monkeypatch, first):
    """Neither the first on a connection nor the next."""
    monkeypatch.setattr(connections, "DEADLINE", 1.0)
    with served(open_session) as (access, _), socket.create_connection(("127.0.0.1", access.port)) as slow:
        slow.sendall(first)
        if first:
            slow.recv(1 << 16)
        began = time.monotonic()
        while time.monotonic() - began < 30:
            try:
                slow.sendall(b"G")
            except OSError:
                break
            time.sleep(0.1)
        assert time.monotonic() - began < 20


def test_a_request_may_take_longer_than_its_head(open_session, monkeypatch):
    monkeypatch.setattr(connections, "DEADLINE", 0.05)
    with served(open_session) as (access, address), asking(access, address) as client:
        question = {"subject": {"model": "m1", "image": {"split": "test", "index": 1}}}
        for _ in range(3):
            try:
                assert client.post("/api/explain", json=question).status_code == 200
                break
            except httpx.RemoteProtocolError:  # the connection lay idle for longer
                continue
        else:
            pytest.fail("no request came to its end")


def test_the_log_has_some_lines_a_minute_and_says_so(caplog):
    logger, sparing = logging.getLogger("tests.sparing"), Sparing()
    logger.addFilter(sparing)
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            logger.warning("line %d", number)
        assert len(caplog.messages) == LINES
        assert "more lines are left out for 60 seconds" in caplog.messages[-1]
        sparing.began -= 61
        logger.warning("later")
    assert caplog.messages[-1] == "later"


def test_the_servers_loggers_are_spared(open_session):
    with served(open_session):
        for name in ("uvicorn.error", "asyncio"):
            assert connections.SPARING in logging.getLogger(name).filters
