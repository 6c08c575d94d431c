"""How long a session takes from the wish to the page: BrowserArena's stages, by several ways in one run.

Every round goes through all ways, one after the other, so that a noisy machine disturbs all alike: read the ratios to
`bare`. Times are what a client sees, in milliseconds.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from aiohttp import web

from chaser_server.bench.processes import cpu_seconds, pss_megabytes, tree, until_quiet
from chaser_server.bench.ways import BenchServer, Opened, Way, bare, server

if TYPE_CHECKING:
    from playwright.async_api import Playwright

BARE = "bare"
STAGES = ("create", "connect", "goto", "release")
IDLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    rounds: int
    concurrencies: tuple[int, ...]
    idle_sessions: tuple[int, ...]


FULL = Scale(rounds=10, concurrencies=(1, 4, 8), idle_sessions=(1, 5, 10, 20))
QUICK = Scale(rounds=4, concurrencies=(1, 4), idle_sessions=(1, 5))


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
    per_second: float


@dataclass(frozen=True, slots=True)
class Idle:
    """What so many idle sessions take: megabytes (PSS) of each browser, the server's, and its processor time."""

    way: str
    sessions: int
    megabytes_each: float
    ratio: float
    server_megabytes: float
    server_cpu_percent: float


@dataclass(frozen=True, slots=True)
class Ends:
    """The server's own start, its memory at rest, and the processes that its sessions have left behind."""

    seconds_to_start: float
    megabytes_at_rest: float
    leftovers: int


Row = Stage | Idle | Ends


async def measure(executable: str, scale: Scale = FULL, *, idle_seconds: float = IDLE_SECONDS) -> list[Row]:
    """Run everything once; idle sessions are looked at for `idle_seconds`."""
    from playwright.async_api import async_playwright  # only here: its driver has no part in the server

    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(_site())
        playwright = await stack.enter_async_context(async_playwright())
        pooled = await stack.enter_async_context(server(pool=max(scale.concurrencies)))
        cold = await stack.enter_async_context(server(pool=0))
        at_rest = pss_megabytes([cold.pid])
        by_hand = bare(executable)
        ways = {BARE: by_hand, "pool": pooled.way("default"), "cold": cold.way("default"), "light": cold.way("light")}
        rows: list[Row] = []
        for concurrency in scale.concurrencies:
            runs = {name: _Run(way, playwright, page) for name, way in ways.items()}
            await _take_turns(runs, pooled, concurrency, scale.rounds)
            rows += _stages(runs, concurrency)
        await until_quiet(cold.pid)
        rows += await _idle(cold, by_hand, scale.idle_sessions, idle_seconds)
        await until_quiet(cold.pid)
        return [*rows, Ends(cold.seconds_to_start, at_rest, len(tree(cold.pid)) - 1)]


@asynccontextmanager
async def _site() -> AsyncIterator[str]:
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


class _Run:
    """The stages by one way, and what they took."""

    def __init__(self, way: Way, playwright: Playwright, page: str) -> None:
        self.milliseconds: dict[str, list[float]] = defaultdict(list)
        self.failures = 0
        self.seconds = 0.0
        self._way = way
        self._playwright = playwright
        self._page = page

    async def round(self, concurrency: int) -> None:
        """So many sessions at once."""
        began = perf_counter()
        await asyncio.gather(*(self._session() for _ in range(concurrency)))
        self.seconds += perf_counter() - began

    def forget(self) -> None:
        """What was only to warm up does not count."""
        self.milliseconds.clear()
        self.seconds = 0.0

    async def _session(self) -> None:
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
                await opened.release()
            return
        for stage, began, ended in zip(STAGES, marks, marks[1:], strict=False):
            self.milliseconds[stage].append((ended - began) * 1000)
        self.milliseconds["create + connect"].append((marks[2] - marks[0]) * 1000)
        self.milliseconds["total"].append((marks[-1] - marks[0]) * 1000)


async def _take_turns(runs: Mapping[str, _Run], pooled: BenchServer, concurrency: int, rounds: int) -> None:
    for number in range(rounds + 1):
        for run in runs.values():
            await until_quiet(pooled.pid)  # its pool is full, and does not disturb the others
            await run.round(concurrency)
            if number == 0:
                run.forget()


def _stages(runs: Mapping[str, _Run], concurrency: int) -> list[Stage]:
    rows = []
    for name, run in runs.items():
        for stage, values in run.milliseconds.items():
            p50, p95, p99 = _quantiles(values)
            ratio = p50 / statistics.median(runs[BARE].milliseconds[stage])
            per_second = len(values) / run.seconds
            rows.append(Stage(name, concurrency, stage, p50, p95, p99, ratio, run.failures, per_second))
    return rows


def _quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) < 2:
        return values[0], values[0], values[0]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


async def _idle(cold: BenchServer, by_hand: Way, counts: Sequence[int], seconds: float) -> list[Idle]:
    """Open ever more sessions that do nothing, by each way, and look at what they take."""
    rows: list[Idle] = []
    alone: dict[int, float] = {}
    for name, way, parent in ((BARE, by_hand, os.getpid()), ("cold", cold.way("default"), cold.pid),
                              ("light", cold.way("light"), cold.pid)):  # fmt: skip
        before = set(tree(parent))
        opened: list[Opened] = []
        try:
            for count in counts:
                opened += [await way() for _ in range(count - len(opened))]
                await until_quiet(parent)
                used = cpu_seconds([cold.pid])
                await asyncio.sleep(seconds)
                percent = (cpu_seconds([cold.pid]) - used) / seconds * 100
                each = pss_megabytes([pid for pid in tree(parent) if pid not in before]) / count
                alone.setdefault(count, each)
                rows.append(Idle(name, count, each, each / alone[count], pss_megabytes([cold.pid]), percent))
        finally:
            for one in opened:
                await one.release()
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = ["| at once | way | stage | p50 | p95 | p99 | to bare | failures | sessions/s |", "|" + "---|" * 9]
    for row in rows:
        if isinstance(row, Stage):
            lines.append(
                f"| {row.concurrency} | {row.way} | {row.stage} | {row.p50:.1f} ms | {row.p95:.0f} ms "
                f"| {row.p99:.0f} ms | {row.ratio:.2f}x | {row.failures} | {row.per_second:.2f} |"
            )
    lines += ["", "| idle sessions | way | MB each | to bare | server MB | server CPU |", "|" + "---|" * 6]
    for row in rows:
        if isinstance(row, Idle):
            lines.append(
                f"| {row.sessions} | {row.way} | {row.megabytes_each:.0f} | {row.ratio:.2f}x "
                f"| {row.server_megabytes:.0f} | {row.server_cpu_percent:.1f} % |"
            )
    for row in rows:
        if isinstance(row, Ends):
            lines += [
                "",
                f"The server answers {row.seconds_to_start:.2f} s after its first start and takes "
                f"{row.megabytes_at_rest:.0f} MB at rest; processes left over at the end: {row.leftovers}.",
            ]
    return "\n".join(lines)
