"""How many sessions may be open, and how often something may be asked, as pure decisions."""

from __future__ import annotations

import math
from collections import deque

from chaser_server.config import LimitsConfig
from chaser_server.errors import ConcurrencyLimit, RateLimited
from chaser_server.model import Workspace

GRACE_DAYS_DEFAULT, GRACE_DAYS_HIGH = 7, 30
"""For how long a rotated key still works."""


RESERVED_BYTES = 1 << 30
BYTES_PER_SESSION = 1 << 29
SESSIONS_PER_CORE = 8


def sessions_for(*, memory_bytes: int, cores: float) -> int:
    """What `limits.max_sessions = "auto"` comes to: as many as the scarcer of memory and cores allows, at least one.

    1 GiB is for the server and the system. An idle session takes about 200 MB; half a GiB leaves room for real pages.
    Eight sessions on a core are slow only while all of them are busy.
    """
    by_memory = (memory_bytes - RESERVED_BYTES) // BYTES_PER_SESSION
    return max(1, min(by_memory, int(cores * SESSIONS_PER_CORE)))


def check_places(limits: LimitsConfig, workspace: Workspace, *, mine: int, living: int) -> None:
    """Raise `ConcurrencyLimit` when one more session is too many.

    `mine` counts the open sessions of `workspace`, `living` those of the whole server and the browsers that are still
    being buried: the machine bears these, too, though they hold no workspace's place. A limit of 0 is none.
    """
    assert isinstance(limits.max_sessions, int), '"auto" is made a number at the start'
    if 0 < limits.max_sessions <= living:
        raise ConcurrencyLimit(f"the server has {living} sessions open, as many as it may")
    own = workspace.concurrent_sessions
    limit = limits.concurrent_sessions if own is None else own
    if 0 < limit <= mine:
        raise ConcurrencyLimit(f"the workspace has {mine} sessions open, as many as it may")


MINUTE = 60.0


class RateLimits:
    """At most `per_minute` requests of a kind in any minute, for each of its users apart; 0 is no limit."""

    def __init__(self, **per_minute: int) -> None:
        self._per_minute = per_minute
        self._times: dict[tuple[str, str], deque[float]] = {}
        self._tidy_at = 0.0

    def take(self, kind: str, user: str, now: float) -> None:
        """Count one request, or raise `RateLimited` with the whole seconds until the next one is allowed."""
        allowed = self._per_minute[kind]
        if not allowed:
            return
        self._tidy(now)
        times = self._times.setdefault((kind, user), deque())
        while times and times[0] <= now - MINUTE:
            times.popleft()
        if len(times) >= allowed:
            wait = math.ceil(times[0] + MINUTE - now)
            raise RateLimited(f"more than {allowed} {kind} in a minute; next one in {wait} s", retry_after_seconds=wait)
        times.append(now)

    def _tidy(self, now: float) -> None:
        """Once a minute, drop the users who have asked for nothing within the last one."""
        if now < self._tidy_at:
            return
        self._tidy_at = now + MINUTE
        self._times = {key: times for key, times in self._times.items() if times and times[-1] > now - MINUTE}
