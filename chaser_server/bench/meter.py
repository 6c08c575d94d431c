"""What a process and all below it have computed, to the microsecond, by what kinds of processes they are.

Each process has a clock (clock_getcpuclockid(3)): finer than the ticks of /proc/PID/stat, and unlike the sums of
/proc/PID/task/*/schedstat it keeps the time of threads that have ended. A process that comes is counted from its
beginning, and one that goes up to the last look at it: what it does between that and its end is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from chaser_server.bench.processes import numbers, parent_of, tree

SERVER = "server"
_CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED of a whole process; linux/posix-timers.h
_ZYGOTE, _UNKNOWN = "zygote", "other"
_LOOK_SECONDS = 0.02
_LOOKS_PER_SEARCH = 3
_UTILITIES = {"network": "network service", "storage": "storage service"}


def computed_milliseconds(pid: int) -> float | None:
    """Processor time that a process has used so far, in all of its threads; None when it has gone."""
    try:
        return time.clock_gettime_ns(~pid << 3 | _CLOCK_OF_PROCESS) / 1e6
    except OSError:
        return None


def kind_of(arguments: str) -> str:
    """What a process of a session, or the server, is called in the tables, by its command line."""
    program = arguments.partition(" ")[0].rpartition("/")[2]
    if "doorman" in arguments and program != "bwrap":
        return "doorman"
    if "-m chaser_server" in arguments:
        return SERVER
    if utility := re.search(r"--utility-sub-type=(\w+)", arguments):
        return _UTILITIES.get(utility[1], f"{utility[1]} service")
    if part := re.search(r"--type=(\S+)", arguments):
        return part[1].replace("gpu-process", "GPU process")
    if "crashpad" in program:
        return "crash handler"
    return "browser" if "--remote-debugging-port" in arguments else program


class Meter:
    """Counts from its making on what these processes and all below them compute, as often as somebody looks."""

    def __init__(self, *roots: int, alone: Iterable[int] = ()) -> None:
        """Of those that are `alone` nothing below is counted."""
        self._kinds: dict[int, str] = {}
        self._last: dict[int, float] = {}
        self._living: set[int] = set()
        self._followed: set[int] = set()
        self._strangers: set[int] = set()
        for root in roots:
            self._followed.update(tree(root))
        for pid in self._followed.union(alone):
            self._take(pid)
        self.look()
        self._before = dict(self._last)

    def look(self) -> None:
        """Read the clocks of the processes that are known."""
        for pid in list(self._living):
            now = computed_milliseconds(pid)
            if now is None:
                self._living.remove(pid)
            else:
                self._last[pid] = now

    def search(self) -> None:
        """The same, and find those that have come."""
        present = set(numbers())
        self._strangers &= present
        parents = {pid: parent_of(pid) for pid in present - self._strangers - self._living}
        while found := [pid for pid, parent in parents.items() if parent in self._followed]:
            for pid in found:
                del parents[pid]
                self._followed.add(pid)
                self._take(pid)
        self._strangers |= parents.keys()
        for pid in self._living:
            if self._kinds[pid] == _ZYGOTE:  # renderers come of it, and their command line is changed then
                self._kinds[pid] = _kind(pid) or _ZYGOTE
        self.look()

    def _take(self, pid: int) -> None:
        self._living.add(pid)
        self._kinds[pid] = _kind(pid) or self._kinds.get(pid, _UNKNOWN)

    def by_kind(self) -> dict[str, float]:
        """Milliseconds so far."""
        found: dict[str, float] = defaultdict(float)
        for pid, last in self._last.items():
            found[self._kinds[pid]] += last - self._before.get(pid, 0.0)
        return found

    @property
    def milliseconds(self) -> float:
        """All of them so far."""
        return sum(self.by_kind().values())

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Look every 20 ms, so that little is lost of what goes meanwhile."""
        task = asyncio.create_task(self._keep_looking(), name="bench-meter")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self.search()

    async def _keep_looking(self) -> None:
        while True:
            for _ in range(_LOOKS_PER_SEARCH):
                self.look()
                await asyncio.sleep(_LOOK_SECONDS)
            self.search()


def _kind(pid: int) -> str:
    """Its kind, empty when it has ended: a zombie has a clock, but no command line."""
    with contextlib.suppress(OSError):
        return kind_of(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return ""
