"""What Linux tells of running processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """The processes below `pid` with their command lines. (Chromium writes spaces between its arguments.)"""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child), Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            yield from descendants(int(child))


def peak_bytes(pid: int) -> int:
    """The most memory that a process has ever had resident (proc_pid_status(5), VmHWM)."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
