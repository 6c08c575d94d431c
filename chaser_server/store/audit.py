"""Who did what: stored, and told to whoever listens."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime
from typing import Any

from chaser_server.errors import StorageFailed
from chaser_server.model import Actor, AuditEvent, utc_now
from chaser_server.store.database import Database, to_text

log = logging.getLogger(__name__)


class AuditLog:
    """The audit events of all workspaces."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._news = asyncio.Event()
        self.over = False

    async def append(self, workspace_id: str, kind: str, by: Actor, **detail: object) -> None:
        """Store an event, and wake the listeners. Raises `StorageFailed`."""
        await self._database.write(
            "INSERT INTO audit (workspace_id, at, kind, actor, address, detail) VALUES (?, ?, ?, ?, ?, ?)",
            (workspace_id, to_text(utc_now()), kind, by.name, by.address, json.dumps(detail)),
        )
        self._wake()

    async def note(self, workspace_id: str, kind: str, by: Actor, **detail: object) -> None:
        """Append what has been done and answered already: a full disk does not take that back, and is logged."""
        try:
            await self.append(workspace_id, kind, by, **detail)
        except StorageFailed as error:
            log.error("the audit misses %s by %s from %s: %s", kind, by.name, by.address, error.message)

    async def after(self, workspace_id: str, number: int, limit: int = 500) -> list[AuditEvent]:
        """Events of a workspace with a higher number, oldest first."""
        rows = await self._database.rows(
            "SELECT * FROM audit WHERE workspace_id = ? AND number > ? ORDER BY number LIMIT ?",
            (workspace_id, number, limit),
        )
        return [_event(row) for row in rows]

    async def latest(self, workspace_id: str, limit: int) -> list[AuditEvent]:
        """The newest events of a workspace, oldest of them first."""
        rows = await self._database.rows(
            "SELECT * FROM audit WHERE workspace_id = ? ORDER BY number DESC LIMIT ?", (workspace_id, limit)
        )
        return [_event(row) for row in reversed(rows)]

    async def newest(self) -> int:
        """The number of the newest event of any workspace, also of one that is forgotten; 0 when there was none."""
        row = await self._database.row("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")
        return 0 if row is None else int(row["seq"])

    def news(self) -> asyncio.Event:
        """Set at the next event. Take it before looking for events, so that none is missed in between."""
        return self._news

    def end(self) -> None:
        """Tell the listeners that nothing more will come."""
        self.over = True
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def _event(row: Any) -> AuditEvent:
    return AuditEvent(
        number=row["number"],
        workspace_id=row["workspace_id"],
        at=datetime.fromisoformat(row["at"]),
        kind=row["kind"],
        actor=row["actor"],
        address=row["address"],
        detail=json.loads(row["detail"]),
    )
