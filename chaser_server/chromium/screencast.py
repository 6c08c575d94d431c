"""The page in front as Chromium's own pictures of it, for browsers without a screen. Knows no viewer.

CDP's screencast sends a JPEG when the page has changed and waits until that is acknowledged. It shows the page alone:
no alert, no list, no menu. Which page is in front is asked again when one comes, goes or is hidden.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from chaser_server.chromium.cdp import CdpError, Event
from chaser_server.chromium.devtools import DevTools
from chaser_server.chromium.keeper import PageKeeper

_QUALITY = 85
_GONE = (CdpError, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: a JPEG in base64, and how many CSS pixels of the page it shows, zoomed by `zoom`."""

    data: str
    css_width: float
    css_height: float
    zoom: float
    number: int  # by which it is acknowledged


class Screencast:
    """The pictures of one browser. Costs nothing until `next_shot` is called, and nothing after `stop`."""

    def __init__(self, devtools: DevTools, keeper: PageKeeper, *, width: int, height: int) -> None:
        self._devtools = devtools
        self._keeper = keeper
        self._size = (width, height)
        self._session = ""  # our CDP session with the page that is shown
        self._page = ""  # the same, kept when the pictures stop: what is held down there is still to be let go
        self._running = False
        self._shot: Shot | None = None  # the newest
        self._seen: Shot | None = None  # what `next_shot` returned, until that is called again
        self._newer = asyncio.Event()
        self._choosing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        keeper.listen(self._hear)

    @property
    def page(self) -> str:
        """Our CDP session with the page that is shown, or was last; empty before there is one."""
        return self._page

    def css_point(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture is in the page, in CSS pixels of its viewport."""
        if self._shot is None:
            return x, y
        width, height = self._size
        shot = self._shot
        return x * shot.css_width / width / shot.zoom, y * shot.css_height / height / shot.zoom

    async def next_shot(self) -> Shot:
        """Wait for a picture newer than the one returned last; only now Chromium is asked to make it."""
        if not self._running:
            self._running = True
            self._spawn(self._choose())
        elif self._seen is not None:
            self._acknowledge(self._seen)
        self._seen = None
        await self._newer.wait()
        self._newer.clear()
        self._seen = self._shot
        assert self._seen is not None
        return self._seen

    def stop(self) -> None:
        """Have no more pictures made."""
        self._running = False
        session, self._session = self._session, ""
        self._newer.clear()
        if session:
            self._spawn(self._call("Page.stopScreencast", None, session))

    def close(self) -> None:
        """Let go of everything under way."""
        for task in self._tasks:
            task.cancel()

    def _hear(self, event: Event) -> None:
        if not self._running:
            return
        if event.method == "Page.screencastFrame" and event.session_id == self._session:
            self._take(event.params)
        elif event.method in ("Target.attachedToTarget", "Target.detachedFromTarget") or (
            event.method == "Page.screencastVisibilityChanged" and not event.params["visible"]
        ):
            self._spawn(self._choose())

    def _take(self, params: dict[str, Any]) -> None:
        if self._newer.is_set() and self._shot is not None:
            self._acknowledge(self._shot)  # nobody has looked at it, and nobody will
        about = params["metadata"]
        css = (about["deviceWidth"], about["deviceHeight"])
        self._shot = Shot(params["data"], *css, about["pageScaleFactor"] or 1, params["sessionId"])
        self._newer.set()

    def _acknowledge(self, shot: Shot) -> None:
        self._spawn(self._call("Page.screencastFrameAck", {"sessionId": shot.number}, self._session))

    async def _choose(self) -> None:
        """Show the page in front."""
        async with self._choosing:
            with contextlib.suppress(*_GONE):
                front = await self._keeper.front_page()
                if front == self._session or not self._running:
                    return
                before, self._session, self._page = self._session, front, front
                self._seen = None
                if before:
                    await self._call("Page.stopScreencast", None, before)
                width, height = self._size
                limits = {"maxWidth": width, "maxHeight": height, "everyNthFrame": 1}
                await self._devtools.call("Page.enable", None, front)
                await self._devtools.call(
                    "Page.startScreencast", {"format": "jpeg", "quality": _QUALITY, **limits}, front
                )

    async def _call(self, method: str, params: dict[str, Any] | None, session: str) -> None:
        with contextlib.suppress(*_GONE):
            await self._devtools.call(method, params, session)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="screencast")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
