"""Two connections to one SQLite file: a single writer and a separate reader. Knows no table.

A reader on the writer's connection would see rows of a transaction that may yet be rolled back; on its own
connection, in WAL mode, it sees only what is committed and never waits for the writer.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

import aiosqlite

from chaser_server.errors import MachineError, StorageFailed
from chaser_server.store.schema import MIGRATIONS, migrate

TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%fZ"
_CHECKPOINT_SECONDS = 10.0
_AGAIN_SECONDS = 0.05


def to_text(moment: datetime | None) -> str | None:
    """A UTC time as RFC 3339 with microseconds: fixed width, so that text order is time order."""
    return None if moment is None else moment.strftime(TIMESTAMP)


def to_time(text: str | None) -> datetime | None:
    """The inverse of `to_text`."""
    return None if text is None else datetime.fromisoformat(text)


class Database:
    """An open database. `async with db.transaction() as write` changes all or nothing."""

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._writer = writer
        self._reader = reader
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> Database:
        """Open or make the file at `path`, and bring its schema up to date.

        Raises `MachineError` when the file cannot be used or was made by a newer version of the program.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            await asyncio.to_thread(_prepare, path)
            return cls(await _connect(path), await _connect(path))
        except (OSError, sqlite3.Error) as error:
            raise MachineError(f"cannot use the database {path}: {error}") from error

    async def close(self) -> None:
        """Close both connections; what is committed stays."""
        await self._reader.close()
        await self._writer.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """The writer, alone, inside one transaction: committed at the end, rolled back on any exception.

        Raises `StorageFailed` when the disk does not take it; a later transaction may go well again.
        """
        async with self._turn:
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                await self._writer.commit()
            except sqlite3.OperationalError as error:
                await self._undo()
                raise StorageFailed(f"the database cannot be written: {error}") from error
            except BaseException:
                await self._undo()
                raise

    async def _undo(self) -> None:
        """Roll back. SQLite may have done so itself, and says nothing then; a broken disk may refuse even this."""
        with contextlib.suppress(sqlite3.OperationalError):
            await self._writer.rollback()

    async def write(self, sql: str, values: Iterable[Any] = ()) -> int:
        """Run one statement in its own transaction; returns the number of rows it changed."""
        async with self.transaction() as writer:
            return (await writer.execute(sql, tuple(values))).rowcount

    async def vacuum(self) -> None:
        """Rewrite the file without the holes that removed rows left: takes time, and as much space again.

        Others can read meanwhile, and wait to write. Raises `StorageFailed`; nothing is lost then.
        """
        async with self._turn:
            try:
                await self._writer.execute("VACUUM")
                deadline = monotonic() + _CHECKPOINT_SECONDS
                while monotonic() < deadline:  # each try waits for readers and writers, but for no other checkpoint
                    [(busy, *_)] = await self._writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
                    if not busy:
                        return
                    await asyncio.sleep(_AGAIN_SECONDS)
            except sqlite3.OperationalError as error:
                raise StorageFailed(f"the database cannot be shrunk now: {error}") from error
        raise StorageFailed("the database is too busy to be shrunk now; try again")

    async def rows(self, sql: str, values: Iterable[Any] = ()) -> list[aiosqlite.Row]:
        """All rows of a query on the reader."""
        return list(await self._reader.execute_fetchall(sql, tuple(values)))

    async def row(self, sql: str, values: Iterable[Any] = ()) -> aiosqlite.Row | None:
        """The first row of a query on the reader, or None."""
        found = await self.rows(sql, values)
        return found[0] if found else None


async def _connect(path: Path) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(path, isolation_level=None)
    connection.row_factory = aiosqlite.Row
    # In WAL mode NORMAL loses no committed row when the process dies, only (perhaps) when the power does,
    # and keeps the fsync out of POST /v1/sessions.
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON", "busy_timeout = 5000"):
        await connection.execute_fetchall(f"PRAGMA {pragma}")  # an unread row would stand in VACUUM's way
    return connection


def _prepare(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise MachineError(f"the database {path} was made by a newer version of chaser-server (schema {version})")
        migrate(connection)
    finally:
        connection.close()
    path.chmod(0o600)
