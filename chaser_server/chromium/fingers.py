"""Several fingers at once, by CDP, on a page that otherwise takes the mouse for one finger. Knows no viewer.

Chromium has one emulator of touch for both; being told of the mouse while there are fingers by CDP would lose them.
"""

from __future__ import annotations

import asyncio
import contextlib

from chaser_server.chromium.devtools import DevTools
from chaser_server.chromium.keeper import GONE, PAGE_SECONDS, PageKeeper, touch_from_mouse

Points = tuple[tuple[int, int, int], ...]


class Fingers:
    """The fingers on the page in front. Points are (id, x, y) in pixels of the screen."""

    def __init__(self, devtools: DevTools, keeper: PageKeeper) -> None:
        self._devtools = devtools
        self._keeper = keeper
        self._lifting: asyncio.Task[None] | None = None

    async def take_over(self) -> None:
        """From now on fingers are by CDP; one that the mouse plays gets a touchcancel, and its release is lost."""
        self._keeper.mouse_is_finger = False
        await self._reset()

    async def dispatch(self, action: str, points: Points) -> None:
        """`start` or `move` with all the fingers that are down, `end` with those to lift, or `cancel`."""
        with contextlib.suppress(*GONE):
            session_id = await self._keeper.front_page()
            async with asyncio.timeout(PAGE_SECONDS):
                # Chromium takes CSS pixels here, which on a phone are larger or smaller while the page is zoomed.
                metrics = await self._devtools.call("Page.getLayoutMetrics", None, session_id)
                zoom = metrics["cssVisualViewport"]["scale"] or 1
                touches = [{"id": number, "x": x / zoom, "y": y / zoom} for number, x, y in points]
                params = {"type": f"touch{action.capitalize()}", "touchPoints": touches if action != "cancel" else []}
                await self._devtools.call("Input.dispatchTouchEvent", params, session_id)

    async def give_back(self) -> None:
        """All are lifted: the mouse is a finger again."""
        await self._reset()
        self._keeper.mouse_is_finger = True

    def lift(self) -> None:
        """Cancel all without waiting, and give back."""
        self._lifting = asyncio.create_task(self._lift(), name="lift fingers")

    async def _lift(self) -> None:
        await self.dispatch("cancel", ())
        await self.give_back()

    async def _reset(self) -> None:
        for enabled in (False, True):
            await self._keeper.tell_page(*touch_from_mouse(enabled))
