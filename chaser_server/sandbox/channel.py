"""Our end of the doorman's socket: questions as lines of JSON, answers as lines with at most one descriptor.

What comes in is from inside the sandbox and not trusted: it is bounded, and no descriptor of it is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

MAX_ANSWER_BYTES = 4096
_MAX_DESCRIPTORS = 4
_DESCRIPTOR_BYTES = array("i").itemsize


@dataclass(frozen=True, slots=True)
class Answer:
    """What the doorman said, and the descriptor that came with it, which is then the receiver's to close."""

    words: Mapping[str, object]
    descriptor: int | None


class Channel:
    """Takes over a connected, non-blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._turn = asyncio.Lock()
        self._is_closed = False

    async def tell(self, message: Mapping[str, object]) -> None:
        """Say something that has no answer. Raises OSError."""
        await asyncio.get_running_loop().sock_sendall(self._sock, json.dumps(message).encode() + b"\n")

    async def ask(self, want: str) -> Answer:
        """One question at a time. Raises OSError, ValueError for what no doorman says.

        When the wait is cancelled the answer comes all the same, so it is received and thrown away.
        """
        exchange = asyncio.create_task(self._exchange(want), name=f"sandbox-ask-{want}")
        try:
            return await asyncio.shield(exchange)
        except asyncio.CancelledError:
            exchange.add_done_callback(_throw_away)
            raise

    def close(self) -> None:
        """End it; whoever waits for an answer gets an empty one. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            if not self._turn.locked():  # else whoever has the turn wakes up, and closes
                self._sock.close()

    async def _exchange(self, want: str) -> Answer:
        async with self._turn:
            try:
                if self._is_closed:
                    raise ConnectionAbortedError("the sandbox is being ended")
                await self.tell({"want": want})
                return await self._receive()
            finally:
                if self._is_closed:
                    self._sock.close()

    async def _receive(self) -> Answer:
        """One line, {} at the end of the stream, and the descriptor that came with it."""
        data, descriptors = b"", list[int]()
        try:
            while not data.endswith(b"\n"):
                await readable(self._sock)
                part, received = _receive_once(self._sock)
                descriptors += received
                data += part
                if len(data) > MAX_ANSWER_BYTES or len(descriptors) > 1:
                    raise ValueError("more than an answer")
                if not part:
                    break
            return Answer(_words(data), descriptors[0] if descriptors else None)
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise


def _receive_once(sock: socket.socket) -> tuple[bytes, list[int]]:
    """What is there, bytes and descriptors. Other children must not inherit these, so the kernel marks them at once.

    `socket.recv_fds` would do, but passes its flags on to nobody.
    """
    space = socket.CMSG_SPACE(_MAX_DESCRIPTORS * _DESCRIPTOR_BYTES)
    data, ancillary, _, _ = sock.recvmsg(MAX_ANSWER_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    received = array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            received.frombytes(content[: len(content) - len(content) % _DESCRIPTOR_BYTES])
    return data, received.tolist()


async def readable(sock: socket.socket | int) -> None:
    """Wait until `sock` has something to read, without reading it: descriptors come with the bytes."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(sock, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def _words(line: bytes) -> Mapping[str, object]:
    if not line.endswith(b"\n"):
        return {}
    try:
        words = json.loads(line)
    except RecursionError as error:
        raise ValueError("an answer too deep to be one") from error
    return words if isinstance(words, dict) else {}


def _throw_away(exchange: asyncio.Task[Answer]) -> None:
    if exchange.cancelled() or exchange.exception() is not None:
        return
    if (descriptor := exchange.result().descriptor) is not None:
        os.close(descriptor)
