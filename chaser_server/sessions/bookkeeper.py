"""Keeps on disk what is counted while sessions run. Writes only what has changed."""

from __future__ import annotations

from chaser_server.model import LedgerRow, Session
from chaser_server.sessions.lives import Lives
from chaser_server.sessions.places import Places
from chaser_server.store.sessions import SessionStore


class Bookkeeper:
    """Knows what it has written of every open session."""

    def __init__(self, *, places: Places, lives: Lives, store: SessionStore) -> None:
        self._places = places
        self._lives = lives
        self._store = store
        self._counts: dict[str, tuple[object, ...]] = {}
        self._ledgers: dict[str, list[LedgerRow]] = {}

    async def flush(self) -> None:
        """Write what waits for the disk, and the counts and ledger rows that have changed since the last time."""
        await self._lives.catch_up()
        running = {each.record.id: each for each in self._places.open}
        counts = {session_id: _numbers(each.record) for session_id, each in running.items()}
        changed = [session_id for session_id, numbers in counts.items() if self._counts.get(session_id) != numbers]
        if changed:
            await self._store.save_counts([running[session_id].record for session_id in changed])
        self._counts = counts
        for session_id in changed:
            if (browser := running[session_id].browser) is not None:
                await self._write_ledger(session_id, browser.ledger())
        self._ledgers = {session_id: rows for session_id, rows in self._ledgers.items() if session_id in running}

    async def _write_ledger(self, session_id: str, rows: list[LedgerRow]) -> None:
        known = set(self._ledgers.get(session_id, ()))
        news = [row for row in rows if row not in known]
        if news:
            await self._store.save_ledger(session_id, news)
            self._ledgers[session_id] = rows


def _numbers(session: Session) -> tuple[object, ...]:
    counts = (number for count in session.bytes.values() for number in (count.up, count.down))
    return session.proxy_ip, *counts
