"""The bench goes through every stage by every way, once, and leaves nothing."""

from __future__ import annotations

from chaser_server.bench import idle, sessions
from chaser_server.bench.sessions import STAGES, SUMS, Scale, Stage, Throughput
from chaser_server.chromium.find import find_chromium


async def test_one_round_has_all_stages_of_all_ways() -> None:
    scale = Scale(rounds=1, concurrencies=(1,), sustained=2)
    rows = await sessions.measure(str(find_chromium().path), scale)
    stages = {(row.way, row.stage) for row in rows if isinstance(row, Stage)}
    assert stages == {(way, stage) for way in ("bare", "pool", "cold", "light") for stage in (*STAGES, *SUMS)}
    assert [row.way for row in rows if isinstance(row, Throughput)] == ["bare", "cold", "light"]
    assert {row.failures for row in rows} == {0}
    assert sessions.table(rows).count("\n") > len(stages)


async def test_idle_sessions_take_memory_and_leave_nothing() -> None:
    rows = await idle.measure(str(find_chromium().path), (1,), seconds=0.1)
    assert [row.way for row in rows if isinstance(row, idle.Idle)] == ["bare", "default", "light"]
    assert all(row.megabytes_each > 1 for row in rows if isinstance(row, idle.Idle))
    assert [row.leftovers for row in rows if isinstance(row, idle.AtRest)] == [0]
    assert "left over at the end: 0" in idle.table(rows)
