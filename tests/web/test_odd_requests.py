"""Requests that no honest client sends are answered like any other, never with a failure of ours."""

from __future__ import annotations

import json

import pytest

from tests.api import Answer, Api
from tests.substrates import FakeSubstrate
from tests.web.conftest import ServeFake

FORM = "application/x-www-form-urlencoded"
PASSWORD = "open sesame, ä"


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["error"]["code"]


@pytest.fixture
async def api(serve_fake: ServeFake) -> Api:
    return await serve_fake(FakeSubstrate(), dashboard={"password": PASSWORD})


@pytest.fixture
async def dashboard(api: Api) -> dict[str, str]:
    """The headers of somebody who has signed in."""
    answer = await api.ask("POST", "/dashboard/login", key="", data={"password": PASSWORD}, allow_redirects=False)
    assert answer.headers["Location"] == "/dashboard"
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0], "Origin": api.url}


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_what_its_headers_say_is_invalid(api: Api, encoding: str) -> None:
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    answer = await api.ask("POST", "/v1/sessions", data=b"no such thing at all", headers=headers, compress=False)
    assert code_of(answer) == (400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [b'{"profile": "\xff"}', b'{"profile": "\\ud800"}', b'{"\\ud800": 1}', b'{"profile": "a\\u0000"}', b"[" * 50_000],
)
async def test_a_create_with_text_that_is_none_is_invalid(api: Api, body: bytes) -> None:
    assert code_of(await api.ask("POST", "/v1/sessions", data=body)) == (400, "invalid_request")


async def test_a_whole_number_is_an_integer_however_it_is_written(api: Api) -> None:
    for text, status in (("60.0", 201), ("6e1", 201), ("60.5", 400), ("1e999", 400), ("NaN", 400), ("true", 400)):
        answer = await api.ask("POST", "/v1/sessions", data=f'{{"ttl_seconds": {text}}}')
        assert answer.status == status, text


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb", "", " ", "x" * 101])
async def test_a_key_needs_a_name_that_can_be_stored(api: Api, dashboard: dict[str, str], name: str) -> None:
    answer = await api.ask("POST", "/v1/keys", key="", data=json.dumps({"name": name}), headers=dashboard)
    assert code_of(answer) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"x"),
        (f"{FORM}; charset=none-such", b"password=x"),
        (f"{FORM}; charset=utf-7", b"password=+2AA-"),
        (FORM, b"password=\xff"),
        (FORM, b"password=%ED%A0%80"),
        (FORM, b"&&&=&%"),
        (FORM, b""),
    ],
)
async def test_a_form_that_is_none_is_a_wrong_password(api: Api, content_type: str, body: bytes) -> None:
    headers = {"Content-Type": content_type}
    answer = await api.ask("POST", "/dashboard/login", key="", data=body, headers=headers, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/dashboard/sign-in?wrong=1")


async def test_a_cookie_that_is_no_text_is_nobodys(api: Api) -> None:
    headers = {"Cookie": "chaser_session=\udcff\udcfe"}
    assert code_of(await api.ask("GET", "/v1/keys", key="", headers=headers)) == (401, "unauthorized")


@pytest.mark.parametrize("number", ["²", "9" * 30, "9" * 5000, "-1", "0x1", ""])
async def test_a_stream_begins_anew_behind_an_event_that_never_was(
    api: Api, dashboard: dict[str, str], number: str
) -> None:
    assert api._http is not None
    headers = {**dashboard, "Last-Event-ID": number}
    async with api._http.get(f"{api.url}/v1/audit/stream", headers=headers) as response:
        assert response.status == 200
        assert await response.content.readuntil(b"\nid: ")


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text;version=1.x.0", "text/plain;version=;escaping=", ";;,=;q=", "\udcff"]
)
async def test_metrics_are_given_in_some_format_whatever_is_asked_for(api: Api, accept: str) -> None:
    answer = await api.ask("GET", "/metrics", key="", headers={"Accept": accept})
    assert (answer.status, b"chaser_sessions" in answer.body) == (200, True)


async def test_opening_a_page_has_one_method_and_says_so(api: Api) -> None:
    session = await api.ready()
    for method in ("GET", "OPTIONS", "POST"):
        for path in ("new", "new/"):
            answer = await api.ask(method, f"/sessions/{session['id']}/json/{path}")
            assert (answer.status, answer.headers["Allow"]) == (405, "PUT")
    assert (await api.ask("GET", f"/sessions/{session['id']}/json/newer")).status == 404
