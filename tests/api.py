"""An API client for tests: thin, so that what the server says is what the test sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Any
    body: bytes
    json: Any


class Api:
    """Talks to a server at `url` with `key`."""

    def __init__(self, url: str, key: str, data_dir: Path) -> None:
        self.url = url
        self.key = key
        self.data_dir = data_dir
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._http is not None
        await self._http.close()

    async def ask(self, method: str, path: str, *, key: str | None = None, **options: Any) -> Answer:
        """One request, with this client's key unless another (or "" for none) is given."""
        assert self._http is not None
        headers = dict(options.pop("headers", {}))
        chosen = self.key if key is None else key
        if chosen:
            headers["Authorization"] = f"Bearer {chosen}"
        async with self._http.request(method, self.url + path, headers=headers, **options) as response:
            body = await response.read()
            is_json = response.content_type == "application/json"
            return Answer(response.status, response.headers, body, await response.json() if is_json else None)

    async def create(self, **fields: Any) -> dict[str, Any]:
        """POST /v1/sessions; the 201's body."""
        answer = await self.ask("POST", "/v1/sessions", json=fields)
        assert answer.status == 201, answer.body
        created: dict[str, Any] = answer.json
        return created

    async def get(self, session_id: str) -> dict[str, Any]:
        """GET /v1/sessions/{id}; the 200's body."""
        answer = await self.ask("GET", f"/v1/sessions/{session_id}")
        assert answer.status == 200, answer.body
        session: dict[str, Any] = answer.json
        return session

    async def ready(self, **fields: Any) -> dict[str, Any]:
        """A session that is ready."""
        created = await self.create(**fields)
        answer = await self.ask("GET", f"/v1/sessions/{created['id']}?wait=ready")
        assert answer.json["status"] == "ready", await self.events(created["id"])
        session: dict[str, Any] = answer.json
        return session

    async def events(self, session_id: str) -> list[dict[str, Any]]:
        """The timeline of a session."""
        answer = await self.ask("GET", f"/v1/sessions/{session_id}/events")
        assert answer.status == 200, answer.body
        timeline: list[dict[str, Any]] = answer.json["data"]
        return timeline

    async def delete(self, session_id: str) -> None:
        """DELETE a session, which must be open."""
        answer = await self.ask("DELETE", f"/v1/sessions/{session_id}")
        assert answer.status == 204, answer.body
