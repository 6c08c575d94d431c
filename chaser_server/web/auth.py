"""Who is asking: API keys for REST."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from chaser_server.errors import StorageFailed, Unauthorized
from chaser_server.model import ApiKey, Workspace, utc_now
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.tokens import is_key

_TOUCH_EVERY = timedelta(minutes=1)

log = logging.getLogger(__name__)


class Doorkeeper:
    """Tells whose key it is, and notes now and then that it was used."""

    def __init__(self, workspaces: WorkspaceStore) -> None:
        self._workspaces = workspaces
        self._touched: dict[str, datetime] = {}

    async def identify(self, authorization: str | None) -> tuple[ApiKey, Workspace]:
        """The key and workspace behind an `Authorization` header (RFC 6750 2.1). Raises `Unauthorized`."""
        scheme, _, secret = (authorization or "").strip().partition(" ")
        if not secret:
            raise Unauthorized("an API key is needed: Authorization: Bearer cha_live_…")
        if scheme.lower() != "bearer":
            raise Unauthorized("the Authorization header must be of the form: Bearer cha_live_…")
        return await self.identify_key(secret.strip())

    async def identify_key(self, secret: str) -> tuple[ApiKey, Workspace]:
        """The key with that secret, and its workspace. Raises `Unauthorized` when it is not valid now."""
        key = await self._workspaces.find_key(secret) if is_key(secret) else None
        now = utc_now()
        if key is None or (key.revoked_at is not None and key.revoked_at <= now):
            raise Unauthorized("this API key is not valid here: malformed, unknown or revoked")
        workspace = await self._workspaces.get(key.workspace_id)
        assert workspace is not None, "a key's workspace cannot vanish: it is a foreign key"
        await self._touch(key, now)
        return key, workspace

    async def workspace(self, workspace_id: str) -> Workspace | None:
        """The workspace with that id."""
        return await self._workspaces.get(workspace_id)

    async def default_workspace(self) -> Workspace:
        """The workspace that a password opens."""
        return await self._workspaces.ensure_default()

    async def _touch(self, key: ApiKey, now: datetime) -> None:
        last = self._touched.get(key.id)
        if last is None or now - last >= _TOUCH_EVERY:
            self._touched[key.id] = now
            try:
                await self._workspaces.touch_key(key.id, now)
            except StorageFailed as error:  # no reason to turn a valid key away
                log.warning("the use of a key was not noted: %s", error.message)
