"""What a running session feels of the pool's refill: its pages alone, and while a browser is started for the pool."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from chaser_server.bench.processes import until_quiet
from chaser_server.bench.sessions import site
from chaser_server.bench.ways import BenchServer, server

ROUNDS = 6
PAGES_ALONE = 10
FILL_SECONDS = 10
_FILLING = "chaser_pool_starting"


@dataclass(frozen=True, slots=True)
class Refill:
    """Median milliseconds of going to a page in a running session; `ratio` is of the two."""

    alone: float
    beside: float
    ratio: float


async def measure(rounds: int = ROUNDS) -> list[Refill]:
    """In each round a session goes to pages, and again while the pool replaces what another one took."""
    from playwright.async_api import async_playwright

    alone: list[float] = []
    beside: list[float] = []
    async with site() as url, async_playwright() as playwright, server(pool=1) as here:
        await here.until_full()
        opened = await here.way("default")()
        browser = await playwright.chromium.connect_over_cdp(opened.cdp_url)
        page = browser.contexts[0].pages[0]
        await page.goto(url)
        for _ in range(rounds):
            await here.until_full()
            await until_quiet(here.pid)
            alone += await _while_idle(page, url, here)
            taken = await here.way("default")()
            beside += await _while_filling(page, url, here)
            await taken.release()
    return [
        Refill(
            statistics.median(alone), statistics.median(beside), statistics.median(beside) / statistics.median(alone)
        )
    ]


async def _while_idle(page: Any, url: str, here: BenchServer) -> list[float]:
    took = []
    for _ in range(PAGES_ALONE):
        await here.metric(_FILLING)  # as beside a refill, so that both pay for the asking
        took.append(await _milliseconds(page, url))
    return took


async def _while_filling(page: Any, url: str, here: BenchServer) -> list[float]:
    async with asyncio.timeout(FILL_SECONDS):
        while not await here.metric(_FILLING):
            pass  # it begins when launches have been quiet for a moment
    took = []
    while await here.metric(_FILLING):
        took.append(await _milliseconds(page, url))
    return took


async def _milliseconds(page: Any, url: str) -> float:
    began = perf_counter()
    await page.goto(url)
    return (perf_counter() - began) * 1000


def table(rows: Sequence[Refill]) -> str:
    """The rows for people."""
    lines = ["| a page in a running session | alone | beside a refill of the pool | ratio |", "|---|---|---|---|"]
    lines += [f"| goto | {row.alone:.1f} ms | {row.beside:.1f} ms | {row.ratio:.2f}x |" for row in rows]
    return "\n".join(lines)
