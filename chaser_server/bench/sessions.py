"""How long a session takes from the wish to the page: BrowserArena's stages, by several ways in one run.

Every round goes through all ways, one after the other, so that a noisy machine disturbs all alike: read the ratios to
`bare`. Before each turn the pools are full and the machine is quiet, so that no browser's start or death is in another
way's figures. Times are what a client sees, in milliseconds. `at once` means that so many begin in the same moment.
Throughput is of as many workers, each with one session after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from aiohttp import web

from chaser_server.bench.processes import QUIET, until_machine_quiet
from chaser_server.bench.ways import BenchServer, Opened, Way, bare, server

if TYPE_CHECKING:
    from playwright.async_api import Playwright

BARE = "bare"
STAGES = ("create", "connect", "goto", "release")
SUMS = ("create + connect", "total")
WAYS = (BARE, "pool", "light pool", "cold", "light")
WORKERS = 4
_LIGHT_BY_DEFAULT = '[profiles.default]\nbrowser = "headless-shell"\n'  # so that pool.size is of that kind


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: rounds by how many sessions begin at once in them, and sessions of the sustained load."""

    rounds: Mapping[int, int]
    sustained: int


@dataclass(frozen=True, slots=True)
class Stage:
    """Milliseconds of one stage by one way; `ratio` is to the same stage of `bare`, of the medians.

    Not a number where nothing came through. Failures of the round that warms up are kept apart.
    """

    way: str
    concurrency: int
    stage: str
    p50: float
    p95: float
    p99: float
    ratio: float
    failures: int
    warm_up_failures: int = 0


@dataclass(frozen=True, slots=True)
class Throughput:
    """Sessions a second, from create to release, with so many workers; `ratio` is to `bare`."""

    way: str
    workers: int
    sessions: int
    per_second: float
    ratio: float
    failures: int


@dataclass(frozen=True, slots=True)
class Turns:
    """How many turns began, and how many of them on a machine that did not become quiet in time."""

    turns: int
    restless: int


Row = Stage | Throughput | Turns


async def measure(executable: str, scale: Scale) -> list[Row]:
    """Every concurrency by every way, then the sustained load without a pool."""
    from playwright.async_api import async_playwright  # only here: its driver has no part in the server

    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(site())
        playwright = await stack.enter_async_context(async_playwright())
        size = max(scale.rounds)
        pooled = await stack.enter_async_context(server(pool=size))
        light = await stack.enter_async_context(server(pool=size, settings=_LIGHT_BY_DEFAULT))
        cold = await stack.enter_async_context(server(pool=0))
        unpooled = {BARE: bare(executable), "cold": cold.way("default"), "light": cold.way("light")}
        ways = {**unpooled, "pool": pooled.way("default"), "light pool": light.way("default")}
        quiet = Quiet([pooled, light])
        rows: list[Row] = []
        for concurrency, rounds in scale.rounds.items():
            runs = {name: Run(ways[name], playwright, page) for name in WAYS}
            await _take_turns(runs, quiet, concurrency, rounds)
            rows += stages_of(runs, concurrency)
        runs = {name: Run(way, playwright, page) for name, way in unpooled.items()}
        rows += throughput_of(runs, await _sustained(runs, quiet, scale.sustained))
        return [*rows, Turns(quiet.waited, quiet.restless)]


class Quiet:
    """Waits for pools to be full and the machine to be quiet, and counts how often it would not become so."""

    def __init__(self, pools: Sequence[BenchServer]) -> None:
        self.waited = 0
        self.restless = 0
        self._pools = pools

    async def wait(self) -> None:
        """Return when the next turn may begin."""
        for each in self._pools:
            await each.until_full()
        self.waited += 1
        self.restless += not await until_machine_quiet()


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
        self.warm_up_failures = 0
        self._way = way
        self._playwright = playwright
        self._page = page

    @property
    def done(self) -> int:
        """How many went through all stages."""
        return len(self.milliseconds["total"])

    def has_warmed_up(self) -> None:
        """What has been so far is no part of the figures."""
        self.milliseconds.clear()
        self.warm_up_failures, self.failures = self.failures, 0

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


async def _take_turns(runs: Mapping[str, Run], quiet: Quiet, concurrency: int, rounds: int) -> None:
    for number in range(rounds + 1):
        for run in runs.values():
            await quiet.wait()
            await asyncio.gather(*(run.session() for _ in range(concurrency)))
            if number == 0:
                run.has_warmed_up()


def stages_of(runs: Mapping[str, Run], concurrency: int) -> Iterator[Stage]:
    """A row for each stage of each way, also of one that never came through."""
    for name, run in runs.items():
        for stage in (*STAGES, *SUMS):
            p50, p95, p99 = quantiles(run.milliseconds[stage])
            ratio = p50 / quantiles(runs[BARE].milliseconds[stage])[0]
            yield Stage(name, concurrency, stage, p50, p95, p99, ratio, run.failures, run.warm_up_failures)


def quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The 50th, 95th and 99th percentile; not a number when there is nothing."""
    if len(values) < 2:
        only = values[0] if values else math.nan
        return only, only, only
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


async def _sustained(runs: Mapping[str, Run], quiet: Quiet, sessions: int) -> Mapping[str, float]:
    """Half of each way's sessions, way after way, then the other half; how many seconds each took for both."""
    seconds: dict[str, float] = defaultdict(float)
    for half in (sessions // 2, sessions - sessions // 2):
        for name, run in runs.items():
            await quiet.wait()
            began = perf_counter()
            await _work_off(run, half)
            seconds[name] += perf_counter() - began
    return seconds


def throughput_of(runs: Mapping[str, Run], seconds: Mapping[str, float]) -> Iterator[Throughput]:
    """A row for each way, also for one that never came through."""
    bare_per_second = runs[BARE].done / seconds[BARE]
    for name, run in runs.items():
        per_second = run.done / seconds[name]
        ratio = per_second / bare_per_second if bare_per_second else math.nan
        yield Throughput(name, WORKERS, run.done, per_second, ratio, run.failures)


async def _work_off(run: Run, sessions: int) -> None:
    left = iter(range(sessions))

    async def work() -> None:
        for _ in left:
            await run.session()

    await asyncio.gather(*(work() for _ in range(WORKERS)))


def crowding(rows: Sequence[Row]) -> dict[str, dict[int, float]]:
    """By way and number at once: the 95th percentile of all stages, to that of one session at a time.

    `bare` says how much of it is the machine's own.
    """
    p95: dict[str, dict[int, float]] = defaultdict(dict)
    for row in rows:
        if isinstance(row, Stage) and row.stage == "total":
            p95[row.way][row.concurrency] = row.p95
    return {
        way: {at_once: value / found[1] for at_once, value in found.items() if at_once > 1}
        for way, found in p95.items()
        if 1 in found
    }


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = ["| at once | way | stage | p50 | p95 | p99 | to bare | failures |", "|" + "---|" * 8]
    lines += [
        f"| {row.concurrency} | {row.way} | {row.stage} | {row.p50:.1f} ms | {row.p95:.0f} ms | {row.p99:.0f} ms "
        f"| {row.ratio:.2f}x | {row.failures}{_apart(row.warm_up_failures)} |"
        for row in rows
        if isinstance(row, Stage) and (row.concurrency == 1 or row.stage in SUMS)
    ]
    lines += ["", "| all stages, p95 | at once | to one at a time |", "|---|---|---|"]
    lines += [
        f"| {way} | {at_once} | {ratio:.2f}x |"
        for way, found in crowding(rows).items()
        for at_once, ratio in found.items()
    ]
    lines += ["", "| sustained, workers | way | sessions | sessions/s | to bare | failures |", "|" + "---|" * 6]
    lines += [
        f"| {row.workers} | {row.way} | {row.sessions} | {row.per_second:.2f} | {row.ratio:.2f}x | {row.failures} |"
        for row in rows
        if isinstance(row, Throughput)
    ]
    lines += [
        f"\n{row.restless} of {row.turns} turns began on a machine that had not become quiet: {QUIET}, all told."
        for row in rows
        if isinstance(row, Turns)
    ]
    return "\n".join(lines)


def _apart(warm_up_failures: int) -> str:
    return f" (+{warm_up_failures} in the warm-up)" if warm_up_failures else ""
