"""The audit: who did what from where, as a stream that can be resumed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chaser_server import app
from chaser_server.config_file import parse
from chaser_server.errors import StorageFailed
from chaser_server.model import Actor
from chaser_server.store.audit import AuditLog
from chaser_server.store.database import Database
from chaser_server.web import audit as audit_stream
from tests.api import Api
from tests.substrates import DyingSubstrate, FakeSubstrate
from tests.web.conftest import ServeFake, furnish
from tests.web.cookies import Dashboard

STILL_HERE = ": still here"


class Stream:
    """Reads one answer of GET /v1/audit/stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def block(self) -> list[str]:
        """The lines up to the next empty one; none at the end."""
        lines = []
        while line := (await self.answer.content.readline()).decode():
            if line == "\n":
                break
            lines.append(line.rstrip("\n"))
        return lines

    async def event(self) -> dict[str, Any]:
        """The next event; signs of life are passed over."""
        while (lines := await self.block()) == [STILL_HERE]:
            pass
        assert lines, "the stream has ended"
        fields = dict(line.split(": ", 1) for line in lines)
        assert list(fields) == ["id", "event", "data"]
        data = json.loads(fields["data"])
        assert list(data) == ["at", "kind", "actor", "address", "detail"]
        assert data["kind"] == fields["event"]
        return {"id": int(fields["id"]), **data}

    async def kinds(self, count: int) -> list[str]:
        return [(await self.event())["kind"] for _ in range(count)]


@asynccontextmanager
async def listening(dashboard: Dashboard, last: int | str | None = None) -> AsyncIterator[Stream]:
    headers = {"Cookie": f"chaser_session={dashboard.cookie}"}
    if last is not None:
        headers["Last-Event-ID"] = str(last)
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{dashboard.api.url}/v1/audit/stream", headers=headers) as answer,
    ):
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        yield Stream(answer)


@pytest.fixture
async def dashboard(fake_api: Api) -> Dashboard:
    return await Dashboard.of(fake_api)


async def test_every_deed_is_told_with_who_and_where_from(fake_api: Api, dashboard: Dashboard) -> None:
    key = (await dashboard.ask("POST", "/v1/keys", json={"name": "ci"})).json
    new = (await dashboard.ask("POST", f"/v1/keys/{key['id']}/rotate", json={"grace_days": 1})).json
    await dashboard.ask("DELETE", f"/v1/keys/{new['id']}")
    session = (await fake_api.ask("POST", "/v1/sessions", key=key["secret"])).json
    await fake_api.ask("DELETE", f"/v1/sessions/{session['id']}")
    by_cookie = (await dashboard.ask("POST", "/v1/sessions")).json
    await dashboard.ask("DELETE", f"/v1/sessions/{by_cookie['id']}")
    await dashboard.ask("GET", "/v1/keys", origin="http://evil.example")
    first = fake_api.key[:16]
    expected = [
        ("key_created", "dashboard", {"key": key["prefix"], "name": "ci"}),
        ("key_rotated", "dashboard", {"key": key["prefix"], "name": "ci", "successor": new["prefix"], "grace_days": 1}),
        ("key_revoked", "dashboard", {"key": new["prefix"], "name": "ci"}),
        ("session_created", key["prefix"], {"session_id": session["id"], "profile": "default"}),
        ("session_ended", first, {"session_id": session["id"], "status": "closed", "reason": "client_delete"}),
        ("session_created", "dashboard", {"session_id": by_cookie["id"], "profile": "default"}),
        ("session_ended", "dashboard", {"session_id": by_cookie["id"], "status": "closed", "reason": "client_delete"}),
        ("request_refused", "dashboard", {"method": "GET", "path": "/v1/keys", "status": 403}),
    ]
    async with listening(dashboard) as stream:
        events = [await stream.event() for _ in expected]
    assert [(event["kind"], event["actor"], event["detail"]) for event in events] == expected
    assert {event["address"] for event in events} == {"127.0.0.1"}
    assert [event["id"] for event in events] == sorted(event["id"] for event in events)


async def test_an_end_without_a_caller_is_the_servers_own(serve_fake: ServeFake) -> None:
    api = await serve_fake(DyingSubstrate())
    await api.create()
    async with listening(await Dashboard.of(api)) as stream:
        await stream.event()
        ended = await stream.event()
    assert (ended["kind"], ended["actor"], ended["address"]) == ("session_ended", "server", "")
    assert ended["detail"]["reason"] == "substrate_down"


async def test_what_a_start_finds_open_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse({"server": {"listen": "127.0.0.1:0", "data_dir": str(tmp_path), "drain_seconds": 0.0}})
    furnish(monkeypatch, FakeSubstrate())
    async with app.serving(config) as server, Api(server.url, server.first_key or "", tmp_path) as api:
        session = await api.ready()
    database = await Database.open(tmp_path / "chaser.db")
    await database.write("DELETE FROM audit")
    await database.write("UPDATE sessions SET status = 'ready', ended_at = NULL, ended_reason = NULL")
    await database.close()
    furnish(monkeypatch, FakeSubstrate())
    async with app.serving(config) as server, Api(server.url, "", tmp_path) as api:
        dashboard = await Dashboard.of(api)
        async with listening(dashboard) as stream:
            event = await stream.event()
    assert (event["kind"], event["actor"]) == ("session_ended", "server")
    assert event["detail"] == {"session_id": session["id"], "status": "closed", "reason": "abandoned_orphan"}


async def test_sign_ins_are_told(serve_fake: ServeFake, substrate: FakeSubstrate) -> None:
    api = await serve_fake(substrate, dashboard={"password": "correct horse"})
    await api.ask("POST", "/dashboard/login", key="", data={"password": "correct horse"}, allow_redirects=False)
    async with listening(await Dashboard.of(api)) as stream:
        event = await stream.event()
    assert (event["kind"], event["actor"], event["detail"]) == ("signed_in", "dashboard", {"way": "password"})
    assert event["address"] == "127.0.0.1"


async def test_a_stream_goes_on_behind_the_last_event_that_was_seen(fake_api: Api, dashboard: Dashboard) -> None:
    for number in range(3):
        await dashboard.ask("POST", "/v1/keys", json={"name": f"key {number}"})
    async with listening(dashboard) as stream:
        first = await stream.event()
    async with listening(dashboard, first["id"]) as stream:
        assert [(await stream.event())["detail"]["name"] for _ in range(2)] == ["key 1", "key 2"]
        await dashboard.ask("POST", "/v1/keys", json={"name": "key 3"})
        assert (await stream.event())["detail"]["name"] == "key 3"


async def test_many_missed_events_come_at_once(fake_api: Api, dashboard: Dashboard) -> None:
    database = await Database.open(fake_api.data_dir / "chaser.db")
    async with database.transaction() as write:
        await write.executemany(
            "INSERT INTO audit (workspace_id, at, kind, actor, address, detail) VALUES (?, ?, ?, '', '', '{}')",
            [(dashboard.workspace.id, "2026-01-01T00:00:00.000000Z", "key_created")] * 1200,
        )
    await database.close()
    async with listening(dashboard, 0) as stream:
        assert len(await stream.kinds(1200)) == 1200


@pytest.mark.parametrize(
    "last", ["1000000", "", "x", "-1", "1.5", "²", "٣", "9" * 19, "9" * 5000, "1; DROP TABLE audit"]
)
async def test_a_last_event_that_is_no_number_of_ours_is_ignored(dashboard: Dashboard, last: str) -> None:
    await dashboard.ask("POST", "/v1/keys", json={"name": "ci"})
    async with listening(dashboard, last) as stream:
        assert await stream.kinds(1) == ["key_created"]


async def test_a_quiet_stream_shows_signs_of_life(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_stream, "KEEP_ALIVE_SECONDS", 0.01)
    async with listening(dashboard) as stream:
        for _ in range(3):
            assert await stream.block() == [STILL_HERE]


async def test_what_another_process_writes_comes_with_the_next_sign_of_life(
    fake_api: Api, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_stream, "KEEP_ALIVE_SECONDS", 0.01)
    async with listening(dashboard) as stream:
        assert await stream.block() == [STILL_HERE]
        database = await Database.open(fake_api.data_dir / "chaser.db")
        await AuditLog(database).append(dashboard.workspace.id, "key_created", Actor("command line"))
        await database.close()
        assert (await stream.event())["actor"] == "command line"


async def test_no_workspace_hears_of_another(fake_api: Api, dashboard: Dashboard) -> None:
    other = await Dashboard.of(fake_api, "other")
    async with listening(other) as theirs, listening(dashboard) as ours:
        await fake_api.create()
        await dashboard.ask("POST", "/v1/keys", json={"name": "ours"})
        await other.ask("POST", "/v1/keys", json={"name": "theirs"})
        assert await ours.kinds(2) == ["session_created", "key_created"]
        event = await theirs.event()
        assert event["detail"]["name"] == "theirs"
    async with listening(other, 0) as again:
        assert await again.event() == event


async def test_a_stream_ends_when_the_server_drains_with_the_last_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(monkeypatch, FakeSubstrate())
    config = parse({"server": {"listen": "127.0.0.1:0", "data_dir": str(tmp_path)}})
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(app.serving(config))
        async with Api(server.url, server.first_key or "", tmp_path) as api:
            await api.ready()
            async with listening(await Dashboard.of(api)) as stream:
                assert await stream.kinds(1) == ["session_created"]
                closing = asyncio.create_task(stack.aclose())
                ended = await stream.event()
                assert (ended["actor"], ended["detail"]["reason"]) == ("server", "abandoned_orphan")
                while (lines := await stream.block()) == [STILL_HERE]:
                    pass
                assert lines == []
            await closing


async def test_refusals_are_told_in_bounded_number_and_without_secrets(serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), cdp={"require_key": True})
    session = await api.ready()
    secret = "cha_live_" + "s" * 43
    for path in (f"/v1/keys/{secret}?key={secret}", f"/sessions/{session['id']}?key={secret}"):
        method = "DELETE" if "keys" in path else "GET"
        assert (await api.ask(method, path, key=secret)).status == 401
    preview = (await api.ask("POST", f"/v1/sessions/{session['id']}/preview-token")).json
    token = preview["url"].partition("token=")[2]
    path = f"/sessions/{session['id']}/preview?token={token}x"
    assert (await api.ask("GET", path, key="")).status == 403
    for _ in range(50):
        await api.ask("GET", "/v1/sessions", key=secret)
    database = await Database.open(api.data_dir / "chaser.db")
    rows = await database.rows("SELECT * FROM audit WHERE kind = 'request_refused'")
    await database.close()
    assert len(rows) == 30
    assert [json.loads(row["detail"])["path"] for row in rows[:4]] == [
        "/v1/keys/{key_id}", "/sessions/{session_id}", "/sessions/{session_id}/preview", "/v1/sessions"
    ]  # fmt: skip
    told = json.dumps([dict(row) for row in rows])
    assert all(hidden not in told for hidden in (secret, token, session["id"]))


async def test_what_was_done_is_answered_though_the_audit_cannot_be_written(
    fake_api: Api, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise StorageFailed("the database cannot be written: database or disk is full")

    monkeypatch.setattr(AuditLog, "append", full)
    assert (await dashboard.ask("POST", "/v1/keys", json={"name": "ci"})).json["secret"]
    session = await fake_api.create()
    assert (await fake_api.ask("GET", "/v1/sessions", key="x")).status == 401
    await fake_api.delete(session["id"])
    assert "the audit misses key_created by dashboard from 127.0.0.1" in caplog.text
    ends = [event for event in await fake_api.events(session["id"]) if event["kind"] == "ended"]
    assert len(ends) == 1
    monkeypatch.undo()


async def test_a_head_request_does_not_hang(dashboard: Dashboard) -> None:
    assert (await dashboard.ask("HEAD", "/v1/audit/stream")).status == 405
