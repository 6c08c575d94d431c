"""What /proc says of processes and of the machine: who lives, and how much memory and processor time they take."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PARENT, _UTIME, _STIME, _BEGAN = 1, 11, 12, 19  # fields behind the command's name; proc(5)
_BUSY = (0, 1, 2, 5, 6)  # user, nice, system, irq and softirq of the machine's time; proc(5)
_QUIET_SECONDS = 0.25
_QUIET_TICKS = 3
_QUIET_LOOKS = 60
_MACHINE_LOOKS = 20  # fewer: on a machine that others use, too, quiet may never come
QUIET = f"at most {1000 * _QUIET_TICKS // _TICKS_PER_SECOND} ms of processor time in {1000 * _QUIET_SECONDS:.0f} ms"


@dataclass(frozen=True, slots=True)
class Process:
    """One process by its number and its beginning, so that a number used again is not mistaken for it."""

    pid: int
    began: str

    @property
    def lives(self) -> bool:
        """Whether it is still there, be it as a zombie."""
        stat = _stat(self.pid)
        return bool(stat) and stat[_BEGAN] == self.began


def parent_of(pid: int) -> int | None:
    """Whose child it is now; None when it has gone."""
    stat = _stat(pid)
    return int(stat[_PARENT]) if stat else None


def tree(pid: int) -> list[int]:
    """`pid` and all of its living descendants, zombies included."""
    parents = {number: int(stat[_PARENT]) for number in numbers() if (stat := _stat(number))}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def identified(pids: Iterable[int]) -> set[Process]:
    """These processes, as far as they are there, for looking at them again later."""
    return {Process(pid, stat[_BEGAN]) for pid in pids if (stat := _stat(pid))}


def named(word: str) -> set[Process]:
    """Every process of this machine with `word` in an argument, but not this one. Zombies have no arguments."""
    return identified(pid for pid in numbers() if pid != os.getpid() and word.encode() in _read(pid, "cmdline"))


def pss_megabytes(pids: Iterable[int]) -> float:
    """Their proportional share of memory: what they have alone, and their part of what they share.

    One that has gone has none. Not a number when there is one that this user may not look at, so that nobody takes
    the rest for the whole.
    """
    try:
        return sum(_pss_kilobytes(pid) for pid in pids) / 1024
    except PermissionError:
        return math.nan


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that these have used so far."""
    stats = (_stat(pid) for pid in pids)
    return sum(int(each[_UTIME]) + int(each[_STIME]) for each in stats if each) / _TICKS_PER_SECOND


async def until_quiet(pid: int) -> bool:
    """Wait until a process and its descendants, other than this one, have all but stopped computing.

    They are `QUIET`, and none has come or gone meanwhile. False when a while has passed without that.
    """

    def look() -> tuple[object, float]:
        pids = [one for one in tree(pid) if one != os.getpid()]  # looking takes time, too
        return set(pids), cpu_seconds(pids)

    return await _settled(look, _QUIET_LOOKS)


async def until_machine_quiet() -> bool:
    """Wait until all processors together are `QUIET`, whoever they work for.

    The kernel's own work counts, such as what it does after a browser's death. False when five seconds have passed
    without that.
    """
    return await _settled(lambda: (None, _busy_seconds()), _MACHINE_LOOKS)


async def _settled(look: Callable[[], tuple[object, float]], looks: int) -> bool:
    """Whether two looks in a row found the same, and hardly any more seconds used."""
    same, before = look()
    for _ in range(looks):
        await asyncio.sleep(_QUIET_SECONDS)
        found, now = look()
        if found == same and now - before <= (_QUIET_TICKS + 0.5) / _TICKS_PER_SECOND:
            return True
        same, before = found, now
    return False


def _busy_seconds() -> float:
    """What the machine's processors have computed so far, together."""
    ticks = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    return sum(int(ticks[kind]) for kind in _BUSY) / _TICKS_PER_SECOND


def numbers() -> list[int]:
    """Every process of this machine."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _stat(pid: int) -> list[str]:
    return _read(pid, "stat").decode("latin-1").rpartition(")")[2].split()


def _read(pid: int, what: str) -> bytes:
    """A file of a process, empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _pss_kilobytes(pid: int) -> int:
    lines = _read(pid, "smaps_rollup").decode().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
