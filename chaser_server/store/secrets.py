"""Secrets that the server makes for itself and keeps, such as the one that signs tokens."""

from __future__ import annotations

import secrets

from chaser_server.store.database import Database


async def load_secret(database: Database, name: str) -> str:
    """The secret of that name, made when it is not there yet."""
    await database.write(
        "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", (name, secrets.token_urlsafe(32))
    )
    row = await database.row("SELECT value FROM secrets WHERE name = ?", (name,))
    assert row is not None
    return str(row["value"])
