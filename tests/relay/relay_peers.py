"""The two ends of a relay, on real sockets: a scripted browser, a raw client, and an aiohttp server between them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Self

from aiohttp import web

from chaser_server.errors import InvalidRequest
from chaser_server.model import ByteCount
from chaser_server.relay.splice import Relay, UpgradeRefused, join

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    "GET /sessions/1?token=x HTTP/1.1\r\nHost: chaser.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class Peer:
    """One end of a connection, in raw bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.head = b""
        self.received = 0

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def take_head(self) -> bytes:
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        self.received += len(self.head)
        return self.head

    async def take(self, size: int) -> bytes:
        data = await self.reader.readexactly(size)
        self.received += size
        return data

    async def take_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next unmasked frame."""
        first, second = await self.take(2)
        length = second & 0x7F
        if length == 126:
            length = int.from_bytes(await self.take(2), "big")
        elif length == 127:
            length = int.from_bytes(await self.take(8), "big")
        return first & 0x0F, await self.take(length)

    async def take_close(self) -> tuple[int, str]:
        opcode, payload = await self.take_frame()
        assert opcode == 8
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def take_rest(self) -> bytes:
        """Everything until the other side ends, in whichever way."""
        rest = b""
        try:
            while chunk := await self.reader.read(1 << 16):
                rest += chunk
        except ConnectionError:
            pass
        self.received += len(rest)
        return rest

    def leave(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()


class Browser:
    """Takes upgrades as Chromium does, and does what the test says."""

    def __init__(self) -> None:
        self.answer: bytes | None = SWITCHING
        self.connections: asyncio.Queue[Peer] = asyncio.Queue()
        self._peers: list[Peer] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for peer in self._peers:
            peer.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self._peers.append(peer)
        try:
            await peer.take_head()
        except asyncio.IncompleteReadError:  # left without asking for anything
            return
        if self.answer is not None:
            writer.write(self.answer)
        self.connections.put_nowait(peer)

    def dial(self) -> socket.socket:
        return socket.create_connection(self._server.sockets[0].getsockname())


class Door:
    """An aiohttp server whose only route relays to whatever `dial` connects."""

    def __init__(self, dial: Callable[[], socket.socket]) -> None:
        self.dial = dial
        self.count = ByteCount()
        self.path = "/devtools/browser/1"
        self.ping_seconds = 3600.0
        self.relays: asyncio.Queue[Relay] = asyncio.Queue()
        self.failures: asyncio.Queue[BaseException] = asyncio.Queue()
        self.handlers: set[asyncio.Task[object]] = set()
        self.transports: list[asyncio.Transport] = []
        self.upstream: socket.socket | None = None
        self._clients: list[Peer] = []

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=5, handler_cancellation=False)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.port: int = self.runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            client.reset()
        while not self.relays.empty():
            relay = self.relays.get_nowait()
            relay.abort()
            await relay.wait_closed()
        await self.runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        assert request.transport is not None
        self.transports.append(request.transport)
        self.handlers.add(task)
        try:
            self.upstream = self.dial()
            relay = await join(request, self.upstream, path=self.path, count=self.count, ping_seconds=self.ping_seconds)
            self.relays.put_nowait(relay)
            await relay.wait_closed()
            return relay.response
        except (InvalidRequest, UpgradeRefused, OSError) as error:
            self.failures.put_nowait(error)
            return web.Response(status=400, text=str(error))
        finally:
            self.handlers.discard(task)

    async def dial_client(self) -> Peer:
        client = Peer(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    async def connect(self, tail: bytes = b"", headers: str = "") -> Peer:
        """A client whose upgrade was answered with 101; `tail` travels in the same segment as its request."""
        client = await self.dial_client()
        await client.send(f"{UPGRADE}{headers}\r\n".encode() + tail)
        assert (await client.take_head()).startswith(b"HTTP/1.1 101")
        return client


def frame(payload: bytes, opcode: int = 1, *, final: bool = True) -> bytes:
    """An unmasked frame, as a server sends it."""
    head = bytes(((0x80 if final else 0) | opcode,))
    if len(payload) < 126:
        return head + bytes((len(payload),)) + payload
    if len(payload) < 1 << 16:
        return head + b"\x7e" + len(payload).to_bytes(2, "big") + payload
    return head + b"\x7f" + len(payload).to_bytes(8, "big") + payload


def masked(payload: bytes, opcode: int = 1) -> bytes:
    """A frame as a client sends it, with a mask of zeros, which leaves the payload readable."""
    plain = frame(payload, opcode)
    head_size = len(plain) - len(payload)
    return plain[:1] + bytes((plain[1] | 0x80,)) + plain[2:head_size] + b"\0\0\0\0" + payload


def open_descriptors() -> set[str]:
    """The sockets this process holds."""
    held = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            held.add(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return {target for target in held if target.startswith("socket:")}
