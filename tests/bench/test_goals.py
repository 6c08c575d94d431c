"""Goals are judged by the rows that tell of them, and by no others."""

from __future__ import annotations

import json
import math
from dataclasses import replace

from chaser_server.bench import goals
from chaser_server.bench.relay import RoundTrips
from chaser_server.bench.sessions import Stage
from chaser_server.bench.store import ONE, Query
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
    assert "| 2.50x | reached |" in goals.table([verdict])


def test_what_failed_reaches_nothing_and_what_came_to_no_figure_neither() -> None:
    rows = [replace(stage("create", 5, 6), failures=1), replace(stage("release", 5, 6), warm_up_failures=1)]
    rows += [stage("total", math.nan, math.nan), Stage("bare", 1, "total", 300, 350, 350, 1, 0)]
    verdicts = {each.goal: each for each in goals.judge(rows)}
    assert [(each.measured, each.reached) for each in verdicts.values()] == [(5, False), (None, False), (5, True)]
    assert "| 5.00 ms, 1 failed | **not reached** |" in goals.table(list(verdicts.values()))
    assert "| no figure | **not reached** |" in goals.table(list(verdicts.values()))


def test_failures_of_what_is_compared_with_spoil_a_goal_too() -> None:
    rows = [stage("total", 50, 60), Stage("bare", 1, "total", 300, 350, 350, 1, failures=2)]
    (verdict,) = goals.judge(rows)
    assert (verdict.failures, verdict.reached) == (2, False)


def test_no_goal_of_a_part_that_failed_is_reached() -> None:
    verdicts = goals.judge([], failed=["store"])
    assert len(verdicts) == 3
    assert not any(each.reached or each.measured for each in verdicts)


def test_the_goal_of_lists_is_not_about_single_sessions() -> None:
    rows = [Query(ONE, 1, 60, 70, 60.0), Query("usage", 1, 1.5, 2, 1.5)]
    measured = {each.goal: each.measured for each in goals.judge(rows)}
    assert measured == {
        "GET one of 100,000 sessions": 60,
        "lists and usage of 100,000 sessions, the slowest": 1.5,
        "the same to 1,000 sessions": 1.5,
    }


def test_a_row_becomes_a_line_with_its_kind_and_its_ratio() -> None:
    row = RoundTrips(1, direct_p50=50, relay_p50=65, direct_p99=90, relay_p99=99, server_cpu_seconds_per_100k=4)
    line = json.loads(line_of(row))
    assert (line["bench"], line["connections"], line["ratio"]) == ("RoundTrips", 1, 1.3)
    assert json.loads(line_of(stage("total", math.nan, 1)))["p50"] is None
