"""A web site whose door counts: what its sockets took and gave, below HTTP and TLS, by the kernel's own numbers."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import ssl
import sys
import termios
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import WSMsgType, web

_TCP_CLOSE = 7
_STATE, _BYTES_SENT, _BYTES_RETRANSMITTED, _INFO_END = 0, 200, 208, 216  # struct tcp_info in linux/tcp.h
_BLOCK = bytes(64 * 1024)


class Side:
    """One connection at the door."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._read = 0
        self._at_close: tuple[int, int] | None = None

    async def read(self) -> bytes:
        data = await asyncio.get_running_loop().sock_recv(self.sock, 1 << 18)
        self._read += len(data)
        return data

    def close(self) -> None:
        self._at_close = self.got, self.gave
        self.sock.close()

    @property
    def got(self) -> int:
        """What this side's TCP has received, read or not."""
        if self._at_close:
            return self._at_close[0]
        unread = fcntl.ioctl(self.sock.fileno(), termios.FIONREAD, b"\0" * 4)
        return self._read + int.from_bytes(unread, sys.byteorder)

    @property
    def gave(self) -> int:
        """What this side's TCP has put on the network, once each."""
        return self._at_close[1] if self._at_close else self._sent()

    @property
    def is_over(self) -> bool:
        """Whether the connection is gone for the kernel, seen here already or not."""
        return self._at_close is not None or self._info()[_STATE] == _TCP_CLOSE

    def _sent(self) -> int:
        info = self._info()
        sent, again = (int.from_bytes(info[at : at + 8], sys.byteorder) for at in (_BYTES_SENT, _BYTES_RETRANSMITTED))
        return sent - again

    def _info(self) -> bytes:
        return self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_END)


@dataclass
class Answer:
    """What the site answers at a path."""

    body: str
    kind: str = "text/html"


class CountingSite:
    """Answers, and counts at its door.

    `requests` are the paths that came, `pages` what a test adds; `drip` sends as many bytes as `more` is given, and
    never ends; `held` promises a gigabyte and sends `bytes` of it; `flood` does not stop.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, headers: dict[str, str] | None = None) -> None:
        self.pages: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.arrived = asyncio.Condition()
        self.more: asyncio.Queue[int] = asyncio.Queue()
        self.sides: list[Side] = []
        self.port = 0
        self._tls = tls
        self._headers = headers or {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    @property
    def counts(self) -> tuple[int, int]:
        """Bytes taken and given: what a session's egress must show as up and down."""
        return sum(side.got for side in self.sides), sum(side.gave for side in self.sides)

    async def came(self, path: str, times: int = 1) -> None:
        """Wait until the path was asked for so often."""
        async with self.arrived:
            await asyncio.wait_for(self.arrived.wait_for(lambda: self.requests.count(path) >= times), 20)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[CountingSite]:
        application = web.Application(client_max_size=1 << 30, middlewares=[self._note])
        application.add_routes([web.route("*", "/{name:.*}", self._answer)])
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        door = asyncio.create_task(self._open_door(listener, runner.addresses[0][1]))
        try:
            yield self
        finally:
            for task in (door, *self._tasks):
                task.cancel()
            await asyncio.gather(door, *self._tasks, return_exceptions=True)
            listener.close()
            await runner.cleanup()

    async def _open_door(self, listener: socket.socket, inner_port: int) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            side = Side(sock)
            self.sides.append(side)
            task = asyncio.create_task(self._relay(side, inner_port))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _relay(self, side: Side, inner_port: int) -> None:
        loop = asyncio.get_running_loop()
        inner = socket.socket()
        inner.setblocking(False)

        async def up() -> None:
            while data := await side.read():
                await loop.sock_sendall(inner, data)
            inner.shutdown(socket.SHUT_WR)

        async def down() -> None:
            while data := await loop.sock_recv(inner, 1 << 18):
                await loop.sock_sendall(side.sock, data)
            side.sock.shutdown(socket.SHUT_WR)

        try:
            await loop.sock_connect(inner, ("127.0.0.1", inner_port))
            async with asyncio.TaskGroup() as both:
                both.create_task(up())
                both.create_task(down())
        except* OSError:
            pass
        finally:
            side.close()
            inner.close()

    @web.middleware
    async def _note(self, request: web.Request, handler: object) -> web.StreamResponse:
        async with self.arrived:
            self.requests.append(request.path)
            self.arrived.notify_all()
        return await handler(request)  # type: ignore[operator]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if page := self.pages.get(f"/{name}"):
            return web.Response(text=page.body, content_type=page.kind, headers=self._headers)
        handler = getattr(self, f"_answer_{name}", None)
        return await handler(request) if handler else web.Response(status=404)

    async def _answer_(self, request: web.Request) -> web.Response:
        body = "<!doctype html><title>counted</title>" + "".join(f"<script src=/script?{n}></script>" for n in range(8))
        return web.Response(text=body, content_type="text/html", headers=self._headers)

    async def _answer_script(self, request: web.Request) -> web.Response:
        return web.Response(text="//" + "x" * 10_000, content_type="text/javascript")

    async def _answer_down(self, request: web.Request) -> web.Response:
        return web.Response(body=bytes(int(request.query["bytes"])))

    async def _answer_up(self, request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def _answer_chunked(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request)
        for _ in range(int(request.query["bytes"]) // 10_000):
            await response.write(_BLOCK[:10_000])
        return response

    async def _answer_held(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(10**9)})
        await response.prepare(request)
        await response.write(bytes(int(request.query["bytes"])))
        await asyncio.Event().wait()
        return response

    async def _answer_drip(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request)
        while True:
            await response.write(bytes(await self.more.get()))

    async def _answer_flood(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request)
        while True:
            await response.write(_BLOCK)

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        return response

    async def _answer_socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
        return socket
