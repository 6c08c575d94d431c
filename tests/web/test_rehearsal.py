"""Sessions of cha_test_ keys: the whole API with no browser behind it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import aiohttp
import pytest

from chaser_server.substrate import rehearsal
from tests.api import Api
from tests.substrates import FakeSubstrate
from tests.web.cookies import Dashboard


@pytest.fixture
async def secret(fake_api: Api, monkeypatch: pytest.MonkeyPatch) -> str:
    """A cha_test_ key, whose sessions need a fiftieth of a second to come up."""
    monkeypatch.setattr(rehearsal, "READY_SECONDS", 0.02)
    dashboard = await Dashboard.of(fake_api)
    key = await dashboard.ask("POST", "/v1/keys", json={"name": "rehearsal", "mode": "test"})
    return str(key.json["secret"])


async def rehearse(api: Api, secret: str) -> dict[str, Any]:
    created = await api.ask("POST", "/v1/sessions", key=secret)
    assert (created.status, created.json["status"]) == (201, "creating")
    ready = await api.ask("GET", f"/v1/sessions/{created.json['id']}?wait=ready", key=secret)
    session: dict[str, Any] = ready.json
    return session


async def test_a_rehearsal_comes_up_by_the_clock_and_ends_as_others_do(
    fake_api: Api, substrate: FakeSubstrate, secret: str
) -> None:
    session = await rehearse(fake_api, secret)
    assert session["status"] == "ready"
    took = datetime.fromisoformat(session["ready_at"]) - datetime.fromisoformat(session["created_at"])
    assert took.total_seconds() >= 0.02
    answer = await fake_api.ask("DELETE", f"/v1/sessions/{session['id']}", key=secret)
    assert answer.status == 204
    ended = await fake_api.get(session["id"])
    assert (ended["status"], ended["ended_reason"]) == ("closed", "client_delete")
    assert [event["kind"] for event in await fake_api.events(session["id"])] == ["created", "ready", "ended"]
    assert substrate.browsers == []


async def test_a_rehearsal_deleted_before_it_is_up_never_comes_up(fake_api: Api, secret: str) -> None:
    created = (await fake_api.ask("POST", "/v1/sessions", key=secret)).json
    await fake_api.delete(created["id"])
    assert [event["kind"] for event in await fake_api.events(created["id"])] == ["created", "ended"]


async def test_nobody_connects_to_a_rehearsal_and_everybody_learns_why(fake_api: Api, secret: str) -> None:
    session = await rehearse(fake_api, secret)
    url = f"/sessions/{session['id']}"
    for path in (url, f"{url}/", f"{url}/json/version", f"{url}/devtools/page/x"):
        answer = await fake_api.ask("GET", path, key="")
        assert (answer.status, answer.json["error"]["code"]) == (409, "session_not_open")
        assert "cha_test_" in answer.json["error"]["message"]
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(session["cdp_url"])
        assert refused.value.status == 409
    assert (await fake_api.get(session["id"]))["status"] == "ready"


async def test_nobody_watches_a_rehearsal(fake_api: Api, secret: str) -> None:
    session = await rehearse(fake_api, secret)
    answer = await fake_api.ask("POST", f"/v1/sessions/{session['id']}/preview-token", key=secret)
    assert (answer.status, answer.json["error"]["code"]) == (409, "session_not_open")
    assert "cha_test_" in answer.json["error"]["message"]


async def test_every_screenshot_of_a_rehearsal_is_the_same_png(fake_api: Api, secret: str) -> None:
    pictures = set()
    for _ in range(2):
        session = await rehearse(fake_api, secret)
        answer = await fake_api.ask("POST", f"/v1/sessions/{session['id']}/screenshot", key=secret)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
        assert answer.body.startswith(b"\x89PNG\r\n\x1a\n")
        pictures.add(answer.body)
    assert len(pictures) == 1


async def test_rehearsals_cost_nothing(fake_api: Api, secret: str) -> None:
    session = await rehearse(fake_api, secret)
    await fake_api.delete(session["id"])
    totals = (await fake_api.ask("GET", "/v1/usage")).json["totals"]
    assert totals == {"bytes_up": 0, "bytes_down": 0, "bytes_total": 0, "sessions": 1, "billed_micro_usd": 0}


async def test_a_rehearsal_does_not_answer_for_a_browser(fake_api: Api, secret: str) -> None:
    await rehearse(fake_api, secret)
    answer = await fake_api.ask("GET", "/json/protocol", key="")
    assert (answer.status, answer.json["error"]["code"]) == (503, "substrate_unavailable")
    assert "create a session first" in answer.json["error"]["message"]


async def test_a_live_key_sees_the_rehearsals_of_its_workspace(fake_api: Api, secret: str) -> None:
    session = await rehearse(fake_api, secret)
    assert [one["id"] for one in (await fake_api.ask("GET", "/v1/sessions")).json["data"]] == [session["id"]]
