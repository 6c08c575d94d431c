"""What a session costs a page that downloads: Chromium in its sandbox behind the proxy, beside the same one bare.

A page reads one gigabyte from a local origin as a stream and keeps nothing of it. The session (headed, in its sandbox,
everything through the server) and a bare headless Chromium (no sandbox, no proxy) take turns in one run, so that a
noisy machine disturbs both alike: read the ratio. `python -m chaser_server.bench.browsing` prints the table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import shutil
import socket
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

from chaser_server.bench.processes import cpu_seconds
from chaser_server.bench.relay import BROWSERS, launched
from chaser_server.bench.ways import server

GIGABYTE = 1_000_000_000
ROUNDS = 5
_BLOCK = bytes(1 << 20)
_SPAWN = multiprocessing.get_context("spawn")

_READ_ALL = """async () => {
    const began = performance.now(), reader = (await fetch('/body', {cache: 'no-store'})).body.getReader();
    let bytes = 0;
    for (let piece; !(piece = await reader.read()).done;) bytes += piece.value.length;
    return [bytes, (performance.now() - began) / 1000];
}"""


@dataclass(frozen=True, slots=True)
class Download:
    """Median seconds for a gigabyte, and the CPU seconds it takes of the server's process."""

    bare_seconds: float
    session_seconds: float
    server_cpu_seconds_per_gb: float

    @property
    def ratio(self) -> float:
        """The session's throughput as a share of the bare browser's."""
        return self.bare_seconds / self.session_seconds


async def measure(executable: str, *, amount: int = GIGABYTE, rounds: int = ROUNDS) -> list[Download]:
    """Download `amount` bytes `rounds` times each way, in turns, after one turn that warms everything up."""
    from playwright.async_api import async_playwright

    with _origin(amount) as origin, launched(executable) as devtools:
        async with server(pool=0) as here, async_playwright() as playwright:
            bare = await _page(playwright, f"http://127.0.0.1:{devtools}", origin)
            session = await _page(playwright, (await here.way("default")()).cdp_url, origin)
            alone, through, cpu = [], [], []
            for _ in range(rounds + 1):
                alone.append(await _seconds(bare, amount))
                before = cpu_seconds([here.pid])
                through.append(await _seconds(session, amount))
                cpu.append(cpu_seconds([here.pid]) - before)
    per_gigabyte = GIGABYTE / amount
    return [Download(*(statistics.median(each[1:]) * per_gigabyte for each in (alone, through, cpu)))]


async def _page(playwright: Any, address: str, origin: str) -> Any:
    browser = await playwright.chromium.connect_over_cdp(address)
    page = await browser.contexts[0].new_page()
    await page.goto(origin)
    return page


async def _seconds(page: Any, amount: int) -> float:
    """How long the page takes to read the whole body, by its own clock."""
    read, seconds = await page.evaluate(_READ_ALL)
    assert read == amount, f"{read} of {amount} bytes came"
    return float(seconds)


@contextmanager
def _origin(amount: int) -> Iterator[str]:
    """A plain-socket origin in a process of its own; yields its URL."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs, amount), daemon=True)
    process.start()
    try:
        yield f"http://localhost:{ours.recv()}/"
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, amount: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_answer, args=(sock, amount), daemon=True).start()


def _answer(sock: socket.socket, amount: int) -> None:
    """Answer one request after the other: /body with the bytes, anything else with an empty page."""
    with suppress(OSError), sock, sock.makefile("rb") as requests:
        while line := requests.readline():
            while requests.readline().strip():
                pass
            length = amount if line.startswith(b"GET /body ") else 0
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % length)
            while length > 0:
                length -= sock.send(_BLOCK[: min(length, len(_BLOCK))])


def table(rows: list[Download]) -> str:
    """The rows for people."""
    lines = ["| a page downloads 1 GB | bare | session | throughput | server CPU |", "|---|---|---|---|---|"]
    lines += [
        f"| | {row.bare_seconds:.2f} s | {row.session_seconds:.2f} s "
        f"| {row.ratio:.2f}x | {row.server_cpu_seconds_per_gb:.2f} s per GB |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print; `--json` adds one line per row."""
    parser = argparse.ArgumentParser(description="Measure a page's download through a session against a bare browser.")
    parser.add_argument("--browser", default=next(filter(shutil.which, BROWSERS), None))
    parser.add_argument("--megabytes", type=int, default=GIGABYTE // 10**6)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.browser is None:
        parser.error("no Chromium found; name one with --browser")
    rows = asyncio.run(measure(options.browser, amount=options.megabytes * 10**6, rounds=options.rounds))
    print(table(rows))
    if options.json:
        for row in rows:
            print(json.dumps({"bench": "Download", "ratio": round(row.ratio, 3), **asdict(row)}))


if __name__ == "__main__":
    main()
