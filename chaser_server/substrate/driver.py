"""A viewer's input on its way into a browser: natively where the screen can, by CDP where it cannot."""

from __future__ import annotations

from chaser_server.chromium.keeper import PageKeeper
from chaser_server.display.input import Input


class NativeDriver:
    """Mouse, keyboard and one finger by XTEST; text that no US keyboard has, and more fingers, by CDP."""

    def __init__(self, screen_input: Input, keeper: PageKeeper) -> None:
        self._input = screen_input
        self._keeper = keeper

    def mouse(self, action: str, x: int, y: int, button: int) -> None:
        self._input.mouse(action, x, y, button)

    def wheel(self, x: int, y: int, dx: float, dy: float) -> None:
        self._input.wheel(x, y, dx, dy)

    def key(self, action: str, code: str, key: str) -> None:
        self._input.key(action, code, key)

    async def text(self, text: str) -> None:
        if left := self._input.text(text):
            await self._keeper.insert_text(left)

    async def touch(self, action: str, points: tuple[tuple[int, int, int], ...]) -> None:
        """One finger is the native mouse, which the page's emulation turns into trusted touch; more go by CDP."""
        if len(points) > 1:
            await self._keeper.dispatch_touch(action, points)
            return
        for _, x, y in points:
            self._input.finger(action, x, y)

    def release_all(self) -> None:
        self._input.release_all()
