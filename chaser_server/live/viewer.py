"""One viewer: the pictures it gets and the notices it is sent. Decides nothing about input."""

from __future__ import annotations

import asyncio

from chaser_server.live.encoder import Encoder
from chaser_server.live.hub import Hub
from chaser_server.live.protocol import Config
from chaser_server.live.quality import DEFAULT_GRADE, Adaptation, wished
from chaser_server.live.seams import Socket

SEND_SECONDS = 10.0  # a send that is blocked for longer ends the viewer
_EARLY_SHARE = 0.5  # of the interval: how much earlier than due a picture made for others is taken


class Viewer:
    """What is under way to one viewer: at most one picture and one notice, so a stalled one costs bounded memory."""

    def __init__(self, number: int, socket: Socket, *, fps: float, max_fps: float) -> None:
        self.number = number
        self._socket = socket
        self._max_fps = max_fps
        self._interval = 1 / min(fps, max_fps)
        self._wish = DEFAULT_GRADE
        self._adaptation = Adaptation()
        self._unacknowledged: int | None = None
        self._acknowledged = asyncio.Event()
        self._notice = ""
        self._noticed = asyncio.Event()

    def configure(self, wish: Config) -> None:
        """Take over what the viewer wishes, within what is allowed, from the next picture on."""
        self._wish = wished(wish.quality, wish.scale, self._wish)
        if wish.fps is not None:
            self._interval = 1 / min(wish.fps, self._max_fps)

    def acknowledge(self, seq: int) -> None:
        """A picture is on the viewer's screen. Acks of any other than the one under way are ignored."""
        if seq == self._unacknowledged:
            self._acknowledged.set()

    def notify(self, text: str) -> None:
        """Send `text` soon; it takes the place of an earlier notice that could not be sent yet."""
        self._notice = text
        self._noticed.set()

    async def send_text(self, text: str) -> None:
        """Send now. Raises TimeoutError when the viewer does not take it, ConnectionError when it has gone."""
        async with asyncio.timeout(SEND_SECONDS):
            await self._socket.send_text(text)

    async def run_notices(self) -> None:
        """Send notices as they come, until cancelled. Raises as `send_text`."""
        while True:
            await self._noticed.wait()
            self._noticed.clear()
            await self.send_text(self._notice)

    async def run_pictures(self, hub: Hub, encoder: Encoder) -> None:
        """Send pictures, the next one when the last is acknowledged, until cancelled.

        Raises TimeoutError and ConnectionError as `send_text`, and `ScreenLost`.
        """
        loop = asyncio.get_running_loop()
        seq, got_at = 0, loop.time() - self._interval
        while True:
            due, early = got_at + self._interval, got_at + self._interval * _EARLY_SHARE
            frame = await hub.next_frame(after=seq, due=due, early=early)
            seq, got_at = frame.seq, loop.time()
            message = await frame.message(self._adaptation.grade(self._wish), encoder)
            sent_at = loop.time()
            self._unacknowledged = seq % (1 << 32)
            self._acknowledged.clear()
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send_bytes(message)
            await self._acknowledged.wait()
            self._adaptation.arrived(loop.time() - sent_at, self._interval)
