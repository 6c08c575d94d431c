"""Our own client of a browser's DevTools, with a browser at its other end that we play."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import test_utils, web

from chaser_server.chromium import devtools
from chaser_server.chromium.devtools import DevTools


@asynccontextmanager
async def browser(*answer: bytes, slow: bool = False) -> AsyncIterator[DevTools]:
    """A DevTools client whose browser answers this; a slow one begins to listen when a call would have timed out."""

    async def open_socket() -> socket.socket:
        if slow:
            await asyncio.sleep(devtools.CALL_SECONDS * 2)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=theirs)
        tasks.append(asyncio.create_task(play(reader, writer)))
        return ours

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.writelines(answer)
        writer.close()

    tasks: list[asyncio.Task[None]] = []
    client = DevTools(open_socket)
    yield client
    await client.close()
    await asyncio.gather(*tasks)


async def test_a_browser_may_take_longer_to_listen_than_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devtools, "CALL_SECONDS", 0.05)
    async with browser(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", slow=True) as client:
        assert (await client.fetch("GET", "/json/version", seconds=None))[2] == b"{}"
        with pytest.raises(TimeoutError):
            await client.fetch("GET", "/json/version", seconds=0.01)


async def test_a_list_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devtools, "MAX_ANSWER_BYTES", 1000)
    async with browser(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1001) as client:
        with pytest.raises(aiohttp.ClientPayloadError, match="too large"):
            await client.fetch("GET", "/json/list")


@pytest.mark.parametrize("browser_goes_first", [True, False])
async def test_a_closed_client_leaves_no_connection_for_aiohttp_to_report(browser_goes_first: bool) -> None:
    async def browser(request: web.Request) -> web.WebSocketResponse:
        """Answers nothing, not even that its client closes the connection."""
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        if not browser_goes_first:
            await over.wait()
        return connection

    async def open_socket() -> socket.socket:
        sock = socket.create_connection((server.host, server.port))
        sock.setblocking(False)
        return sock

    reports: list[str] = []
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.set_debug(True)  # without it aiohttp reports only some, as the garbage falls
    loop.set_exception_handler(lambda _, context: reports.append(context["message"]))
    async with test_utils.RawTestServer(browser) as server:
        client = DevTools(open_socket)
        await client.open("/devtools/browser/1", lambda _: None)
        if browser_goes_first:
            with pytest.raises(ConnectionError):
                await client.call("Browser.getVersion")
        await client.close()
        del client
        gc.collect()
        over.set()
    assert reports == []
