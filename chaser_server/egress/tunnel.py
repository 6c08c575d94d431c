"""Join two wires until both directions have ended. Bytes are moved by readiness callbacks through one borrowed
buffer, so that an idle tunnel holds no buffer and no task. Knows nothing of what the bytes mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chaser_server.egress.wire import Wire


class Tunnel:
    """Carries bytes, ends of stream and resets both ways between `client` and `outward`, which it owns.

    A side that does not read stops the other from being read: what is held for it is at most one `buffer`.
    A half-close is passed on behind the bytes before it; when both sides have half-closed, both wires are closed.
    An error on either side resets the other. `on_closed` is called once, after that.
    """

    def __init__(
        self,
        client: Wire,
        outward: Wire,
        *,
        buffer: memoryview,
        on_closed: Callable[[Tunnel], None],
    ) -> None:
        self._wires = (client, outward)
        self._on_closed = on_closed
        self._pumps = (Pump(self, client, outward, buffer), Pump(self, outward, client, buffer))

    def start(self, *, early_up: bytes = b"", early_down: bytes = b"") -> None:
        """Begin, with what was already read from the client and from outward."""
        for pump, early in zip(self._pumps, (early_up, early_down), strict=True):
            if not any(wire.is_closed for wire in self._wires):
                pump.start(early)

    def pump_ended(self) -> None:
        """One direction has passed its end of stream on."""
        if all(pump.has_ended for pump in self._pumps):
            self._finish(reset=False)

    def abort(self) -> None:
        """Reset both sides at once. Idempotent."""
        self._finish(reset=True)

    def _finish(self, *, reset: bool) -> None:
        for wire in self._wires:
            wire.leave(reset=reset)
        on_closed, self._on_closed = self._on_closed, lambda tunnel: None
        on_closed(self)


class Pump:
    """One direction of a tunnel."""

    __slots__ = ("_buffer", "_destination", "_loop", "_pending", "_source", "_tunnel", "has_ended")

    def __init__(self, tunnel: Tunnel, source: Wire, destination: Wire, buffer: memoryview) -> None:
        self._loop = asyncio.get_running_loop()
        self._tunnel = tunnel
        self._source = source
        self._destination = destination
        self._buffer = buffer
        self._pending = memoryview(b"")
        self.has_ended = False

    def start(self, early: bytes) -> None:
        self._loop.add_reader(self._source.fd, self._on_readable)
        if early:
            self._push(memoryview(early))

    def _on_readable(self) -> None:
        try:
            amount = self._source.receive_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            self._tunnel.abort()
            return
        if amount:
            self._push(self._buffer[:amount])
        else:
            self._loop.remove_reader(self._source.fd)
            self._end()

    def _push(self, data: memoryview) -> None:
        try:
            sent = self._destination.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._tunnel.abort()
            return
        if sent < len(data) or self._destination.has_backlog:
            self._pending = memoryview(bytes(data[sent:]))  # the buffer is borrowed
            self._loop.remove_reader(self._source.fd)
            self._loop.add_writer(self._destination.fd, self._on_writable)

    def _on_writable(self) -> None:
        try:
            self._pending = self._pending[self._destination.send(self._pending) :]
        except BlockingIOError:
            return
        except OSError:
            self._tunnel.abort()
            return
        if not self._pending and not self._destination.has_backlog:
            self._pending = memoryview(b"")
            self._loop.remove_writer(self._destination.fd)
            self._loop.add_reader(self._source.fd, self._on_readable)

    def _end(self) -> None:
        try:
            self._destination.end_writing()
        except OSError:
            self._tunnel.abort()
            return
        self.has_ended = True
        self._tunnel.pump_ended()
