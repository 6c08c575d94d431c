"""What idle sessions take: the browsers' memory, and the server's memory and processor time beside them.

Memory is PSS: what processes have alone, and their part of what they share. Browsers stand beside `bare` ones, which
were started by hand in the same run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from chaser_server.bench.processes import cpu_seconds, pss_megabytes, tree, until_quiet
from chaser_server.bench.sessions import BARE
from chaser_server.bench.ways import BenchServer, Opened, Way, bare, server

SECONDS = 5.0
PROFILES = ("default", "light")


@dataclass(frozen=True, slots=True)
class Idle:
    """So many idle browsers: megabytes of each, display included, and the `ratio` to as many `bare` ones.

    The server beside them: megabytes more than without them, for each, and percent of one core.
    """

    way: str
    sessions: int
    megabytes_each: float
    ratio: float
    server_megabytes_each: float
    server_cpu_percent: float


@dataclass(frozen=True, slots=True)
class AtRest:
    """Megabytes of a server that has had no session yet, and the processes that its sessions left behind."""

    server_megabytes: float
    leftovers: int


Row = Idle | AtRest


@dataclass(frozen=True, slots=True)
class _Look:
    browser_megabytes: float
    server_megabytes: float
    server_cpu_percent: float


async def measure(executable: str, counts: Sequence[int], *, seconds: float = SECONDS) -> list[Row]:
    """Open ever more sessions that do nothing, by each way, and look at them for `seconds`."""
    async with server(pool=0) as here:
        await until_quiet(here.pid)
        at_rest = pss_megabytes([here.pid])
        alone = await _grow(bare(executable), os.getpid(), here, counts, seconds)
        rows: list[Row] = _rows(BARE, alone, alone, at_rest)
        for profile in PROFILES:
            before = pss_megabytes([here.pid])
            rows += _rows(profile, await _grow(here.way(profile), here.pid, here, counts, seconds), alone, before)
            await until_quiet(here.pid)
        return [*rows, AtRest(at_rest, len(tree(here.pid)) - 1)]


async def _grow(way: Way, parent: int, here: BenchServer, counts: Sequence[int], seconds: float) -> dict[int, _Look]:
    """What there is below `parent` with each of these numbers of browsers."""
    before = set(tree(parent))
    looks: dict[int, _Look] = {}
    opened: list[Opened] = []
    try:
        for count in counts:
            opened += [await way() for _ in range(count - len(opened))]
            await until_quiet(parent)
            used = cpu_seconds([here.pid])
            await asyncio.sleep(seconds)
            percent = (cpu_seconds([here.pid]) - used) / seconds * 100
            browsers = [pid for pid in tree(parent) if pid not in before]
            looks[count] = _Look(pss_megabytes(browsers), pss_megabytes([here.pid]), percent)
    finally:
        for one in opened:
            await one.release()
    return looks


def _rows(way: str, looks: dict[int, _Look], alone: dict[int, _Look], before: float) -> list[Row]:
    return [
        Idle(
            way,
            count,
            look.browser_megabytes / count,
            look.browser_megabytes / alone[count].browser_megabytes,
            (look.server_megabytes - before) / count,
            look.server_cpu_percent,
        )
        for count, look in looks.items()
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = ["| idle | way | MB each | to bare | server, MB for each | server CPU |", "|" + "---|" * 6]
    lines += [
        f"| {row.sessions} | {row.way} | {row.megabytes_each:.0f} | {row.ratio:.2f}x "
        f"| {row.server_megabytes_each:.2f} | {row.server_cpu_percent:.1f} % |"
        for row in rows
        if isinstance(row, Idle)
    ]
    lines += [
        f"\nThe server takes {row.server_megabytes:.0f} MB at rest; processes left over at the end: {row.leftovers}."
        for row in rows
        if isinstance(row, AtRest)
    ]
    return "\n".join(lines)
