"""Rates and sizes: off unless set, each for its own user, refused with whole seconds to wait."""

from __future__ import annotations

import pytest

from chaser_server import app
from chaser_server.errors import RateLimited
from chaser_server.limits import RateLimits
from chaser_server.machine import Machine
from tests.api import Answer, Api
from tests.substrates import FakeSubstrate
from tests.web.conftest import ServeFake
from tests.web.cookies import Dashboard


def check(answer: Answer, code: str = "rate_limited") -> None:
    assert (answer.status, answer.json["error"]["code"]) == (429, code)
    assert answer.headers["Retry-After"].isdecimal()
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


async def test_creates_are_limited_for_each_workspace(serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"creates_per_minute": 2})
    other = await Dashboard.of(api, "other")
    for _ in range(2):
        await api.create()
    check(await api.ask("POST", "/v1/sessions"))
    second_key = (await (await Dashboard.of(api)).ask("POST", "/v1/keys", json={"name": "second"})).json["secret"]
    check(await api.ask("POST", "/v1/sessions", key=second_key))
    assert (await api.ask("POST", "/v1/sessions", key=other.key)).status == 201
    assert (await api.ask("GET", "/v1/sessions")).status == 200


@pytest.mark.parametrize("action", ["screenshot", "preview-token"])
async def test_pictures_and_tokens_are_limited_for_each_session(serve_fake: ServeFake, action: str) -> None:
    limits = {"screenshots_per_minute": 2, "preview_tokens_per_minute": 2}
    api = await serve_fake(FakeSubstrate(), limits=limits)
    first, second = await api.ready(), await api.ready()
    for _ in range(2):
        assert (await api.ask("POST", f"/v1/sessions/{first['id']}/{action}")).status == 200
    check(await api.ask("POST", f"/v1/sessions/{first['id']}/{action}"))
    assert (await api.ask("POST", f"/v1/sessions/{second['id']}/{action}")).status == 200


async def test_without_a_rate_there_is_no_limit(fake_api: Api) -> None:
    session = await fake_api.ready()
    for _ in range(100):
        assert (await fake_api.ask("POST", f"/v1/sessions/{session['id']}/screenshot")).status == 200


async def test_a_strangers_guesses_use_up_nobodys_rate(serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"screenshots_per_minute": 1})
    session, other = await api.ready(), await Dashboard.of(api, "other")
    for _ in range(3):
        theirs = await api.ask("POST", f"/v1/sessions/{session['id']}/screenshot", key=other.key)
        assert theirs.status == 404
    assert (await api.ask("POST", f"/v1/sessions/{session['id']}/screenshot")).status == 200


async def test_a_server_sized_by_its_machine_refuses_one_more(
    serve_fake: ServeFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "measure", lambda: Machine(memory_bytes=2 << 30, cores=8))
    api = await serve_fake(FakeSubstrate(), limits={"max_sessions": "auto"})
    for _ in range(2):
        await api.create()
    answer = await api.ask("POST", "/v1/sessions")
    check(answer, "concurrency_limit")
    assert "the server has 2 sessions" in answer.json["error"]["message"]


def refused_for(rates: RateLimits, user: str, now: float) -> int:
    """Seconds to wait; 0 when the request is allowed."""
    try:
        rates.take("creates", user, now)
    except RateLimited as error:
        return error.retry_after_seconds
    return 0


def test_a_minute_slides() -> None:
    rates = RateLimits(creates=2)
    waits = [refused_for(rates, "a", now) for now in (0.0, 30.0, 30.5, 59.999, 60.0, 60.1, 90.0)]
    assert waits == [0, 0, 30, 1, 0, 30, 0]


def test_users_who_ask_no_more_are_forgotten() -> None:
    rates = RateLimits(creates=1)
    for number in range(1000):
        assert refused_for(rates, f"user {number}", number * 0.01) == 0
    assert refused_for(rates, "user 999", 10.0) > 0
    assert refused_for(rates, "last", 100.0) == 0
    assert len(rates._times) == 1
