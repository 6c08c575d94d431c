"""A client and a browser joined: bytes pass as they are, and between two frames we can ping and say goodbye.

Both ends' transports have protocols of ours, each of which writes what it reads to the other end. What a connection
goes through is told by which protocol sits on which transport, so the hot path asks no questions:

    client    _FromClient (or _FromGatedClient) ► _DrainClient
    upstream  _FromUpstream [► _UntilBoundary] ► _DrainUpstream

Knows nothing of HTTP or sessions; the owner of a `Relay` says why it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from chaser_server.model import ByteCount
from chaser_server.relay.frames import NO_BOUNDARY, FrameWalker, close_frame, ping_frame
from chaser_server.relay.gate import ForbiddenMessage, MessageGate

WRITE_BUFFER_BYTES = 256 * 1024
"""How much may wait for one end before the other is no longer read."""

PARTING_SECONDS = 2.0
"""How long an end may take to accept what was still meant for it before it is cut."""

REASON_SECONDS = 1.0
"""How long after the browser's end the owner may take to say why; both learn of it at the same moment."""

GOING_AWAY = 1001  # RFC 6455 7.4.1
POLICY_VIOLATION = 1008


class Relay:
    """One client joined to one browser socket, until either goes or `close` is called. Made by `join`."""

    def __init__(
        self,
        client: asyncio.Transport,
        upstream: asyncio.Transport,
        *,
        original: asyncio.BaseProtocol,
        count: ByteCount,
        ping_seconds: float,
        gate: MessageGate | None = None,
    ) -> None:
        self.response: web.StreamResponse = HandedOver()
        """What the handler returns to aiohttp: nothing more to write."""
        self._client = client
        self._upstream = upstream
        self._original = original
        self._count = count
        self._ping_seconds = ping_seconds
        self._gate = gate
        self._walker = FrameWalker()
        self._goodbye: bytes | None = None
        self._ping_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._open_ends = 2
        self._closed = asyncio.Event()

    def close(self, code: int, reason: str) -> None:
        """Tell the client why, at the next frame boundary, then end both sides; later calls change nothing.

        Where no boundary comes any more, or the client does not take it within `PARTING_SECONDS`, it is cut without
        a word. Behind a close frame of the browser's own there is nothing more to say.
        """
        if self._goodbye is not None or not self._open_ends:
            return
        self._goodbye = close_frame(code, reason)
        self._limit_time(PARTING_SECONDS, self.abort)
        if self._client.is_closing():
            return
        if self._walker.at_boundary:
            self._part(self._goodbye)
        elif self._walker.close_seen or self._upstream.is_closing():
            self._part()
        else:
            self._upstream.set_protocol(_UntilBoundary(self, self._goodbye))

    def abort(self) -> None:
        """Cut both sides at once."""
        self._client.abort()
        self._upstream.abort()

    async def wait_closed(self) -> None:
        """Wait until both sides have ended. Never raises, but a cancelled waiter cuts both."""
        try:
            await self._closed.wait()
        except asyncio.CancelledError:
            self.abort()
            raise

    def start(self, head: bytes, *, from_upstream: bytes, from_client: bytes) -> None:
        """Take the transports over: send the 101's `head`, then what either end has already sent behind its own."""
        client = _FromClient(self) if self._gate is None else _FromGatedClient(self, self._gate)
        upstream = _FromUpstream(self)
        for transport, protocol in ((self._client, client), (self._upstream, upstream)):
            transport.set_protocol(protocol)
            transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._say(head)
        if from_upstream:
            upstream.data_received(from_upstream)
        if from_client:
            client.data_received(from_client)
        self._client.resume_reading()  # aiohttp pauses it when the tail grows long
        self._upstream.resume_reading()
        self._await_ping()

    def _say(self, data: bytes) -> None:
        self._count.down += len(data)
        self._client.write(data)

    def _await_ping(self) -> None:
        self._ping_timer = asyncio.get_running_loop().call_later(self._ping_seconds, self._ping)

    def _ping(self) -> None:
        """Within a frame nothing is due: its bytes keep the connection alive, or the client is not reading them."""
        if self._walker.at_boundary:
            self._say(ping_frame())
        self._await_ping()

    def _part(self, goodbye: bytes = b"") -> None:
        """Say goodbye and end both sides: the upstream at once, the client when it has taken everything."""
        self._drain()
        if goodbye:
            self._say(goodbye)
        self._upstream.abort()
        # Half-close and read on until the client closes too: a close() with bytes unread would send a reset, and
        # that may take the close frame with it.
        if self._client.can_write_eof():
            self._client.write_eof()
        else:
            self._client.close()

    def _client_ended(self) -> None:
        """The client is gone or going: what it sent last still goes to the browser."""
        self._drain()
        self._limit_time(PARTING_SECONDS, self.abort)
        self._client.close()
        self._upstream.close()

    def _upstream_ended(self) -> None:
        """The browser is gone: the owner has a moment to say why, if there is still a place to say it."""
        if self._client.is_closing():
            return
        if self._walker.at_boundary and self._goodbye is None:
            self._drain()
            self._upstream.close()
            self._limit_time(REASON_SECONDS, lambda: self.close(GOING_AWAY, "browser connection lost"))
        else:
            self._limit_time(PARTING_SECONDS, self.abort)
            self._part()

    def _drain(self) -> None:
        """From now on neither end's bytes go to the other."""
        if self._ping_timer is not None:
            self._ping_timer.cancel()
        self._upstream.set_protocol(_DrainUpstream(self))
        self._client.set_protocol(_DrainClient(self))
        self._client.resume_reading()

    def _limit_time(self, seconds: float, act: Callable[[], None]) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._end_timer = asyncio.get_running_loop().call_later(seconds, act)

    def _client_lost(self, error: Exception | None) -> None:
        self._original.connection_lost(error)  # else aiohttp never forgets the connection, and its shutdown waits
        self._end_lost()

    def _end_lost(self) -> None:
        self._open_ends -= 1
        if self._open_ends:
            return
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._closed.set()


class _DrainClient(asyncio.Protocol):
    """The client's side when nobody takes its bytes any more, and what is the same in every state of it."""

    __slots__ = ("_count", "_relay", "_upstream", "_write")

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._upstream = relay._upstream
        self._write = relay._upstream.write
        self._count = relay._count

    def data_received(self, data: bytes) -> None:
        self._count.up += len(data)

    def pause_writing(self) -> None:
        self._upstream.pause_reading()

    def resume_writing(self) -> None:
        self._upstream.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay._client_lost(exc)


class _FromClient(_DrainClient):
    """The client's bytes on their way to the browser."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        self._write(data)  # first: the browser already works while we count
        self._count.up += len(data)

    def eof_received(self) -> None:
        self._relay._client_ended()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay._client_ended()
        self._relay._client_lost(exc)


class _FromGatedClient(_FromClient):
    """The client's bytes, each message looked at before it passes."""

    __slots__ = ("_gate",)

    def __init__(self, relay: Relay, gate: MessageGate) -> None:
        super().__init__(relay)
        self._gate = gate

    def data_received(self, data: bytes) -> None:
        self._count.up += len(data)
        try:
            self._write(self._gate.feed(data))
        except ForbiddenMessage:
            self._relay.close(POLICY_VIOLATION, "not allowed without isolation")


class _DrainUpstream(asyncio.Protocol):
    """The browser's side when nobody takes its bytes any more, and what is the same in every state of it."""

    __slots__ = ("_client", "_count", "_relay", "_walk", "_write")

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._client = relay._client
        self._write = relay._client.write
        self._walk = relay._walker.feed
        self._count = relay._count

    def data_received(self, data: bytes) -> None:
        pass

    def pause_writing(self) -> None:
        self._client.pause_reading()

    def resume_writing(self) -> None:
        self._client.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay._end_lost()


class _FromUpstream(_DrainUpstream):
    """The browser's bytes on their way to the client."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        self._write(data)  # first: the client already works while we walk and count
        self._walk(data)
        self._count.down += len(data)

    def eof_received(self) -> None:
        self._relay._upstream_ended()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay._upstream_ended()
        self._relay._end_lost()


class _UntilBoundary(_FromUpstream):
    """The browser's bytes up to the end of the current frame; the goodbye comes in place of the next one."""

    __slots__ = ("_goodbye",)

    def __init__(self, relay: Relay, goodbye: bytes) -> None:
        super().__init__(relay)
        self._goodbye = goodbye

    def data_received(self, data: bytes) -> None:
        boundary = self._walk(data)
        if boundary == NO_BOUNDARY:
            self._relay._say(data)
        else:
            self._relay._say(data[:boundary])
            self._relay._part(self._goodbye)


class HandedOver(web.StreamResponse):
    """The answer of a request whose socket has been handed over: aiohttp has nothing more to write."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    @property
    def prepared(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None
