"""What /proc says of a process and all of its descendants: how many, how much memory, how much processor time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PARENT, _UTIME, _STIME = 1, 11, 12  # fields behind the command's name; proc(5)
_QUIET_SECONDS = 0.25
_QUIET_TICKS = 2
_QUIET_LOOKS = 60


def tree(pid: int) -> list[int]:
    """`pid` and all of its living descendants, zombies included."""
    parents = {int(entry.name): int(stat[_PARENT]) for entry in Path("/proc").glob("[0-9]*") if (stat := _stat(entry))}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def pss_megabytes(pids: list[int]) -> float:
    """Their proportional share of memory: what they have alone, and their part of what they share."""
    return sum(_pss_kilobytes(pid) for pid in pids) / 1024


def cpu_seconds(pids: list[int]) -> float:
    """Processor time that these have used so far."""
    stats = (_stat(Path(f"/proc/{pid}")) for pid in pids)
    return sum(int(each[_UTIME]) + int(each[_STIME]) for each in stats if each) / _TICKS_PER_SECOND


async def until_quiet(pid: int) -> None:
    """Wait until a process and its descendants have all but stopped computing, or a while has passed."""
    before = float("-inf")
    for _ in range(_QUIET_LOOKS):
        now = cpu_seconds(tree(pid))
        if now - before <= _QUIET_TICKS / _TICKS_PER_SECOND:
            return
        before = now
        await asyncio.sleep(_QUIET_SECONDS)


def _stat(entry: Path) -> list[str]:
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _pss_kilobytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
