"""How long a session takes from the wish to the page, on a server of its own started for the bench.

`python -m chaser_server.bench.sessions` prints a table. Times are what a client sees, in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp

from chaser_server.tokens import new_key

READY_SECONDS = 30
ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Stage:
    """Milliseconds of one stage over all rounds."""

    stage: str
    p50: float
    p95: float
    slowest: float


@asynccontextmanager
async def server(*flags: str, fill: Callable[[Path], Awaitable[None]] | None = None) -> AsyncIterator[tuple[str, str]]:
    """A server in a process of its own; yields its URL and a key. `fill` prepares its data directory."""
    key = new_key()
    with tempfile.TemporaryDirectory(prefix="chaser-bench-") as data_dir:
        if fill is not None:
            await fill(Path(data_dir))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chaser_server", "--listen", "127.0.0.1:0", "--data-dir", data_dir, *flags),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "CHASER_KEY": key},
        )
        try:
            yield await asyncio.wait_for(_ready_url(process), READY_SECONDS), key
        finally:
            process.terminate()
            await process.wait()


async def _ready_url(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async for line in process.stdout:
        if found := re.search(rb"ready on (\S+)", line):
            return found[1].decode()
    raise RuntimeError("the server did not start; `python -m chaser_server doctor` says why")


async def measure(rounds: int = ROUNDS) -> list[Stage]:
    """Create, wait until ready, connect, open a page and delete, `rounds` times one after the other."""
    from playwright.async_api import async_playwright

    times: dict[str, list[float]] = {}

    async def timed(stage: str, work: Awaitable[Any]) -> Any:
        began = perf_counter()
        result = await work
        times.setdefault(stage, []).append((perf_counter() - began) * 1000)
        return result

    async with server() as (url, key), _client(key) as http, async_playwright() as playwright:
        for _ in range(rounds + 1):
            session = await timed("create (201)", _json(http.post, f"{url}/v1/sessions"))
            path = f"{url}/v1/sessions/{session['id']}"
            await timed("… → ready", _json(http.get, f"{path}?wait=ready"))
            browser = await timed("connect", playwright.chromium.connect_over_cdp(session["cdp_url"]))
            await timed("goto a data: page", browser.contexts[0].pages[0].goto("data:text/html,<title>x</title>"))
            await browser.close()
            await timed("delete (204)", _json(http.delete, path))
    return [_stage(name, values[1:]) for name, values in times.items()]  # the first round warms the page cache


def _client(key: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"})


def _stage(name: str, values: list[float]) -> Stage:
    return Stage(name, statistics.median(values), statistics.quantiles(values, n=20)[18], max(values))


async def _json(call: Callable[..., Any], url: str) -> Any:
    async with call(url) as response:
        response.raise_for_status()
        return await response.json() if response.status != 204 else None


def table(rows: list[Stage]) -> str:
    """The rows for people."""
    head = ["| a session, one at a time | p50 | p95 | slowest |", "|---|---|---|---|"]
    return "\n".join(
        head + [f"| {row.stage} | {row.p50:.0f} ms | {row.p95:.0f} ms | {row.slowest:.0f} ms |" for row in rows]
    )


def main() -> None:
    """Measure and print; `--json` adds one line per row."""
    parser = argparse.ArgumentParser(description="Measure how long a session takes.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = asyncio.run(measure(options.rounds))
    print(table(rows))
    if options.json:
        for row in rows:
            print(json.dumps({"bench": "Stage", **asdict(row)}))


if __name__ == "__main__":
    main()
