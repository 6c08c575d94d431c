"""The browsers of one profile that stand ready, and the task that fills up what was taken.

A fill keeps out of the way of launches that somebody waits for. A browser on a shelf is given out once, and only when
it has just answered; one that dies there or grows too old is replaced, with a growing pause when that goes on failing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any

from chaser_server.errors import SubstrateUnavailable
from chaser_server.substrate.base import Maker, WarmBrowser

CHECK_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 60.0

Pause = Callable[[float], Awaitable[None]]

log = logging.getLogger(__name__)


def backoff_seconds(failures: int) -> float:
    """How long to leave a shelf alone after so many browsers in a row that did not come up or did not last."""
    return min(2.0 ** min(failures - 1, 10), _LONGEST_BACKOFF_SECONDS) if failures else 0.0


class Traffic:
    """Launches that somebody waits for: fills keep out of their way, and come one at a time."""

    def __init__(self, quiet_seconds: float, pause: Pause) -> None:
        self.turn = asyncio.Lock()
        self._quiet_seconds = quiet_seconds
        self._pause = pause
        self._under_way = 0
        self._none = asyncio.Event()
        self._none.set()
        self._last = float("-inf")

    def __enter__(self) -> None:
        self._under_way += 1
        self._none.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._under_way -= 1
        self._last = asyncio.get_running_loop().time()
        if not self._under_way:
            self._none.set()

    async def quiet(self) -> None:
        """Wait until no launch is under way, nor has been for `quiet_seconds`."""
        await self._none.wait()
        while (left := self._last + self._quiet_seconds - asyncio.get_running_loop().time()) > 0:
            await self._pause(left)
            await self._none.wait()


class _Filling:
    """A browser on its way to a shelf. Whoever claims it is given it, and the shelf is not."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self.done = asyncio.Event()
        self.claimed = False
        self.browser: WarmBrowser | None = None


class _Standing:
    """A browser on a shelf, with the task that looks after it there."""

    def __init__(self, browser: WarmBrowser, wanted: asyncio.Event) -> None:
        self.browser = browser
        self.wanted = wanted
        self.watch: asyncio.Task[None] | None = None


class Shelf:
    """The browsers of one profile that stand ready."""

    def __init__(
        self, profile: str, *, size: int, maker: Maker, traffic: Traffic, max_age_seconds: float, pause: Pause
    ) -> None:
        self._profile = profile
        self._size = size
        self._maker = maker
        self._traffic = traffic
        self._max_age_seconds = max_age_seconds
        self._pause = pause
        self._standing: deque[_Standing] = deque()
        self._lacking = asyncio.Event()
        self._lacking.set()
        self._filling: _Filling | None = None
        self._failures = 0
        self._filler: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._standing)

    @property
    def is_filling(self) -> bool:
        """Whether a browser is on its way here."""
        return self._filling is not None

    def start(self) -> None:
        """Begin to fill it."""
        self._filler = asyncio.create_task(self._keep_filled(), name=f"pool-{self._profile}")

    async def take(self) -> WarmBrowser | None:
        """The browser that has stood longest, if it is well; those that are not are thrown away."""
        while self._standing:
            standing = self._standing.popleft()
            self._changed()
            assert standing.watch is not None
            standing.watch.cancel()
            standing.wanted.set()
            if await self._is_well(standing.browser):
                self._failures = 0
                return standing.browser
            self._failures += 1
            self._spawn(standing.browser.close())
        return None

    async def hasten(self) -> WarmBrowser | None:
        """The browser that is on its way here, if there is one that nobody else waits for and that does come up."""
        filling = self._filling
        if filling is None or filling.claimed:
            return None
        filling.claimed = True
        filling.wanted.set()
        try:
            await filling.done.wait()
        except BaseException:
            filling.claimed = False
            if filling.browser is not None:
                await asyncio.shield(filling.browser.close())
            raise
        return filling.browser

    async def close(self) -> None:
        """Stop filling, and return when nothing that stood here is left."""
        if self._filler is not None:
            self._filler.cancel()
            await asyncio.wait([self._filler])
        while self._standing:
            standing = self._standing.popleft()
            assert standing.watch is not None
            standing.watch.cancel()
            self._spawn(standing.browser.close())
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _is_well(self, browser: WarmBrowser) -> bool:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await browser.check()
        except (SubstrateUnavailable, TimeoutError) as error:
            log.warning("a pooled browser of profile %s is thrown away: %s", self._profile, error or "no answer")
            return False
        except BaseException:
            await asyncio.shield(browser.close())
            raise
        return True

    async def _keep_filled(self) -> None:
        while True:
            await self._lacking.wait()
            await self._pause(backoff_seconds(self._failures))
            async with self._traffic.turn:
                await self._traffic.quiet()
                await self._fill()

    async def _fill(self) -> None:
        filling = self._filling = _Filling()
        try:
            browser = await self._maker.prepare(self._profile, wanted=filling.wanted)
        except Exception as error:  # also a bug: the next try may do better, and sessions start cold meanwhile
            self._failures += 1
            log.warning("no browser of profile %s for the pool: %s", self._profile, error)
        else:
            if filling.claimed:
                filling.browser = browser
            else:
                self._stand(_Standing(browser, filling.wanted))
        finally:
            self._filling = None
            filling.done.set()

    def _stand(self, standing: _Standing) -> None:
        self._standing.append(standing)
        self._changed()
        standing.watch = self._spawn(self._watch(standing))

    async def _watch(self, standing: _Standing) -> None:
        """Take it away when it has died, or has grown too old."""
        try:
            async with asyncio.timeout(self._max_age_seconds):
                gone = await standing.browser.exited()
        except TimeoutError:
            self._failures = 0
        else:
            self._failures += 1
            log.warning("a pooled browser of profile %s went by itself (exit code %d)", self._profile, gone.code)
        self._standing.remove(standing)
        self._changed()
        await standing.browser.close()

    def _changed(self) -> None:
        if len(self._standing) < self._size:
            self._lacking.set()
        else:
            self._lacking.clear()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"pool-{self._profile}-aside")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
