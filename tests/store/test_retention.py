"""What is old goes in small steps; sums stay, and a server on the same file is not disturbed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from chaser_server.cli import main
from chaser_server.config import RetentionConfig
from chaser_server.model import Actor, EndedReason, LedgerRow, Session, Status, utc_now
from chaser_server.sessions.housekeeper import Housekeeper
from chaser_server.store.audit import AuditLog
from chaser_server.store.database import Database
from chaser_server.store.retention import STEP_ROWS, Retention
from chaser_server.store.sessions import SessionStore
from chaser_server.store.usage import UsageStore
from chaser_server.store.workspaces import WorkspaceStore
from tests.substrates import FakeSubstrate
from tests.web.conftest import ServeFake, serve_fake  # noqa: F401 (a fixture)

NOW = utc_now()


async def add_session(database: Database, number: int, days: float, *, ended: bool = True) -> Session:
    """A session that began so many days ago, with a byte, a ledger row and its events."""
    workspace = await WorkspaceStore(database).ensure_default()
    began, store = NOW - timedelta(days=days), SessionStore(database)
    session = Session(
        f"sess_{number}", workspace.id, None, "default", Status.CREATING, began, began + timedelta(minutes=1)
    )
    session.bytes["egress"].up = 1  # type: ignore[index, misc]
    await store.insert(session)
    await store.save_ledger(session.id, [LedgerRow("example.org", None, 1, 0, 1, began, began)])
    if ended:
        over = replace(session, status=Status.CLOSED, ended_at=began, ended_reason=EndedReason.TTL_EXPIRED)
        await store.mark_ended(over, {})
        return over
    return session


async def count(database: Database, table: str) -> int:
    rows = await database.rows(f"SELECT COUNT(*) AS n FROM {table}")
    return int(rows[0]["n"])


async def test_old_sessions_go_with_all_that_is_theirs_but_their_sums(database: Database) -> None:
    await add_session(database, 1, days=10)
    young = await add_session(database, 2, days=1)
    living = await add_session(database, 3, days=20, ended=False)
    assert await Retention(database).forget_sessions(NOW - timedelta(days=5)) == 1
    store = SessionStore(database)
    assert await store.get("sess_1") is None
    assert [await store.get(session.id) is not None for session in (young, living)] == [True, True]
    assert (await store.events("sess_1"), await store.ledger("sess_1")) == ([], [])
    assert (len(await store.events(young.id)), len(await store.ledger(young.id))) == (2, 1)
    sums = await UsageStore(database).since(young.workspace_id, "0000-01-01")
    assert (sum(row.sessions for row in sums), sum(row.bytes_up for row in sums)) == (2, 2)
    assert await store.month_egress(young.workspace_id, f"{utc_now():%Y-%m}") == 2


async def test_a_step_is_small_and_the_next_goes_on(database: Database) -> None:
    audit, workspace = AuditLog(database), await WorkspaceStore(database).ensure_default()
    old = STEP_ROWS + 5
    async with database.transaction() as write:
        row = (workspace.id, "2020-01-01T00:00:00.000000Z")
        sql = "INSERT INTO audit (workspace_id, at, kind, actor, address, detail) VALUES (?, ?, 'x', '', '', '{}')"
        await write.executemany(sql, [row] * old)
    await audit.append(workspace.id, "key_created", Actor("tests"))
    went = [await Retention(database).forget_audit(NOW - timedelta(days=1)) for _ in range(3)]
    assert went == [STEP_ROWS, 5, 0]
    assert [event.kind for event in await audit.latest(workspace.id, 10)] == ["key_created"]


async def test_an_event_that_is_gone_leaves_its_number_to_nobody(database: Database) -> None:
    audit, workspace = AuditLog(database), await WorkspaceStore(database).ensure_default()
    await audit.append(workspace.id, "first", Actor("tests"))
    (first,) = await audit.latest(workspace.id, 1)
    assert await Retention(database).forget_audit(utc_now() + timedelta(seconds=1)) == 1
    await audit.append(workspace.id, "second", Actor("tests"))
    assert [event.kind for event in await audit.after(workspace.id, first.number)] == ["second"]


async def test_the_config_says_how_long(database: Database) -> None:
    for number in range(4):
        await add_session(database, number, days=number + 0.5)
    config = RetentionConfig(sessions_days=2, audit_days=1)
    assert await Housekeeper(retention=Retention(database), config=config).all() == 2
    assert await count(database, "sessions") == 2


async def test_vacuum_gives_space_back_beside_a_serving_server(
    serve_fake: ServeFake,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"concurrent_sessions": 0})
    living, database = await api.ready(), await Database.open(api.data_dir / "chaser.db")
    async with database.transaction() as write:
        row = ((await WorkspaceStore(database).ensure_default()).id, "2020-01-01T00:00:00.000000Z", "x" * 1000)
        sql = "INSERT INTO audit (workspace_id, at, kind, actor, address, detail) VALUES (?, ?, 'x', '', '', ?)"
        await write.executemany(sql, [row] * 5000)
    await database.close()
    path = api.data_dir / "chaser.db"
    vacuuming = asyncio.create_task(asyncio.to_thread(main, ["vacuum", "--data-dir", str(api.data_dir)]))
    created = [await api.create()]
    while not vacuuming.done():
        created.append(await api.create())
    assert await vacuuming == 0
    assert capsys.readouterr().out == "removed 5000 rows that were too old, and shrank the database\n"
    assert path.stat().st_size < 1_000_000
    for session in (living, *created):
        await api.delete(session["id"])
