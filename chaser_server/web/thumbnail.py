"""A small picture of a session's screen: one frame of the live view, for someone who only glances.

A glance is no viewer: it keeps no idle session alive, stands in no timeline and counts no bytes.
"""

from __future__ import annotations

import asyncio
import json

from chaser_server.errors import SubstrateUnavailable
from chaser_server.live.protocol import FRAME_HEADER
from chaser_server.substrate.base import View

_WISH = json.dumps({"t": "config", "scale": 0.25, "q": 55})
_PATIENCE_SECONDS = 5.0


async def glance(view: View) -> bytes:
    """One JPEG at a quarter of the screen's size. Raises `SubstrateUnavailable` when no picture comes."""
    socket = _Glance()
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await view.serve(socket, may_drive=False)
    except TimeoutError:
        raise SubstrateUnavailable("the screen shows nothing yet") from None
    if not socket.picture:
        raise SubstrateUnavailable("the screen has gone")
    return socket.picture


class _Glance:
    """The socket of a viewer that says what it wishes, takes one frame and leaves."""

    def __init__(self) -> None:
        self.picture = b""
        self._wishes = [_WISH]
        self._over = asyncio.Event()

    async def send_bytes(self, data: bytes) -> None:
        self.picture = self.picture or data[FRAME_HEADER.size :]
        self._over.set()

    async def send_text(self, text: str) -> None:
        pass

    async def receive_text(self) -> str | None:
        if self._wishes:
            return self._wishes.pop()
        await self._over.wait()
        return None

    async def close(self, code: int, reason: str) -> None:
        self._over.set()
