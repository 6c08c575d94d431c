"""`Prefer: wait=N` (RFC 7240 4.3): creates that stand in line for a place."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest

from chaser_server import app
from chaser_server.config_file import parse
from chaser_server.model import utc_now
from chaser_server.sessions.service import SessionService
from chaser_server.store.database import Database
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.tokens import new_key
from chaser_server.web.schemas import parse_wait
from tests.api import Answer, Api
from tests.substrates import FakeSubstrate
from tests.web.conftest import ServeFake, furnish
from tests.web.cookies import Dashboard

WAIT = {"Prefer": "wait=60"}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> list[SessionService]:
    """The service of the server that is started next."""
    made: list[SessionService] = []
    begin = SessionService.__init__

    def note(self: SessionService, **rooms: object) -> None:
        begin(self, **rooms)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(SessionService, "__init__", note)
    return made


async def in_line(service: list[SessionService], count: int) -> None:
    """Until so many wait in all."""
    while sum(map(len, service[0].waiting.values())) != count:
        await asyncio.sleep(0)


def waiting(api: Api, key: str | None = None, **headers: str) -> asyncio.Task[Answer]:
    return asyncio.create_task(api.ask("POST", "/v1/sessions", key=key, headers={**WAIT, **headers}))


async def add_workspace(api: Api, name: str) -> str:
    """A workspace beside the default one; a key of it."""
    database = await Database.open(api.data_dir / "chaser.db")
    store, secret = WorkspaceStore(database), new_key()
    await store.add_key((await store.create(name)).id, name="its first", secret=secret)
    await database.close()
    return secret


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ([], 0), (["wait=5"], 5), (["Wait=5"], 5), (["wait = 5"], 5), (["wait=5;x=1"], 5), (["wait=3600"], 60),
        (["respond-async, wait=7"], 7), (["respond-async", "wait=8"], 8), (["wait=0"], 0), (["wait"], 0),
        (["wait=-1"], 0), (["wait=1.5"], 0), (["wait=soon"], 0), (["wait=" + "9" * 5000], 60), (["awaits=5"], 0),
    ],
)  # fmt: skip
def test_a_preference_to_wait_is_read_as_rfc_7240_says(prefer: list[str], seconds: float) -> None:
    assert parse_wait(prefer) == seconds


async def test_a_create_in_line_gets_the_place_that_becomes_free(
    serve_fake: ServeFake, service: list[SessionService]
) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"concurrent_sessions": 1})
    first = await api.create()
    second = waiting(api)
    await in_line(service, 1)
    await api.delete(first["id"])
    answer = await second
    assert (answer.status, answer.json["status"]) == (201, "creating")
    assert service[0].waiting == {}


async def test_a_workspace_is_served_in_the_order_of_asking(
    serve_fake: ServeFake, service: list[SessionService]
) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"concurrent_sessions": 1})
    holder = await api.create()
    line = []
    for number in range(4):
        line.append(waiting(api))
        await in_line(service, number + 1)
    for number, asked in enumerate(line):
        await api.delete(holder["id"])
        holder = (await asked).json
        assert not any(later.done() for later in line[number + 1 :])


async def test_a_busy_workspace_starves_nobody(serve_fake: ServeFake, service: list[SessionService]) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"max_sessions": 1})
    holder, holders_key = await api.create(), api.key
    quiet = await add_workspace(api, "quiet")
    busy = []
    for number in range(5):
        busy.append(waiting(api))
        await in_line(service, number + 1)
    patient = waiting(api, quiet)
    await in_line(service, 6)
    served = 0
    while not patient.done():
        assert (await api.ask("DELETE", f"/v1/sessions/{holder['id']}", key=holders_key)).status == 204
        done, _ = await asyncio.wait([*busy[served:], patient], return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        holder, served = done.pop().result().json, served + 1
    assert served <= 2
    await api.ask("DELETE", f"/v1/sessions/{holder['id']}", key=quiet)
    assert (await busy[served - 1]).status == 201
    for task in busy:
        task.cancel()


async def test_who_comes_later_does_not_overtake_the_line(serve_fake: ServeFake, service: list[SessionService]) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"concurrent_sessions": 1})
    first = await api.create()
    patient = waiting(api)
    await in_line(service, 1)
    await api.delete(first["id"])
    assert (await api.ask("POST", "/v1/sessions")).status == 429
    assert (await patient).status == 201


async def until_counted(api: Api, status: int) -> None:
    """Until a create was answered so."""
    line = f'chaser_http_requests_total{{method="POST",route="/v1/sessions",status="{status}"}} 1.0'
    async with asyncio.timeout(10):
        while line not in (await api.ask("GET", "/metrics", key="")).body.decode():
            pass


async def test_a_place_goes_to_nobody_who_has_left(
    serve_fake: ServeFake, service: list[SessionService], caplog: pytest.LogCaptureFixture
) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"concurrent_sessions": 1})
    first = await api.create()
    async with aiohttp.ClientSession() as http:
        headers = {**WAIT, "Authorization": f"Bearer {api.key}"}
        leaving = asyncio.create_task(http.post(f"{api.url}/v1/sessions", headers=headers))
        await in_line(service, 1)
        leaving.cancel()
    await in_line(service, 0)
    await until_counted(api, 499)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    await api.delete(first["id"])
    listed = (await api.ask("GET", "/v1/sessions")).json["data"]
    assert [session["id"] for session in listed] == [first["id"]]
    await api.create()


async def test_a_key_that_is_revoked_in_line_gets_no_place(
    serve_fake: ServeFake, service: list[SessionService]
) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"concurrent_sessions": 1})
    first = await api.create()
    database = await Database.open(api.data_dir / "chaser.db")
    store, secret = WorkspaceStore(database), new_key()
    key = await store.add_key((await store.ensure_default()).id, name="soon revoked", secret=secret)
    revoked = waiting(api, secret)
    await in_line(service, 1)
    await store.end_key(key.id, utc_now())
    await database.close()
    await api.delete(first["id"])
    assert (await revoked).status == 401
    await api.create()


async def test_waiting_too_long_is_answered_as_not_waiting_is(serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"concurrent_sessions": 1})
    await api.create()
    answer = await api.ask("POST", "/v1/sessions", headers={"Prefer": "wait=1"})
    assert (answer.status, answer.json["error"]["code"]) == (429, "concurrency_limit")
    assert int(answer.headers["Retry-After"]) >= 1


async def test_a_bad_request_does_not_wait(serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"concurrent_sessions": 1})
    await api.create()
    answer = await api.ask("POST", "/v1/sessions", headers=WAIT, json={"profile": "none"})
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")


async def test_a_server_that_drains_sends_the_line_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(monkeypatch, FakeSubstrate())
    tables = {"limits": {"concurrent_sessions": 1}, "server": {"listen": "127.0.0.1:0", "data_dir": str(tmp_path)}}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(app.serving(parse(tables)))
        async with Api(server.url, server.first_key or "", tmp_path) as api:
            await api.create()
            line = [waiting(api) for _ in range(3)]
            await in_line([server.service], 3)
            await stack.aclose()
            for asked in line:
                answer = await asked
                assert (answer.status, answer.json["error"]["code"]) == (503, "substrate_unavailable")
                assert int(answer.headers["Retry-After"]) >= 1


async def test_the_dashboard_is_told_who_of_its_workspace_waits(
    serve_fake: ServeFake, service: list[SessionService]
) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"max_sessions": 1})
    path, dashboard = "/dashboard/data/queue", await Dashboard.of(api)
    assert (await api.ask("GET", path, key="")).status == 401
    assert (await dashboard.ask("GET", path)).json == {"waiting": 0, "data": []}
    await api.create()
    line = [waiting(api, await add_workspace(api, "elsewhere")), waiting(api, dashboard.key)]
    await in_line(service, 2)
    headers = {**WAIT, "Cookie": f"chaser_session={dashboard.cookie}", "Origin": api.url}
    by_hand = api.ask("POST", "/v1/sessions", key="", headers=headers, json={"profile": "mobile"})
    line.append(asyncio.create_task(by_hand))
    await in_line(service, 3)
    told = (await dashboard.ask("GET", path)).json
    assert told["waiting"] == 2
    for row in told["data"]:
        assert abs((datetime.fromisoformat(row.pop("since")) - utc_now()).total_seconds()) < 60
    assert told["data"] == [
        {"profile": "default", "key_prefix": dashboard.key[:16], "key_name": "for tests"},
        {"profile": "mobile", "key_prefix": None, "key_name": None},
    ]
    for task in line:
        task.cancel()
    await in_line(service, 0)
    assert (await dashboard.ask("GET", path)).json == {"waiting": 0, "data": []}
