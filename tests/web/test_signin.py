"""Signing in and out: links that work once, guesses that are slowed for all together, sign-ins that can be ended."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from chaser_server.cli import main
from chaser_server.web.signin import PASSWORDS_PER_MINUTE
from tests.api import Api
from tests.conftest import served
from tests.substrates import FakeSubstrate
from tests.web.conftest import ServeFake, furnish
from tests.web.cookies import Dashboard
from tests.web.test_dashboard import link, visiting

PASSWORD = "correct horse"
EVERYWHERE = "/dashboard/logout/everywhere"


async def test_a_used_link_stays_used_when_the_server_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(monkeypatch, FakeSubstrate())
    async with served(tmp_path, {}) as api, visiting(api) as someone:
        path = await link(api)
        assert (await someone.ask("GET", path)).status == 303
    async with served(tmp_path, {}) as api, visiting(api) as someone:
        again = await someone.ask("GET", path)
        assert again.status == 403
        assert b"used before" in again.body
        assert (await someone.ask("GET", await link(api))).status == 303


async def test_one_of_many_who_use_a_link_at_once_gets_in(fake_api: Api) -> None:
    path = await link(fake_api)
    async with AsyncExitStack() as stack:
        people = [await stack.enter_async_context(visiting(fake_api)) for _ in range(5)]
        answers = await asyncio.gather(*(person.ask("GET", path) for person in people))
    assert sorted(answer.status for answer in answers) == [303, 403, 403, 403, 403]


async def test_guesses_are_slowed_for_all_together_and_told_to_the_audit(serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), dashboard={"password": PASSWORD})
    for _ in range(PASSWORDS_PER_MINUTE):
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{api.url}/dashboard/login", data={"password": "guess"}, allow_redirects=False) as answer,
        ):
            assert answer.headers["Location"].endswith("?wrong=1")
    late = await api.ask("POST", "/dashboard/login", key="", data={"password": PASSWORD}, allow_redirects=False)
    assert (late.status, late.json["error"]["code"]) == (429, "rate_limited")
    assert 1 <= int(late.headers["Retry-After"]) <= 60
    assert "Set-Cookie" not in late.headers
    async with visiting(api) as operator:
        await operator.signed_in()  # a link still lets the operator in
    answer = await (await Dashboard.of(api)).first_events(PASSWORDS_PER_MINUTE + 1)
    assert [event["kind"] for event in answer] == ["sign_in_refused"] * PASSWORDS_PER_MINUTE + ["request_refused"]
    assert (answer[0]["actor"], answer[0]["address"], answer[0]["detail"]) == ("", "127.0.0.1", {"way": "password"})


async def test_signing_out_everywhere_ends_every_sign_in_of_the_workspace(fake_api: Api) -> None:
    one, other, elsewhere = [await Dashboard.of(fake_api, name) for name in ("default", "default", "other")]
    assert (await one.ask("POST", EVERYWHERE, origin="https://evil.example")).status == 403
    assert (await other.ask("GET", "/v1/keys")).status == 200
    answer = await one.ask("POST", EVERYWHERE, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/dashboard/sign-in")
    for person in (one, other):
        assert (await person.ask("GET", "/v1/keys")).status == 401
        assert (await person.ask("GET", "/v1/audit/stream")).status == 401
    assert (await elsewhere.ask("GET", "/v1/keys")).status == 200
    assert (await fake_api.ask("GET", "/v1/sessions")).status == 200
    assert (await (await Dashboard.of(fake_api)).ask("GET", "/v1/keys")).status == 200


async def test_signing_out_everywhere_ends_links_and_preview_tokens_too(fake_api: Api) -> None:
    dashboard, session = await Dashboard.of(fake_api), await fake_api.ready()
    minting = f"/v1/sessions/{session['id']}/preview-token"
    unused, minted = await link(fake_api), [await dashboard.ask("POST", minting), await fake_api.ask("POST", minting)]
    doors = [answer.json["url"].partition("://")[2].partition("/")[2] for answer in minted]
    for door in doors:
        assert (await fake_api.ask("GET", f"/{door}", key="")).status == 503  # let in, but a fake browser has no screen
    await dashboard.ask("POST", EVERYWHERE, allow_redirects=False)
    async with visiting(fake_api) as someone:
        answer = await someone.ask("GET", unused)
        assert (answer.status, b"no longer valid" in answer.body) == (403, True)
    for door in doors:
        assert (await fake_api.ask("GET", f"/{door}", key="")).status == 403
    renewed = (await fake_api.ask("POST", minting)).json["url"].partition("://")[2].partition("/")[2]
    assert (await fake_api.ask("GET", f"/{renewed}", key="")).status == 503


async def test_the_audit_stream_ends_with_the_sign_in(fake_api: Api) -> None:
    dashboard = await Dashboard.of(fake_api)
    headers = {"Cookie": f"chaser_session={dashboard.cookie}"}
    async with aiohttp.ClientSession() as http, http.get(f"{fake_api.url}/v1/audit/stream", headers=headers) as stream:
        await stream.content.readuntil(b"\n\n")
        await dashboard.ask("POST", EVERYWHERE, allow_redirects=False)
        await asyncio.wait_for(stream.content.read(), 10)


async def test_the_command_line_signs_everybody_out_too(
    fake_api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CHASER_CONFIG", raising=False)
    dashboard = await Dashboard.of(fake_api)
    status = await asyncio.to_thread(main, ["logout", "--data-dir", str(fake_api.data_dir)])
    assert (status, capsys.readouterr().out) == (0, "signed everybody out of the dashboard of default\n")
    assert (await dashboard.ask("GET", "/v1/keys")).status == 401
