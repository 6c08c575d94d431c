"""How many browsers should stand ready, and how many be started at once: bursts of eight sessions by several settings.

Every round goes through all settings, each with a server of its own. Before each turn all pools are full and the
machine is quiet. Times are what a client sees, in milliseconds; processor time is of the server and all that it runs,
from the burst's begin to its end, so without the refills behind it.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from chaser_server.bench.meter import Meter
from chaser_server.bench.sessions import STAGES, SUMS, Quiet, Run, quantiles, site
from chaser_server.bench.ways import BenchServer, server
from chaser_server.config import BrowserConfig, PoolConfig

AT_ONCE = 8
ROUNDS = 3
POOL_SIZES = (1, 2, 4, 8, 16)
LAUNCHES_AT_ONCE = (1, 2, 3, 4, 8)
_POOL, _LAUNCHES = "pool.size", "browser.launches_at_once"
AS_IT_IS: Mapping[str, int] = {_POOL: PoolConfig().size, _LAUNCHES: BrowserConfig().launches_at_once}


@dataclass(frozen=True, slots=True)
class Burst:
    """One stage of sessions that begin at once, with one setting: milliseconds."""

    setting: str
    value: int
    at_once: int
    stage: str
    p50: float
    p95: float
    failures: int


@dataclass(frozen=True, slots=True)
class Load:
    """Such bursts together: sessions a second, and the median of processor time for each session in milliseconds.

    `ratio` is of sessions a second, to the setting as it is.
    """

    setting: str
    value: int
    at_once: int
    per_second: float
    cpu_milliseconds_each: float
    ratio: float


Row = Burst | Load


async def measure(
    rounds: int = ROUNDS,
    *,
    at_once: int = AT_ONCE,
    pool_sizes: Sequence[int] = POOL_SIZES,
    launches_at_once: Sequence[int] = LAUNCHES_AT_ONCE,
) -> list[Row]:
    """Pools of these sizes, `rounds` times in turns; then so many launches at once, without a pool."""
    from playwright.async_api import async_playwright  # only here: its driver has no part in the server

    async with site() as page, async_playwright() as playwright:
        turns = partial(_take_turns, rounds, at_once, lambda here: Run(here.way("default"), playwright, page))
        pools = {size: server(pool=size) for size in pool_sizes}
        rows = await turns(_POOL, pools)
        cold = {
            number: server(pool=0, settings=f"[browser]\nlaunches_at_once = {number}\n") for number in launches_at_once
        }
        return [*rows, *await turns(_LAUNCHES, cold)]


class _Trial:
    """Bursts with one setting, and what they took."""

    def __init__(self, here: BenchServer, run: Run) -> None:
        self.here = here
        self.run = run
        self.seconds: list[float] = []
        self.cpu_milliseconds: list[float] = []

    async def burst(self, at_once: int) -> None:
        meter, began = Meter(self.here.pid), perf_counter()
        async with meter.looking():
            await asyncio.gather(*(self.run.session() for _ in range(at_once)))
            self.seconds.append(perf_counter() - began)
        self.cpu_milliseconds.append(meter.milliseconds)

    def has_warmed_up(self) -> None:
        self.run.has_warmed_up()
        self.seconds.clear()
        self.cpu_milliseconds.clear()


async def _take_turns(
    rounds: int,
    at_once: int,
    run: Callable[[BenchServer], Run],
    setting: str,
    servers: Mapping[int, AbstractAsyncContextManager[BenchServer]],
) -> list[Row]:
    trials: dict[int, _Trial] = {}
    async with AsyncExitStack() as stack:
        for value, starting in servers.items():
            here = await stack.enter_async_context(starting)
            trials[value] = _Trial(here, run(here))
        quiet = Quiet([trial.here for trial in trials.values()])
        for number in range(rounds + 1):
            for trial in trials.values():
                await quiet.wait()
                await trial.burst(at_once)
                if number == 0:
                    trial.has_warmed_up()
    runs = {value: trial.run for value, trial in trials.items()}
    return [*_bursts(setting, runs, at_once), *_loads(setting, trials, at_once)]


def _bursts(setting: str, runs: Mapping[int, Run], at_once: int) -> Iterator[Burst]:
    for value, run in runs.items():
        for stage in (*STAGES, *SUMS):
            p50, p95, _ = quantiles(run.milliseconds[stage])
            yield Burst(setting, value, at_once, stage, p50, p95, run.failures + run.warm_up_failures)


def _loads(setting: str, trials: Mapping[int, _Trial], at_once: int) -> Iterator[Load]:
    per_second = {value: trial.run.done / sum(trial.seconds) for value, trial in trials.items()}
    usual = per_second.get(AS_IT_IS[setting], math.nan)
    for value, trial in trials.items():
        each = statistics.median(trial.cpu_milliseconds) / at_once
        yield Load(setting, value, at_once, per_second[value], each, per_second[value] / (usual or math.nan))


def table(rows: Sequence[Row]) -> str:
    """The rows for people: p50/p95 of each stage."""
    lines: list[str] = []
    for setting in AS_IT_IS:
        loads = [row for row in rows if isinstance(row, Load) and row.setting == setting]
        if not loads:
            continue
        stages = (*STAGES, SUMS[-1])
        heads = (f"{setting}, {loads[0].at_once} at once", *(f"{stage}, ms" for stage in stages))
        lines += ["", f"| {' | '.join(heads)} | sessions/s | to as it is | CPU each | failures |"]
        lines += ["|" + "---|" * (len(heads) + 4)]
        for load in loads:
            mine = [row for row in rows if isinstance(row, Burst) and _of(row) == _of(load)]
            figures = " | ".join(
                f"{row.p50:.0f} / {row.p95:.0f}" for stage in stages for row in mine if row.stage == stage
            )
            lines.append(
                f"| {load.value}{' (as it is)' if load.value == AS_IT_IS[setting] else ''} | {figures} "
                f"| {load.per_second:.1f} | {load.ratio:.2f}x | {load.cpu_milliseconds_each:.0f} ms "
                f"| {mine[0].failures} |"
            )
    return "\n".join(lines[1:])


def _of(row: Row) -> tuple[str, int]:
    return row.setting, row.value
