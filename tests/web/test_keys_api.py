"""API keys, managed by people with the dashboard's cookie."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chaser_server.model import utc_now
from chaser_server.tokens import key_hash, new_key
from chaser_server.web import auth
from tests.api import Api
from tests.web.conftest import ServeFake
from tests.web.cookies import Dashboard

FIELDS = ["id", "name", "prefix", "created_at", "last_used_at", "revoked_at"]
REQUESTS = [
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("DELETE", "/v1/keys/key_x"),
    ("POST", "/v1/keys/key_x/rotate"),
    ("GET", "/v1/audit/stream"),
]


@pytest.fixture
async def dashboard(fake_api: Api) -> Dashboard:
    return await Dashboard.of(fake_api)


async def works(api: Api, secret: str) -> bool:
    return (await api.ask("GET", "/v1/sessions", key=secret)).status == 200


async def made(dashboard: Dashboard, **fields: Any) -> dict[str, Any]:
    answer = await dashboard.ask("POST", "/v1/keys", json={"name": "ci", **fields})
    assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store"), answer.body
    created: dict[str, Any] = answer.json
    return created


async def listed(dashboard: Dashboard) -> dict[str, dict[str, Any]]:
    answer = await dashboard.ask("GET", "/v1/keys")
    assert list(answer.json) == ["keys"]
    return {key["id"]: key for key in answer.json["keys"]}


async def test_a_new_key_shows_its_secret_once_and_works(fake_api: Api, dashboard: Dashboard) -> None:
    key = await made(dashboard)
    assert list(key) == [*FIELDS, "secret"]
    assert re.fullmatch(r"cha_live_[A-Za-z0-9_-]{43}", key["secret"])
    assert (key["name"], key["prefix"]) == ("ci", key["secret"][:16])
    assert (key["last_used_at"], key["revoked_at"]) == (None, None)
    shown = (await listed(dashboard))[key["id"]]
    assert shown == {name: key[name] for name in FIELDS}
    assert await works(fake_api, key["secret"])


async def test_only_the_hash_of_a_key_is_on_disk(fake_api: Api, dashboard: Dashboard) -> None:
    secrets = [(await made(dashboard))["secret"], fake_api.key]
    rotated = await dashboard.ask("POST", f"/v1/keys/{next(iter(await listed(dashboard)))}/rotate")
    secrets.append(rotated.json["secret"])
    files = [path.read_bytes() for path in Path(fake_api.data_dir).iterdir() if path.is_file()]
    for secret in secrets:
        assert not any(secret.encode() in file or secret[20:].encode() in file for file in files)
        assert any(key_hash(secret).encode() in file for file in files)


async def test_the_use_of_a_key_is_noted_at_most_once_a_minute(
    fake_api: Api, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, now = await made(dashboard), utc_now()
    for later, noted in ((0, 0), (59, 0), (60, 60), (61, 60)):
        monkeypatch.setattr(auth, "utc_now", lambda later=later: now + timedelta(seconds=later))
        await works(fake_api, key["secret"])
        used = (await listed(dashboard))[key["id"]]["last_used_at"]
        assert datetime.fromisoformat(used) == now + timedelta(seconds=noted)


async def test_a_revoked_key_is_refused_from_then_on_and_stays_listed(fake_api: Api, dashboard: Dashboard) -> None:
    key = await made(dashboard)
    for _ in range(2):
        answer = await dashboard.ask("DELETE", f"/v1/keys/{key['id']}")
        assert (answer.status, answer.body) == (204, b"")
        assert not await works(fake_api, key["secret"])
    assert datetime.fromisoformat((await listed(dashboard))[key["id"]]["revoked_at"]) <= utc_now()


async def test_a_rotated_key_works_until_its_grace_ends(
    fake_api: Api, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, now = await made(dashboard, mode="test"), utc_now()
    answer = await dashboard.ask("POST", f"/v1/keys/{old['id']}/rotate", json={"grace_days": 3})
    new = answer.json
    assert (answer.status, list(new)) == (201, [*FIELDS, "secret"])
    assert (new["name"], new["secret"][:9], new["revoked_at"]) == ("ci", "cha_test_", None)
    end = datetime.fromisoformat((await listed(dashboard))[old["id"]]["revoked_at"])
    assert timedelta(days=3) <= end - now < timedelta(days=3, minutes=1)
    for moment, old_works in ((now, True), (end - timedelta(microseconds=1), True), (end, False)):
        monkeypatch.setattr(auth, "utc_now", lambda moment=moment: moment)
        assert await works(fake_api, old["secret"]) is old_works
        assert await works(fake_api, new["secret"])


async def test_the_grace_is_a_week_unless_said_otherwise_and_may_be_none(fake_api: Api, dashboard: Dashboard) -> None:
    old = await made(dashboard)
    await dashboard.ask("POST", f"/v1/keys/{old['id']}/rotate")
    end = datetime.fromisoformat((await listed(dashboard))[old["id"]]["revoked_at"])
    assert timedelta(days=6, hours=23) < end - utc_now() <= timedelta(days=7)
    assert await works(fake_api, old["secret"])
    await dashboard.ask("POST", f"/v1/keys/{old['id']}/rotate", json={"grace_days": 0})
    assert not await works(fake_api, old["secret"])


async def test_rotating_again_gives_no_more_grace(fake_api: Api, dashboard: Dashboard) -> None:
    old = await made(dashboard)
    ends = []
    for days in (1, 30):
        await dashboard.ask("POST", f"/v1/keys/{old['id']}/rotate", json={"grace_days": days})
        ends.append((await listed(dashboard))[old["id"]]["revoked_at"])
    assert ends[0] == ends[1]


async def test_a_revoked_key_cannot_be_rotated(fake_api: Api, dashboard: Dashboard) -> None:
    old = await made(dashboard)
    await dashboard.ask("DELETE", f"/v1/keys/{old['id']}")
    before = await listed(dashboard)
    answer = await dashboard.ask("POST", f"/v1/keys/{old['id']}/rotate")
    assert (answer.status, answer.json["error"]["code"]) == (409, "key_revoked")
    assert answer.json["error"]["message"] == "this key is revoked; make a new one instead"
    assert await listed(dashboard) == before


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("", b"{}", "name must be a string of 1 to 100 printable characters"),
        ("", b'{"name": ""}', "name must be"),
        ("", b'{"name": "   "}', "name must be"),
        ("", b'{"name": 5}', "name must be"),
        ("", b'{"name": "a\\u0000b"}', "name must be"),
        ("", b'{"name": "\\ud800"}', "name must be"),
        ("", b'{"name": "' + b"a" * 101 + b'"}', "name must be"),
        ("", b'{"name": "ci", "mode": "root"}', "mode must be 'live' or 'test'"),
        ("", b'{"name": "ci", "mode": ["live"]}', "mode must be 'live' or 'test'"),
        ("", b'{"name": "ci", "workspace": "other"}', "unknown field 'workspace'"),
        ("/{id}/rotate", b'{"grace_days": 31}', "grace_days must be an integer from 0 to 30"),
        ("/{id}/rotate", b'{"grace_days": -1}', "grace_days must be an integer from 0 to 30"),
        ("/{id}/rotate", b'{"grace_days": true}', "grace_days must be an integer from 0 to 30"),
        ("/{id}/rotate", b'{"grace_days": 1.5}', "grace_days must be an integer from 0 to 30"),
    ],
)
async def test_a_bad_wish_is_named_and_changes_nothing(
    dashboard: Dashboard, path: str, body: bytes, words: str
) -> None:
    before = await listed(dashboard)
    answer = await dashboard.ask("POST", "/v1/keys" + path.format(id=next(iter(before))), data=body)
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")
    assert words in answer.json["error"]["message"]
    assert await listed(dashboard) == before


async def test_another_workspaces_key_cannot_be_told_from_none(fake_api: Api, dashboard: Dashboard) -> None:
    other = await Dashboard.of(fake_api, "other")
    theirs = next(iter(await listed(other)))
    assert theirs not in await listed(dashboard)
    for method, path in (("DELETE", ""), ("POST", "/rotate")):
        answers = [await dashboard.ask(method, f"/v1/keys/{key_id}{path}") for key_id in (theirs, "key_none", "%FF")]
        assert [answer.status for answer in answers] == [404, 404, 404]
        assert answers[0].body == answers[1].body
        assert answers[0].json["error"]["code"] == "not_found"
    assert await works(fake_api, other.key)


@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_a_key_manages_no_keys(fake_api: Api, method: str, path: str) -> None:
    for key in (None, "", new_key()):
        answer = await fake_api.ask(method, path, key=key)
        assert (answer.status, answer.json["error"]["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("cookie", ["", "x", "default", "eyJh.eyJh"])
async def test_a_cookie_that_is_not_ours_is_none(dashboard: Dashboard, cookie: str) -> None:
    dashboard.cookie = cookie
    for method, path in REQUESTS:
        assert (await dashboard.ask(method, path)).status == 401


@pytest.mark.parametrize("origin", ["", "null", "http://evil.example", "https://app.example", "http://127.0.0.1:1"])
async def test_a_change_must_come_from_our_own_page(serve_fake: ServeFake, substrate: Any, origin: str) -> None:
    api = await serve_fake(substrate, server={"allowed_origins": ["https://app.example"]})
    dashboard = await Dashboard.of(api)
    before = await listed(dashboard)
    key_id = next(iter(before))
    for method, path, body in (
        ("POST", "/v1/keys", {"name": "ci"}),
        ("DELETE", f"/v1/keys/{key_id}", None),
        ("POST", f"/v1/keys/{key_id}/rotate", {}),
        ("POST", "/v1/sessions", {}),
    ):
        answer = await dashboard.ask(method, path, origin=origin, json=body)
        assert (answer.status, answer.json["error"]["code"]) == (403, "forbidden")
    assert await listed(dashboard) == before
    assert substrate.browsers == []
    if origin:
        assert (await dashboard.ask("GET", "/v1/keys", origin=origin)).status == 403


async def test_the_cookie_is_no_way_in_for_a_request_with_a_bad_key(dashboard: Dashboard) -> None:
    assert (await dashboard.ask("GET", "/v1/sessions")).status == 200
    assert (await dashboard.ask("GET", "/v1/sessions", key=new_key())).status == 401
