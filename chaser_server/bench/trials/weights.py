"""How a browser that is being started is kept from slowing a running session: by several means, in turns in one run.

A page in a running session is gone to alone, and while another server starts a browser: at the same right to the
processor, at the lowest nice value of an autogroup (as this server fills its pool, see `sandbox.priority`), and in a
control group with a hundredth of the usual weight.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from chaser_server.bench.meter import Meter
from chaser_server.bench.processes import until_machine_quiet
from chaser_server.bench.sessions import site
from chaser_server.bench.trials.groups import NoGroup, against_autogroups, light_group
from chaser_server.bench.ways import BenchServer, server

ROUNDS = 6
PAGES_ALONE = 10
NOTHING, AUTOGROUP, GROUP = "nothing", "autogroup, nice 19 (as it is)", "control group"
_START_SECONDS = 60
_FILLING = "chaser_pool_starting"

Page = Callable[[], Awaitable[float]]
"""Goes to a page in the running session; how many milliseconds that took."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Milliseconds: a page in a running session, alone and beside a start, and the start itself; `ratio` is of the two.

    `note` says what was set, or why there are no figures.
    """

    held_back_by: str
    alone: float
    beside: float
    ratio: float
    start: float
    start_cpu: float
    pages: int
    note: str


async def measure(rounds: int = ROUNDS) -> list[Beside]:
    """Each means in turn, `rounds` times, after one round that warms up."""
    from playwright.async_api import async_playwright  # only here: its driver has no part in the server

    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(site())
        playwright = await stack.enter_async_context(async_playwright())
        running = await stack.enter_async_context(server(pool=0))
        starts, missing = await _starts(stack)
        browser = await playwright.chromium.connect_over_cdp((await running.way("default")()).cdp_url)
        page = browser.contexts[0].pages[0]
        for number in range(rounds + 1):
            for each in starts:
                await each.ready()
                await until_machine_quiet()
                await each.turn(lambda: _milliseconds(page, url))
                if number == 0:
                    each.has_warmed_up()
        return [*(each.row() for each in starts), *missing]


async def _starts(stack: AsyncExitStack) -> tuple[list[Starter], list[Beside]]:
    """Whatever means there are here, and a row for each that there is not."""
    plain = await stack.enter_async_context(server(pool=0))
    pooled = await stack.enter_async_context(server(pool=1))
    starts = [_Session(NOTHING, plain), _Refill(AUTOGROUP, pooled, against_autogroups())]
    try:
        group = stack.enter_context(light_group(f"chaser-bench-{os.getpid()}"))
        light = await stack.enter_async_context(server(pool=0))
        group.take(light.pid)
    except NoGroup as why:
        return starts, [Beside(GROUP, math.nan, math.nan, math.nan, math.nan, math.nan, 0, str(why))]
    return [*starts, _Session(GROUP, light, group.told)], []


class Starter(ABC):
    """Starts browsers by one means, and keeps what that did to pages."""

    def __init__(self, held_back_by: str, here: BenchServer, note: str = "") -> None:
        self.here = here
        self._held_back_by = held_back_by
        self._note = note
        self._figures: dict[str, list[float]] = {name: [] for name in ("alone", "beside", "start", "start_cpu")}

    async def ready(self) -> None:
        """Return when it may begin."""
        await self.here.until_full()

    async def turn(self, page: Page) -> None:
        """Go to pages, and again as long as a browser is being started."""
        for _ in range(PAGES_ALONE):
            await self._under_way()  # as beside a start, so that both pay for the asking
            self._figures["alone"].append(await page())
        async with asyncio.timeout(_START_SECONDS):
            await self._begin()
            meter, began = Meter(self.here.pid), perf_counter()
            while await self._under_way():
                self._figures["beside"].append(await page())
            self._figures["start"].append((perf_counter() - began) * 1000)
            meter.search()
        self._figures["start_cpu"].append(meter.milliseconds)
        await self._end()

    def has_warmed_up(self) -> None:
        for figures in self._figures.values():
            figures.clear()

    def row(self) -> Beside:
        middle = {name: statistics.median(figures) for name, figures in self._figures.items()}
        ratio, pages = middle["beside"] / middle["alone"], len(self._figures["beside"])
        return Beside(self._held_back_by, ratio=ratio, pages=pages, note=self._note, **middle)

    @abstractmethod
    async def _begin(self) -> None:
        """Have a browser started; returns when that is under way."""

    @abstractmethod
    async def _under_way(self) -> bool:
        """Whether it is being started."""

    @abstractmethod
    async def _end(self) -> None:
        """End what was started for it."""


class _Session(Starter):
    """A session's own browser."""

    _path = ""

    async def _begin(self) -> None:
        session = await self.here.ask("POST", "/v1/sessions", json={})
        self._path = f"/v1/sessions/{session['id']}"

    async def _under_way(self) -> bool:
        return bool(self._path) and (await self.here.ask("GET", self._path))["status"] == "creating"

    async def _end(self) -> None:
        await self.here.ask("DELETE", self._path)


class _Refill(Starter):
    """A browser in place of one that was taken from the pool."""

    _release: Callable[[], Awaitable[None]]

    async def _begin(self) -> None:
        self._release = (await self.here.way("default")()).release
        while not await self._under_way():
            pass  # it begins when launches have been quiet for a moment

    async def _under_way(self) -> bool:
        return bool(await self.here.metric(_FILLING))

    async def _end(self) -> None:
        await self._release()


async def _milliseconds(page: Any, url: str) -> float:
    began = perf_counter()
    await page.goto(url)
    return (perf_counter() - began) * 1000


def table(rows: Sequence[Beside]) -> str:
    """The rows for people."""
    lines = [
        "| the start is held back by | a page alone | beside a start | ratio | pages | the start | its CPU | |",
        "|" + "---|" * 8,
    ]
    for row in rows:
        figures = f"{row.alone:.1f} ms | {row.beside:.1f} ms | {row.ratio:.2f}x | {row.pages}"
        start = f"{row.start:.0f} ms | {row.start_cpu:.0f} ms"
        lines.append(f"| {row.held_back_by} | {figures if row.pages else '– | – | – | 0'} "
                     f"| {start if row.pages else '– | –'} | {row.note} |")  # fmt: skip
    return "\n".join(lines)
