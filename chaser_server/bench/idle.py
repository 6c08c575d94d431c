"""What idle sessions take: the browsers' memory, and the server's memory and processor time beside them.

Memory is PSS: what processes have alone, and their part of what they share. Browsers stand beside `bare` ones, which
were started by hand in the same run.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from chaser_server.bench.processes import Process, cpu_seconds, identified, named, pss_megabytes, tree, until_quiet
from chaser_server.bench.sessions import BARE
from chaser_server.bench.ways import BenchServer, Way, bare, server
from chaser_server.sandbox.process import SCRATCH_PREFIX

SECONDS = 5.0
PROFILES = ("default", "light")
_GONE_SECONDS = 5.0
_POLL_SECONDS = 0.05


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
    """Megabytes of a server that has had no session yet, and what is left of such servers in the end.

    `leftovers` are processes, anywhere on the machine, and directories.
    """

    server_megabytes: float
    leftovers: int


Row = Idle | AtRest


@dataclass(frozen=True, slots=True)
class _Look:
    browsers: set[Process]
    browser_megabytes: float
    server_megabytes: float
    server_cpu_percent: float


@dataclass(frozen=True, slots=True)
class _Grown:
    """What was seen of one way: the server at rest, and with each number of browsers; and what stayed behind."""

    at_rest_megabytes: float
    looks: dict[int, _Look]
    leftovers: int


async def measure(executable: str, counts: Sequence[int], *, seconds: float = SECONDS) -> list[Row]:
    """Open ever more sessions that do nothing, by each way beside a fresh server, and look at them for `seconds`."""
    grown = {way: await _grow(way, executable, counts, seconds) for way in (BARE, *PROFILES)}
    alone = grown[BARE].looks
    rows: list[Row] = [row for way, one in grown.items() for row in _rows(way, one.looks, alone, one.at_rest_megabytes)]
    at_rest = statistics.median(one.at_rest_megabytes for one in grown.values())
    return [*rows, AtRest(at_rest, sum(one.leftovers for one in grown.values()))]


async def _grow(way: str, executable: str, counts: Sequence[int], seconds: float) -> _Grown:
    """What there is with each of these numbers of browsers, and of a server that has seen no other way."""
    async with server(pool=0) as here:
        await until_quiet(here.pid)
        at_rest = pss_megabytes([here.pid])
        if way == BARE:
            looks = await _looks(bare(executable), os.getpid(), here, counts, seconds)
            own: set[Process] = set()
        else:
            looks = await _looks(here.way(way), here.pid, here, counts, seconds)
            own = {process for look in looks.values() for process in look.browsers}
        await _until_gone(own)  # the death of a session goes on behind the answer to its release
        left = {one for one in identified(tree(here.pid)) if one.pid != here.pid}
    return _Grown(at_rest, looks, len(left | _living(own) | named(here.name)) + len(_directories(here.name)))


async def _looks(way: Way, parent: int, here: BenchServer, counts: Sequence[int], seconds: float) -> dict[int, _Look]:
    """What there is below `parent` with each of these numbers of browsers."""
    before = set(tree(parent))
    looks: dict[int, _Look] = {}
    opened = 0
    async with AsyncExitStack() as leaving:
        for count in counts:
            for _ in range(count - opened):
                leaving.push_async_callback((await way()).release)
            opened = count
            await until_quiet(parent)
            used = cpu_seconds([here.pid])
            await asyncio.sleep(seconds)
            percent = (cpu_seconds([here.pid]) - used) / seconds * 100
            browsers = [pid for pid in tree(parent) if pid not in before]
            megabytes = pss_megabytes(browsers), pss_megabytes([here.pid])
            looks[count] = _Look(identified(browsers), *megabytes, percent)
    return looks


def _living(processes: set[Process]) -> set[Process]:
    """Who of these is still there, whosever children they have become."""
    return {one for one in processes if one.lives}


async def _until_gone(processes: set[Process]) -> None:
    for _ in range(int(_GONE_SECONDS / _POLL_SECONDS)):
        if not _living(processes):
            return
        await asyncio.sleep(_POLL_SECONDS)


def _directories(name: str) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}{name}-*"))


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
        f"\nThe server takes {row.server_megabytes:.0f} MB at rest; processes and directories left over at the end: "
        f"{row.leftovers}."
        for row in rows
        if isinstance(row, AtRest)
    ]
    return "\n".join(lines)
