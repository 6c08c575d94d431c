"""A web site on loopback for browsers under test to visit."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web


class Site:
    """Serves a page with a title, one that sets a cookie, one that echoes what it got, and a WebSocket echo.

    `visits` has the headers of every request to /visit, a page of a phone's width.
    """

    def __init__(self) -> None:
        self.visits: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        application = web.Application()
        application.add_routes(
            [
                web.get("/", self._page),
                web.get("/visit", self._visit),
                web.get("/set-cookie", self._set_cookie),
                web.get("/echo", self._echo),
                web.get("/big", self._big),
                web.get("/socket", self._socket),
            ]
        )
        self._runner = web.AppRunner(application)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        body = "<!doctype html><title>A local site</title><h1>Hello from the site</h1>"
        return web.Response(text=body, content_type="text/html")

    async def _visit(self, request: web.Request) -> web.Response:
        self.visits.put_nowait(dict(request.headers))
        body = '<!doctype html><meta name="viewport" content="width=device-width"><title>Visited</title>'
        return web.Response(text=body, content_type="text/html")

    async def _set_cookie(self, request: web.Request) -> web.Response:
        response = web.Response(text="<title>cookie set</title>", content_type="text/html")
        response.set_cookie("visitor", "first")
        return response

    async def _echo(self, request: web.Request) -> web.Response:
        return web.json_response({"headers": dict(request.headers), "cookies": dict(request.cookies)})

    async def _big(self, request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.query["bytes"]))

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
        return socket
