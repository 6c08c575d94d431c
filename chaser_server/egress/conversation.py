"""What one client connection asks of the proxy, request after request: CONNECT or absolute-form HTTP/1.1. Opens
nothing itself and counts nothing: it is given the way out and somebody to have its tunnels."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from chaser_server.egress.dial import DialError
from chaser_server.egress.exchange import EndOfStream, Exchange, Stream
from chaser_server.egress.http1 import (
    Authority,
    BadHttp,
    Request,
    parse_authority,
    parse_request,
    plain_answer,
    request_body,
    request_to_origin,
    split_target,
)
from chaser_server.egress.wire import Wire

_DRAIN_SECONDS = 2.0
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Conversation:
    """One client connection and the origin connection it keeps meanwhile.

    `open_stream` gives the way to a destination or raises DialError; `join` takes both streams over as a tunnel.
    """

    def __init__(
        self,
        client: Stream,
        *,
        open_stream: Callable[[Authority], Awaitable[Stream]],
        join: Callable[[Stream, Stream], None],
    ) -> None:
        self._client = client
        self._open_stream = open_stream
        self._join = join
        self._origin: Stream | None = None
        self._origin_authority: Authority | None = None
        self._is_tunnel = False

    def leave(self, *, reset: bool) -> None:
        """Abort or close what no tunnel has taken over."""
        if not self._is_tunnel:
            self._client.wire.leave(reset=reset)
            self._drop_origin(reset=reset)

    async def run(self) -> None:
        """Serve until a tunnel has taken over or the client is done. Raises OSError and EndOfStream."""
        goes_on = True
        while goes_on:
            try:
                request = parse_request(await self._client.read_head())
                goes_on = await self._answer(request)
            except BadHttp as error:
                await self._say(error.status, str(error), closes=True)
                goes_on = False
        self.leave(reset=False)

    async def _answer(self, request: Request) -> bool:
        """Serve one request; whether another may follow on this connection."""
        if request.method == "CONNECT":
            return await self._connect(request)
        authority, path = split_target(request.target)
        head = request_to_origin(request, authority, path)
        try:
            origin, is_reused = await self._origin_for(authority)
        except DialError as error:
            return await self._decline(error, request)
        return await self._exchange(request, head, origin, is_reused=is_reused)

    async def _connect(self, request: Request) -> bool:
        try:
            self._origin = await self._open_stream(parse_authority(request.target))
        except DialError as error:
            return await self._decline(error, request)
        await self._client.wire.write(_ESTABLISHED)
        self._hand_over(self._origin)
        return False

    def _hand_over(self, origin: Stream) -> None:
        self._is_tunnel = True
        self._join(self._client, origin)

    async def _origin_for(self, authority: Authority) -> tuple[Stream, bool]:
        if self._origin is not None and self._origin_authority == authority and _is_idle(self._origin.wire):
            return self._origin, True
        self._drop_origin(reset=False)
        self._origin = await self._open_stream(authority)
        self._origin_authority = authority
        return self._origin, False

    async def _exchange(self, request: Request, head: bytes, origin: Stream, *, is_reused: bool) -> bool:
        exchange = Exchange(self._client, origin, request)
        try:
            outcome = await exchange.run(head)
        except (OSError, EndOfStream, BadHttp) as error:
            # On a reused connection the origin may just have stopped waiting; the browser then does what it would do
            # on its own connection, which is to send the request again.
            if exchange.has_answered or is_reused or self._client.wire.is_closed:
                raise ConnectionAbortedError from error
            self._drop_origin(reset=True)
            await self._say(HTTPStatus.BAD_GATEWAY, _failure(error, self._origin_authority), closes=True)
            return False
        if outcome.is_upgraded:
            self._hand_over(origin)
            return False
        if not outcome.origin_stays:
            self._drop_origin(reset=False)
        return outcome.client_stays

    async def _decline(self, error: DialError, request: Request) -> bool:
        """Tell why; the connection goes on unless a body is under way that nobody wants."""
        goes_on = request.method != "CONNECT" and request.keeps_alive and request_body(request).done
        await self._say(error.status, str(error), closes=not goes_on, with_body=request.method != "HEAD")
        return goes_on

    async def _say(self, status: HTTPStatus, text: str, *, closes: bool, with_body: bool = True) -> None:
        await self._client.wire.write(plain_answer(status, text, closes=closes, with_body=with_body))
        if closes:
            await self._drain()

    async def _drain(self) -> None:
        """Read what still comes, for a while: closing on unread bytes would reset the answer away (RFC 9112 9.6)."""
        self._client.wire.end_writing()
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await self._client.wire.read():
                    pass
        except TimeoutError:
            pass

    def _drop_origin(self, *, reset: bool) -> None:
        origin, self._origin = self._origin, None
        if origin is not None:
            origin.wire.leave(reset=reset)


def _is_idle(wire: Wire) -> bool:
    """Whether a kept connection is still open with nothing said on it."""
    if wire.is_closed:
        return False
    try:
        wire.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _failure(error: Exception, authority: Authority | None) -> str:
    if isinstance(error, EndOfStream):
        return f"{authority} closed the connection without an answer."
    if isinstance(error, BadHttp):
        return f"{authority} did not answer in HTTP/1.1: {error}"
    return f"{authority} broke the connection: {error}."
