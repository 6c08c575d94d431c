"""The server as a process of its own, and what /proc says of it and of its descendants."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import chaser_server
from chaser_server.tokens import new_key
from tests import learnt
from tests.api import Api

ROOT = Path(chaser_server.__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
PATIENCE_SECONDS = 20
NO_POOL = "\n[pool]\nsize = 0\n"
"""So that the processes a test counts are those of its own sessions."""


@dataclass(frozen=True)
class Process:
    """One process by its number and the moment it began, so that a number used again is not mistaken for it."""

    pid: int
    began: str
    command: str = field(compare=False)

    @property
    def lives(self) -> bool:
        found = look(self.pid)
        return found is not None and found[1] == self.began and found[2] != "Z"


def look(pid: int) -> tuple[int, str, str] | None:
    """A process's parent, beginning and state; see proc(5)."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(words[1]), words[19], words[0]


def descendants(pid: int) -> set[Process]:
    """Every living process below `pid`."""
    parents = {int(entry.name): found for entry in Path("/proc").glob("[0-9]*") if (found := look(int(entry.name)))}
    found: set[Process] = set()
    generation = {pid}
    while generation := {
        child for child, (parent, _, state) in parents.items() if parent in generation and state != "Z"
    }:
        for child in generation:
            found.add(Process(child, parents[child][1], command_of(child)))
    return found


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def browser_of(processes: set[Process]) -> Process:
    """The one main process of a Chromium."""
    (found,) = [
        each
        for each in processes
        if "--remote-debugging-port=" in each.command
        and "--type=" not in each.command
        and "bwrap" not in each.command
        and "doorman" not in each.command
    ]
    return found


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for what only /proc or the file system can tell."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)
    assert condition(), what


@dataclass
class Served:
    """A running `python -m chaser_server`."""

    process: asyncio.subprocess.Process
    api: Api
    output: list[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 10)


@asynccontextmanager
async def server_process(data_dir: Path, *flags: str, key: str = "", config: str = "") -> AsyncIterator[Served]:
    """The server in a process of its own, on a free port, with `key` imported; killed at the end if it still runs."""
    key = key or new_key()
    learnt.bring(data_dir)
    process = await asyncio.create_subprocess_exec(
        *command(data_dir, *flags, config=config), cwd=data_dir.parent, env={**ENVIRONMENT, "CHASER_KEY": key},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    output: list[str] = []
    try:
        while " ready on " not in (line := (await asyncio.wait_for(process.stdout.readline(), 20)).decode()):
            assert line, "".join(output)
            output.append(line)
        reading = asyncio.create_task(_collect(process.stdout, output), name="server's output")
        async with Api(line.split(" ready on ")[1].strip(), key, data_dir) as api:
            yield Served(process, api, output)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await reading


async def run(data_dir: Path, *flags: str, config: str = "") -> tuple[int, str]:
    """The server, expected to refuse: its exit status and what it said."""
    process = await asyncio.create_subprocess_exec(
        *command(data_dir, *flags, config=config), cwd=data_dir.parent, env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, output.decode()


def command(data_dir: Path, *flags: str, config: str) -> list[str]:
    argv = [sys.executable, "-m", "chaser_server", "--data-dir", str(data_dir)]
    if "--listen" not in flags:
        argv += ["--listen", "127.0.0.1:0"]
    if "[pool]" not in config:
        config += NO_POOL
    path = data_dir.parent / "test.toml"
    path.write_text(config)
    return [*argv, "--config", str(path), *flags]


async def _collect(stream: asyncio.StreamReader, output: list[str]) -> None:
    while line := await stream.readline():
        output.append(line.decode())
