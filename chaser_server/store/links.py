"""Which one-time links have been used, also by an earlier life of the server."""

from __future__ import annotations

from datetime import datetime

from chaser_server.store.database import Database, to_text


class UsedLinks:
    """Remembers one-time links until they would have expired anyway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def use(self, nonce: str, expires_at: datetime, now: datetime) -> bool:
        """Whether this is the first use. Raises `StorageFailed`; the link is still unused then."""
        async with self._database.transaction() as write:
            await write.execute("DELETE FROM used_links WHERE expires_at <= ?", (to_text(now),))
            values = nonce, to_text(expires_at)
            used = await write.execute("INSERT INTO used_links VALUES (?, ?) ON CONFLICT DO NOTHING", values)
            return used.rowcount == 1
