"""Say who holds a TCP port of this machine, from /proc. Knows nothing of servers."""

from __future__ import annotations

import os
from pathlib import Path

LISTENING = "0A"  # proc(5) and include/net/tcp_states.h: TCP_LISTEN


def holder_of(port: int) -> str:
    """Return "name (pid N)" of a process that listens on `port`, or "" when it cannot be known."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for folder in Path("/proc").glob("[0-9]*/fd") if sockets else ():
        if _holds(folder, sockets):
            pid = folder.parent.name
            return f"{_name(pid)} (pid {pid})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:  # proc(5): sl, local address:port in hexadecimal, remote, state, …, the tenth is the inode
            fields = row.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def _holds(folder: Path, sockets: set[str]) -> bool:
    try:
        return any(os.readlink(link) in sockets for link in folder.iterdir())
    except OSError:  # it has just ended, or belongs to someone else
        return False


def _name(pid: str) -> str:
    try:
        return Path("/proc", pid, "comm").read_text().strip()
    except OSError:
        return "a process"
