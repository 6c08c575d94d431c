"""How long a session takes from the wish to the page: BrowserArena's stages, by several ways in one run.

Every round goes through all ways, one after the other, so that a noisy machine disturbs all alike: read the ratios to
`bare`. Times are what a client sees, in milliseconds. `at once` means that so many begin in the same moment, and that
the pool is full then. Throughput is of as many workers, each with one session after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from aiohttp import web

from chaser_server.bench.processes import until_quiet
from chaser_server.bench.ways import BenchServer, Opened, Way, bare, server

if TYPE_CHECKING:
    from playwright.async_api import Playwright

BARE = "bare"
STAGES = ("create", "connect", "goto", "release")
SUMS = ("create + connect", "total")
WORKERS = 4


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: rounds of each concurrency, and sessions of the sustained load."""

    rounds: int
    concurrencies: tuple[int, ...]
    sustained: int


@dataclass(frozen=True, slots=True)
class Stage:
    """Milliseconds of one stage by one way; `ratio` is to the same stage of `bare`, of the medians."""

    way: str
    concurrency: int
    stage: str
    p50: float
    p95: float
    p99: float
    ratio: float
    failures: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """Sessions a second, from create to release, with so many workers; `ratio` is to `bare`."""

    way: str
    workers: int
    sessions: int
    per_second: float
    ratio: float
    failures: int


Row = Stage | Throughput


async def measure(executable: str, scale: Scale) -> list[Row]:
    """Every concurrency by every way, then the sustained load without a pool."""
    from playwright.async_api import async_playwright  # only here: its driver has no part in the server

    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(site())
        playwright = await stack.enter_async_context(async_playwright())
        pooled = await stack.enter_async_context(server(pool=max(scale.concurrencies)))
        cold = await stack.enter_async_context(server(pool=0))
        unpooled = {BARE: bare(executable), "cold": cold.way("default"), "light": cold.way("light")}
        ways = {BARE: unpooled[BARE], "pool": pooled.way("default"), **unpooled}
        rows: list[Row] = []
        for concurrency in scale.concurrencies:
            runs = {name: Run(way, playwright, page) for name, way in ways.items()}
            await _take_turns(runs, pooled, concurrency, scale.rounds)
            rows += _stages(runs, concurrency)
        await pooled.until_full()
        rows += await _sustained({name: Run(way, playwright, page) for name, way in unpooled.items()}, scale.sustained)
        return rows


@asynccontextmanager
async def site() -> AsyncIterator[str]:
    """A small page on loopback."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>bench</title><h1>Hello</h1>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://localhost:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


class Run:
    """Sessions by one way, and what their stages took."""

    def __init__(self, way: Way, playwright: Playwright, page: str) -> None:
        self.milliseconds: dict[str, list[float]] = defaultdict(list)
        self.failures = 0
        self._way = way
        self._playwright = playwright
        self._page = page

    @property
    def done(self) -> int:
        """How many went through all stages."""
        return len(self.milliseconds["total"])

    async def session(self) -> None:
        """One session, through all stages."""
        marks = [perf_counter()]
        opened: Opened | None = None
        try:
            opened = await self._way()
            marks.append(perf_counter())
            browser = await self._playwright.chromium.connect_over_cdp(opened.cdp_url)
            marks.append(perf_counter())
            await browser.contexts[0].pages[0].goto(self._page)
            marks.append(perf_counter())
            await opened.release()
            marks.append(perf_counter())
        except Exception:  # counted, whatever it was: the other ways are still to be measured
            self.failures += 1
            if opened is not None and len(marks) < 4:
                with contextlib.suppress(Exception):  # the browser may have gone by itself
                    await opened.release()
            return
        for stage, began, ended in zip(STAGES, marks, marks[1:], strict=False):
            self.milliseconds[stage].append((ended - began) * 1000)
        self.milliseconds["create + connect"].append((marks[2] - marks[0]) * 1000)
        self.milliseconds["total"].append((marks[-1] - marks[0]) * 1000)


async def _take_turns(runs: Mapping[str, Run], pooled: BenchServer, concurrency: int, rounds: int) -> None:
    for number in range(rounds + 1):
        for run in runs.values():
            await pooled.until_full()  # and does not disturb the others
            await until_quiet(pooled.pid)
            await asyncio.gather(*(run.session() for _ in range(concurrency)))
            if number == 0:
                run.milliseconds.clear()  # the first one warms up


def _stages(runs: Mapping[str, Run], concurrency: int) -> Iterator[Stage]:
    for name, run in runs.items():
        for stage, values in run.milliseconds.items():
            p50, p95, p99 = _quantiles(values)
            ratio = p50 / statistics.median(runs[BARE].milliseconds[stage])
            yield Stage(name, concurrency, stage, p50, p95, p99, ratio, run.failures)


def _quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) < 2:
        return values[0], values[0], values[0]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


async def _sustained(runs: Mapping[str, Run], sessions: int) -> list[Throughput]:
    """Half of each way's sessions, way after way, then the other half."""
    seconds: dict[str, float] = defaultdict(float)
    for half in (sessions // 2, sessions - sessions // 2):
        for name, run in runs.items():
            began = perf_counter()
            await _work_off(run, half)
            seconds[name] += perf_counter() - began
    per_second = {name: run.done / seconds[name] for name, run in runs.items()}
    return [
        Throughput(name, WORKERS, run.done, per_second[name], per_second[name] / per_second[BARE], run.failures)
        for name, run in runs.items()
    ]


async def _work_off(run: Run, sessions: int) -> None:
    left = iter(range(sessions))

    async def work() -> None:
        for _ in left:
            await run.session()

    await asyncio.gather(*(work() for _ in range(WORKERS)))


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = ["| at once | way | stage | p50 | p95 | p99 | to bare | failures |", "|" + "---|" * 8]
    lines += [
        f"| {row.concurrency} | {row.way} | {row.stage} | {row.p50:.1f} ms | {row.p95:.0f} ms | {row.p99:.0f} ms "
        f"| {row.ratio:.2f}x | {row.failures} |"
        for row in rows
        if isinstance(row, Stage) and (row.concurrency == 1 or row.stage in SUMS)
    ]
    lines += ["", "| sustained, workers | way | sessions | sessions/s | to bare | failures |", "|" + "---|" * 6]
    lines += [
        f"| {row.workers} | {row.way} | {row.sessions} | {row.per_second:.2f} | {row.ratio:.2f}x | {row.failures} |"
        for row in rows
        if isinstance(row, Throughput)
    ]
    return "\n".join(lines)
