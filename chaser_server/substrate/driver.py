"""A viewer's input on its way into a browser: natively where the screen can, by CDP where it cannot."""

from __future__ import annotations

from chaser_server.chromium.keeper import PageKeeper
from chaser_server.display.input import Input

Points = tuple[tuple[int, int, int], ...]


class NativeDriver:
    """Mouse, keyboard and one finger by XTEST; text that no US keyboard has, and more fingers, by CDP.

    One finger is the native mouse, which the page's emulation turns into trusted touch, and which also works menus and
    dialogs. When a second one comes, the page sees the first cancelled, and then both, until the last has left.
    """

    def __init__(self, screen_input: Input, keeper: PageKeeper, *, touch: bool) -> None:
        self._input = screen_input
        self._keeper = keeper
        self._max_fingers = 10 if touch else 1
        self._fingers: dict[int, tuple[int, int]] = {}
        self._by_cdp = False

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
        lifted = self._note(action, points)
        if len(self._fingers) > 1 and not self._by_cdp:
            self._by_cdp = True
            await self._keeper.cancel_emulated_touch()
            self._input.release_all()
        if self._by_cdp:
            await self._keeper.dispatch_touch(action, lifted or self._down())
            self._by_cdp = bool(self._fingers)
            return
        for _, x, y in lifted or self._down():
            self._input.finger(action, x, y)

    def release_all(self) -> None:
        self._input.release_all()
        if self._by_cdp:
            self._keeper.lift_fingers()
        self._fingers, self._by_cdp = {}, False

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
