"""The two connections: all of a change or none, and readers see only what is committed."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaser_server.errors import MachineError, StorageFailed
from chaser_server.store import database as database_module
from chaser_server.store.database import Database, to_text, to_time
from chaser_server.store.schema import MIGRATIONS, migrate

BIG = "x" * 100_000


async def notes(database: Database) -> list[str]:
    return [row["text"] for row in await database.rows("SELECT text FROM notes ORDER BY text")]


@pytest.fixture
async def noted(database: Database) -> Database:
    """A database with a table of notes."""
    await database.write("CREATE TABLE notes (text TEXT NOT NULL)")
    return database


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return sorted(connection.execute("SELECT name, sql FROM sqlite_master").fetchall())


def test_every_migration_moves_the_version_by_one() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_migrating_twice_changes_nothing() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    before = schema(connection)
    migrate(connection)
    assert schema(connection) == before


def test_a_migration_that_fails_leaves_the_version_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    broken = (*MIGRATIONS, "CREATE TABLE half (x); CREATE TABLE half (x);")
    monkeypatch.setattr("chaser_server.store.schema.MIGRATIONS", broken)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection)
    connection.rollback()
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert "half" not in dict(schema(connection))


async def test_what_is_stored_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "chaser.db"
    first = await Database.open(path)
    await first.write("CREATE TABLE notes (text TEXT)")
    await first.write("INSERT INTO notes VALUES ('kept')")
    await first.close()
    again = await Database.open(path)
    assert await notes(again) == ["kept"]
    await again.close()


async def test_the_file_is_for_its_owner_alone(tmp_path: Path, database: Database) -> None:
    assert stat.S_IMODE((tmp_path / "chaser.db").stat().st_mode) == 0o600


async def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "chaser.db") as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(MachineError, match="made by a newer version"):
        await Database.open(tmp_path / "chaser.db")


async def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "chaser.db").write_bytes(b"no database" * 1000)
    with pytest.raises(MachineError, match=r"cannot use the database .*chaser\.db"):
        await Database.open(tmp_path / "chaser.db")


async def test_a_reader_sees_only_what_is_committed(noted: Database) -> None:
    async with noted.transaction() as write:
        await write.execute("INSERT INTO notes VALUES ('one')")
        assert await notes(noted) == []
    assert await notes(noted) == ["one"]


async def test_a_reader_does_not_wait_for_a_writer(noted: Database) -> None:
    async with noted.transaction() as write:
        await write.execute("INSERT INTO notes VALUES ('one')")
        await asyncio.wait_for(notes(noted), 2)


async def test_an_exception_undoes_the_whole_transaction(noted: Database) -> None:
    async def half() -> None:
        async with noted.transaction() as write:
            await write.execute("INSERT INTO notes VALUES ('half')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await half()
    await noted.write("INSERT INTO notes VALUES ('whole')")
    assert await notes(noted) == ["whole"]


async def test_writers_take_turns_in_the_order_they_came(noted: Database) -> None:
    async def write(number: int) -> None:
        async with noted.transaction() as writer:
            await writer.execute("INSERT INTO notes VALUES (?)", (str(number),))

    await asyncio.gather(*(write(number) for number in range(10)))
    rows = await noted.rows("SELECT text FROM notes ORDER BY rowid")
    assert [row["text"] for row in rows] == [str(number) for number in range(10)]


async def test_a_full_disk_is_said_and_undoes_the_transaction_and_passes(noted: Database) -> None:
    (pages,) = await noted.row("PRAGMA page_count") or ()
    await noted._writer.execute(f"PRAGMA max_page_count = {pages}")

    async def half() -> None:
        async with noted.transaction() as write:
            await write.execute("INSERT INTO notes VALUES ('half')")
            await write.execute("INSERT INTO notes VALUES (?)", (BIG,))

    with pytest.raises(StorageFailed, match="database or disk is full"):
        await half()
    assert await notes(noted) == []
    await noted._writer.execute("PRAGMA max_page_count = 1073741823")
    await noted.write("INSERT INTO notes VALUES (?)", (BIG,))
    assert await notes(noted) == [BIG]


@pytest.mark.parametrize("steps", range(8))
async def test_a_writer_that_is_cancelled_at_any_moment_leaves_no_transaction_open(noted: Database, steps: int) -> None:
    writing = asyncio.create_task(noted.write("INSERT INTO notes VALUES ('all or none')"))
    for _ in range(steps):
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait([writing])
    await noted.write("INSERT INTO notes VALUES ('next')")
    assert "next" in await notes(noted)


async def test_a_cancelled_beginning_is_undone(noted: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = noted._writer.execute

    async def cancelled_behind(sql: str) -> None:
        await begun(sql)
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(noted._writer, "execute", cancelled_behind)
        with pytest.raises(asyncio.CancelledError):
            await noted.write("INSERT INTO notes VALUES ('never')")
    await noted.write("INSERT INTO notes VALUES ('next')")
    assert await notes(noted) == ["next"]


def test_a_time_keeps_its_microseconds_and_its_place_in_the_order() -> None:
    moment = datetime(2026, 6, 13, 11, 49, 20, 5, UTC)
    assert to_text(moment) == "2026-06-13T11:49:20.000005Z"
    assert to_time(to_text(moment)) == moment
    assert to_text(None) is None
    assert to_time(None) is None


async def test_a_database_can_be_shrunk_again_and_again(database: Database) -> None:
    for _ in range(3):
        await database.vacuum()


async def test_a_database_that_somebody_writes_to_cannot_be_shrunk_and_stays_whole(
    database: Database, tmp_path: Path
) -> None:
    other = await Database.open(tmp_path / "chaser.db")
    await database._writer.execute_fetchall("PRAGMA busy_timeout = 1")
    async with other.transaction():
        with pytest.raises(StorageFailed, match="cannot be shrunk now"):
            await database.vacuum()
    await other.close()
    await database.vacuum()


async def test_a_database_that_somebody_still_reads_as_it_was_is_not_said_to_be_shrunk(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_CHECKPOINT_SECONDS", 0.2)
    other = await Database.open(tmp_path / "chaser.db")
    await database._writer.execute_fetchall("PRAGMA busy_timeout = 1")
    await other._reader.execute_fetchall("BEGIN")
    await other.rows("SELECT count(*) FROM workspaces")
    with pytest.raises(StorageFailed, match="too busy to be shrunk now"):
        await database.vacuum()
    await other.close()
    await database.vacuum()
