"""Whether lists, single sessions and usage stay quick as sessions pile up: a server with few against one with many.

`python -m chaser_server.bench.store` prints a table. Times are what a client sees over HTTP, in milliseconds; the two
servers are asked by turns, so that what else the machine does falls on both.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import perf_counter

import aiohttp

from chaser_server.bench.ways import server
from chaser_server.model import utc_now
from chaser_server.store import bulk
from chaser_server.store.database import Database
from chaser_server.store.workspaces import WorkspaceStore

FEW, MANY = 1_000, 100_000
ROUNDS, WARM_UP = 200, 10


@dataclass(frozen=True, slots=True)
class Query:
    """Milliseconds of one request on both servers; `ratio` is of the medians."""

    query: str
    few_p50: float
    many_p50: float
    many_p95: float
    ratio: float


ONE = "GET one"
QUERIES: dict[str, Callable[[int, int], str]] = {
    ONE: lambda count, number: f"/v1/sessions/sess_00000000-0000-7000-8000-{number * 7919 % count:012}",
    "list, newest 20": lambda count, number: "/v1/sessions",
    "list, newest 100": lambda count, number: "/v1/sessions?limit=100",
    "list of ready (none)": lambda count, number: "/v1/sessions?status=ready",
    "usage": lambda count, number: "/v1/usage",
}
"""What may be asked, with its path on a server with so many sessions in such a round."""


async def measure(few: int = FEW, many: int = MANY, rounds: int = ROUNDS) -> list[Query]:
    """Start both servers, and ask each of them everything `rounds` times."""
    async with AsyncExitStack() as stack:
        servers = [(count, await stack.enter_async_context(_filled(count))) for count in (few, many)]
        return [await _compare(query, servers, rounds) for query in QUERIES]


@asynccontextmanager
async def _filled(count: int) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a server with so many ended sessions."""
    async with (
        server(pool=0, fill=partial(_fill, count)) as here,
        aiohttp.ClientSession(here.url, headers=here.http.headers) as http,
    ):
        yield http


async def _fill(count: int, data_dir: Path) -> None:
    from chaser_server.app import DATABASE_NAME

    database, now = await Database.open(data_dir / DATABASE_NAME), utc_now()
    try:
        workspace = await WorkspaceStore(database).ensure_default()
        begin = min(now.replace(day=1, hour=0, minute=0), now - timedelta(hours=1))
        await bulk.fill(database, workspace.id, count, begin=begin, end=now)
    finally:
        await database.close()


async def _compare(query: str, servers: Sequence[tuple[int, aiohttp.ClientSession]], rounds: int) -> Query:
    path = QUERIES[query]
    times: list[list[float]] = [[] for _ in servers]
    for number in range(WARM_UP + rounds):
        for found, (count, http) in zip(times, servers, strict=True):
            began = perf_counter()
            async with http.get(path(count, number)) as response:
                response.raise_for_status()
                await response.read()
            found.append((perf_counter() - began) * 1000)
    few, many = (found[WARM_UP:] for found in times)
    few_p50, many_p50 = statistics.median(few), statistics.median(many)
    return Query(query, few_p50, many_p50, statistics.quantiles(many, n=20)[18], many_p50 / few_p50)


def table(rows: list[Query]) -> str:
    """The rows for people."""
    head = [f"| ended sessions | {FEW:,} p50 | {MANY:,} p50 | p95 | ratio |", "|---|---|---|---|---|"]
    return "\n".join(
        head
        + [
            f"| {row.query} | {row.few_p50:.2f} ms | {row.many_p50:.2f} ms | {row.many_p95:.2f} ms | {row.ratio:.2f}x |"
            for row in rows
        ]
    )


if __name__ == "__main__":
    print(table(asyncio.run(measure())))
