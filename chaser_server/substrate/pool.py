"""Browsers that stand ready, so that a session begins in milliseconds. Knows no sandbox and no session.

What stands ready has no way to the network yet: that is given to it with its session, so nothing it did before can be
counted, and whatever a session chooses of its way out applies to a pooled browser, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from chaser_server.config import PoolConfig, ProfileConfig
from chaser_server.model import ByteCount
from chaser_server.substrate.base import Browser, Maker, OnEvent, WarmBrowser
from chaser_server.substrate.shelf import Pause, Shelf, Traffic

QUIET_SECONDS = 0.25
"""A session connects and opens its first page in less; a refill beside that makes it half as slow again."""


def shelf_sizes(pool: PoolConfig, profiles: Mapping[str, ProfileConfig]) -> dict[str, int]:
    """How many browsers of which profile stand ready; profiles without any are left out."""
    if pool.size == 0:
        return {}
    wanted = {name: profile.pool or (pool.size if name == "default" else 0) for name, profile in profiles.items()}
    return {name: size for name, size in wanted.items() if size}


class Pool:
    """The `Substrate` that takes what stands ready, and has the rest launched.

    `taken`, `hastened` and `cold` count the launches that took a browser from its shelf, one that was on its way
    there, and one of their own.
    """

    def __init__(
        self,
        maker: Maker,
        *,
        sizes: Mapping[str, int],
        max_age_seconds: float,
        quiet_seconds: float = QUIET_SECONDS,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self.taken = 0
        self.hastened = 0
        self.cold = 0
        self._maker = maker
        self._traffic = Traffic(quiet_seconds, pause)
        self._shelves = {
            profile: Shelf(
                profile,
                size=size,
                maker=maker,
                traffic=self._traffic,
                max_age_seconds=max_age_seconds,
                pause=pause,
            )
            for profile, size in sizes.items()
            if profile in maker.profiles
        }

    @property
    def profiles(self) -> frozenset[str]:
        return self._maker.profiles

    @property
    def unavailable(self) -> Mapping[str, str]:
        return self._maker.unavailable

    @property
    def ready(self) -> int:
        """How many browsers stand on the shelves now."""
        return sum(len(shelf) for shelf in self._shelves.values())

    @property
    def starting(self) -> int:
        """How many browsers are on their way there."""
        return sum(shelf.is_filling for shelf in self._shelves.values())

    def start(self) -> None:
        """Begin to fill the shelves, in the background."""
        for shelf in self._shelves.values():
            shelf.start()

    async def launch(self, profile: str, *, egress: ByteCount, on_event: OnEvent) -> Browser:
        with self._traffic:
            browser = await self._obtain(profile)
            try:
                await browser.adopt(egress=egress, on_event=on_event)
            except BaseException:
                await asyncio.shield(browser.close())
                raise
        return browser

    async def empty(self) -> None:
        """Stop filling, and return when every browser that nobody has taken is gone."""
        await asyncio.gather(*(shelf.close() for shelf in self._shelves.values()))

    async def close(self) -> None:
        await self.empty()
        await self._maker.close()

    async def _obtain(self, profile: str) -> WarmBrowser:
        shelf = self._shelves.get(profile)
        if shelf is not None:
            if (browser := await shelf.take()) is not None:
                self.taken += 1
                return browser
            if (browser := await shelf.hasten()) is not None:
                self.hastened += 1
                return browser
        self.cold += 1
        wanted = asyncio.Event()
        wanted.set()
        return await self._maker.prepare(profile, wanted=wanted)
