"""Who got a session's bytes: one row per destination host and upstream, and the cap on all of them. Plain data;
storing and showing it is for others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from chaser_server.model import ByteCount, LedgerRow

MAX_ROWS = 200
OTHER = "other"
"""Hosts beyond the first `MAX_ROWS` share one row of this name."""


@dataclass(slots=True)
class _Tally:
    first_at: float
    last_at: float
    up: int = 0
    down: int = 0
    connections: int = 0


class Account:
    """Writes a session's bytes down as they move: into `count`, into the ledger, and against `max_bytes`.

    `on_full` is called once, when up and down together have reached `max_bytes`.
    """

    def __init__(
        self,
        *,
        count: ByteCount,
        max_bytes: int | None = None,
        on_full: Callable[[], None] = lambda: None,
        max_rows: int = MAX_ROWS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.count = count
        self.clock = clock
        self._max_bytes = max_bytes
        self._on_full = on_full
        self._max_rows = max_rows
        self._tallies: dict[tuple[str, str | None], _Tally] = {}
        self._has_told = False

    @property
    def is_full(self) -> bool:
        return self._max_bytes is not None and self.count.up + self.count.down >= self._max_bytes

    def open(self, host: str, upstream: str | None) -> ConnectionMeter:
        """Enter one more connection; its bytes go through the meter."""
        key = (host, upstream)
        if key not in self._tallies and len(self._tallies) >= self._max_rows:
            key = (OTHER, None)
        now = self.clock()
        tally = self._tallies.setdefault(key, _Tally(now, now))
        tally.connections += 1
        tally.last_at = now
        return ConnectionMeter(self, tally)

    def rows(self) -> list[LedgerRow]:
        """The ledger as it stands, in order of first use; the sums are those of the count, or its growth."""
        return [
            LedgerRow(host, way, one.up, one.down, one.connections, _utc(one.first_at), _utc(one.last_at))
            for (host, way), one in self._tallies.items()
        ]

    def moved(self) -> None:
        """Called after each movement."""
        if self._max_bytes is not None and not self._has_told and self.is_full:
            self._has_told = True
            self._on_full()


class ConnectionMeter:
    """The `wire.Meter` of one connection."""

    __slots__ = ("_account", "_tally")

    def __init__(self, account: Account, tally: _Tally) -> None:
        self._account = account
        self._tally = tally

    def sent(self, amount: int) -> None:
        self._tally.up += amount
        self._account.count.up += amount
        self._stamp()

    def received(self, amount: int) -> None:
        self._tally.down += amount
        self._account.count.down += amount
        self._stamp()

    def _stamp(self) -> None:
        self._tally.last_at = self._account.clock()
        self._account.moved()


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
