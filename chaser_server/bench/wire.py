"""The leanest CDP client there is, so that what is measured is the server and the browser, not the client.

Blocking sockets, prebuilt frames, no JSON. Knows only as much of WebSocket as one DevTools answer needs.
"""

from __future__ import annotations

import json
import selectors
import socket
from time import perf_counter
from typing import Any, Self

_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_RECEIVE_BYTES = 1 << 20


class Connection:
    """One DevTools socket. One message is under way at a time, and nothing but its answer comes back."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(_RECEIVE_BYTES)
        self.socket.sendall(_UPGRADE.format(path=path).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            received = self.socket.recv(4096)
            if not received:
                break
            head += received
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.decode("latin-1"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, request: bytes) -> int:
        """Send a frame, wait for the answer's frame; returns the bytes of the answer."""
        self.socket.sendall(request)
        return self.take()

    def take(self) -> int:
        """Read one whole frame and return its size in bytes."""
        buffer, receive = self._buffer, self.socket.recv_into
        received = receive(buffer)
        size = frame_size(buffer)
        while received < size:
            read = receive(buffer)
            if not read:
                raise ConnectionError("the connection ended within a frame")
            received += read
        return size

    def call(self, method: str, **params: Any) -> Any:
        """One small command, its answer parsed."""
        size = self.ask(command(method, **params))
        return json.loads(self._buffer[2 if self._buffer[1] < 126 else 4 : size])


def command(method: str, **params: Any) -> bytes:
    """A whole masked frame (its mask is zero) with one CDP command."""
    payload = json.dumps({"id": 1, "method": method, "params": params}).encode()
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + payload


def frame_size(buffer: bytearray) -> int:
    """Header and payload of the frame that begins the buffer."""
    length = buffer[1] & 0x7F
    if length < 126:
        return 2 + length
    if length == 126:
        return 4 + int.from_bytes(buffer[2:4], "big")
    return 10 + int.from_bytes(buffer[2:10], "big")


def round_trips(connections: list[Connection], request: bytes, times: int) -> list[float]:
    """Ask `times` times in all, each connection again as soon as it has its answer; seconds of every round trip."""
    if len(connections) == 1:
        return [_timed(connections[0], request) for _ in range(times)]
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        started = {connection: _sent(connection, request) for connection in connections}
        taken: list[float] = []
        while started:
            for ready, _ in selector.select():
                connection = ready.data
                connection.take()
                taken.append(perf_counter() - started.pop(connection))
                if len(taken) + len(started) < times:
                    started[connection] = _sent(connection, request)
        return taken


def _timed(connection: Connection, request: bytes) -> float:
    start = perf_counter()
    connection.ask(request)
    return perf_counter() - start


def _sent(connection: Connection, request: bytes) -> float:
    start = perf_counter()
    connection.socket.sendall(request)
    return start
