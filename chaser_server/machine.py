"""What this machine, or the control group that holds this process, has to give: memory, cores, and a count of kills.

Reads /proc and the cgroup file systems (version 2, or 1 where that holds memory and CPU); knows no session.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory in bytes and cores, as far as this process may use them."""

    memory_bytes: int
    cores: float


def measure(root: Path = ROOT) -> Machine:
    """What there is: the machine's own, or less where a control group allows less."""
    total = _field(root / "proc/meminfo", "MemTotal:")
    memory = [_number(group / name) for group in _groups(root, "memory") for name in _MEMORY_LIMITS]
    quotas = [quota for group in _groups(root, "cpu") if (quota := _cpu_quota(group)) is not None]
    return Machine(
        memory_bytes=min(limit for limit in ((total or 0) * 1024, *memory) if limit),
        cores=min(float(len(os.sched_getaffinity(0))), *quotas, float("inf")),
    )


def memory_kills(root: Path = ROOT) -> int:
    """How many processes of this process's control group the kernel has killed for memory so far.

    Children are in their parent's group unless somebody moves them. Without a group that counts, it is the machine's
    own count.
    """
    for group in _groups(root, "memory"):
        for name in ("memory.events", "memory.oom_control"):
            if (kills := _field(group / name, "oom_kill")) is not None:
                return kills
    return _field(root / "proc/vmstat", "oom_kill") or 0


_MEMORY_LIMITS = ("memory.max", "memory.limit_in_bytes")


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The directory of this process's control group and those above it, innermost first."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            base = root / "sys/fs/cgroup" / controller
        elif not names:
            base = root / "sys/fs/cgroup"
        else:
            continue
        inner = base / path.lstrip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(base))


def _cpu_quota(group: Path) -> float | None:
    """Cores that a group may use at once; None when it sets no bound."""
    quota, period = (_text(group / "cpu.max").split() or ["max", ""])[:2]
    if quota == "max":
        quota, period = _text(group / "cpu.cfs_quota_us").strip(), _text(group / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None  # "max" is no bound


def _field(path: Path, name: str) -> int | None:
    """The number behind `name` in a file of names and numbers."""
    for line in _text(path).splitlines():
        words = line.split()
        if words and words[0] == name:
            return int(words[1])
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
