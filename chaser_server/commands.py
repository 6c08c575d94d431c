"""What an operator does beside the server, on its database: keys, workspaces, sign-in links, forgetting what is old.

All of it works while the server runs, for SQLite is shared.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from chaser_server.config import Config
from chaser_server.errors import NotFound
from chaser_server.model import Actor, ApiKey, Workspace, utc_now
from chaser_server.store.audit import AuditLog
from chaser_server.store.database import Database
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.tokens import key_mode, new_key

_WHO = Actor("command line")


@asynccontextmanager
async def _database(config: Config) -> AsyncIterator[tuple[Database, WorkspaceStore]]:
    from chaser_server.app import DATABASE_NAME

    database = await Database.open(config.data_dir / DATABASE_NAME)
    try:
        store = WorkspaceStore(database)
        await store.ensure_default()
        yield database, store
    finally:
        await database.close()


async def _named(store: WorkspaceStore, name: str) -> Workspace:
    workspace = await store.by_name(name)
    if workspace is None:
        raise NotFound(f"there is no workspace named {name!r}; see: chaser-server workspaces list")
    return workspace


async def _note(database: Database, kind: str, key: ApiKey, **detail: object) -> None:
    """A listener of the audit stream sees it within a quarter of a minute: the server is not told."""
    await AuditLog(database).note(key.workspace_id, kind, _WHO, key=key.prefix, name=key.name, **detail)


async def login(options: argparse.Namespace, config: Config) -> int:
    """Print a one-time sign-in link."""
    from chaser_server.app import SIGNING_SECRET, URL_NAME, sign_in_url
    from chaser_server.signing import Signer
    from chaser_server.store.secrets import load_secret

    address = config.data_dir / URL_NAME
    if not address.exists():
        raise NotFound(f"no server is running on the data directory {config.data_dir}")
    async with _database(config) as (database, store):
        workspace = await _named(store, options.workspace)
        signer = Signer(await load_secret(database, SIGNING_SECRET))
    print(sign_in_url(config, signer, workspace, address.read_text(encoding="utf-8")))
    return 0


async def logout(options: argparse.Namespace, config: Config) -> int:
    """End all sign-ins to the dashboard of a workspace, and what else has been handed out for it."""
    async with _database(config) as (database, store):
        workspace = await _named(store, options.workspace)
        await store.sign_out(workspace.id)
        await AuditLog(database).note(workspace.id, "signed_out_everywhere", _WHO)
    print(f"signed everybody out of the dashboard of {workspace.name}")
    return 0


async def create_key(options: argparse.Namespace, config: Config) -> int:
    """Print the secret of a new key, and nothing else."""
    async with _database(config) as (database, store):
        workspace = await _named(store, options.workspace)
        secret = new_key(options.mode)
        key = await store.add_key(workspace.id, name=options.name, secret=secret)
        await _note(database, "key_created", key)
    print(secret)
    return 0


async def list_keys(options: argparse.Namespace, config: Config) -> int:
    """Print all keys, those that are revoked included."""
    async with _database(config) as (_, store):
        names = {workspace.id: workspace.name for workspace in await store.all()}
        rows = [
            (
                *(key.id, key.prefix, key.name, names[key.workspace_id]),
                *(_moment(at) for at in (key.created_at, key.last_used_at, key.revoked_at)),
            )
            for key in await store.keys()
        ]
    _print_table(("id", "prefix", "name", "workspace", "created", "last used", "revoked"), rows)
    return 0


async def rotate_key(options: argparse.Namespace, config: Config) -> int:
    """Print the secret of a key that takes another's place, and nothing else."""
    async with _database(config) as (database, store):
        old = await store.named_key(options.key)
        secret = new_key(key_mode(old.prefix))
        key = await store.rotate_key(old, secret=secret, end=utc_now() + timedelta(days=options.grace_days))
        await _note(database, "key_rotated", old, successor=key.prefix, grace_days=options.grace_days)
    print(secret)
    return 0


async def revoke_key(options: argparse.Namespace, config: Config) -> int:
    """Make a key invalid."""
    async with _database(config) as (database, store):
        key = await store.named_key(options.key)
        await store.end_key(key.id, utc_now())
        await _note(database, "key_revoked", key)
    print(f"revoked {key.prefix}… ({key.name})")
    return 0


async def create_workspace(options: argparse.Namespace, config: Config) -> int:
    """Print the id of a new workspace."""
    async with _database(config) as (_, store):
        workspace = await store.create(options.name)
    print(workspace.id)
    return 0


async def limit_workspace(options: argparse.Namespace, config: Config) -> int:
    """Give a workspace limits of its own."""
    async with _database(config) as (_, store):
        workspace = await _named(store, options.name)
        await store.set_limits(
            workspace.id,
            concurrent_sessions=options.concurrent_sessions,
            egress_budget_bytes=options.egress_budget_bytes,
        )
    return 0


async def list_workspaces(options: argparse.Namespace, config: Config) -> int:
    """Print all workspaces with their limits."""
    async with _database(config) as (_, store):
        rows = [
            (one.id, one.name, _moment(one.created_at), _own(one.concurrent_sessions), _own(one.egress_budget_bytes))
            for one in await store.all()
        ]
    _print_table(("id", "name", "created", "sessions", "egress budget"), rows)
    return 0


async def vacuum(options: argparse.Namespace, config: Config) -> int:
    """Remove what is too old, and give its space back."""
    from chaser_server.sessions.housekeeper import Housekeeper
    from chaser_server.store.retention import Retention

    async with _database(config) as (database, _):
        went = await Housekeeper(retention=Retention(database), config=config.retention).all()
        await database.vacuum()
    print(f"removed {went} rows that were too old, and shrank the database")
    return 0


def _own(limit: int | None) -> str:
    return "server's" if limit is None else str(limit)


def _moment(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
