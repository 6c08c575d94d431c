"""Ends what is overdue, and keeps the counts on disk. Decides by `lifecycle`, acts by `SessionService`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from chaser_server import lifecycle
from chaser_server.errors import StorageFailed
from chaser_server.model import Session, utc_now
from chaser_server.sessions.service import SessionService
from chaser_server.store.sessions import SessionStore

TICK_SECONDS = 0.25

log = logging.getLogger(__name__)


class Reaper:
    """Looks at every open session a few times a second."""

    def __init__(
        self, *, service: SessionService, store: SessionStore, idle_seconds: float, flush_seconds: float
    ) -> None:
        self._service = service
        self._store = store
        self._idle_seconds = idle_seconds
        self._flush_seconds = flush_seconds
        self._saved: dict[str, tuple[int, ...]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin both rounds."""
        self._tasks = [
            asyncio.create_task(self._every(TICK_SECONDS, self.reap), name="reaper"),
            asyncio.create_task(self._every(self._flush_seconds, self.flush), name="flush-bytes"),
        ]

    async def close(self) -> None:
        """Stop both rounds."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def reap(self) -> None:
        """End the sessions that are overdue now."""
        now = utc_now()
        for running in self._service.running:
            reason = lifecycle.overdue(
                running.record,
                now,
                watched=running.watched,
                quiet_since=running.quiet_since,
                idle_seconds=self._idle_seconds,
            )
            if reason is not None:
                await self._service.end(running, reason)

    async def flush(self) -> None:
        """Write what waits for the disk, and the counts that have changed since the last time."""
        await self._service.catch_up()
        records = [running.record for running in self._service.running]
        current = {record.id: _numbers(record) for record in records}
        changed = [record for record in records if self._saved.get(record.id) != current[record.id]]
        if changed:
            await self._store.save_bytes([(record.id, record.bytes) for record in changed])
        self._saved = current

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except StorageFailed as error:
                log.error("a round of the reaper failed: %s", error.message)
            except Exception:  # a bug must not end the rounds; the next one tries again
                log.exception("a round of the reaper failed")


def _numbers(session: Session) -> tuple[int, ...]:
    return tuple(number for count in session.bytes.values() for number in (count.up, count.down))
