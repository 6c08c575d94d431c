"""Say who holds a TCP port of this machine, from /proc. Knows nothing of servers."""

from __future__ import annotations

import ipaddress
import os
import struct
from pathlib import Path

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LISTENING = "0A"  # proc(5) and include/net/tcp_states.h: TCP_LISTEN


def holder_of(host: str, port: int) -> str:
    """Return "name (pid N)" of a process that keeps others from listening on `port` of the IP address `host`.

    It listens there, or on all addresses. "" when it cannot be known.
    """
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(_plain(ipaddress.ip_address(host)), port)}
    for folder in Path("/proc").glob("[0-9]*/fd") if sockets else ():
        if _holds(folder, sockets):
            pid = folder.parent.name
            return f"{_name(pid)} (pid {pid})"
    return ""


def _listening_inodes(address: Address, port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:  # proc(5): sl, local address:port in hexadecimal, remote, state, …, the tenth is the inode
            fields = row.split()
            local, _, local_port = fields[1].rpartition(":")
            if fields[3] == LISTENING and int(local_port, 16) == port and _overlap(address, _parse(local)):
                inodes.add(fields[9])
    return inodes


def _parse(text: str) -> Address:
    """An address as the tables write it: each 32 bits as a number of this machine's byte order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    return _plain(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)))


def _plain(address: Address) -> Address:
    """An IPv4 address in IPv6's clothes (RFC 4291 2.5.5.2) as the IPv4 address that it is."""
    return getattr(address, "ipv4_mapped", None) or address


def _overlap(one: Address, other: Address) -> bool:
    """Whether two sockets cannot listen on one port: `::` takes all of both families, `0.0.0.0` all of its own."""
    if one == other or any(each.is_unspecified and each.version == 6 for each in (one, other)):
        return True
    return one.version == other.version and (one.is_unspecified or other.is_unspecified)


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
