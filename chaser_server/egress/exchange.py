"""One request in absolute form and its response, between a client stream and an origin stream. Knows HTTP/1.1 and
waiting; dials nothing and judges nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from chaser_server.egress.http1 import (
    MAX_HEAD_BYTES,
    BadHttp,
    Body,
    Request,
    Response,
    UntilClose,
    parse_response,
    request_body,
    response_body,
    response_to_client,
)
from chaser_server.egress.wire import Wire

_READ_AHEAD_BYTES = 64 * 1024


class EndOfStream(Exception):
    """The peer ended its stream where a message was expected or not finished."""


class Stream:
    """A wire with what was read from it beyond the last message."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.ahead = b""
        self.has_ended = False

    async def read_head(self) -> bytes:
        """The next message's head with its empty line. Raises EndOfStream, BadHttp (431) and OSError."""
        self.ahead = self.ahead.lstrip(b"\r\n")  # RFC 9112 2.2
        while (end := _end_of_head(self.ahead)) < 0 and len(self.ahead) <= MAX_HEAD_BYTES:
            await self.read_more()
        if not 0 < end <= MAX_HEAD_BYTES:
            raise BadHttp("The head of the message is too large.", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        head, self.ahead = self.ahead[:end], self.ahead[end:]
        return head

    async def read_exactly(self, amount: int) -> bytes:
        """The next bytes. Raises EndOfStream and OSError."""
        while len(self.ahead) < amount:
            await self.read_more()
        data, self.ahead = self.ahead[:amount], self.ahead[amount:]
        return data

    async def read_more(self) -> None:
        """Wait until there is more ahead. Raises EndOfStream and OSError."""
        data = await self.wire.read()
        if not data:
            self.has_ended = True
            raise EndOfStream
        self.ahead += data

    async def copy_body(self, body: Body, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Pass one body on. Raises EndOfStream when the stream ends within it, BadHttp, and OSError."""
        while not body.done:
            if not self.ahead:
                await self.read_more()
            taken = body.take(self.ahead)
            data, self.ahead = self.ahead[:taken], self.ahead[taken:]
            await write(data)

    def take_ahead(self) -> bytes:
        """What was read ahead, which is the caller's now."""
        ahead, self.ahead = self.ahead, b""
        return ahead


def _end_of_head(data: bytes) -> int:
    ends = (data.find(mark) + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if mark in data)
    return min(ends, default=-1)


class _OriginDeaf(Exception):
    """The origin takes no more of the request; whether it has answered is for the reading side to find out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What may follow a passed response: on the client's connection, on the origin's, or a tunnel between them."""

    client_stays: bool
    origin_stays: bool
    is_upgraded: bool = False


class Exchange:
    """Passes one request on and its response back.

    Both travel at the same time, so an early answer, `Expect: 100-continue` and a body that waits for the answer
    work. When the client ends its stream, the origin sees the end of it too; when it is gone, the origin is reset.
    """

    def __init__(self, client: Stream, origin: Stream, request: Request) -> None:
        self._client = client
        self._origin = origin
        self._request = request
        self._request_body = request_body(request)
        self.has_answered = False

    async def run(self, head: bytes) -> Outcome:
        """Send `head` and the body behind it, and pass the whole response on.

        Raises OSError, EndOfStream or BadHttp when a side failed; the wires are then good for nothing but closing,
        or, while `has_answered` is false, for telling the client so.
        """
        uplink = asyncio.create_task(self._send_request(head), name="egress-request")
        try:
            return await self._pass_response()
        finally:
            uplink.cancel()
            await asyncio.gather(uplink, return_exceptions=True)

    async def _send_request(self, head: bytes) -> None:
        try:
            await self._write_to_origin(head)
            await self._client.copy_body(self._request_body, self._write_to_origin)
            while len(self._client.ahead) < _READ_AHEAD_BYTES:
                await self._client.read_more()  # notices a client that leaves
        except EndOfStream:
            with contextlib.suppress(OSError):
                self._origin.wire.end_writing()
        except (OSError, BadHttp):
            self._origin.wire.abort()
        except _OriginDeaf:
            pass

    async def _write_to_origin(self, data: bytes) -> None:
        try:
            await self._origin.wire.write(data)
        except OSError as error:
            raise _OriginDeaf from error

    async def _pass_response(self) -> Outcome:
        response = await self._pass_interim()
        body = response_body(response, self._request.method)
        is_upgraded = response.status == HTTPStatus.SWITCHING_PROTOCOLS
        is_open_ended = isinstance(body, UntilClose)
        closes = not is_upgraded and (is_open_ended or not self._request.keeps_alive)
        await self._answer(response_to_client(response, closes=closes))
        if is_upgraded:
            return Outcome(client_stays=True, origin_stays=True, is_upgraded=True)
        try:
            await self._origin.copy_body(body, self._client.wire.write)
        except EndOfStream:
            if not is_open_ended:
                raise
        return self._outcome(response, closes=closes)

    async def _pass_interim(self) -> Response:
        while (response := parse_response(await self._origin.read_head())).is_interim:
            await self._answer(response_to_client(response, closes=False))
        return response

    async def _answer(self, head: bytes) -> None:
        self.has_answered = True
        await self._client.wire.write(head)

    def _outcome(self, response: Response, *, closes: bool) -> Outcome:
        at_border = self._request_body.done and not self._client.has_ended
        origin_stays = at_border and response.keeps_alive and not self._origin.has_ended and not self._origin.ahead
        return Outcome(client_stays=at_border and not closes, origin_stays=origin_stays)
