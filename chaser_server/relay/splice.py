"""Upgrade a client's request at a browser's socket, then take both connections over.

The one place that knows how aiohttp holds a connection: what it has read ahead, and that its own protocol must learn of
the end. Behind the 101 everything is the `Relay`'s.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from aiohttp import web

from chaser_server.model import ByteCount
from chaser_server.relay.gate import MessageGate
from chaser_server.relay.tunnel import Relay
from chaser_server.relay.upgrade import Answer, checked_key, parse_answer, request_head

ANSWER_SECONDS = 10.0
"""How long the browser may take to answer the upgrade."""

DEAD_PEER_SECONDS = 30
"""How long sent bytes may stay unacknowledged before the kernel gives the client up."""


class UpgradeRefused(Exception):
    """The upstream answered the upgrade with something other than 101."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"the browser answered the upgrade with {status}: {body}")
        self.status = status
        self.body = body


async def join(
    request: web.Request,
    upstream: socket.socket,
    *,
    path: str,
    count: ByteCount,
    ping_seconds: float = 25.0,
    gate: MessageGate | None = None,
) -> Relay:
    """Upgrade the client's request at the DevTools address `path` behind `upstream`, and let the bytes flow.

    `upstream` is a connected stream socket; it is ours from the first moment and closed whenever this raises.
    `count` grows by every byte on the client's socket behind the upgrade's request head (`up` from the client, `down`
    to it, the 101 and our own frames among them). The client is pinged every `ping_seconds`. `gate`, if any, looks at
    each of the client's messages; one that it forbids ends the connection with 1008.

    Raises `InvalidRequest` when the client asked for no WebSocket, `UpgradeRefused` with the browser's words, and
    `OSError` (`TimeoutError` among them) when either end is lost before the 101; the client has then been sent nothing.
    """
    try:
        key = checked_key(request.method, request.headers)
        head = request_head(path, key)
        transport, answering = await asyncio.get_running_loop().create_connection(_Answering, sock=upstream)
    except BaseException:
        upstream.close()
        raise
    try:
        answer = await _upgrade(transport, answering, head)
        return _take_over(request, transport, answer, count=count, ping_seconds=ping_seconds, gate=gate)
    except BaseException:
        transport.abort()
        raise


async def _upgrade(transport: asyncio.Transport, answering: _Answering, head: bytes) -> Answer:
    _set_options(transport, (socket.IPPROTO_TCP, "TCP_NODELAY", 1))
    transport.write(head)
    async with asyncio.timeout(ANSWER_SECONDS):
        answer = await answering.answer
    if answer.status != 101:
        raise UpgradeRefused(answer.status, answer.rest.decode("utf-8", "replace").strip())
    return answer


def _take_over(
    request: web.Request,
    upstream: asyncio.Transport,
    answer: Answer,
    *,
    count: ByteCount,
    ping_seconds: float,
    gate: MessageGate | None,
) -> Relay:
    client = request.transport
    if client is None or client.is_closing():
        raise ConnectionResetError("the client left before its upgrade was answered")
    if upstream.is_closing():
        raise ConnectionResetError("the browser left behind its answer to the upgrade")
    _set_options(
        client,
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", DEAD_PEER_SECONDS),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", DEAD_PEER_SECONDS * 1000),
    )
    relay = Relay(client, upstream, original=request.protocol, count=count, ping_seconds=ping_seconds, gate=gate)
    relay.start(answer.head, from_upstream=answer.rest, from_client=_taken_tail(request))
    return relay


def _taken_tail(request: web.Request) -> bytes:
    """What aiohttp has already read behind the upgrade's head. The attribute is private: a test guards it."""
    protocol = cast(Any, request.protocol)
    tail: bytes = protocol._message_tail
    protocol._message_tail = b""
    return tail


def _set_options(transport: asyncio.BaseTransport, *options: tuple[int, str, int]) -> None:
    """Set the TCP options that this platform, and this kind of socket, has."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family == socket.AF_UNIX:
        return
    for level, name, value in options:
        if hasattr(socket, name):
            sock.setsockopt(level, getattr(socket, name), value)


class _Answering(asyncio.Protocol):
    """The browser's side before the frames: waits for the answer to the upgrade, then stops reading."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._conclude(ended=False)

    def eof_received(self) -> None:
        self._conclude(ended=True)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError("the browser left the upgrade unanswered"))

    def _conclude(self, *, ended: bool) -> None:
        if self.answer.done():
            return
        try:
            answer = parse_answer(self._received, ended=ended)
        except ValueError as error:
            self.answer.set_exception(ConnectionResetError(str(error)))
            return
        if answer is not None:
            assert self._transport is not None
            self._transport.pause_reading()
            self.answer.set_result(answer)
