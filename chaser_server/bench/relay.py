"""What the relay costs: CDP round trips and large answers through it, beside the same Chromium asked directly.

Both ways take turns in one run, so that a noisy machine disturbs both alike: read the ratios. The server runs in a
process of its own, on uvloop, with nothing but the relay in it. `python -m chaser_server.bench.relay` prints a table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from time import monotonic, perf_counter, sleep

import uvloop
from aiohttp import web

from chaser_server.bench.wire import Connection, command, round_trips
from chaser_server.model import ByteCount
from chaser_server.relay.splice import join

BROWSERS = ("/usr/lib/chromium/chromium", "chromium", "google-chrome", "chrome")
START_SECONDS = 20
TURNS = 100
ANSWER_BYTES = 50_000_000
MICROSECONDS = 1e6

Serve = Callable[[int, Pipe], None]
"""What relays to a DevTools port in a process of its own, see `serve_on_uvloop`."""


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """`Browser.getVersion`, closed loop on every connection; times in microseconds."""

    connections: int
    direct_p50: float
    relay_p50: float
    direct_p99: float
    relay_p99: float
    server_cpu_seconds_per_100k: float

    @property
    def ratio(self) -> float:
        """How much longer the median takes through the relay."""
        return self.relay_p50 / self.direct_p50


@dataclass(frozen=True, slots=True)
class LargeAnswers:
    """`Runtime.evaluate` answers of 50 MB; median seconds of each, and the server's costs."""

    direct_seconds: float
    relay_seconds: float
    server_cpu_seconds_per_gb: float
    server_peak_megabytes: float

    @property
    def ratio(self) -> float:
        """How much longer an answer takes through the relay."""
        return self.relay_seconds / self.direct_seconds


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far."""

    cpu_seconds: float
    peak_megabytes: float


class Server:
    """The relay in a process of its own."""

    def __init__(self, port: int, pipe: Pipe) -> None:
        self.port = port
        self._pipe = pipe

    def usage(self) -> Usage:
        """Ask the process what it has used."""
        self._pipe.send(None)
        answer: Usage = self._pipe.recv()
        return answer


def measure(browser: str, *, round_trip_count: int = 20_000, answers: int = 10) -> list[RoundTrips | LargeAnswers]:
    """Run everything once: rows for 1 and 20 connections, and one for large answers."""
    with launched(browser) as devtools, served(devtools) as server:
        path = browser_path(devtools)
        return [
            *(_round_trips(devtools, server, path, connections, round_trip_count) for connections in (1, 20)),
            _large_answers(devtools, server, answers),
        ]


def browser_path(devtools: int) -> str:
    """The path of the browser's own target at a DevTools port."""
    url: str = json.load(urllib.request.urlopen(f"http://127.0.0.1:{devtools}/json/version"))["webSocketDebuggerUrl"]
    return url[url.index("/devtools") :]


def _round_trips(devtools: int, server: Server, path: str, connections: int, times: int) -> RoundTrips:
    request = command("Browser.getVersion")
    with ExitStack() as stack:
        direct = [stack.enter_context(Connection(devtools, path)) for _ in range(connections)]
        relayed = [stack.enter_context(Connection(server.port, path)) for _ in range(connections)]
        for way in (direct, relayed):
            round_trips(way, request, times // TURNS)
        alone, through, cpu = [], [], 0.0
        for _ in range(TURNS):
            alone += round_trips(direct, request, times // TURNS)
            before = server.usage()
            through += round_trips(relayed, request, times // TURNS)
            cpu += server.usage().cpu_seconds - before.cpu_seconds
    (direct_p50, direct_p99), (relay_p50, relay_p99) = p50_p99(alone), p50_p99(through)
    return RoundTrips(connections, direct_p50, relay_p50, direct_p99, relay_p99, cpu / len(through) * 100_000)


def _large_answers(devtools: int, server: Server, answers: int) -> LargeAnswers:
    pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{devtools}/json/list"))
    path = f"/devtools/page/{pages[0]['id']}"
    with Connection(devtools, path) as direct, Connection(server.port, path) as relayed:
        direct.call("Runtime.evaluate", expression=f"globalThis.big = 'x'.repeat({ANSWER_BYTES}); 0")
        request = command("Runtime.evaluate", expression="big", returnByValue=True)
        alone, through, cpu, received = [], [], 0.0, 0
        for _ in range(answers):
            alone.append(_seconds(direct, request)[0])
            before = server.usage()
            seconds, size = _seconds(relayed, request)
            through.append(seconds)
            received += size
            cpu += server.usage().cpu_seconds - before.cpu_seconds
        peak = server.usage().peak_megabytes
    return LargeAnswers(statistics.median(alone), statistics.median(through), cpu / received * 1e9, peak)


def _seconds(connection: Connection, request: bytes) -> tuple[float, int]:
    start = perf_counter()
    size = connection.ask(request)
    return perf_counter() - start, size


def p50_p99(seconds: list[float]) -> tuple[float, float]:
    """In microseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return cuts[49] * MICROSECONDS, cuts[98] * MICROSECONDS


@contextmanager
def launched(browser: str) -> Iterator[int]:
    """A headless Chromium with a profile of its own; yields its DevTools port."""
    with tempfile.TemporaryDirectory(prefix="chaser-bench-", ignore_cleanup_errors=True) as profile:
        quiet = ["background-networking", "component-update", "sync", "quic", "gpu", "extensions"]
        flags = ["--headless=new", "--no-first-run", *(f"--disable-{feature}" for feature in quiet)]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium refuses to sandbox for root
        process = subprocess.Popen(
            [browser, *flags, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield _devtools_port(process, Path(profile) / "DevToolsActivePort")
        finally:
            process.terminate()
            process.wait()


def _devtools_port(process: subprocess.Popen[bytes], written: Path) -> int:
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline and process.poll() is None:
        if written.exists() and (lines := written.read_text().split("\n"))[1:]:
            return int(lines[0])
        sleep(0.02)
    raise RuntimeError(f"the browser did not come up (exit code {process.poll()})")


def serve_on_uvloop(devtools: int, pipe: Pipe) -> None:
    """The relay as the server runs it; says its port, and what it has used whenever asked, until the pipe ends."""
    uvloop.run(_relay_until_told(devtools, pipe))


def serve_on_asyncio(devtools: int, pipe: Pipe) -> None:
    """The same on Python's own event loop."""
    asyncio.run(_relay_until_told(devtools, pipe))


@contextmanager
def served(devtools: int, serve: Serve = serve_on_uvloop) -> Iterator[Server]:
    """The relay before that DevTools port, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(devtools, theirs))
    process.start()
    theirs.close()
    try:
        yield Server(ours.recv(), ours)
    finally:
        ours.close()
        process.join()


async def _relay_until_told(devtools: int, pipe: Pipe) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        upstream = socket.create_connection(("127.0.0.1", devtools))
        relay = await join(request, upstream, path=request.path, count=ByteCount())
        await relay.wait_closed()
        return relay.response

    app = web.Application()
    app.router.add_get("/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), _answer_or_end, pipe, told)
    pipe.send(runner.addresses[0][1])
    await told.wait()
    asyncio.get_running_loop().remove_reader(pipe.fileno())
    await runner.cleanup()


def _answer_or_end(pipe: Pipe, told: asyncio.Event) -> None:
    if not answer_usage(pipe):
        told.set()


def answer_usage(pipe: Pipe) -> bool:
    """Tell what this process has used; False when nobody asks any more."""
    try:
        pipe.recv()
    except EOFError:
        return False
    used = resource.getrusage(resource.RUSAGE_SELF)
    pipe.send(Usage(used.ru_utime + used.ru_stime, _peak_megabytes()))
    return True


def _peak_megabytes() -> float:
    """From /proc: `ru_maxrss` would hand down what the parent held when it forked (getrusage(2))."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def table(rows: list[RoundTrips | LargeAnswers]) -> str:
    """The rows for people."""
    lines = [
        "| CDP through the relay | direct p50 | relay p50 | ratio | direct p99 | relay p99 | server CPU |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        match row:
            case RoundTrips():
                lines.append(
                    f"| round trip, {row.connections} connection(s) | {row.direct_p50:.0f} µs | {row.relay_p50:.0f} µs "
                    f"| {row.ratio:.2f}x | {row.direct_p99:.0f} µs | {row.relay_p99:.0f} µs "
                    f"| {row.server_cpu_seconds_per_100k:.1f} s per 100k |"
                )
            case LargeAnswers():
                lines.append(
                    f"| answer of 50 MB | {row.direct_seconds * 1000:.0f} ms | {row.relay_seconds * 1000:.0f} ms "
                    f"| {row.ratio:.2f}x | | peak {row.server_peak_megabytes:.0f} MB "
                    f"| {row.server_cpu_seconds_per_gb:.2f} s per GB |"
                )
    return "\n".join(lines)


def main() -> None:
    """Measure and print; `--json` adds one line per row."""
    parser = argparse.ArgumentParser(description="Measure the CDP relay against direct DevTools.")
    parser.add_argument("--browser", default=next(filter(shutil.which, BROWSERS), None))
    parser.add_argument("--round-trips", type=int, default=20_000, help="per row and way (default %(default)s)")
    parser.add_argument("--answers", type=int, default=10, help="answers of 50 MB per way (default %(default)s)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.browser is None:
        parser.error("no Chromium found; name one with --browser")
    rows = measure(options.browser, round_trip_count=options.round_trips, answers=options.answers)
    print(table(rows))
    if options.json:
        for row in rows:
            print(json.dumps({"bench": type(row).__name__, "ratio": round(row.ratio, 3), **asdict(row)}))


if __name__ == "__main__":
    main()
