"""The sessions API when all goes well: exact fields, formats, headers and pages."""

from __future__ import annotations

import asyncio
import base64
import re
from datetime import datetime
from typing import Any

from tests.api import Api
from tests.substrates import SlowSubstrate
from tests.web.conftest import ServeFake

CREATED_FIELDS = ["id", "object", "status", "cdp_url", "created_at", "expires_at"]
FIELDS = [
    "id", "object", "status", "device", "cdp_url", "bytes_up", "bytes_down", "proxy_ip", "proxy_region",
    "created_at", "ready_at", "expires_at", "ended_at", "ended_reason",
]  # fmt: skip
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
SESSION_ID = re.compile(r"sess_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def moment(text: str) -> datetime:
    assert TIMESTAMP.fullmatch(text), text
    return datetime.fromisoformat(text)


async def test_a_201_has_exactly_its_six_fields_and_a_location(serve_fake: ServeFake) -> None:
    api = await serve_fake(SlowSubstrate())
    answer = await api.ask("POST", "/v1/sessions", json={"ttl_seconds": 600})
    assert answer.status == 201
    assert list(answer.json) == CREATED_FIELDS
    assert SESSION_ID.fullmatch(answer.json["id"])
    assert (answer.json["object"], answer.json["status"]) == ("session", "creating")
    assert answer.json["cdp_url"] == f"ws://{api.url.removeprefix('http://')}/sessions/{answer.json['id']}"
    lifetime = moment(answer.json["expires_at"]) - moment(answer.json["created_at"])
    assert lifetime.total_seconds() == 600
    assert answer.headers["Location"] == f"/v1/sessions/{answer.json['id']}"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_201_does_not_wait_for_the_browser(serve_fake: ServeFake) -> None:
    api = await serve_fake(SlowSubstrate())
    created = await api.create()
    assert (await api.get(created["id"]))["status"] == "creating"


async def test_an_empty_body_is_an_empty_object(fake_api: Api) -> None:
    for body in (b"", b"  \n", b"{}"):
        answer = await fake_api.ask("POST", "/v1/sessions", data=body)
        assert answer.status == 201
        lifetime = moment(answer.json["expires_at"]) - moment(answer.json["created_at"])
        assert lifetime.total_seconds() == 1800


async def test_the_bounds_of_a_lifetime_are_allowed(fake_api: Api) -> None:
    for ttl in (60, 3600):
        assert (await fake_api.ask("POST", "/v1/sessions", json={"ttl_seconds": ttl})).status == 201


async def test_a_session_has_exactly_the_fields_of_the_contract_in_every_state(serve_fake: ServeFake) -> None:
    api = await serve_fake(substrate := SlowSubstrate())
    created = await api.create()
    creating = await api.get(created["id"])
    assert list(creating) == FIELDS
    assert {name: creating[name] for name in CREATED_FIELDS} == created
    assert creating["device"] is creating["ready_at"] is creating["ended_at"] is creating["ended_reason"] is None
    substrate.go.set()
    ready = (await api.ask("GET", f"/v1/sessions/{created['id']}?wait=ready")).json
    assert list(ready) == FIELDS
    assert (ready["status"], ready["device"]) == ("ready", "Linux - Chrome 156 (Desktop)")
    assert moment(ready["created_at"]) <= moment(ready["ready_at"])
    assert (ready["bytes_up"], ready["bytes_down"], ready["proxy_ip"], ready["proxy_region"]) == (0, 0, None, None)
    await api.delete(created["id"])
    ended = await api.get(created["id"])
    assert list(ended) == FIELDS
    assert (ended["status"], ended["ended_reason"]) == ("closed", "client_delete")
    assert moment(ended["ready_at"]) <= moment(ended["ended_at"])


async def test_a_204_has_no_body(fake_api: Api) -> None:
    session = await fake_api.ready()
    answer = await fake_api.ask("DELETE", f"/v1/sessions/{session['id']}")
    assert (answer.status, answer.body) == (204, b"")
    assert "Content-Type" not in answer.headers or not answer.body


async def test_waiting_answers_as_soon_as_the_session_is_ready(serve_fake: ServeFake) -> None:
    api = await serve_fake(substrate := SlowSubstrate())
    created = await api.create()
    waiting = asyncio.create_task(api.ask("GET", f"/v1/sessions/{created['id']}?wait=ready&timeout=60"))
    await substrate.launching.wait()
    substrate.go.set()
    assert (await waiting).json["status"] == "ready"


async def test_waiting_that_takes_too_long_answers_as_it_is(serve_fake: ServeFake) -> None:
    api = await serve_fake(SlowSubstrate())
    created = await api.create()
    answer = await api.ask("GET", f"/v1/sessions/{created['id']}?wait=ready&timeout=0")
    assert (answer.status, answer.json["status"]) == (200, "creating")


async def test_waiting_ends_when_the_session_is_deleted(serve_fake: ServeFake) -> None:
    api = await serve_fake(substrate := SlowSubstrate())
    created = await api.create()
    waiting = asyncio.create_task(api.ask("GET", f"/v1/sessions/{created['id']}?wait=ready"))
    await substrate.launching.wait()
    await api.delete(created["id"])
    assert (await waiting).json["ended_reason"] == "client_delete"


async def pages(api: Api, limit: int, **query: str) -> list[list[str]]:
    """All pages of the list, as ids, checking that `has_more` and `next_cursor` agree."""
    found: list[list[str]] = []
    params: dict[str, Any] = {"limit": str(limit), **query}
    while True:
        page = (await api.ask("GET", "/v1/sessions", params=params)).json
        assert list(page) == ["object", "data", "next_cursor", "has_more"]
        assert page["object"] == "list"
        assert page["has_more"] is (page["next_cursor"] is not None)
        found.append([session["id"] for session in page["data"]])
        if not page["has_more"]:
            return found
        params["cursor"] = page["next_cursor"]


async def test_the_list_is_newest_first_in_pages_of_the_asked_size(fake_api: Api) -> None:
    made = [(await fake_api.create())["id"] for _ in range(5)]
    newest = made[::-1]
    assert await pages(fake_api, 2) == [newest[:2], newest[2:4], newest[4:]]
    assert await pages(fake_api, 5) == [newest]
    assert await pages(fake_api, 100) == [newest]


async def test_an_empty_list_is_its_last_page(fake_api: Api) -> None:
    assert await pages(fake_api, 1) == [[]]


async def test_the_list_shows_sessions_with_all_their_fields(fake_api: Api) -> None:
    session = await fake_api.ready()
    (listed,) = (await fake_api.ask("GET", "/v1/sessions")).json["data"]
    assert list(listed) == FIELDS
    assert listed == session


async def test_a_page_has_twenty_unless_asked_otherwise(serve_fake: ServeFake) -> None:
    api = await serve_fake(SlowSubstrate(), limits={"concurrent_sessions": 0})
    for _ in range(21):
        await api.create()
    page = (await api.ask("GET", "/v1/sessions")).json
    assert (len(page["data"]), page["has_more"]) == (20, True)


async def test_sessions_created_meanwhile_shift_no_page(fake_api: Api) -> None:
    made = [(await fake_api.create())["id"] for _ in range(4)]
    first = (await fake_api.ask("GET", "/v1/sessions?limit=2")).json
    await fake_api.create()
    second = (await fake_api.ask("GET", f"/v1/sessions?limit=2&cursor={first['next_cursor']}")).json
    assert [session["id"] for session in first["data"] + second["data"]] == made[::-1]


async def test_a_cursor_is_the_url_safe_base64_of_a_time_and_a_uuid(fake_api: Api) -> None:
    made = [await fake_api.create() for _ in range(2)]
    page = (await fake_api.ask("GET", "/v1/sessions?limit=1")).json
    created_at, _, uuid = base64.urlsafe_b64decode(page["next_cursor"]).decode().partition("|")
    assert datetime.fromisoformat(created_at) == moment(made[1]["created_at"])
    assert f"sess_{uuid}" == made[1]["id"]


async def test_a_cursor_may_lose_its_padding(fake_api: Api) -> None:
    made = [(await fake_api.create())["id"] for _ in range(2)]
    cursor = (await fake_api.ask("GET", "/v1/sessions?limit=1")).json["next_cursor"].rstrip("=")
    page = (await fake_api.ask("GET", "/v1/sessions", params={"cursor": cursor})).json
    assert [session["id"] for session in page["data"]] == made[:1]


async def test_the_list_can_be_of_one_status(fake_api: Api) -> None:
    kept, gone = await fake_api.ready(), await fake_api.ready()
    await fake_api.delete(gone["id"])
    assert await pages(fake_api, 10, status="ready") == [[kept["id"]]]
    assert await pages(fake_api, 10, status="closed") == [[gone["id"]]]
    assert await pages(fake_api, 10, status="error") == [[]]


async def test_the_timeline_tells_what_happened(fake_api: Api) -> None:
    session = await fake_api.ready()
    await fake_api.delete(session["id"])
    answer = await fake_api.ask("GET", f"/v1/sessions/{session['id']}/events")
    assert list(answer.json) == ["object", "bytes", "data"]
    assert answer.json["bytes"] == {name: {"up": 0, "down": 0} for name in ("egress", "cdp", "preview")}
    assert [event["kind"] for event in answer.json["data"]] == ["created", "launched", "ready", "ended"]
    assert all(moment(event["at"]) for event in answer.json["data"])


async def test_every_answer_carries_a_request_id_of_its_own(fake_api: Api) -> None:
    answers = [await fake_api.ask("GET", path) for path in ("/v1/sessions", "/nowhere", "/v1/sessions", "/healthz")]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert all(re.fullmatch(r"req_[0-9a-f-]{36}", request_id) for request_id in ids)
    assert len(set(ids)) == len(ids)


async def test_health_needs_no_key(fake_api: Api) -> None:
    healthy = await fake_api.ask("GET", "/healthz", key="")
    ready = await fake_api.ask("GET", "/readyz", key="")
    assert (healthy.status, healthy.json) == (200, {"status": "ok"})
    assert (ready.status, ready.json) == (200, {"status": "ready"})


async def test_a_profile_that_this_machine_cannot_bring_up_is_refused_with_the_reason(fake_api: Api) -> None:
    answer = await fake_api.ask("POST", "/v1/sessions", json={"profile": "light"})
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")
    assert "profile 'light' cannot be had here: its browser is not on this machine" in answer.json["error"]["message"]
