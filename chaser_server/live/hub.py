"""Hand pictures of one screen to many viewers: one grab for all of them, one encode for each grade that is wanted.

Viewers pull: each asks for a picture newer than its last, not before it is due. So a slow viewer costs nothing while it
is slow and gets the newest picture when it is ready; nothing is grabbed that nobody waits for, and nothing runs without
viewers. Knows no socket and no input.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from chaser_server.errors import ScreenLost
from chaser_server.live.encoder import Encoder
from chaser_server.live.protocol import frame as frame_message
from chaser_server.live.quality import Grade
from chaser_server.live.seams import Source


@dataclass(slots=True, eq=False)
class Frame:
    """One picture of the screen, with its encoded forms as far as they were wanted."""

    pixels: bytes
    size: tuple[int, int]
    seq: int
    unix_ms: int
    _encoded: dict[Grade, asyncio.Task[bytes]] = field(default_factory=dict)

    async def message(self, grade: Grade, encoder: Encoder) -> bytes:
        """The binary message of the wire format; viewers that want the same grade share one encode."""
        if grade not in self._encoded:
            self._encoded[grade] = asyncio.create_task(self._encode(grade, encoder), name=f"encode frame {self.seq}")
        return await asyncio.shield(self._encoded[grade])  # who leaves takes nothing away from the others

    async def _encode(self, grade: Grade, encoder: Encoder) -> bytes:
        picture, size = await encoder.jpeg(self.pixels, self.size, grade.quality, grade.scale)
        return frame_message(picture, size, self.seq, self.unix_ms)


@dataclass(slots=True, eq=False)
class _Demand:
    """One viewer waiting for a picture newer than `after`: at `due`, or from `early` on if one is made for another."""

    after: int
    early: float
    due: float
    answer: asyncio.Future[Frame]


class Hub:
    """The pictures of one screen. Grabs and waits only while somebody is between `join` and `leave`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._viewers = 0
        self._demands: list[_Demand] = []
        self._frame: Frame | None = None
        self._seq = 0  # goes on when the viewers change, so that no two pictures of a screen share a number
        self._stale = True
        self._wake = asyncio.Event()
        self._grabbed = asyncio.Event()
        self._lost = False
        self._tasks: list[asyncio.Task[None]] = []

    def join(self) -> None:
        """Somebody will ask for pictures. To be undone by `leave`."""
        self._viewers += 1
        if self._viewers == 1 and not self._lost:
            self._stale = True
            work = ((self._serve(), "live hub"), (self._watch(), "live watch"))
            self._tasks = [asyncio.create_task(coroutine, name=name) for coroutine, name in work]

    def leave(self) -> None:
        """One has gone; with the last one all work stops and the last picture is let go."""
        self._viewers -= 1
        if self._viewers == 0:
            for task in self._tasks:
                task.cancel()
            self._tasks = []
            self._frame = None
            self._source.rest()

    async def next_frame(self, *, after: int, due: float, early: float) -> Frame:
        """Wait for a picture with a number above `after` that differs from that one.

        It is grabbed at `due` (seconds of the loop's clock) or when something is drawn after that. One that is made for
        somebody else is taken from `early` on, so that viewers of one rate come into step. Raises `ScreenLost`.
        """
        if self._lost:
            raise ScreenLost("the screen has gone")
        demand = _Demand(after, early, due, asyncio.get_running_loop().create_future())
        self._demands.append(demand)
        self._wake.set()
        try:
            return await demand.answer
        finally:
            self._demands = [other for other in self._demands if other is not demand]

    async def _watch(self) -> None:
        """Notice changes; after one, look for the next only when the picture has been grabbed."""
        with self._losing_the_screen():
            while True:
                await self._source.wait_changed()
                self._stale = True
                self._grabbed.clear()
                self._wake.set()
                await self._grabbed.wait()

    async def _serve(self) -> None:
        """Answer demands as they come due."""
        loop = asyncio.get_running_loop()
        with self._losing_the_screen():
            while True:
                self._wake.clear()
                due = self._next_due()
                if due is not None and due <= loop.time():
                    self._answer(loop.time())
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._wake.wait()

    def _next_due(self) -> float | None:
        """When the next demand that can be answered is due; None while none can."""
        return min((each.due for each in self._demands if self._stale or each.after < self._shown_seq()), default=None)

    def _shown_seq(self) -> int:
        return self._frame.seq if self._frame is not None else -1

    def _answer(self, now: float) -> None:
        if self._stale:
            self._grab()
        frame = self._frame
        assert frame is not None
        answered = [each for each in self._demands if each.early <= now and each.after < frame.seq]
        self._demands = [each for each in self._demands if each not in answered]
        for demand in answered:
            if not demand.answer.done():
                demand.answer.set_result(frame)

    def _grab(self) -> None:
        pixels = self._source.grab()
        self._stale = False
        self._grabbed.set()
        if self._frame is None or pixels != self._frame.pixels:
            self._seq += 1
            self._frame = Frame(pixels, self._source.size, self._seq, time.time_ns() // 1_000_000)

    @contextlib.contextmanager
    def _losing_the_screen(self) -> Iterator[None]:
        """Tell all who wait when the screen goes."""
        try:
            yield
        except ScreenLost as error:
            self._lost = True
            for demand in self._demands:
                if not demand.answer.done():
                    demand.answer.set_exception(ScreenLost(error.message))
