"""The workspaces table and the keys that belong to them."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

from chaser_server.errors import InvalidRequest, KeyRevoked, NotFound
from chaser_server.model import ApiKey, Workspace, utc_now
from chaser_server.store.database import Database, to_text, to_time
from chaser_server.tokens import key_hash, key_prefix, new_uuid7

DEFAULT_WORKSPACE = "default"


class WorkspaceStore:
    """Reads and writes workspaces and keys. Secrets come in, only their hashes are kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str) -> Workspace:
        """Add a workspace. Raises `InvalidRequest` when the name is empty or taken."""
        if not name.strip():
            raise InvalidRequest("a workspace needs a name")
        workspace = Workspace(id=f"ws_{new_uuid7()}", name=name, created_at=utc_now())
        try:
            await self._database.write(
                "INSERT INTO workspaces (id, name, created_at) VALUES (?, ?, ?)",
                (workspace.id, name, to_text(workspace.created_at)),
            )
        except sqlite3.IntegrityError as error:
            raise InvalidRequest(f"there is a workspace named {name!r} already") from error
        return workspace

    async def set_limits(
        self, workspace_id: str, *, concurrent_sessions: int | None, egress_budget_bytes: int | None
    ) -> None:
        """Give a workspace limits of its own; None means the server's."""
        await self._database.write(
            "UPDATE workspaces SET concurrent_sessions = ?, egress_budget_bytes = ? WHERE id = ?",
            (concurrent_sessions, egress_budget_bytes, workspace_id),
        )

    async def sign_out(self, workspace_id: str) -> None:
        """End all sign-ins to the dashboard of a workspace, and what would have become one."""
        sql = "UPDATE workspaces SET sign_in_epoch = sign_in_epoch + 1 WHERE id = ?"
        await self._database.write(sql, (workspace_id,))

    async def ensure_default(self) -> Workspace:
        """The workspace named `default`, made when it is not there yet."""
        return await self.by_name(DEFAULT_WORKSPACE) or await self.create(DEFAULT_WORKSPACE)

    async def by_name(self, name: str) -> Workspace | None:
        """The workspace of that name."""
        row = await self._database.row("SELECT * FROM workspaces WHERE name = ?", (name,))
        return None if row is None else _workspace(row)

    async def all(self) -> list[Workspace]:
        """All workspaces, oldest first."""
        return [_workspace(row) for row in await self._database.rows("SELECT * FROM workspaces ORDER BY created_at")]

    async def get(self, workspace_id: str) -> Workspace | None:
        """The workspace with that id."""
        row = await self._database.row("SELECT * FROM workspaces WHERE id = ?", (workspace_id,))
        return None if row is None else _workspace(row)

    async def add_key(self, workspace_id: str, *, name: str, secret: str) -> ApiKey:
        """Store a key. The same secret again gives the row that is there, made valid again if it was revoked."""
        await self._database.write(_ADD_KEY, _new_row(workspace_id, name, secret))
        key = await self.find_key(secret)
        assert key is not None
        return key

    async def rotate_key(self, old: ApiKey, *, secret: str, end: datetime) -> ApiKey:
        """Store a key of the same name in place of `old`, which works until `end`, or the end it had before.

        Raises `KeyRevoked` when `old` is revoked or past its grace: its successor would bring back what was ended.
        """
        async with self._database.transaction() as write:
            over = await write.execute_fetchall(_IS_OVER, (old.id, to_text(utc_now())))
            if any(over):
                raise KeyRevoked("this key is revoked; make a new one instead")
            await write.execute(_ADD_KEY, _new_row(old.workspace_id, old.name, secret))
            await write.execute(_END_KEY, _end_values(old.id, end))
        key = await self.find_key(secret)
        assert key is not None
        return key

    async def find_key(self, secret: str) -> ApiKey | None:
        """The key with that secret, revoked or not, found by its hash."""
        row = await self._database.row("SELECT * FROM keys WHERE hash = ?", (key_hash(secret),))
        return None if row is None else _key(row)

    async def keys(self, workspace_id: str | None = None) -> list[ApiKey]:
        """The keys of one workspace, or all, oldest first."""
        if workspace_id is None:
            rows = await self._database.rows("SELECT * FROM keys ORDER BY created_at")
        else:
            sql = "SELECT * FROM keys WHERE workspace_id = ? ORDER BY created_at"
            rows = await self._database.rows(sql, (workspace_id,))
        return [_key(row) for row in rows]

    async def named_key(self, id_or_prefix: str) -> ApiKey:
        """The key of any workspace with that id or prefix. Raises `NotFound` unless there is exactly one."""
        found = await self._database.rows("SELECT * FROM keys WHERE ? IN (id, prefix)", (id_or_prefix,))
        if len(found) != 1:
            raise NotFound(f"{'no' if not found else 'more than one'} key has the id or prefix {id_or_prefix!r}")
        return _key(found[0])

    async def key(self, workspace_id: str, key_id: str) -> ApiKey:
        """A key of this workspace by its id. Raises `NotFound`."""
        row = await self._database.row("SELECT * FROM keys WHERE id = ? AND workspace_id = ?", (key_id, workspace_id))
        if row is None:
            raise NotFound("no such key in this workspace")
        return _key(row)

    async def end_key(self, key_id: str, at: datetime) -> None:
        """Make a key invalid from `at` on, unless it becomes so earlier."""
        await self._database.write(_END_KEY, _end_values(key_id, at))

    async def touch_key(self, key_id: str, at: datetime) -> None:
        """Note that a key was used."""
        await self._database.write("UPDATE keys SET last_used_at = ? WHERE id = ?", (to_text(at), key_id))


_ADD_KEY = (
    "INSERT INTO keys (id, workspace_id, name, hash, prefix, created_at) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (hash) DO UPDATE SET revoked_at = NULL"
)
_IS_OVER = "SELECT 1 FROM keys WHERE id = ? AND revoked_at <= ?"
_END_KEY = "UPDATE keys SET revoked_at = ? WHERE id = ? AND (revoked_at IS NULL OR revoked_at > ?)"


def _new_row(workspace_id: str, name: str, secret: str) -> tuple[str | None, ...]:
    now = to_text(utc_now())
    return f"key_{new_uuid7()}", workspace_id, name, key_hash(secret), key_prefix(secret), now


def _end_values(key_id: str, at: datetime) -> tuple[str | None, ...]:
    return to_text(at), key_id, to_text(at)


def _workspace(row: Any) -> Workspace:
    return Workspace(
        id=row["id"],
        name=row["name"],
        created_at=datetime.fromisoformat(row["created_at"]),
        concurrent_sessions=row["concurrent_sessions"],
        egress_budget_bytes=row["egress_budget_bytes"],
        sign_in_epoch=row["sign_in_epoch"],
    )


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row["id"],
        workspace_id=row["workspace_id"],
        name=row["name"],
        prefix=row["prefix"],
        created_at=datetime.fromisoformat(row["created_at"]),
        last_used_at=to_time(row["last_used_at"]),
        revoked_at=to_time(row["revoked_at"]),
    )
