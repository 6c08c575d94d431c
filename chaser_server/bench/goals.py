"""What the project promises of its speed, held against the rows of one run."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from chaser_server.bench import egress
from chaser_server.bench.browsing import Download
from chaser_server.bench.idle import AtRest, Idle
from chaser_server.bench.relay import LargeAnswers, RoundTrips
from chaser_server.bench.sessions import BARE, Stage, Throughput
from chaser_server.bench.starts import START, ServerStart
from chaser_server.bench.store import ONE, Query


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, not a number where there is none, and how often what it is of went wrong."""

    value: float
    failures: int = 0


Number = Callable[[Sequence[Any]], Figure | None]
"""What a goal is about, taken from the rows; None when they do not tell."""


@dataclass(frozen=True, slots=True)
class Goal:
    """At most `bound`, or at least where `at_least`. The rows of `part` tell."""

    part: str
    what: str
    number: Number
    bound: float
    unit: str
    at_least: bool = False

    def reached(self, figure: Figure) -> bool:
        """Whether what was measured keeps the promise. What failed, or could not be read, never does."""
        return not figure.failures and (figure.value >= self.bound if self.at_least else figure.value <= self.bound)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal, what was measured (None: nothing came), how often that failed, and whether it is enough."""

    goal: str
    bound: str
    measured: float | None
    unit: str
    reached: bool
    failures: int


def _of(kind: type, field: str, **where: object) -> Number:
    """The field of the first row of a kind that has these values."""

    def number(rows: Sequence[Any]) -> Figure | None:
        for row in rows:
            if isinstance(row, kind) and all(getattr(row, name) == value for name, value in where.items()):
                return Figure(float(getattr(row, field)), getattr(row, "failures", 0))
        return None

    return number


def _per(number: Number, other: Number) -> Number:
    """One number divided by another; the failures of both count."""

    def ratio(rows: Sequence[Any]) -> Figure | None:
        above, below = number(rows), other(rows)
        if above is None or below is None:
            return None
        value = above.value / below.value if below.value else math.nan
        return Figure(value, above.failures + below.failures)

    return ratio


def _most(field: str) -> Number:
    """The largest value of a field among the queries for lists and sums."""

    def number(rows: Sequence[Any]) -> Figure | None:
        found = [float(getattr(row, field)) for row in rows if isinstance(row, Query) and row.query != ONE]
        return Figure(max(found)) if found else None

    return number


def _stage(way: str, stage: str, field: str = "p50", at_once: int = 1) -> Number:
    return _of(Stage, field, way=way, stage=stage, concurrency=at_once)


def _to_bare(way: str, stage: str) -> Number:
    return _per(_stage(way, stage), _stage(BARE, stage))


def _sustained(way: str) -> Number:
    return _per(_of(Throughput, "per_second", way=way), _of(Throughput, "per_second", way=BARE))


GOALS = (
    Goal("sessions", "create until ready, from the pool", _stage("pool", "create"), 10, " ms"),
    Goal("sessions", "create + connect, from the pool, to bare", _to_bare("pool", "create + connect"), 0.2, "x"),
    Goal("sessions", "all stages, from the pool, to bare", _to_bare("pool", "total"), 0.4, "x"),
    Goal("sessions", "create until ready, cold, to bare's start", _to_bare("cold", "create"), 1.8, "x"),
    Goal("sessions", "create until ready, light, cold, to bare's start", _to_bare("light", "create"), 0.9, "x"),
    Goal("sessions", "release", _stage("pool", "release"), 15, " ms"),
    Goal("sessions", "sustained, four workers, default, to bare", _sustained("cold"), 0.7, "x", at_least=True),
    Goal("sessions", "sustained, four workers, light, to bare", _sustained("light"), 1.0, "x", at_least=True),
    Goal("sessions", "eight at once, p95 of all stages, to that of one",
         _per(_stage("pool", "total", "p95", 8), _stage("pool", "total", "p95")), 3, "x"),
    Goal("relay", "round trip, one connection, to direct", _of(RoundTrips, "ratio", connections=1), 1.4, "x"),
    Goal("relay", "round trip, 20 connections, to direct", _of(RoundTrips, "ratio", connections=20), 1.1, "x"),
    Goal("relay", "answer of 50 MB, to direct", _of(LargeAnswers, "ratio"), 1.05, "x"),
    Goal("relay", "server CPU per GB relayed", _of(LargeAnswers, "server_cpu_seconds_per_gb"), 0.5, " s"),
    Goal("egress", egress.DOWNLOAD_CPU, _of(egress.Row, "value", name=egress.DOWNLOAD_CPU), 1.5, " s/GB"),
    Goal("egress", egress.UPLOAD_CPU, _of(egress.Row, "value", name=egress.UPLOAD_CPU), 1.5, " s/GB"),
    Goal("egress", egress.IDLE_MEMORY, _of(egress.Row, "value", name=egress.IDLE_MEMORY), 20, " MB"),
    Goal("browsing", "throughput of a page's download, to bare", _of(Download, "ratio"), 0.8, "x", at_least=True),
    Goal("browsing", "server CPU per GB downloaded", _of(Download, "server_cpu_seconds_per_gb"), 1.5, " s"),
    Goal("idle", "server's memory at rest", _of(AtRest, "server_megabytes"), 90, " MB"),
    Goal("idle", "server's memory per idle session, 20 open",
         _of(Idle, "server_megabytes_each", way="default", sessions=20), 1, " MB"),
    Goal("idle", "server's CPU with 20 idle sessions",
         _of(Idle, "server_cpu_percent", way="default", sessions=20), 2, " %"),
    Goal("idle", "browser's memory, 5 idle, to bare", _of(Idle, "ratio", way="default", sessions=5), 1.25, "x"),
    Goal("idle", "processes and directories left over", _of(AtRest, "leftovers"), 0, ""),
    Goal("starts", "server's start to its first answer", _of(ServerStart, "seconds", start=START), 0.6, " s"),
    Goal("store", "GET one of 100,000 sessions", _of(Query, "many_p50", query=ONE), 5, " ms"),
    Goal("store", "lists and usage of 100,000 sessions, the slowest", _most("many_p50"), 50, " ms"),
    Goal("store", "the same to 1,000 sessions", _most("ratio"), 2, "x"),
)  # fmt: skip


def judge(rows: Sequence[Any], *, failed: Collection[str] = ()) -> list[Verdict]:
    """Every goal that the rows tell something of; of the parts that `failed`, every goal that they tell nothing of."""
    verdicts = []
    for goal in GOALS:
        figure = goal.number(rows) or (Figure(math.nan) if goal.part in failed else None)
        if figure is not None:
            bound = f"{'at least' if goal.at_least else 'at most'} {goal.bound:g}{goal.unit}"
            measured = None if math.isnan(figure.value) else figure.value
            verdicts.append(Verdict(goal.what, bound, measured, goal.unit, goal.reached(figure), figure.failures))
    return verdicts


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts for people."""
    lines = ["| goal | to reach | measured | |", "|---|---|---|---|"]
    for each in verdicts:
        measured = "no figure" if each.measured is None else f"{each.measured:.2f}{each.unit}"
        failures = f", {each.failures} failed" if each.failures else ""
        word = "reached" if each.reached else "**not reached**"
        lines.append(f"| {each.goal} | {each.bound} | {measured}{failures} | {word} |")
    return "\n".join(lines)
