"""The last lines that a sandbox's programs wrote to stderr."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

LINES = 60
LINE_BYTES = 2000


class Tail(asyncio.Protocol):
    """Keeps the last lines of a pipe, and always reads on: a browser whose stderr is full would stall."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LINES)
        self._partial = b""
        self._transport: asyncio.BaseTransport | None = None
        self._ended = asyncio.Event()

    @property
    def text(self) -> str:
        """The lines so far, without one that has not ended."""
        return "\n".join(self._lines)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, partial = (self._partial + data).split(b"\n")
        self._lines.extend(line[:LINE_BYTES].decode("utf-8", "replace") for line in lines)
        self._partial = partial[:LINE_BYTES]

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()

    async def wait_ended(self, seconds: float) -> None:
        """Wait until nobody can write any more, or so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    def close(self) -> None:
        """Read no more."""
        if self._transport is not None:
            self._transport.close()
