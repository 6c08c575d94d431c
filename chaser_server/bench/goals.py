"""What the project promises of its speed, held against the rows of one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chaser_server.bench.idle import AtRest, Idle
from chaser_server.bench.relay import LargeAnswers, RoundTrips
from chaser_server.bench.sessions import Stage, Throughput
from chaser_server.bench.starts import START, ServerStart
from chaser_server.bench.store import Query

Number = Callable[[Sequence[Any]], float | None]
"""What a goal is about, taken from the rows; None when they do not tell."""


@dataclass(frozen=True, slots=True)
class Goal:
    """At most `bound`, or at least where `at_least`."""

    what: str
    number: Number
    bound: float
    unit: str
    at_least: bool = False

    def reached(self, value: float) -> bool:
        """Whether a measured value keeps the promise."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal, what was measured, and whether that is enough."""

    goal: str
    bound: str
    measured: float
    unit: str
    reached: bool


def _of(kind: type, field: str, **where: object) -> Number:
    """The field of the first row of a kind that has these values."""

    def number(rows: Sequence[Any]) -> float | None:
        for row in rows:
            if isinstance(row, kind) and all(getattr(row, name) == value for name, value in where.items()):
                return float(getattr(row, field))
        return None

    return number


def _per(number: Number, other: Number) -> Number:
    """One number divided by another."""

    def ratio(rows: Sequence[Any]) -> float | None:
        above, below = number(rows), other(rows)
        return None if above is None or not below else above / below

    return ratio


def _most(field: str) -> Number:
    """The largest value of a field among the queries."""

    def number(rows: Sequence[Any]) -> float | None:
        return max((float(getattr(row, field)) for row in rows if isinstance(row, Query)), default=None)

    return number


def _stage(way: str, stage: str, field: str = "ratio", at_once: int = 1) -> Number:
    return _of(Stage, field, way=way, stage=stage, concurrency=at_once)


GOALS = (
    Goal("create until ready, from the pool", _stage("pool", "create", "p50"), 10, " ms"),
    Goal("create + connect, from the pool, to bare", _stage("pool", "create + connect"), 0.2, "x"),
    Goal("all stages, from the pool, to bare", _stage("pool", "total"), 0.4, "x"),
    Goal("create until ready, cold, to bare's start", _stage("cold", "create"), 1.8, "x"),
    Goal("create until ready, light, cold, to bare's start", _stage("light", "create"), 0.9, "x"),
    Goal("release", _stage("pool", "release", "p50"), 15, " ms"),
    Goal("sustained, four workers, default, to bare", _of(Throughput, "ratio", way="cold"), 0.7, "x", at_least=True),
    Goal("sustained, four workers, light, to bare", _of(Throughput, "ratio", way="light"), 1.0, "x", at_least=True),
    Goal("eight at once, p95 of all stages, to that of one",
         _per(_stage("pool", "total", "p95", 8), _stage("pool", "total", "p95")), 3, "x"),
    Goal("round trip, one connection, to direct", _of(RoundTrips, "ratio", connections=1), 1.4, "x"),
    Goal("round trip, 20 connections, to direct", _of(RoundTrips, "ratio", connections=20), 1.1, "x"),
    Goal("answer of 50 MB, to direct", _of(LargeAnswers, "ratio"), 1.05, "x"),
    Goal("server CPU per GB relayed", _of(LargeAnswers, "server_cpu_seconds_per_gb"), 0.5, " s"),
    Goal("server's memory at rest", _of(AtRest, "server_megabytes"), 90, " MB"),
    Goal("server's memory per idle session, 20 open",
         _of(Idle, "server_megabytes_each", way="default", sessions=20), 1, " MB"),
    Goal("server's CPU with 20 idle sessions", _of(Idle, "server_cpu_percent", way="default", sessions=20), 2, " %"),
    Goal("browser's memory, 5 idle, to bare", _of(Idle, "ratio", way="default", sessions=5), 1.25, "x"),
    Goal("processes left over", _of(AtRest, "leftovers"), 0, ""),
    Goal("server's start to its first answer", _of(ServerStart, "seconds", start=START), 0.6, " s"),
    Goal("GET one of 100,000 sessions", _of(Query, "many_p50", query="GET one"), 5, " ms"),
    Goal("lists and usage of 100,000 sessions, the slowest", _most("many_p50"), 50, " ms"),
    Goal("the same to 1,000 sessions", _most("ratio"), 2, "x"),
)  # fmt: skip


def judge(rows: Sequence[Any]) -> list[Verdict]:
    """Every goal that the rows tell something of."""
    verdicts = []
    for goal in GOALS:
        if (value := goal.number(rows)) is not None:
            bound = f"{'at least' if goal.at_least else 'at most'} {goal.bound:g}{goal.unit}"
            verdicts.append(Verdict(goal.what, bound, value, goal.unit, goal.reached(value)))
    return verdicts


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts for people."""
    lines = ["| goal | to reach | measured | reached |", "|---|---|---|---|"]
    lines += [
        f"| {each.goal} | {each.bound} | {each.measured:.2f}{each.unit} | {'yes' if each.reached else '**no**'} |"
        for each in verdicts
    ]
    return "\n".join(lines)
