"""Serving: sockets that answer at once."""

import socket

from trojancam.explore.serving import bound


def test_answers_are_not_held_back():
    """asyncio switches Nagle's algorithm off only where it is told that it is TCP; else an answer may wait for 40 ms."""
    with bound("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            assert accepted.proto == socket.IPPROTO_TCP
            accepted.close()
