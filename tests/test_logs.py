"""The log: readable for a person, whole for a machine, and silent about secrets."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chaser_server.logs import JsonLines, Lines, redacted
from chaser_server.tokens import new_key
from tests.api import Api
from tests.substrates import DyingSubstrate, FailingSubstrate, FakeSubstrate
from tests.web.conftest import ServeFake, fake_api, serve_fake, substrate

__all__ = ["fake_api", "serve_fake", "substrate"]

LINE = re.compile(r"\d\d:\d\d:\d\d (debug|info|warning|error) +\S.*")


@contextmanager
def logged(formatter: logging.Formatter, level: int = logging.INFO) -> Iterator[io.StringIO]:
    """What is logged within the block, as this formatter writes it."""
    out, root = io.StringIO(), logging.getLogger("chaser_server")
    handler, before = logging.StreamHandler(out), root.level
    handler.setFormatter(formatter)
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield out
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def record(message: str, *args: object, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("chaser_server.test", logging.INFO, __file__, 1, message, args, None)
    vars(made).update(extra)
    return made


async def test_the_log_tells_the_life_of_a_session(fake_api: Api) -> None:
    with logged(Lines()) as out:
        session = await fake_api.ready()
        await fake_api.delete(session["id"])
    told = [line[17:] for line in out.getvalue().splitlines() if " session sess_" in line]
    assert told[0] == f"session {session['id']} created, profile default"
    assert re.fullmatch(rf"session {session['id']} ready in \d+ ms", told[1])
    assert re.fullmatch(rf"session {session['id']} ended after \d:\d\d:\d\d: client_delete", told[2])
    assert len(told) == 3
    assert all(LINE.fullmatch(line) for line in out.getvalue().splitlines())


async def test_a_bad_end_is_a_warning(serve_fake: ServeFake) -> None:
    with logged(Lines(), logging.WARNING) as out:
        api = await serve_fake(DyingSubstrate())
        created = await api.create()
        while (await api.get(created["id"]))["status"] != "closed":
            pass
    assert f"warning session {created['id']} ended after 0:00:00: substrate_down" in out.getvalue()


async def test_a_failed_start_says_why(serve_fake: ServeFake) -> None:
    with logged(Lines(), logging.WARNING) as out:
        api = await serve_fake(FailingSubstrate())
        created = await api.create()
        await api.ask("GET", f"/v1/sessions/{created['id']}?wait=ready")
    assert f"session {created['id']} failed to start: the browser did not come up: no display" in out.getvalue()


async def test_json_lines_carry_the_ids_that_join_them(fake_api: Api) -> None:
    with logged(JsonLines()) as out:
        answer = await fake_api.ask("POST", "/v1/sessions")
        session_id = answer.json["id"]
        await fake_api.ask("GET", f"/v1/sessions/{session_id}?wait=ready")
        missing = await fake_api.ask("GET", "/v1/sessions/sess_none")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    create = next(line for line in lines if line.get("method") == "POST")
    assert (create["request_id"], create["session_id"]) == (answer.headers["X-Request-Id"], session_id)
    assert (create["path"], create["status"], create["level"]) == ("/v1/sessions", 201, "info")
    turns = [line for line in lines if line.get("event", "").startswith("session_")]
    assert [line["event"] for line in turns] == ["session_created", "session_ready"]
    assert all(line["session_id"] == session_id and line["workspace_id"].startswith("ws_") for line in turns)
    refused = next(line for line in lines if line.get("status") == 404)
    assert (refused["code"], refused["request_id"]) == ("session_not_found", missing.headers["X-Request-Id"])


@pytest.mark.parametrize("formatter", [Lines(), JsonLines()])
async def test_no_key_and_no_token_is_ever_logged(
    serve_fake: ServeFake, formatter: logging.Formatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged(formatter, logging.DEBUG) as out:
        api = await serve_fake(FakeSubstrate(), cdp={"require_key": True}, dashboard={"password": "open sesame"})
        session = await api.ready()
        stranger = new_key()
        await api.ask("GET", f"/sessions/{session['id']}?key={api.key}")
        await api.ask("GET", f"/sessions/{session['id']}/json/version?key={stranger}")
        await api.ask("GET", "/v1/sessions", key=stranger)
        await api.ask("GET", f"/v1/sessions/{api.key}")
        await api.ask("GET", f"/v1/sessions?cursor={api.key}")
        await api.ask("POST", "/v1/sessions", json={"profile": api.key, stranger: 1})
        await api.ask("POST", "/v1/sessions", json={"profile": api.key})
        minted = await api.ask("POST", f"/v1/sessions/{session['id']}/preview-token")
        token = minted.json["url"].partition("token=")[2]
        await api.ask("GET", f"/sessions/{session['id']}/preview?token={token}")
        await api.ask("GET", f"/dashboard/login?token={token}")
        await api.ask("POST", "/dashboard/login", data={"password": "open sesame"}, allow_redirects=False)
        await _say(api, f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {api.key}\x00\r\n\r\n")
        await _say(api, f"GET /v1/sessions?key={api.key} HTTP/1.1\r\nbroken {stranger}\r\n\r\n")
    for secret in (api.key, stranger, token, "sesame"):
        assert secret not in out.getvalue()
    assert "/v1/sessions" in out.getvalue()


async def _say(api: Api, request: str) -> None:
    import asyncio

    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    await reader.read()
    writer.close()


async def test_a_path_cannot_write_a_line_of_its_own(fake_api: Api) -> None:
    with logged(Lines()) as out:
        await fake_api.ask("GET", "/v1/sessions/x%0A00:00:00%20info%20%20%20%20all%20is%20well%1B[2J")
    (line,) = out.getvalue().splitlines()
    assert "%0A" in line
    assert "\x1b" not in line


async def test_what_machines_ask_all_day_is_told_only_when_it_fails(fake_api: Api) -> None:
    with logged(Lines()) as out:
        for path in ("/healthz", "/readyz", "/metrics", "/dashboard/static/base.css"):
            await fake_api.ask("GET", path, key="")
        await fake_api.ask("GET", "/dashboard/static/none.css", key="")
    assert [line.split()[2:5] for line in out.getvalue().splitlines()] == [
        ["GET", "/dashboard/static/none.css", "404"],
    ]


def test_a_line_for_a_person_ends_with_the_code_the_time_and_the_ids() -> None:
    extra = {"code": "session_not_open", "milliseconds": 2.1, "session_id": "sess_1", "request_id": "req_1"}
    line = Lines().format(record("DELETE %s 409", "/v1/sessions", **extra))
    assert line[9:] == "info    DELETE /v1/sessions 409  session_not_open  2.1 ms  sess_1  req_1"
    told_already = Lines().format(record("GET /v1/sessions/sess_1 200", session_id="sess_1", milliseconds=1.0))
    assert told_already.endswith("GET /v1/sessions/sess_1 200  1.0 ms")


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert Lines().format(record("a\x1b[2Jb\x00c\u2028d"))[17:] == "a�[2Jb�c�d"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("key cha_live_" + "a" * 43, "key cha_live_aaaaaaa…"),
        ("GET /x?token=abc.def-_&b=1", "GET /x?token=…&b=1"),
        ("?a=1&KEY=hunter2", "?a=1&KEY=…"),
        ("Authorization: Bearer abcdef, next", "Authorization: Bearer …, next"),
        ("Authorization: Bearer cha_test_" + "b" * 43, "Authorization: Bearer cha_test_bbbbbbb…"),
        ("a keyboard=fine and donkey=too", "a keyboard=fine and donkey=too"),
    ],
)
def test_secrets_are_taken_out_of_any_text(text: str, left: str) -> None:
    assert redacted(text) == left
