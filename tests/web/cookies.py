"""Signing in to the dashboard, for tests of what only its cookie may do."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import aiohttp

from chaser_server.app import DATABASE_NAME, SIGNING_SECRET
from chaser_server.model import Workspace, utc_now
from chaser_server.signing import Signer, SignIn
from chaser_server.store.database import Database
from chaser_server.store.secrets import load_secret
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.tokens import new_key
from tests.api import Answer, Api


class Dashboard:
    """Asks with the cookie of a workspace, from a page of the server's own."""

    def __init__(self, api: Api, workspace: Workspace, cookie: str, key: str) -> None:
        self.api = api
        self.workspace = workspace
        self.cookie = cookie
        self.key = key

    @classmethod
    async def of(cls, api: Api, workspace: str = "default") -> Dashboard:
        """The dashboard of the workspace of that name, which is made when it is not there; `key` is a key of it."""
        database = await Database.open(api.data_dir / DATABASE_NAME)
        store, secret = WorkspaceStore(database), new_key()
        found = await store.by_name(workspace) or await store.create(workspace)
        await store.add_key(found.id, name="for tests", secret=secret)
        signer = Signer(await load_secret(database, SIGNING_SECRET))
        await database.close()
        sign_in = SignIn(found.id, utc_now() + timedelta(hours=1), found.sign_in_epoch)
        return cls(api, found, signer.sign_cookie(sign_in), secret)

    async def ask(self, method: str, path: str, *, origin: str | None = None, **options: Any) -> Answer:
        """One request; `origin` is another page's, or "" for none."""
        headers = dict(options.pop("headers", {})) | {"Cookie": f"chaser_session={self.cookie}"}
        if (chosen := self.api.url if origin is None else origin) != "":
            headers["Origin"] = chosen
        return await self.api.ask(method, path, key=options.pop("key", ""), headers=headers, **options)

    async def first_events(self, count: int) -> list[dict[str, Any]]:
        """The first events of the audit stream."""
        events: list[dict[str, Any]] = []
        headers = {"Cookie": f"chaser_session={self.cookie}"}
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self.api.url}/v1/audit/stream", headers=headers) as answer,
        ):
            while len(events) < count:
                line = (await asyncio.wait_for(answer.content.readline(), 10)).decode()
                if line.startswith("data: "):
                    events.append(json.loads(line.removeprefix("data: ")))
        return events
