"""Talk to an X server from the event loop without ever waiting for it. Knows no window, no key and no picture.

libxcb waits inside its calls when the server sends half a reply or stops reading, and the server here lives in the
sandbox. So xcffib is used in a short-lived thread for what needs answers (`open_link`); from then on the socket is
ours, requests are written as bytes without waiting, and what comes in is only cut into packets.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import xcffib
import xcffib.xproto  # xcffib cannot connect before its core protocol is imported

from chaser_server.errors import LaunchFailed

T = TypeVar("T")

_PACKET_BYTES = 32
_REPLY, _GENERIC_EVENT = 1, 35  # the two kinds that may be longer than 32 bytes (X11 protocol, Appendix B; XGE 1.0)
_MAX_PACKET_BYTES = 4096  # nothing that is asked for here is longer
_READ_BYTES = 16384
_MAX_UNSENT_BYTES = 65536  # some two thousand strokes: a server that is so far behind hangs


class Packets:
    """Cut what an X server sends into packets. Sans-I/O."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[int]:
        """Yield the kind of each packet that is complete now (0 error, 1 reply, else an event).

        Raises ValueError when a packet is longer than any that was asked for.
        """
        self._buffer += data
        while len(self._buffer) >= _PACKET_BYTES:
            kind = self._buffer[0] & 0x7F
            size = _PACKET_BYTES
            if kind in (_REPLY, _GENERIC_EVENT):
                size += 4 * int(struct.unpack_from("=I", self._buffer, 4)[0])
            if size > _MAX_PACKET_BYTES:
                raise ValueError(f"a packet of {size} bytes")
            if len(self._buffer) < size:
                return
            del self._buffer[:size]
            yield kind


class Link:
    """A connection that is set up: requests go out, kinds of packets come in. Made by `open_link`."""

    def __init__(self, sock: socket.socket, connection: Any) -> None:
        self._sock: socket.socket | None = sock
        self._connection = connection  # libxcb's half; kept for its resources and never used again
        self._loop = asyncio.get_running_loop()
        self._packets = Packets()
        self._unsent = bytearray()
        self._on_packet: Callable[[int], None] | None = None
        self._on_lost: Callable[[], None] | None = None
        sock.setblocking(False)
        self._loop.add_reader(sock, self._read)

    @property
    def alive(self) -> bool:
        return self._sock is not None

    def listen(self, on_packet: Callable[[int], None], on_lost: Callable[[], None]) -> None:
        """Have each packet's kind reported, and once that the server has gone (not after `close`)."""
        self._on_packet, self._on_lost = on_packet, on_lost

    def send(self, request: bytes) -> bool:
        """Send whole requests; returns whether they went, or will as soon as a busy server reads on.

        They do not go when it has left too much unread, or has gone. Never waits and never raises.
        """
        if self._sock is None or len(self._unsent) + len(request) > _MAX_UNSENT_BYTES:
            return False
        self._unsent += request
        if len(self._unsent) == len(request):
            self._write()
        return self.alive

    def close(self) -> None:
        """End the connection. May be called twice."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            self._connection.disconnect()
            sock.close()

    def _write(self) -> None:
        assert self._sock is not None
        try:
            del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._lose()
            return
        if self._unsent:
            self._loop.add_writer(self._sock, self._write)
        else:
            self._loop.remove_writer(self._sock)

    def _read(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(_READ_BYTES)
            kinds = list(self._packets.feed(data))
        except BlockingIOError:
            return
        except (OSError, ValueError):
            data, kinds = b"", []
        if not data:
            self._lose()
        for kind in kinds:
            if self._on_packet is not None:
                self._on_packet(kind)

    def _lose(self) -> None:
        if self._sock is not None:
            self.close()
            if self._on_lost is not None:
                self._on_lost()


async def open_link(sock: socket.socket, prepare: Callable[[Any], T], *, timeout_seconds: float = 10) -> tuple[Link, T]:
    """Set up a connection over `sock`, a connected socket to an X server that is taken over.

    `prepare` gets the `xcffib.Connection` in a thread of its own and may wait for replies; what it returns is returned.
    Raises `LaunchFailed`, with the socket closed, when the server does not answer in time or `prepare` fails.
    """
    done: Future[tuple[Any, T]] = Future()
    fd = os.dup(sock.fileno())  # libxcb takes over the descriptor it gets, and closes it
    threading.Thread(target=_handshake, args=(fd, prepare, done), name="x-handshake", daemon=True).start()
    try:
        connection, prepared = await asyncio.wait_for(asyncio.wrap_future(done), timeout_seconds)
    except BaseException as error:
        _give_up(sock, done)
        if isinstance(error, TimeoutError):
            raise LaunchFailed(f"the X server did not answer within {timeout_seconds:g} s") from None
        raise
    return Link(sock, connection), prepared


def _handshake(fd: int, prepare: Callable[[Any], T], done: Future[tuple[Any, T]]) -> None:
    connection = None
    try:
        connection = xcffib.Connection(fd=fd)
        prepared = prepare(connection)
        connection.flush()
        if done.set_running_or_notify_cancel():
            done.set_result((connection, prepared))
            return
    except Exception as error:  # an X server may say anything
        if done.set_running_or_notify_cancel():
            failure = LaunchFailed(f"the X server cannot be used: {error or type(error).__name__}")
            done.set_exception(failure)
    if connection is not None:
        connection.disconnect()


def _give_up(sock: socket.socket, done: Future[tuple[Any, T]]) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)  # wakes the thread wherever in libxcb it waits
    sock.close()
    if done.done() and not done.cancelled() and done.exception() is None:
        done.result()[0].disconnect()  # it answered just as we gave up
