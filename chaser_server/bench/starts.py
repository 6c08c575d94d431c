"""Where starts spend their time: the server's own, by what it imports, and a cold session's, by what is waited for."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from chaser_server.bench.processes import cpu_seconds, until_quiet
from chaser_server.bench.ways import server

ROUNDS = 7
PACKAGES_SHOWN = 6
PROFILES = ("default", "light")


@dataclass(frozen=True, slots=True)
class ServerStart:
    """Median seconds from the start of the server's process to its first answer, and its processor time by then."""

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
    """Start the server `rounds` times, and then as many sessions of each profile."""
    starts = [await _server_start() for _ in range(rounds)]
    middle = ServerStart(*(statistics.median(each) for each in zip(*starts, strict=True)))
    return [middle, *_imports(), *await _phases(rounds)]


async def _server_start() -> tuple[float, float]:
    async with server(pool=0) as here:
        return here.seconds_to_start, cpu_seconds([here.pid])


def _imports() -> list[Imports]:
    asked = [sys.executable, "-X", "importtime", "-c", "import chaser_server.cli, chaser_server.app, uvloop"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stderr
    microseconds, modules = Counter[str](), Counter[str]()
    for line in said.splitlines()[1:]:
        own, _, module = line.removeprefix("import time:").split("|")
        package = module.strip().partition(".")[0]
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
    lines = [
        f"The server's first answer comes {row.seconds:.2f} s after its start ({row.cpu_seconds:.2f} s of CPU)."
        for row in rows
        if isinstance(row, ServerStart)
    ]
    lines += ["", "| imports of the server | modules | ms |", "|---|---|---|"]
    lines += [f"| {row.package} | {row.modules} | {row.milliseconds:.0f} |" for row in rows if isinstance(row, Imports)]
    lines += ["", "| cold start of a session | waited for | ms |", "|---|---|---|"]
    lines += [f"| {row.profile} | {row.phase} | {row.milliseconds:.0f} |" for row in rows if isinstance(row, Phase)]
    return "\n".join(lines)
