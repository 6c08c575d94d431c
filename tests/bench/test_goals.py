"""Goals are judged by the rows that tell of them, and by no others."""

from __future__ import annotations

import json

from chaser_server.bench import goals
from chaser_server.bench.relay import RoundTrips
from chaser_server.bench.sessions import Stage
from chaser_server.bench.suite import line_of


def stage(name: str, p50: float, p95: float, *, at_once: int = 1) -> Stage:
    return Stage("pool", at_once, name, p50, p95, p95, 0.1, 0)


def test_a_goal_is_reached_missed_or_not_spoken_of() -> None:
    rows = [stage("create", 9.9, 12), stage("release", 15.1, 20)]
    found = {each.goal: each.reached for each in goals.judge(rows)}
    assert found == {
        "create until ready, from the pool": True,
        "release": False,
    }


def test_one_figure_is_held_against_another() -> None:
    rows = [stage("total", 50, 60), stage("total", 300, 150, at_once=8)]
    verdict = next(each for each in goals.judge(rows) if "eight at once" in each.goal)
    assert (verdict.measured, verdict.reached) == (2.5, True)
    assert "| 2.50x | yes |" in goals.table([verdict])


def test_a_row_becomes_a_line_with_its_kind_and_its_ratio() -> None:
    row = RoundTrips(1, direct_p50=50, relay_p50=65, direct_p99=90, relay_p99=99, server_cpu_seconds_per_100k=4)
    line = json.loads(line_of(row))
    assert (line["bench"], line["connections"], line["ratio"]) == ("RoundTrips", 1, 1.3)
