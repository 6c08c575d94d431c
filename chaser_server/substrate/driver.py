"""A viewer's input on its way into a browser: natively where the screen can, by CDP where it cannot."""

from __future__ import annotations

import asyncio

from chaser_server.chromium.fingers import Fingers, Points
from chaser_server.chromium.keeper import PageKeeper
from chaser_server.display.input import Input

_LANDING_SECONDS = 0.05


class NativeDriver:
    """Mouse, keyboard and one finger by XTEST; text that no US keyboard has, and more fingers, by CDP.

    One finger is the native mouse, which the page's emulation turns into trusted touch, and which also works menus and
    dialogs. It lands a moment late, unless it moves or lifts before, because two fingers that land together are both
    CDP's. When the second one comes later, the page sees the first cancelled, and then both.
    """

    def __init__(self, screen_input: Input, keeper: PageKeeper, fingers: Fingers, *, touch: bool) -> None:
        self._input = screen_input
        self._keeper = keeper
        self._more_fingers = fingers
        self._max_fingers = 10 if touch else 1
        self._fingers: dict[int, tuple[int, int]] = {}
        self._by_cdp = False
        self._landing: asyncio.TimerHandle | None = None

    def mouse(self, action: str, x: int, y: int, button: int) -> None:
        self._input.mouse(action, x, y, button)

    def wheel(self, x: int, y: int, dx: float, dy: float) -> None:
        self._input.wheel(x, y, dx, dy)

    def key(self, action: str, code: str, key: str) -> None:
        self._input.key(action, code, key)

    async def text(self, text: str) -> None:
        if left := self._input.text(text):
            await self._keeper.insert_text(left)

    async def touch(self, action: str, points: Points) -> None:
        before = self._down()
        lifted = self._note(action, points)
        if len(self._fingers) > 1 and not self._by_cdp:
            await self._take_over()
        if self._by_cdp:
            await self._more_fingers.dispatch(action, lifted or self._down())
            if not self._fingers:
                self._by_cdp = False
                await self._more_fingers.give_back()
        elif action == "start" and not before:
            self._landing = asyncio.get_running_loop().call_later(_LANDING_SECONDS, self._land, self._down())
        elif before:
            self._land(before)
            for _, x, y in lifted or self._down():
                self._input.finger(action, x, y)

    def release_all(self) -> None:
        self._stay_up()
        self._input.release_all()
        if self._by_cdp:
            self._more_fingers.lift()
        self._fingers, self._by_cdp = {}, False

    def _land(self, points: Points) -> None:
        """Put the first finger down, if it is not."""
        if self._stay_up():
            for _, x, y in points:
                self._input.finger("start", x, y)

    def _stay_up(self) -> bool:
        """Whether the first finger was still to land; it is not any more."""
        landing, self._landing = self._landing, None
        if landing is not None:
            landing.cancel()
        return landing is not None

    async def _take_over(self) -> None:
        """From the native finger to CDP's."""
        self._by_cdp = True
        landed = not self._stay_up()
        await self._more_fingers.take_over()
        if landed:
            self._input.release_all()

    def _down(self) -> Points:
        return tuple((number, x, y) for number, (x, y) in self._fingers.items())

    def _note(self, action: str, points: Points) -> Points:
        """Keep count of the fingers; returns those that are lifted."""
        if action in ("end", "cancel"):
            return tuple(point for point in points if self._fingers.pop(point[0], None) is not None)
        for number, x, y in points:
            if number in self._fingers or (action == "start" and len(self._fingers) < self._max_fingers):
                self._fingers[number] = (x, y)
        return ()
