"""What one session from the pool costs in processor time, by what computes and for which of its stages.

Clocks of processes are read between the stages, see `meter`; what a stage leaves to be done later is in the next one's
figures, or in those of the fifth of a second behind the release. A browser that is started for the pool meanwhile is
not counted, but for what the server does for it. The client is this process and Playwright's driver.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from chaser_server.bench.meter import Meter
from chaser_server.bench.processes import tree, until_machine_quiet
from chaser_server.bench.sessions import site
from chaser_server.bench.ways import BenchServer, server

if TYPE_CHECKING:
    from playwright.async_api import Playwright

ROUNDS = 10
PROFILES: Mapping[str, str] = {"default": "", "light": '[profiles.default]\nbrowser = "headless-shell"\n'}
"""Both are the server's default one, so that its pool is of that kind."""

WALL, ALL, CLIENT, DRIVER = "wall clock", "server and browser", "client", "Playwright's driver"
_BEHIND_SECONDS = 0.2
_LOOKS_BEHIND = 10
_LEAST_MILLISECONDS = 0.1

Figures = Mapping[str, float]
"""Milliseconds by what they are of."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Median milliseconds of one kind of process in each stage of a session, and in the 0.2 s behind it.

    All are processor time, but for those of the `WALL`. `ALL` are the server and the session's own processes together;
    `total` is of the four stages. What a process does between the last look at it and its end is not in them.
    """

    profile: str
    process: str
    create: float
    connect: float
    goto: float
    release: float
    total: float
    behind: float


async def measure(rounds: int = ROUNDS) -> list[Cost]:
    """Each profile in turn, `rounds` times, after one round that warms up."""
    from playwright.async_api import async_playwright  # only here: its driver has no part in the server

    seen: dict[str, list[list[Figures]]] = {profile: [] for profile in PROFILES}
    async with site() as page, async_playwright() as playwright:
        drivers = tree(os.getpid())[1:]
        async with (
            server(pool=1, settings=PROFILES["default"]) as default,
            server(pool=1, settings=PROFILES["light"]) as light,
        ):
            for _ in range(rounds + 1):
                for here, found in zip((default, light), seen.values(), strict=True):
                    for each in (default, light):
                        await each.until_full()
                    await until_machine_quiet()
                    found.append(await _Session(here, playwright, drivers).costs(page))
    return [row for profile, found in seen.items() for row in rows_of(profile, found[1:])]


class _Session:
    """One session from the pool, and what there is to see of it."""

    def __init__(self, here: BenchServer, playwright: Playwright, drivers: Sequence[int]) -> None:
        standing = tree(here.pid)[1:]  # outermost first: the browser that the pool holds
        self._way = here.way("default")
        self._playwright = playwright
        self._meter = Meter(*standing[:1], alone=(here.pid,))
        self._driver = Meter(alone=drivers)
        self._began: Figures = {}
        self._stages: list[Figures] = []

    async def costs(self, page: str) -> list[Figures]:
        """What the four stages took, and the time behind them."""
        self._began = self._look()
        opened = await self._way()
        self._stage_ends()
        browser = await self._playwright.chromium.connect_over_cdp(opened.cdp_url)
        self._stage_ends()
        await browser.contexts[0].pages[0].goto(page)
        self._stage_ends()
        await opened.release()
        self._stage_ends()
        for _ in range(_LOOKS_BEHIND):
            self._meter.look()  # for the sake of those that end meanwhile
            await asyncio.sleep(_BEHIND_SECONDS / _LOOKS_BEHIND)
        self._stage_ends()
        return self._stages

    def _stage_ends(self) -> None:
        own = _own()  # before looking, which is no part of the stage, and the next stage begins behind it
        ended = {**self._look(), **own}
        self._stages.append({what: value - self._began.get(what, 0.0) for what, value in ended.items()})
        self._began = {**ended, **_own()}

    def _look(self) -> Figures:
        self._meter.search()
        self._driver.look()
        sums = {ALL: self._meter.milliseconds, DRIVER: self._driver.milliseconds}
        return {**self._meter.by_kind(), **sums, **_own()}


def _own() -> Figures:
    return {WALL: perf_counter() * 1000, CLIENT: process_time() * 1000}


def rows_of(profile: str, rounds: Sequence[Sequence[Figures]]) -> list[Cost]:
    """A row for each that has used something: the sums first, then kinds of processes, the most expensive first."""
    sums = (WALL, ALL, CLIENT, DRIVER)
    kinds = {what for stages in rounds for stage in stages for what in stage} - set(sums)
    rows = [_row(profile, what, rounds) for what in (*sums, *kinds)]
    shown = [row for row in rows if max(row.total, row.behind) >= _LEAST_MILLISECONDS]
    return sorted(shown, key=lambda row: (row.process not in sums, -row.total if row.process not in sums else 0))


def _row(profile: str, what: str, rounds: Sequence[Sequence[Figures]]) -> Cost:
    """Medians stage by stage, and of the rounds' own totals."""
    create, connect, goto, release, behind = (
        statistics.median(stages[number].get(what, 0.0) for stages in rounds) for number in range(len(rounds[0]))
    )
    total = statistics.median(sum(stage.get(what, 0.0) for stage in stages[:-1]) for stages in rounds)
    return Cost(profile, what, create, connect, goto, release, total, behind)


def table(rows: Sequence[Cost]) -> str:
    """The rows for people."""
    lines = [
        "| a session from the pool, ms | | create | connect | goto | release | all four | 0.2 s behind |",
        "|" + "---|" * 8,
    ]
    lines += [
        f"| {row.profile} | {_strong(row.process)} | {row.create:.1f} | {row.connect:.1f} | {row.goto:.1f} "
        f"| {row.release:.1f} | {row.total:.1f} | {row.behind:.1f} |"
        for row in rows
    ]
    return "\n".join(lines)


def _strong(process: str) -> str:
    return f"**{process}**" if process in (WALL, ALL) else process
