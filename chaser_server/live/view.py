"""The live view of one session: admits viewers, lets one of them drive, and sees each of them out."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from chaser_server.errors import ScreenLost
from chaser_server.live import protocol
from chaser_server.live.control import Control
from chaser_server.live.encoder import Encoder
from chaser_server.live.hub import Hub
from chaser_server.live.seams import Driver, Socket, Source
from chaser_server.live.viewer import Viewer

_GOING_AWAY, _TOO_SLOW = 1001, 1013  # RFC 6455 7.4.1 and the IANA registry: "try again later"
CLOSE_SECONDS = 2.0
ONLOOKER = 0
"""The number of all who only watch: nobody hands control to them, so they need none of their own."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What `hello` says about the screen, see `protocol.Hello`."""

    backend: str
    native_input: bool
    touch: str


class LiveView:
    """One screen, everyone who watches it and the one who drives it."""

    def __init__(
        self, *, source: Source, driver: Driver, encoder: Encoder, facts: Facts, fps: float = 5, max_fps: float = 30
    ) -> None:
        self._source = source
        self._driver = driver
        self._encoder = encoder
        self._facts = facts
        self._fps = fps
        self._max_fps = max_fps
        self._hub = Hub(source)
        self._control = Control()
        self._driving: int | None = None
        self._viewers: set[Viewer] = set()
        self._serving: set[asyncio.Future[None]] = set()
        self._closed = asyncio.Event()
        self._close_words = (_GOING_AWAY, "")
        self._numbers = itertools.count(1)
        self._lapse: asyncio.TimerHandle | None = None

    @property
    def viewers(self) -> int:
        """How many watch now."""
        return len(self._viewers)

    async def serve(self, socket: Socket, *, may_drive: bool) -> None:
        """Serve one viewer until it goes, stalls for too long or the view closes. Its socket is closed then.

        Raises nothing but CancelledError; whatever the viewer held down is let go.
        """
        number = next(self._numbers) if may_drive else ONLOOKER
        viewer = Viewer(number, socket, fps=self._fps, max_fps=self._max_fps)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._serving.add(ended)
        try:
            words = await self._show(viewer, socket, may_drive=may_drive)
            await _close(socket, *words)
        finally:
            self._serving.remove(ended)
            ended.set_result(None)

    async def close(self, code: int, reason: str) -> None:
        """Send every viewer away with a close code, and return when they have gone."""
        if not self._closed.is_set():
            self._close_words = (code, reason)
            self._closed.set()
        await asyncio.gather(*self._serving)

    async def _show(self, viewer: Viewer, socket: Socket, *, may_drive: bool) -> tuple[int, str]:
        """Serve one viewer; returns the code and reason to close its socket with."""
        self._viewers.add(viewer)
        self._hub.join()
        try:
            await viewer.send_text(protocol.hello(self._hello(may_drive)))
            if may_drive:
                self._control.join(viewer.number, self._now())
            self._control_moved()
            await _first_of(
                self._wait_closed(),
                self._listen(viewer, socket),
                viewer.run_pictures(self._hub, self._encoder),
                viewer.run_notices(),
            )
        except TimeoutError:
            return _TOO_SLOW, "too slow"
        except ScreenLost as error:
            return _GOING_AWAY, error.message
        except ConnectionError:
            return _GOING_AWAY, ""
        finally:
            self._hub.leave()
            self._viewers.remove(viewer)
            self._control.leave(viewer.number, self._now())
            self._control_moved()
        return self._close_words

    async def _wait_closed(self) -> None:
        await self._closed.wait()

    def _hello(self, may_drive: bool) -> protocol.Hello:
        width, height = self._source.size
        facts = self._facts
        fps = min(self._fps, self._max_fps)
        return protocol.Hello(width, height, fps, facts.backend, facts.native_input, facts.touch, may_drive)

    async def _listen(self, viewer: Viewer, socket: Socket) -> None:
        while (raw := await socket.receive_text()) is not None:
            try:
                message = protocol.parse(raw, self._source.size)
            except protocol.BadMessage as error:
                await viewer.send_text(protocol.error(str(error)))
            else:
                await self._handle(viewer, message)

    async def _handle(self, viewer: Viewer, message: protocol.Message) -> None:
        match message:
            case protocol.Ack(seq):
                viewer.acknowledge(seq)
            case protocol.Config():
                viewer.configure(message)
            case protocol.ControlRequest():
                self._request(viewer.number, message)
            case _ if self._control.drives(viewer.number, self._now()):
                await self._drive(message)

    async def _drive(self, message: protocol.Message) -> None:
        match message:
            case protocol.Mouse(action, x, y, button):
                self._driver.mouse(action, x, y, button)
            case protocol.Wheel(x, y, dx, dy):
                self._driver.wheel(x, y, dx, dy)
            case protocol.Key(action, code, key):
                self._driver.key(action, code, key)
            case protocol.Text(text):
                await self._driver.text(text)
            case protocol.Touch(action, points):
                await self._driver.touch(action, points)

    def _request(self, viewer: int, request: protocol.ControlRequest) -> None:
        match request.action:
            case "ask":
                self._control.ask(viewer, self._now())
            case "release":
                self._control.release(viewer, self._now())
            case "give":
                self._control.give(viewer, request.to, self._now())
        self._control_moved()

    def _control_moved(self) -> None:
        """Let go of what the last driver held, tell everybody, and look again when a lease may have lapsed."""
        if self._driving not in (None, self._control.driver):
            self._driver.release_all()
        self._driving = self._control.driver
        for viewer in self._viewers:
            viewer.notify(protocol.control(viewer.number, self._driving, self._control.asking))
        if self._lapse is not None:
            self._lapse.cancel()
            self._lapse = None
        if self._control.lapses_at is not None:
            self._lapse = asyncio.get_running_loop().call_at(self._control.lapses_at, self._look_at_lease)

    def _look_at_lease(self) -> None:
        self._control.lapse(self._now())
        self._control_moved()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _first_of(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run until one ends, end the others, and raise what the first one raised."""
    tasks = [asyncio.create_task(coroutine, name="live viewer") for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _close(socket: Socket, code: int, reason: str) -> None:
    """Close without being held up by a viewer that takes nothing."""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code, reason)
