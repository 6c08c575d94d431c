"""The sums that usage is read from. They are kept by `store.sessions` as sessions end."""

from __future__ import annotations

from chaser_server.model import UsageRow
from chaser_server.store.database import Database


class UsageStore:
    """Reads usage; a few hundred rows for a month, however many sessions there were."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, workspace_id: str, date: str) -> list[UsageRow]:
        """The sums of a workspace from `date` (YYYY-MM-DD) on, oldest first."""
        rows = await self._database.rows(
            "SELECT * FROM usage WHERE workspace_id = ? AND date >= ? ORDER BY date", (workspace_id, date)
        )
        return [
            UsageRow(
                date=row["date"],
                key_id=row["key_id"],
                region=row["region"],
                sessions=row["sessions"],
                bytes_up=row["bytes_up"],
                bytes_down=row["bytes_down"],
                charged_bytes=row["charged_bytes"],
            )
            for row in rows
        ]

    async def by_host(self, workspace_id: str, since: str, limit: int) -> list[tuple[str, int, int]]:
        """The hosts that got most of a workspace's egress in sessions created since `since`: name, up, down."""
        rows = await self._database.rows(
            "SELECT host, SUM(up) AS up, SUM(down) AS down FROM egress_ledger JOIN sessions ON sessions.id = session_id"
            " WHERE workspace_id = ? AND created_at >= ? GROUP BY host ORDER BY SUM(up + down) DESC LIMIT ?",
            (workspace_id, since, limit),
        )
        return [(row["host"], row["up"], row["down"]) for row in rows]
