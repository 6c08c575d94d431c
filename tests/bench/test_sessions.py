"""The bench goes through every stage by every way, once, and leaves nothing."""

from __future__ import annotations

import math
from typing import cast

from playwright.async_api import Playwright

from chaser_server.bench import idle, sessions
from chaser_server.bench.sessions import (
    BARE,
    STAGES,
    SUMS,
    WAYS,
    Run,
    Scale,
    Stage,
    Throughput,
    stages_of,
    throughput_of,
)
from chaser_server.bench.ways import Opened
from chaser_server.chromium.find import find_chromium


async def test_one_round_has_all_stages_of_all_ways() -> None:
    scale = Scale(rounds={1: 1}, sustained=2)
    rows = await sessions.measure(str(find_chromium().path), scale)
    stages = {(row.way, row.stage) for row in rows if isinstance(row, Stage)}
    assert stages == {(way, stage) for way in WAYS for stage in (*STAGES, *SUMS)}
    assert [row.way for row in rows if isinstance(row, Throughput)] == ["bare", "cold", "light"]
    assert {row.failures for row in rows if isinstance(row, Stage | Throughput)} == {0}
    assert sessions.table(rows).count("\n") > len(stages)


async def test_a_way_that_never_comes_through_has_rows_without_figures() -> None:
    async def fails() -> Opened:
        raise RuntimeError("no browser")

    run = Run(fails, cast(Playwright, None), "http://localhost/")
    await run.session()
    run.has_warmed_up()
    await run.session()
    await run.session()
    rows = [*stages_of({BARE: run}, 1), *throughput_of({BARE: run}, {BARE: 1.0})]
    stages = [row for row in rows if isinstance(row, Stage)]
    assert [(row.failures, row.warm_up_failures) for row in stages] == [(2, 1)] * len((*STAGES, *SUMS))
    assert all(math.isnan(row.p50) and math.isnan(row.ratio) for row in stages)
    assert math.isnan(rows[-1].ratio)
    assert "2 (+1 in the warm-up)" in sessions.table(rows)


def test_many_at_once_are_held_against_one_way_by_way() -> None:
    rows = [Stage(way, count, "total", 1, p95, p95, 1, 0) for way, count, p95 in [("bare", 1, 50), ("bare", 8, 500)]]
    assert sessions.crowding(rows) == {"bare": {8: 10}}
    assert "| bare | 8 | 10.00x |" in sessions.table(rows)


async def test_idle_sessions_take_memory_and_leave_nothing() -> None:
    rows = await idle.measure(str(find_chromium().path), (1,), seconds=0.1)
    assert [row.way for row in rows if isinstance(row, idle.Idle)] == ["bare", "default", "light"]
    assert all(row.megabytes_each > 1 for row in rows if isinstance(row, idle.Idle))
    assert [row.leftovers for row in rows if isinstance(row, idle.AtRest)] == [0]
    assert "left over at the end: 0" in idle.table(rows)
