"""Non-blocking TCP sockets as the proxy uses them, and the outward kind that counts. Knows nothing of HTTP or policy.

What is counted, and why it is exact. The count is TCP payload on the outward socket, each byte once: `up` is what TCP
has put on the network, less what the peer has no room for and throws away; `down` is what TCP has received in order,
whether or not the browser ever read it. On a connection that ends well that is what the peer read and wrote. On one
that is cut it is still what the peer's TCP got and sent, because bytes that never left are not in `up`, and bytes that
arrived and were thrown away here are in `down`. What nobody can know is which of the bytes on their way at the moment
of a cut arrive: those from here are counted as sent, those towards here are not.

Linux tells all of it (TCP_INFO, SIOCOUTQ and SIOCINQ in tcp(7)); elsewhere what `send` accepted and `recv` returned is
counted.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import Protocol

_LINUX = sys.platform == "linux"
_INFO_STATE, _INFO_UNSENT, _INFO_WINDOW, _INFO_END = 0, 144, 228, 232  # struct tcp_info in linux/tcp.h
_TCP_CLOSE = 7  # include/net/tcp_states.h
_SETTLE_SECONDS = 0.05
_LINGER_SECONDS = 30.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
READ_BYTES = 64 * 1024


class Meter(Protocol):
    """Where an outward socket's bytes are added as they move. Amounts are never negative."""

    def sent(self, amount: int) -> None: ...

    def received(self, amount: int) -> None: ...


class Wire:
    """One connected, non-blocking TCP socket, owned from here on.

    `receive_into` and `send` are the socket's own (BlockingIOError when it is not ready); `read` and `write` await
    readiness. After `close` or `abort`, which may be called in any order and any number of times, an awaiting
    reader or writer gets ConnectionAbortedError. `on_closed` is called once, when the descriptor is gone.
    """

    has_backlog = False  # whether taken bytes wait here, to be moved by the next `send` (b"" will do)

    def __init__(self, sock: socket.socket, *, on_closed: Callable[[Wire], None] = lambda wire: None) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.fd = sock.fileno()
        self._loop = asyncio.get_running_loop()
        self._on_closed = on_closed
        self._waiters: set[asyncio.Future[None]] = set()
        self.is_closed = False

    def receive_into(self, buffer: memoryview) -> int:
        """Bytes read; 0 at the peer's end of stream."""
        return self.sock.recv_into(buffer)

    def send(self, data: bytes | memoryview) -> int:
        """Bytes taken."""
        return self.sock.send(data)

    def end_writing(self) -> None:
        """Half-close: the peer sees the end of our stream. Raises OSError when the connection is gone."""
        self.sock.shutdown(socket.SHUT_WR)

    async def read(self) -> bytes:
        """The next bytes, b"" at the end of the stream. Raises OSError."""
        buffer = bytearray(READ_BYTES)
        while True:
            self._check_open()
            try:
                return bytes(buffer[: self.receive_into(memoryview(buffer))])
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)

    async def write(self, data: bytes) -> None:
        """Hand all of `data` to the kernel, at its pace. Raises OSError."""
        rest = memoryview(data)
        while rest or self.has_backlog:
            self._check_open()
            try:
                rest = rest[self.send(rest) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)

    def _check_open(self) -> None:
        if self.is_closed:
            raise ConnectionAbortedError("the connection was closed here")

    async def _ready(self, add: Callable[..., object], remove: Callable[[int], object]) -> None:
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        add(self.fd, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if not self.is_closed:
                remove(self.fd)

    def leave(self, *, reset: bool) -> None:
        """Abort or close."""
        if reset:
            self.abort()
        else:
            self.close()

    def close(self) -> None:
        """Close in order: what was sent is still delivered."""
        self._drop()

    def abort(self) -> None:
        """Cut at once with a reset: nothing more moves."""
        if not self.is_closed:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._drop()

    def _drop(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self._loop.remove_reader(self.fd)
        self._loop.remove_writer(self.fd)
        self.sock.close()
        for waiter in self._waiters:
            _wake(waiter)
        self._on_closed(self)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class OutwardWire(Wire):
    """A socket towards the network, whose bytes are counted as the module says.

    `close` keeps the descriptor for as long as the kernel still holds bytes that did not leave (at most 30 s), because
    only so can it be known how many of them ever do.
    """

    def __init__(self, sock: socket.socket, *, meter: Meter, on_closed: Callable[[Wire], None]) -> None:
        super().__init__(sock, on_closed=on_closed)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._meter = meter
        self._uncounted = 0
        self._ended_writing = False
        self._settling: asyncio.TimerHandle | None = None
        self._linger_until: float | None = None

    def receive_into(self, buffer: memoryview) -> int:
        amount = self.sock.recv_into(buffer)
        self._meter.received(amount)
        return amount

    def send(self, data: bytes | memoryview) -> int:
        amount = self.sock.send(data)
        self._uncounted += amount
        self._count_sent()
        return amount

    def end_writing(self) -> None:
        super().end_writing()
        self._ended_writing = True

    def close(self) -> None:
        if self.is_closed or self._linger_until is not None:
            return
        self._count_sent()
        if self._uncounted:
            self._linger_until = self._loop.time() + _LINGER_SECONDS
            self._loop.remove_reader(self.fd)
            self._loop.remove_writer(self.fd)
        else:
            self._drop()

    def _drop(self) -> None:
        if self.is_closed:
            return
        self._count_sent()
        self._meter.received(_unread_bytes(self.fd))
        if self._settling is not None:
            self._settling.cancel()
        super()._drop()

    def _count_sent(self) -> None:
        held = _held_bytes(self.sock)
        if held and self._ended_writing:
            held -= 1  # the FIN has a sequence number too, and is last in the queue
        if self._uncounted > held:
            self._meter.sent(self._uncounted - held)
            self._uncounted = held
        if self._uncounted and self._settling is None:
            self._settling = self._loop.call_later(_SETTLE_SECONDS, self._settle)

    def _settle(self) -> None:
        self._settling = None
        self._count_sent()
        if self._linger_until is None:
            return
        if not self._uncounted:
            self._drop()
        elif self._loop.time() > self._linger_until or _is_dead(self.sock):
            self.abort()


def _held_bytes(sock: socket.socket) -> int:
    """Bytes (and FIN) of the send queue that cannot have reached the peer."""
    if not _LINUX:
        return 0
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_END)
    if len(info) == _INFO_END and not _u32(info, _INFO_WINDOW):
        # With its window shut the peer has thrown away what it did not acknowledge (it says so at once, RFC 9293
        # 3.10.7.4), and it will be sent again.
        return _ioctl_int(sock.fileno(), termios.TIOCOUTQ)
    return _u32(info, _INFO_UNSENT)


def _unread_bytes(fd: int) -> int:
    return _ioctl_int(fd, termios.FIONREAD) if _LINUX else 0


def _is_dead(sock: socket.socket) -> bool:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[_INFO_STATE] == _TCP_CLOSE


def _ioctl_int(fd: int, request: int) -> int:
    return int.from_bytes(fcntl.ioctl(fd, request, b"\0\0\0\0"), sys.byteorder)


def _u32(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], sys.byteorder)
