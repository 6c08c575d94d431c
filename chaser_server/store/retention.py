"""Forgets what is old, in steps so small that nobody waits for them."""

from __future__ import annotations

from datetime import datetime

from chaser_server.store.database import Database, to_text

STEP_ROWS = 200


class Retention:
    """Removes ended sessions with all that belongs to them, and audit events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget_sessions(self, ended_before: datetime) -> int:
        """Remove one step of the sessions that ended before then; returns how many. Their usage stays summed."""
        rows = await self._database.rows(
            "SELECT id FROM sessions WHERE ended_at < ? ORDER BY ended_at LIMIT ?", (to_text(ended_before), STEP_ROWS)
        )
        ids = [(row["id"],) for row in rows]
        if ids:
            async with self._database.transaction() as write:
                await write.executemany("DELETE FROM session_events WHERE session_id = ?", ids)
                await write.executemany("DELETE FROM egress_ledger WHERE session_id = ?", ids)
                await write.executemany("DELETE FROM sessions WHERE id = ?", ids)
        return len(ids)

    async def forget_audit(self, before: datetime) -> int:
        """Remove one step of the audit events from before then; returns how many.

        Looks at the oldest only: a search for old ones would read the whole audit each time that there are none.
        """
        return await self._database.write(
            "DELETE FROM audit WHERE number IN"
            " (SELECT number FROM (SELECT number, at FROM audit ORDER BY number LIMIT ?) WHERE at < ?)",
            (STEP_ROWS, to_text(before)),
        )
