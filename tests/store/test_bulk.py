"""A month of made-up sessions is whole: what lists, usage and single sessions say of it agrees."""

from __future__ import annotations

from datetime import UTC, datetime

from chaser_server.model import Channel, Status
from chaser_server.store import bulk
from chaser_server.store.database import Database
from chaser_server.store.sessions import SessionStore
from chaser_server.store.usage import UsageStore
from chaser_server.store.workspaces import WorkspaceStore

BEGIN, END = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 11, tzinfo=UTC)


async def test_a_made_up_month_agrees_with_itself(database: Database) -> None:
    workspace = (await WorkspaceStore(database).ensure_default()).id
    await bulk.fill(database, workspace, 100, begin=BEGIN, end=END)
    store = SessionStore(database)
    sessions = await store.page(workspace, limit=200)
    assert len(sessions) == 100
    assert (sessions[-1].created_at, sessions[0].status) == (BEGIN, Status.CLOSED)
    assert [event.kind for event in await store.events(sessions[0].id)] == ["created", "ended"]
    rows = await UsageStore(database).since(workspace, "2026-06-01")
    assert sum(row.sessions for row in rows) == 100
    assert len({row.date for row in rows}) == 10
    up = sum(session.bytes[channel].up for session in sessions for channel in Channel)
    assert sum(row.bytes_up for row in rows) == up
