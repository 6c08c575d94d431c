"""Stored sessions: every field comes back, pages do not shift, counts never go down."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chaser_server.model import ByteCount, Channel, EndedReason, Session, SessionEvent, Status
from chaser_server.store.database import Database
from chaser_server.store.sessions import SessionStore
from chaser_server.store.workspaces import WorkspaceStore

BEGIN = datetime(2026, 6, 13, 12, 0, 0, 123456, UTC)


@pytest.fixture
def store(database: Database) -> SessionStore:
    return SessionStore(database)


@pytest.fixture
async def workspace_id(database: Database) -> str:
    return (await WorkspaceStore(database).create("one")).id


def session(workspace_id: str, number: int = 0, *, second: float | None = None) -> Session:
    """A session whose id and time are `number`, or whose time is `second`."""
    created_at = BEGIN + timedelta(seconds=number if second is None else second)
    return Session(
        id=f"sess_{number:04}", workspace_id=workspace_id, key_id="key_1", profile="default", status=Status.CREATING,
        created_at=created_at, expires_at=created_at + timedelta(minutes=30),
    )  # fmt: skip


def counts(egress_up: int) -> dict[Channel, ByteCount]:
    return {channel: ByteCount(egress_up if channel is Channel.EGRESS else 0, 0) for channel in Channel}


async def ids(store: SessionStore, workspace_id: str, limit: int, after: Session | None = None) -> list[str]:
    before = None if after is None else (after.created_at, after.id)
    return [each.id for each in await store.page(workspace_id, limit=limit, before=before)]


async def test_a_session_comes_back_as_it_was_stored(store: SessionStore, workspace_id: str) -> None:
    made = session(workspace_id)
    await store.insert(made)
    assert await store.get(made.id) == made
    ready = replace(made, status=Status.READY, ready_at=BEGIN, device="Linux - Chrome 156 (Desktop)",
                    proxy_ip="192.0.2.1", proxy_region="eu")  # fmt: skip
    await store.mark_ready(ready)
    assert await store.get(made.id) == ready
    ended = replace(ready, status=Status.CLOSED, ended_at=BEGIN, ended_reason=EndedReason.TTL_EXPIRED)
    await store.mark_ended(ended, {"reason": "ttl_expired"})
    assert await store.get(made.id) == ended


async def test_an_unknown_session_is_none(store: SessionStore) -> None:
    assert await store.get("sess_none") is None


async def test_the_timeline_is_in_the_order_it_was_written(store: SessionStore, workspace_id: str) -> None:
    made = session(workspace_id)
    await store.insert(made)
    await store.add_event(made.id, SessionEvent(BEGIN, "launched", {"pid": 7}))
    await store.mark_ready(replace(made, status=Status.READY, ready_at=BEGIN, device="d"))
    await store.mark_ended(replace(made, status=Status.CLOSED, ended_at=BEGIN), {"reason": "client_delete"})
    timeline = [(event.kind, event.detail) for event in await store.events(made.id)]
    assert timeline == [
        ("created", {"profile": "default"}),
        ("launched", {"pid": 7}),
        ("ready", {"device": "d"}),
        ("ended", {"reason": "client_delete"}),
    ]


async def test_a_page_begins_with_the_newest(store: SessionStore, workspace_id: str) -> None:
    for number in (2, 0, 1):
        await store.insert(session(workspace_id, number))
    assert await ids(store, workspace_id, 10) == ["sess_0002", "sess_0001", "sess_0000"]


async def test_pages_neither_shift_nor_repeat_while_sessions_are_created(
    store: SessionStore, workspace_id: str
) -> None:
    for number in range(6):
        await store.insert(session(workspace_id, number))
    seen, last = [], None
    for newcomer in range(100, 105):
        page = await store.page(workspace_id, limit=2, before=last and (last.created_at, last.id))
        seen += [each.id for each in page]
        last = page[-1] if page else last
        await store.insert(session(workspace_id, newcomer))
    assert seen == [f"sess_{number:04}" for number in (5, 4, 3, 2, 1, 0)]


async def test_sessions_of_one_microsecond_are_paged_by_their_id(store: SessionStore, workspace_id: str) -> None:
    made = [session(workspace_id, number, second=0) for number in range(5)]
    for each in made:
        await store.insert(each)
    assert await ids(store, workspace_id, 2) == ["sess_0004", "sess_0003"]
    assert await ids(store, workspace_id, 3, after=made[3]) == ["sess_0002", "sess_0001", "sess_0000"]


async def test_a_page_has_one_workspace_and_one_status(database: Database, workspace_id: str) -> None:
    store, other = SessionStore(database), (await WorkspaceStore(database).create("two")).id
    await store.insert(session(workspace_id, 1))
    await store.insert(session(other, 2))
    await store.insert(ready := session(workspace_id, 3))
    await store.mark_ready(replace(ready, status=Status.READY, ready_at=BEGIN))
    assert await ids(store, workspace_id, 10) == ["sess_0003", "sess_0001"]
    assert [each.id for each in await store.page(workspace_id, limit=9, status=Status.READY)] == ["sess_0003"]


async def test_counts_never_go_down(store: SessionStore, workspace_id: str) -> None:
    made = session(workspace_id)
    await store.insert(made)
    for up in (5, 9, 7):
        await store.save_bytes([(made.id, counts(up))])
    stored = await store.get(made.id)
    assert stored is not None
    assert stored.bytes[Channel.EGRESS].up == 9


async def test_what_is_open_is_what_has_not_ended(store: SessionStore, workspace_id: str) -> None:
    for number in range(3):
        await store.insert(session(workspace_id, number))
    await store.mark_ready(replace(session(workspace_id, 1), status=Status.READY, ready_at=BEGIN))
    ended = replace(session(workspace_id, 2), status=Status.ERROR, ended_at=BEGIN)
    await store.mark_ended(ended, {"error": "no display"})
    assert {each.id for each in await store.open_sessions()} == {"sess_0000", "sess_0001"}
    assert await store.failure("sess_0002") == "no display"
    assert await store.failure("sess_0001") == ""
