"""Connections to one browser's DevTools port, over sockets that somebody else opens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from chaser_server.chromium.cdp import Answer, CdpError, Conversation, Event

OpenSocket = Callable[[], Awaitable[socket.socket]]

ORIGIN = "http://127.0.0.1"
"""Chromium answers only to an IP address or localhost in the Host header."""

CALL_SECONDS = 10.0

log = logging.getLogger(__name__)
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Of the discovery endpoint. The protocol's description has 1.6 MB; a list grows with the pages' URLs."""


class DevToolsConnector(aiohttp.BaseConnector):
    """Gives aiohttp's client its connections: each is a socket that `open_socket` brings, already connected."""

    def __init__(self, open_socket: OpenSocket) -> None:
        super().__init__(force_close=True)
        self._open_socket = open_socket

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        sock = await self._open_socket()
        _, protocol = await loop.create_connection(lambda: ResponseHandler(loop), sock=sock)
        return protocol


class DevTools:
    """Our own DevTools client of one browser: HTTP discovery, and one WebSocket with calls and events."""

    def __init__(self, open_socket: OpenSocket) -> None:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        self._http = aiohttp.ClientSession(connector=DevToolsConnector(open_socket), timeout=timeout)
        self._conversation = Conversation()
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._listener: asyncio.Task[None] | None = None

    async def fetch(self, method: str, path: str, *, seconds: float | None = CALL_SECONDS) -> tuple[int, str, bytes]:
        """Ask the discovery endpoint; returns the status, the content type and the body.

        Raises aiohttp.ClientError or TimeoutError when the browser does not answer within `seconds` (None: the caller
        sees to that), or answers more than `MAX_ANSWER_BYTES`.
        """
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._http.request(method, ORIGIN + path, timeout=timeout) as response:
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise aiohttp.ClientPayloadError("its answer is too large")
            return response.status, response.content_type, bytes(body)

    async def open(self, path: str, on_event: Callable[[Event], None]) -> None:
        """Connect the WebSocket at `path`; from then on `on_event` hears what happens."""
        self._socket = await self._http.ws_connect(ORIGIN + path, max_msg_size=0, compress=0, autoping=True)
        self._listener = asyncio.create_task(self._listen(self._socket, on_event), name="devtools-listener")

    async def call(self, method: str, params: dict[str, Any] | None = None, session_id: str = "") -> dict[str, Any]:
        """Call a method and wait for its result.

        Raises `CdpError` when the browser refuses, ConnectionError when it has gone, TimeoutError after ten seconds.
        """
        if self._socket is None or self._socket.closed:
            raise ConnectionResetError("the DevTools connection is closed")
        number, text = self._conversation.ask(method, params, session_id)
        answer = self._pending[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_str(text)
            return await asyncio.wait_for(answer, CALL_SECONDS)
        finally:
            self._pending.pop(number, None)

    async def close(self) -> None:
        """Close the connections; calls that still wait fail with ConnectionError."""
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
        await self._http.close()
        if self._socket is not None:  # else aiohttp reports it; it is cut off by now, so that this waits for no answer
            await self._socket.close()

    async def _listen(self, connection: aiohttp.ClientWebSocketResponse, on_event: Callable[[Event], None]) -> None:
        try:
            async for message in connection:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._hear(message.data, on_event)
        except (ValueError, LookupError, TypeError, AttributeError):
            log.warning("a browser said what is no CDP; its DevTools connection is given up", exc_info=True)
        finally:
            for waiting in self._pending.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError("the DevTools connection ended"))

    def _hear(self, text: str, on_event: Callable[[Event], None]) -> None:
        heard = self._conversation.hear(text)
        if isinstance(heard, Event):
            on_event(heard)
        elif (waiting := self._pending.get(heard.number)) is not None and not waiting.done():
            _settle(waiting, heard)


def _settle(waiting: asyncio.Future[dict[str, Any]], answer: Answer) -> None:
    if answer.error is None:
        waiting.set_result(answer.result)
    else:
        waiting.set_exception(CdpError(answer.error))
