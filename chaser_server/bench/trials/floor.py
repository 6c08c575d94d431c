"""How near the relay is to the least that a relay could cost: one process more between client and browser.

The least waits in `select.epoll`, receives, and sends, in Python, and knows nothing of what passes. Most of what it
takes more than a direct connection is the kernel's, for waking one more process in each direction; what our relay takes
more than that is ours, or its event loop's. All ways take turns in one run.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection as Pipe
from time import perf_counter
from typing import cast

import uvloop

from chaser_server.bench.relay import (
    Serve,
    Server,
    answer_usage,
    browser_path,
    launched,
    p50_p99,
    serve_on_asyncio,
    serve_on_uvloop,
    served,
)
from chaser_server.bench.wire import Connection, command, round_trips

DIRECT, FLOOR, OURS = "direct", "epoll, recv, send", "as it is"
ROUND_TRIPS = 20_000
TURNS = 100
CONNECTIONS = (1, 20)
_RECEIVE_BYTES = 65536


def serve_floor(devtools: int, pipe: Pipe, *, awake_seconds: float = 0.0) -> None:
    """Pass on what comes, blocking where the other end does not take it: for small messages only.

    After each message it stays awake for a while, and looks again and again for the next one.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    pipe.send(listener.getsockname()[1])
    poll = select.epoll()
    for each in (listener, pipe):
        poll.register(each, select.EPOLLIN)
    peers: dict[int, tuple[socket.socket, socket.socket]] = {}
    while True:
        for descriptor, _ in _wait(poll, awake_seconds):
            if descriptor in peers:
                this, other = peers[descriptor]
                if data := this.recv(_RECEIVE_BYTES):
                    other.send(data)
                else:
                    for end in (this, other):
                        del peers[end.fileno()]
                        end.close()
            elif descriptor == listener.fileno():
                client, upstream = listener.accept()[0], socket.create_connection(("127.0.0.1", devtools))
                for this, other in ((client, upstream), (upstream, client)):
                    this.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    peers[this.fileno()] = (this, other)
                    poll.register(this, select.EPOLLIN)
            elif not answer_usage(pipe):
                return


def _wait(poll: select.epoll, awake_seconds: float) -> list[tuple[int, int]]:
    asleep_from = perf_counter() + awake_seconds
    while perf_counter() < asleep_from:
        if found := poll.poll(0):
            return found
    return poll.poll()


class _End(asyncio.Protocol):
    """One of two connections: writes what it reads to the other."""

    def __init__(self, other: _End | None = None) -> None:
        self._other = other
        self._write: Callable[[bytes], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._other is not None:
            self.join(self._other)
            self._other.join(self)

    def join(self, other: _End) -> None:
        self._other, self._write = other, other.transport.write

    def data_received(self, data: bytes) -> None:
        self._write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._other is not None:
            self._other.transport.close()


def serve_transports(devtools: int, pipe: Pipe) -> None:
    """What is left of our relay when it neither counts nor walks frames nor pings: the event loop's transports."""
    uvloop.run(_join_until_told(devtools, pipe))


async def _join_until_told(devtools: int, pipe: Pipe) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe.fileno(), lambda: None if answer_usage(pipe) else told.set())
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.setblocking(False)
        pipe.send(listener.getsockname()[1])
        accepting = asyncio.create_task(_accept(listener, devtools), name="floor-accept")
        await told.wait()
        accepting.cancel()
        await asyncio.wait([accepting])
    loop.remove_reader(pipe.fileno())


async def _accept(listener: socket.socket, devtools: int) -> None:
    loop = asyncio.get_running_loop()
    while True:
        client, _ = await loop.sock_accept(listener)
        _, upstream = await loop.create_connection(_End, "127.0.0.1", devtools)
        await loop.create_connection(partial(_End, upstream), sock=client)


WAYS: dict[str, Serve] = {
    FLOOR: serve_floor,
    "uvloop's transports alone": serve_transports,
    OURS: serve_on_uvloop,
    "as it is, without uvloop": serve_on_asyncio,
    f"{FLOOR}, awake for 200 µs": partial(serve_floor, awake_seconds=200e-6),
}
"""Each in a process of its own."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """`Browser.getVersion` by one way, closed loop on every connection; microseconds, and the relay's CPU.

    `ratio` is of the medians, to those of a direct connection.
    """

    way: str
    connections: int
    p50: float
    p99: float
    ratio: float
    cpu_seconds_per_100k: float


def measure(browser: str, *, round_trip_count: int = ROUND_TRIPS) -> list[Relayed]:
    """So many round trips by each way, in `TURNS` turns, with one connection and with 20."""
    with ExitStack() as stack:
        devtools = stack.enter_context(launched(browser))
        servers = {way: stack.enter_context(served(devtools, serve)) for way, serve in WAYS.items()}
        path = browser_path(devtools)
        return [row for count in CONNECTIONS for row in _compare(devtools, path, servers, count, round_trip_count)]


def _compare(devtools: int, path: str, servers: dict[str, Server], connections: int, times: int) -> list[Relayed]:
    request = command("Browser.getVersion")
    ports = {DIRECT: devtools, **{way: server.port for way, server in servers.items()}}
    with ExitStack() as stack:
        opened = {
            way: [stack.enter_context(Connection(port, path)) for _ in range(connections)]
            for way, port in ports.items()
        }
        seconds: dict[str, list[float]] = {way: [] for way in ports}
        for each in opened.values():
            round_trips(each, request, times // TURNS)
        used = {way: server.usage().cpu_seconds for way, server in servers.items()}
        for number in range(TURNS):
            for way in reversed(seconds) if number % 2 else seconds:  # so that none always follows the same one
                seconds[way].extend(round_trips(opened[way], request, times // TURNS))
        cpu = {way: server.usage().cpu_seconds - used[way] for way, server in servers.items()}
    direct, _ = p50_p99(seconds[DIRECT])
    rows = []
    for way, taken in seconds.items():
        p50, p99 = p50_p99(taken)
        rows.append(Relayed(way, connections, p50, p99, p50 / direct, cpu.get(way, 0.0) / len(taken) * 100_000))
    return rows


def table(rows: Sequence[Relayed]) -> str:
    """The rows for people."""
    lines = ["| round trips through a relay | connections | p50 | to direct | p99 | its CPU |", "|" + "---|" * 6]
    lines += [
        f"| {row.way} | {row.connections} | {row.p50:.0f} µs | {row.ratio:.2f}x | {row.p99:.0f} µs "
        f"| {row.cpu_seconds_per_100k:.1f} s per 100k |"
        for row in rows
    ]
    return "\n".join(lines)
