"""Workspaces and keys: secrets are never stored, a revoked key stays known."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaser_server.errors import InvalidRequest, NotFound
from chaser_server.model import utc_now
from chaser_server.store.database import Database
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.tokens import new_key


@pytest.fixture
def store(database: Database) -> WorkspaceStore:
    return WorkspaceStore(database)


async def test_the_default_workspace_is_made_once(store: WorkspaceStore) -> None:
    first = await store.ensure_default()
    assert await store.ensure_default() == first
    assert await store.all() == [first]
    assert await store.get(first.id) == first


@pytest.mark.parametrize("name", ["taken", "", "  "])
async def test_a_workspace_needs_a_name_of_its_own(store: WorkspaceStore, name: str) -> None:
    await store.create("taken")
    with pytest.raises(InvalidRequest):
        await store.create(name)


async def test_a_key_is_found_by_its_secret_which_is_nowhere_on_disk(store: WorkspaceStore, tmp_path: Path) -> None:
    workspace, secret = await store.ensure_default(), new_key()
    key = await store.add_key(workspace.id, name="ci", secret=secret)
    assert await store.find_key(secret) == key
    assert await store.find_key(new_key()) is None
    for file in tmp_path.glob("chaser.db*"):
        assert secret.encode() not in file.read_bytes()


async def test_a_key_is_revoked_by_id_or_by_prefix_and_stays_known(store: WorkspaceStore) -> None:
    workspace, now = await store.ensure_default(), utc_now()
    for name_of in (lambda key: key.id, lambda key: key.prefix):
        secret = new_key()
        key = await store.add_key(workspace.id, name="ci", secret=secret)
        await store.end_key((await store.named_key(name_of(key))).id, now)
        revoked = await store.find_key(secret)
        assert revoked is not None
        assert revoked.revoked_at == now


async def test_an_unknown_key_cannot_be_revoked(store: WorkspaceStore) -> None:
    with pytest.raises(NotFound, match="no key has the id or prefix 'key_none'"):
        await store.named_key("key_none")


async def test_the_same_secret_twice_is_one_key(store: WorkspaceStore) -> None:
    workspace, secret = await store.ensure_default(), new_key()
    key = await store.add_key(workspace.id, name="CHASER_KEY", secret=secret)
    await store.end_key(key.id, utc_now())
    assert await store.add_key(workspace.id, name="CHASER_KEY", secret=secret) == key
    assert await store.keys(workspace.id) == [key]
