"""Where starts spend their time: the server's own, by what it imports, and a cold session's, by what is waited for."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaser_server.bench.processes import cpu_seconds, until_quiet
from chaser_server.bench.ways import server

ROUNDS = 7
PACKAGES_SHOWN = 6
FIRST_START, START = "first start ever", "start"
PROFILES = ("default", "light")
_IMPORT_TIME = re.compile(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ServerStart:
    """Median seconds from the start of the server's process to its first answer, and its processor time by then.

    `start` is `FIRST_START` of a server that finds no answers in its user's cache and asks browsers and Playwright for
    them, or `START` of one that finds them: `make setup` has asked. Byte code is compiled in both.
    """

    start: str
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Imports:
    """Milliseconds that importing the modules of one package takes of the server's start (`python -X importtime`)."""

    package: str
    modules: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Phase:
    """Median milliseconds of one part of a cold session's start, see the `launched` event in docs/operations.md."""

    profile: str
    phase: str
    milliseconds: float


Row = ServerStart | Imports | Phase


async def measure(rounds: int = ROUNDS) -> list[Row]:
    """Start the server once with nothing in its cache, `rounds` times after that, and as many sessions a profile."""
    with tempfile.TemporaryDirectory(prefix="chaser-bench-") as cache:
        first = await _server_start(cache)
        later = [await _server_start(cache) for _ in range(rounds)]
    middle = (statistics.median(each) for each in zip(*later, strict=True))
    return [ServerStart(FIRST_START, *first), ServerStart(START, *middle), *_imports(), *await _phases(rounds)]


async def _server_start(cache: str) -> tuple[float, float]:
    # Playwright's browsers are found below the cache directory, too: they stay where they are.
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    environ = {"PLAYWRIGHT_BROWSERS_PATH": str(usual / "ms-playwright"), **os.environ, "XDG_CACHE_HOME": cache}
    async with server(pool=0, environ=environ) as here:
        return here.seconds_to_start, cpu_seconds([here.pid])


def _imports() -> list[Imports]:
    asked = [sys.executable, "-X", "importtime", "-c", "import chaser_server.cli, chaser_server.app, uvloop"]
    return imports_of(subprocess.run(asked, capture_output=True, text=True, check=True).stderr)


def imports_of(said: str) -> list[Imports]:
    """The packages that take longest, from what Python says with `-X importtime`; other lines are not its."""
    microseconds, modules = Counter[str](), Counter[str]()
    for own, module in _IMPORT_TIME.findall(said):
        package = module.partition(".")[0]
        name = "standard library" if package in sys.stdlib_module_names else package
        microseconds[name] += int(own)
        modules[name] += 1
    return [Imports(name, modules[name], took / 1000) for name, took in microseconds.most_common(PACKAGES_SHOWN)]


async def _phases(rounds: int) -> list[Phase]:
    found: list[Phase] = []
    async with server(pool=0) as here:
        for profile in PROFILES:
            took: dict[str, list[float]] = defaultdict(list)
            for _ in range(rounds):
                await until_quiet(here.pid)
                created = await here.ask("POST", "/v1/sessions", json={"profile": profile})
                path = f"/v1/sessions/{created['id']}"
                await here.ask("GET", f"{path}?wait=ready")
                for event in (await here.ask("GET", f"{path}/events"))["data"]:
                    if event["kind"] == "launched":
                        for phase, milliseconds in event["detail"]["milliseconds"].items():
                            took[phase].append(milliseconds)
                await here.ask("DELETE", path)
            found += [Phase(profile, phase, statistics.median(values)) for phase, values in took.items()]
    return found


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = ["| start of the server | first answer after | CPU by then |", "|---|---|---|"]
    lines += [
        f"| {row.start} | {row.seconds:.2f} s | {row.cpu_seconds:.2f} s |"
        for row in rows
        if isinstance(row, ServerStart)
    ]
    lines += ["", "| imports of the server | modules | ms |", "|---|---|---|"]
    lines += [f"| {row.package} | {row.modules} | {row.milliseconds:.0f} |" for row in rows if isinstance(row, Imports)]
    lines += ["", "| cold start of a session | waited for | ms |", "|---|---|---|"]
    lines += [f"| {row.profile} | {row.phase} | {row.milliseconds:.0f} |" for row in rows if isinstance(row, Phase)]
    return "\n".join(lines)
