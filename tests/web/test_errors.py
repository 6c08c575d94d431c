"""Every error that concerns sessions, exactly in the shape the API promises."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chaser_server import app
from chaser_server.config_file import parse
from chaser_server.errors import StorageFailed
from chaser_server.model import utc_now
from chaser_server.sessions.service import SessionService
from chaser_server.signing import Signer
from chaser_server.store.audit import AuditLog
from chaser_server.store.database import Database
from chaser_server.store.secrets import load_secret
from chaser_server.store.sessions import SessionStore
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.tokens import new_key
from tests.api import Answer, Api
from tests.substrates import FailingSubstrate, FakeBrowser, FakeSubstrate, LingeringSubstrate, SlowSubstrate
from tests.web.conftest import ServeFake, furnish


def check(answer: Answer, status: int, code: str, *words: str) -> None:
    """That an answer is this error, in the one shape, with these words in its message."""
    assert (answer.status, answer.json and answer.json["error"]["code"]) == (status, code), answer.body
    assert list(answer.json) == ["error"]
    assert list(answer.json["error"]) == ["code", "message"]
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["X-Request-Id"].startswith("req_")
    for word in words:
        assert word in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not valid JSON"),
        (b"ttl_seconds=60", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b"[" * 30000, "not valid JSON"),
        (b'{"ttl_seconds": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"ttl": 60}', "unknown field 'ttl'; allowed: profile, ttl_seconds"),
        (b'{"ttl_seconds": true}', "ttl_seconds must be an integer from 60 to 3600"),
        (b'{"ttl_seconds": "60"}', "ttl_seconds must be an integer from 60 to 3600"),
        (b'{"ttl_seconds": 60.5}', "ttl_seconds must be an integer from 60 to 3600"),
        (b'{"ttl_seconds": NaN}', "ttl_seconds must be an integer from 60 to 3600"),
        (b'{"ttl_seconds": null}', "ttl_seconds must be an integer from 60 to 3600"),
        (b'{"ttl_seconds": 59}', "ttl_seconds must be an integer from 60 to 3600"),
        (b'{"ttl_seconds": 3601}', "ttl_seconds must be an integer from 60 to 3600"),
        (b'{"profile": 5}', "profile must be a string"),
        (b'{"profile": null}', "profile must be a string"),
        (b'{"profile": "tablet"}', "profile 'tablet' is not configured here; there are: default, mobile"),
        (b'{"profile": "\\ud800"}', "is not configured here"),
    ],
)
async def test_a_bad_body_is_named(fake_api: Api, substrate: FakeSubstrate, body: bytes, words: str) -> None:
    check(await fake_api.ask("POST", "/v1/sessions", data=body), 400, "invalid_request", words)
    assert substrate.browsers == []


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"limit": "0"}, "limit must be an integer from 1 to 100"),
        ({"limit": "101"}, "limit must be an integer from 1 to 100"),
        ({"limit": "-1"}, "limit must be an integer from 1 to 100"),
        ({"limit": "ten"}, "limit must be an integer from 1 to 100"),
        ({"limit": ""}, "limit must be an integer from 1 to 100"),
        ({"limit": "٣"}, "limit must be an integer from 1 to 100"),
        ({"limit": "9" * 5000}, "limit must be an integer from 1 to 100"),
        ({"cursor": ""}, "cursor is not one that this server gave"),
        ({"cursor": "not base64!"}, "cursor is not one that this server gave"),
        ({"cursor": "é"}, "cursor is not one that this server gave"),
        ({"cursor": cursor("no time|uuid")}, "cursor is not one that this server gave"),
        ({"cursor": cursor("2026-06-13T11:49:20|uuid")}, "cursor is not one that this server gave"),
        ({"cursor": cursor("2026-06-13T11:49:20+00:00|")}, "cursor is not one that this server gave"),
        ({"cursor": cursor("0001-01-01T00:00:00+14:00|uuid")}, "cursor is not one that this server gave"),
        ({"cursor": base64.urlsafe_b64encode(b"\xff\xff").decode()}, "cursor is not one that this server gave"),
        ({"status": "open"}, "status must be one of creating, ready, closed, error"),
        ({"status": ""}, "status must be one of creating, ready, closed, error"),
    ],
)
async def test_a_bad_query_of_the_list_is_named(fake_api: Api, query: dict[str, str], words: str) -> None:
    check(await fake_api.ask("GET", "/v1/sessions", params=query), 400, "invalid_request", words)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("wait=closed", "wait must be 'ready'"),
        ("wait=", "wait must be 'ready'"),
        ("wait=ready&timeout=61", "timeout must be an integer from 0 to 60"),
        ("wait=ready&timeout=-1", "timeout must be an integer from 0 to 60"),
        ("wait=ready&timeout=1.5", "timeout must be an integer from 0 to 60"),
    ],
)
async def test_a_bad_wait_is_named(fake_api: Api, query: str, words: str) -> None:
    session = await fake_api.ready()
    check(await fake_api.ask("GET", f"/v1/sessions/{session['id']}?{query}"), 400, "invalid_request", words)


REQUESTS = [
    ("POST", "/v1/sessions"),
    ("GET", "/v1/sessions"),
    ("GET", "/v1/sessions/sess_none"),
    ("DELETE", "/v1/sessions/sess_none"),
    ("POST", "/v1/sessions/sess_none/screenshot"),
    ("GET", "/v1/sessions/sess_none/events"),
]


@pytest.mark.parametrize(("method", "path"), REQUESTS)
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "cha_live_" + "a" * 43, "Bearer cha_live_short",
     "Bearer cha_live_" + "a" * 43, "Bearer cha_live_" + "a" * 43 + " x", "Bearer \xff"],
)  # fmt: skip
async def test_without_a_valid_key_nothing_is_told(fake_api: Api, method: str, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = await fake_api.ask(method, path, key="", headers=headers, data=b"{" if method == "POST" else None)
    check(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_the_scheme_of_a_key_is_written_in_any_case(fake_api: Api) -> None:
    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {fake_api.key}"}
        assert (await fake_api.ask("GET", "/v1/sessions", key="", headers=headers)).status == 200


@pytest.fixture
async def workspaces(fake_api: Api) -> AsyncIterator[WorkspaceStore]:
    """The stored workspaces, by connections of another than the server, as the command line has them."""
    database = await Database.open(fake_api.data_dir / "chaser.db")
    yield WorkspaceStore(database)
    await database.close()


async def test_a_revoked_key_is_refused_at_once(fake_api: Api, workspaces: WorkspaceStore) -> None:
    workspace, secret = await workspaces.ensure_default(), new_key()
    key = await workspaces.add_key(workspace.id, name="ci", secret=secret)
    assert (await fake_api.ask("GET", "/v1/sessions", key=secret)).status == 200
    await workspaces.end_key(key.id, utc_now())
    check(await fake_api.ask("GET", "/v1/sessions", key=secret), 401, "unauthorized", "revoked")


async def test_another_workspaces_session_answers_as_none_would(fake_api: Api, workspaces: WorkspaceStore) -> None:
    session, secret = await fake_api.ready(), new_key()
    other = await workspaces.create("other")
    await workspaces.add_key(other.id, name="other", secret=secret)
    unknown = "sess_019ec0d0-a88a-73f2-9741-8030dc82a854"
    for method, path in REQUESTS[2:]:
        theirs = await fake_api.ask(method, path.replace("sess_none", session["id"]), key=secret)
        nobodys = await fake_api.ask(method, path.replace("sess_none", unknown), key=secret)
        check(theirs, 404, "session_not_found")
        assert theirs.json["error"]["message"].replace(session["id"], unknown) == nobodys.json["error"]["message"]
        assert set(theirs.headers) == set(nobodys.headers)
    assert (await fake_api.ask("GET", "/v1/sessions", key=secret)).json["data"] == []
    assert (await fake_api.get(session["id"]))["status"] == "ready"


@pytest.mark.parametrize("path", ["/", "/v1/", "/v1/session", "/v1/sessions/", "/v2/sessions", "/v1/sessions/a/b"])
async def test_an_unknown_path_is_not_found(fake_api: Api, path: str) -> None:
    for key in (None, ""):
        check(await fake_api.ask("GET", path, key=key), 404, "not_found")


@pytest.mark.parametrize("session_id", ["x", "sess_", "%00", "%FF", "..%2F..", "sess_" + "0" * 4000, "' OR 1=1 --"])
async def test_an_id_that_is_none_is_not_found(fake_api: Api, session_id: str) -> None:
    check(await fake_api.ask("GET", f"/v1/sessions/{session_id}"), 404, "session_not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/v1/sessions", "GET, HEAD, POST"),
        ("PATCH", "/v1/sessions/x", "DELETE, GET, HEAD"),
        ("GET", "/v1/sessions/x/screenshot", "POST"),
        ("OPTIONS", "/v1/sessions/x/events", "GET, HEAD"),
        ("PROPFIND", "/healthz", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(fake_api: Api, method: str, path: str, allow: str) -> None:
    answer = await fake_api.ask(method, path)
    check(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allow


async def test_what_has_ended_is_not_open(fake_api: Api) -> None:
    session = await fake_api.ready()
    await fake_api.delete(session["id"])
    for method, path in (("DELETE", ""), ("POST", "/screenshot")):
        answer = await fake_api.ask(method, f"/v1/sessions/{session['id']}{path}")
        check(answer, 409, "session_not_open", "client_delete")


async def test_what_failed_to_start_is_not_open_and_the_door_says_why(serve_fake: ServeFake) -> None:
    api = await serve_fake(FailingSubstrate())
    created = await api.create()
    failed = (await api.ask("GET", f"/v1/sessions/{created['id']}?wait=ready")).json
    assert (failed["status"], failed["ended_reason"]) == ("error", None)
    check(await api.ask("DELETE", f"/v1/sessions/{created['id']}"), 409, "session_not_open", "error")
    check(await api.ask("GET", f"/sessions/{created['id']}"), 409, "session_not_open", "no display")
    assert (await api.events(created["id"]))[-1]["detail"]["stderr_tail"] == "Missing X server"


async def test_a_picture_of_what_is_being_created_is_not_ready(serve_fake: ServeFake) -> None:
    api = await serve_fake(SlowSubstrate())
    created = await api.create()
    check(await api.ask("POST", f"/v1/sessions/{created['id']}/screenshot"), 409, "session_not_ready")


async def chunks(count: int, size: int = 1024) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * size


async def test_a_body_over_64_kib_is_too_large_however_it_comes(fake_api: Api) -> None:
    largest = b"{}".ljust(64 * 1024)
    assert (await fake_api.ask("POST", "/v1/sessions", data=largest)).status == 201
    assert (await fake_api.ask("POST", "/v1/sessions", data=chunks(64))).status == 201
    for body in (largest + b" ", chunks(65), chunks(5000)):
        check(await fake_api.ask("POST", "/v1/sessions", data=body), 413, "payload_too_large", "65536")


async def test_a_place_is_free_again_at_the_204(serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"concurrent_sessions": 1})
    first = await api.create()
    answer = await api.ask("POST", "/v1/sessions")
    check(answer, 429, "concurrency_limit")
    assert int(answer.headers["Retry-After"]) >= 1
    await api.delete(first["id"])
    await api.create()


async def test_a_draining_server_takes_no_more_sessions_but_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    substrate = LingeringSubstrate()
    furnish(monkeypatch, substrate)
    config = parse({"server": {"listen": "127.0.0.1:0", "data_dir": str(tmp_path)}})
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(app.serving(config))
        async with Api(server.url, server.first_key or "", tmp_path) as api:
            session = await api.ready()
            closing = asyncio.create_task(stack.aclose())
            while not server.service.draining:
                await asyncio.sleep(0)
            refused = await api.ask("POST", "/v1/sessions")
            check(refused, 503, "substrate_unavailable", "shutting down")
            assert int(refused.headers["Retry-After"]) >= 1
            unready = await api.ask("GET", "/readyz", key="")
            assert (unready.status, unready.json) == (503, {"status": "draining"})
            assert (await api.get(session["id"]))["ended_reason"] == "abandoned_orphan"
            substrate.let_die.set()
            await closing


async def test_a_server_whose_browser_will_not_die_stops_all_the_same(serve_fake: ServeFake) -> None:
    api = await serve_fake(LingeringSubstrate(), server={"drain_seconds": 0.1})
    await api.ready()  # the fixture stops the server


async def test_a_crash_of_ours_is_told_with_the_id_that_stands_in_the_log(
    fake_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(SessionService, "page", crash)
    answer = await fake_api.ask("GET", "/v1/sessions")
    check(answer, 500, "internal_error")
    assert answer.headers["X-Request-Id"] in answer.json["error"]["message"]
    assert answer.headers["X-Request-Id"] in caplog.text
    assert b"secret" not in answer.body


async def test_a_full_disk_refuses_what_is_new_and_nothing_else(
    fake_api: Api, substrate: FakeSubstrate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(*_: object) -> None:
        raise StorageFailed("the database cannot be written: database or disk is full")

    session = await fake_api.ready()
    with monkeypatch.context() as patched:
        patched.setattr(SessionStore, "insert", full)
        refused = await fake_api.ask("POST", "/v1/sessions")
        check(refused, 500, "internal_error", "database or disk is full")
        assert refused.headers["X-Request-Id"] in caplog.text
        assert (await fake_api.get(session["id"]))["status"] == "ready"
    assert len(substrate.browsers) == 1
    await fake_api.create()


async def test_a_key_is_valid_though_its_use_cannot_be_noted(
    fake_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(*_: object) -> None:
        raise StorageFailed("the database cannot be written: database or disk is full")

    monkeypatch.setattr(WorkspaceStore, "touch_key", full)
    assert (await fake_api.ask("GET", "/v1/sessions")).status == 200
    assert "the use of a key was not noted" in caplog.text


async def test_what_cannot_be_written_into_the_audit_has_happened_all_the_same(
    fake_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise StorageFailed("the database cannot be written: database or disk is full")

    monkeypatch.setattr(AuditLog, "append", full)
    await fake_api.create()
    check(await fake_api.ask("POST", "/v1/sessions", key=""), 401, "unauthorized")
    assert "the audit misses request_refused" in caplog.text


async def test_the_audit_of_refusals_tells_nobody_how_to_enter_a_session(fake_api: Api) -> None:
    session = await fake_api.ready()
    refused = await fake_api.ask("GET", f"/sessions/{session['id']}", headers={"Origin": "https://evil.example"})
    check(refused, 403, "forbidden")
    database = await Database.open(fake_api.data_dir / "chaser.db")
    workspace = await WorkspaceStore(database).ensure_default()
    event = (await AuditLog(database).latest(workspace.id, 1))[0]
    await database.close()
    assert event.detail == {"method": "GET", "path": "/sessions/{session_id}", "status": 403}


async def test_any_browser_that_answers_tells_the_protocol(serve_fake: ServeFake) -> None:
    class Telling(FakeSubstrate):
        async def launch(self, profile: str, **options: Any) -> FakeBrowser:
            browser = await super().launch(profile, **options)
            if len(self.browsers) == 2:
                browser.fetch_devtools = told  # type: ignore[method-assign]
            return browser

    async def told(method: str, path: str) -> tuple[int, str, bytes]:
        return 200, "application/json", b"{}"

    api = await serve_fake(Telling())
    await api.ready()
    check(await api.ask("GET", "/json/protocol"), 503, "substrate_unavailable")
    await api.ready()
    assert (await api.ask("GET", "/json/protocol")).status == 200


@pytest.mark.parametrize("last", ["\u00b2", "9" * 30, "-1"])
async def test_a_last_event_id_that_is_none_begins_with_the_newest(fake_api: Api, last: str) -> None:
    login = await cookie_of(fake_api)
    host, _, port = fake_api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"GET /v1/audit/stream HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {login}\r\nLast-Event-ID: {last}\r\n\r\n"
    writer.write(head.encode())
    said = await asyncio.wait_for(reader.readuntil(b"signed_in"), 10)
    writer.close()
    assert said.startswith(b"HTTP/1.1 200")


async def cookie_of(api: Api) -> str:
    """The dashboard's cookie, by a fresh sign-in link."""
    database = await Database.open(api.data_dir / "chaser.db")
    workspace = await WorkspaceStore(database).ensure_default()
    signer = Signer(await load_secret(database, app.SIGNING_SECRET))
    await database.close()
    token = signer.sign_link(workspace.id, utc_now() + timedelta(minutes=1), workspace.sign_in_epoch)
    answer = await api.ask("GET", f"/dashboard/login?token={token}", key="", allow_redirects=False)
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


async def raw(api: Api, request: bytes) -> tuple[int, dict[str, str], Any]:
    """What the server answers to these bytes, up to the end of the connection."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = head.decode().split("\r\n")
    return int(status.split(" ")[1]), dict(line.split(": ", 1) for line in lines), json.loads(body)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 20000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_in_the_same_shape(fake_api: Api, request_bytes: bytes) -> None:
    status, headers, body = await raw(fake_api, request_bytes)
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    assert headers["X-Request-Id"].startswith("req_")
    numbers = (await fake_api.ask("GET", "/metrics", key="")).body.decode()
    assert 'chaser_errors_total{code="invalid_request"} 1.0' in numbers
