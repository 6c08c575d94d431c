"""A maker of browsers of nothing, for the pool's logic."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from chaser_server.errors import LaunchFailed, SubstrateUnavailable
from chaser_server.model import ByteCount
from chaser_server.substrate.base import OnEvent
from tests.substrates import FakeBrowser


class FakeWarmBrowser(FakeBrowser):
    """Well until `ill` is set, and belonging to nobody until it is adopted."""

    def __init__(self, number: int, wanted: asyncio.Event) -> None:
        super().__init__(ByteCount())
        self.number = number
        self.wanted = wanted
        self.ill = False
        self.adoptions = 0

    async def check(self) -> None:
        if self.ill or self.closed:
            raise SubstrateUnavailable("the browser does not answer")

    async def adopt(self, *, egress: ByteCount, on_event: OnEvent) -> None:
        self.adoptions += 1
        self.egress = egress
        on_event("launched", {"pid": self.number})


class FakeMaker:
    """Prepares while `go` is set (it is at first); `most` is how many came up at once. `failures` of them fail."""

    profiles = frozenset({"default", "mobile"})
    unavailable: Mapping[str, str] = {"light": "its browser is not on this machine"}

    def __init__(self) -> None:
        self.browsers: list[FakeWarmBrowser] = []
        self.go = asyncio.Event()
        self.go.set()
        self.failures = 0
        self.attempts = 0
        self.under_way = 0
        self.most = 0
        self.closed = False
        self._news = asyncio.Condition()

    async def prepare(self, profile: str, *, wanted: asyncio.Event) -> FakeWarmBrowser:
        self.attempts += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self._tell()
            await self.go.wait()
        finally:
            self.under_way -= 1
        if self.failures:
            self.failures -= 1
            raise LaunchFailed("the browser did not come up")
        browser = FakeWarmBrowser(len(self.browsers), wanted)
        self.browsers.append(browser)
        await self._tell()
        return browser

    async def close(self) -> None:
        self.closed = True

    @property
    def living(self) -> list[FakeWarmBrowser]:
        return [browser for browser in self.browsers if not browser.closed]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that comes true with an attempt or a browser."""
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(condition)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


class Pauses:
    """Stands in for `asyncio.sleep`: writes down what was to be waited, and lets it pass when `go` is set."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, seconds: float) -> None:
        if seconds > 0:
            self.asked.append(seconds)
            await self.go.wait()
        await asyncio.sleep(0)


async def settled(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


Launch = Callable[..., Awaitable[FakeWarmBrowser]]
