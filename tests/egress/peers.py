"""The real peers of the egress tests: a counting origin, a plain-socket client, and a proxy between them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from chaser_server.egress.policy import Policy
from chaser_server.egress.proxy import EgressProxy
from chaser_server.model import ByteCount


@dataclass
class OriginSide:
    """One connection as an origin server sees it, with its own count of what its socket took and gave."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    got: int = 0
    gave: int = 0

    async def read(self, limit: int = 65536) -> bytes:
        data = await self.reader.read(limit)
        self.got += len(data)
        return data

    async def read_until(self, mark: bytes) -> bytes:
        data = b""
        while not data.endswith(mark):
            piece = await self.reader.readexactly(1)
            self.got += 1
            data += piece
        return data

    async def read_exactly(self, amount: int) -> bytes:
        data = await self.reader.readexactly(amount)
        self.got += amount
        return data

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        self.gave += len(data)
        await self.writer.drain()


Handler = Callable[[OriginSide], Awaitable[None]]


@dataclass
class Origin:
    """A listening origin; `sides` are its connections in order of arrival."""

    port: int
    sides: list[OriginSide] = field(default_factory=list)

    @property
    def got(self) -> int:
        return sum(side.got for side in self.sides)

    @property
    def gave(self) -> int:
        return sum(side.gave for side in self.sides)


@contextlib.asynccontextmanager
async def origin(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[Origin]:
    """Serve `handler` on a free port; each connection is closed when its handler returns."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        side = OriginSide(reader, writer)
        here.sides.append(side)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(side)
        writer.close()

    server = await asyncio.start_server(serve, host, 0)
    here = Origin(server.sockets[0].getsockname()[1])
    try:
        yield here
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Bench:
    """A proxy at work, its count, its events and its address."""

    proxy: EgressProxy
    count: ByteCount
    events: list[tuple[str, dict[str, object]]]
    port: int


def listening_socket() -> socket.socket:
    """What the sandbox would hand out."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(1024)
    return sock


@contextlib.asynccontextmanager
async def egress(policy: Policy | None = None, **more: object) -> AsyncIterator[Bench]:
    count, events = ByteCount(), []
    proxy = EgressProxy(
        count=count,
        policy=policy or Policy(),
        on_event=lambda kind, detail: events.append((kind, detail)),
        **more,
    )
    listener = listening_socket()
    port = listener.getsockname()[1]
    await proxy.start(listener)
    try:
        yield Bench(proxy, count, events, port)
    finally:
        await proxy.close()


class Client:
    """A browser's side of one connection to the proxy, on a plain socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._ahead = b""

    @classmethod
    async def to(cls, port: int) -> Client:
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return cls(sock)

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def read(self, limit: int = 1 << 20) -> bytes:
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        return await self._loop.sock_recv(self.sock, limit)

    async def read_until(self, mark: bytes) -> bytes:
        data = b""
        while mark not in data:
            piece = await self.read()
            if not piece:
                raise EOFError(data)
            data += piece
        end = data.index(mark) + len(mark)
        self._ahead = data[end:]
        return data[:end]

    async def read_exactly(self, amount: int) -> bytes:
        data = b""
        while len(data) < amount:
            piece = await self.read()
            if not piece:
                raise EOFError(data)
            data += piece
        self._ahead = data[amount:]
        return data[:amount]

    async def read_to_end(self) -> bytes:
        data = b""
        while piece := await self.read():
            data += piece
        return data

    async def connect(self, authority: str) -> bytes:
        """Ask for a tunnel; the head of the answer."""
        await self.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        return await self.read_until(b"\r\n\r\n")

    async def get(self, url: str, *headers: str, method: str = "GET") -> bytes:
        """Send a request without a body; the head of the answer."""
        await self.send("\r\n".join([f"{method} {url} HTTP/1.1", *headers, "", ""]).encode())
        return await self.read_until(b"\r\n\r\n")

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; the test's own timeout is the limit."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)
