"""The bench goes through every stage by every way, once, and says so in tables."""

from __future__ import annotations

import os

from chaser_server.bench.processes import cpu_seconds, pss_megabytes, tree
from chaser_server.bench.sessions import STAGES, Ends, Idle, Scale, Stage, measure, table
from chaser_server.chromium.find import find_chromium


async def test_one_round_has_all_stages_of_all_ways_and_leaves_nothing() -> None:
    scale = Scale(rounds=1, concurrencies=(1,), idle_sessions=(1,))
    rows = await measure(str(find_chromium().path), scale, idle_seconds=0.1)
    stages = {(row.way, row.stage) for row in rows if isinstance(row, Stage)}
    ways = ("bare", "pool", "cold", "light")
    assert stages == {(way, stage) for way in ways for stage in (*STAGES, "create + connect", "total")}
    assert [row.failures for row in rows if isinstance(row, Stage)] == [0] * len(stages)
    assert [row.way for row in rows if isinstance(row, Idle)] == ["bare", "cold", "light"]
    assert [row.leftovers for row in rows if isinstance(row, Ends)] == [0]
    assert table(rows).count("\n") > len(stages)


def test_a_process_tree_begins_with_the_process_and_takes_memory_and_time() -> None:
    own = tree(os.getpid())
    assert own[0] == os.getpid()
    assert pss_megabytes(own[:1]) > 1
    assert cpu_seconds(own[:1]) > 0
