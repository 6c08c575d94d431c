"""The CDP door on real sessions: who comes in, who is told what, and how it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from playwright.async_api import Playwright

from chaser_server.model import utc_now
from tests.api import Answer, Api
from tests.clients.processes import descendants, peak_bytes
from tests.conftest import served
from tests.devtools import DevTools
from tests.site import Site

MEGABYTES = 1_000_000
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",  # RFC 6455 1.3
}


@pytest.fixture
async def session(api: Api) -> AsyncIterator[dict[str, Any]]:
    ready = await api.ready()
    yield ready
    await api.ask("DELETE", f"/v1/sessions/{ready['id']}")  # some tests end it themselves


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def refused(api: Api, path: str, **headers: str) -> Answer:
    """The answer to an upgrade that is expected to fail."""
    answer = await api.ask("GET", path, key="", headers={**UPGRADE, **headers})
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    return answer


async def page_address(api: Api, session: dict[str, Any]) -> str:
    targets = (await api.ask("GET", f"/sessions/{session['id']}/json/list")).json
    address: str = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
    return address


async def farewell(ws: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    """The close code and reason that end a connection."""
    while (message := await ws.receive(timeout=20)).type is not WSMsgType.CLOSE:
        assert message.type in (WSMsgType.TEXT, WSMsgType.PING), message
    return message.data, message.extra


async def ended(api: Api, session_id: str) -> dict[str, Any]:
    """The session once it is no longer open; its clients are told only behind that."""
    session = await api.get(session_id)
    assert session["status"] == "closed"
    return session


async def test_several_clients_drive_one_session_at_once(
    api: Api, site: Site, session: dict[str, Any], playwright: Playwright, http: aiohttp.ClientSession
) -> None:
    async with (
        http.ws_connect(await page_address(api, session)) as first,
        http.ws_connect(session["cdp_url"]) as second,
    ):
        browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
        await browser.contexts[0].pages[0].goto(site.url)
        answers = await asyncio.gather(
            DevTools(first).evaluate("document.title"),
            DevTools(second).send("Target.getTargets"),
            browser.contexts[0].pages[0].title(),
        )
        await browser.close()
        assert answers[0] == answers[2] == "A local site"
        assert [target["url"] for target in answers[1]["targetInfos"] if target["type"] == "page"] == [f"{site.url}/"]
        assert await DevTools(first).evaluate("1 + 1") == 2  # one has left, the others stay


async def test_a_foreign_origin_is_refused_and_our_own_and_allowed_ones_pass(
    api: Api, session: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    path = f"/sessions/{session['id']}"
    for origin in ("https://evil.example", "null", api.url.replace("http", "https")):
        answer = await refused(api, path, Origin=origin)
        assert (answer.status, answer.json["error"]["code"]) == (403, "forbidden")
    for origin in (api.url, "https://tool.example"):
        async with http.ws_connect(session["cdp_url"], origin=origin) as ws:
            assert "product" in await DevTools(ws).send("Browser.getVersion")


async def test_an_unknown_session_is_not_found(api: Api) -> None:
    answer = await refused(api, "/sessions/sess_019ec0d0-a88a-73f2-9741-8030dc82a854")
    assert (answer.status, answer.json["error"]["code"]) == (404, "session_not_found")


async def test_an_ended_session_says_why_it_has_ended(api: Api, session: dict[str, Any]) -> None:
    await api.delete(session["id"])
    answer = await refused(api, f"/sessions/{session['id']}")
    assert (answer.status, answer.json["error"]["code"]) == (409, "session_not_open")
    assert "client_delete" in answer.json["error"]["message"]


async def test_a_session_that_failed_to_start_says_why_to_those_who_waited_and_to_those_who_come_later(
    tmp_path: Path,
) -> None:
    exits_at_once = {"browser": {"extra_args": ["--version"]}}
    async with served(tmp_path, exits_at_once) as api:
        path = f"/sessions/{(await api.create())['id']}"
        for answer in (await refused(api, path), await refused(api, path)):
            assert (answer.status, answer.json["error"]["code"]) == (409, "session_not_open")
            assert "error (no devtools from the sandbox" in answer.json["error"]["message"]


async def test_a_request_that_is_no_upgrade_is_told_so(api: Api, session: dict[str, Any]) -> None:
    answer = await api.ask("GET", f"/sessions/{session['id']}", key="")
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")
    assert "WebSocket" in answer.json["error"]["message"]


async def test_clients_are_pinged(session: dict[str, Any], http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(session["cdp_url"], autoping=False) as ws:
        assert (await ws.receive(timeout=20)).type is WSMsgType.PING


async def test_a_delete_is_told_to_every_client(api: Api, session: dict[str, Any], http: aiohttp.ClientSession) -> None:
    async with (
        http.ws_connect(session["cdp_url"]) as first,
        http.ws_connect(await page_address(api, session)) as second,
    ):
        await DevTools(first).send("Browser.getVersion")
        await api.delete(session["id"])
        assert await farewell(first) == (1001, "client_delete")
        assert await farewell(second) == (1001, "client_delete")


async def test_the_end_of_its_time_is_told_to_a_client(
    api: Api, session: dict[str, Any], http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with http.ws_connect(session["cdp_url"]) as ws:
        monkeypatch.setattr("chaser_server.sessions.reaper.utc_now", lambda: utc_now() + timedelta(hours=1))
        assert await farewell(ws) == (1001, "ttl_expired")
    assert (await ended(api, session["id"]))["ended_reason"] == "ttl_expired"


async def test_a_killed_browser_is_told_to_its_client(
    api: Api, session: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    [launched] = [event for event in await api.events(session["id"]) if event["kind"] == "launched"]
    [browser] = [
        process
        for process, command in descendants(launched["detail"]["pid"])
        if "/chromium --user-data-dir=" in command
    ]
    async with http.ws_connect(session["cdp_url"]) as ws:
        os.kill(browser, signal.SIGKILL)
        assert await farewell(ws) == (1001, "substrate_down")
    assert (await ended(api, session["id"]))["ended_reason"] == "substrate_down"


async def test_a_client_that_closes_the_browser_ends_the_session(
    api: Api, session: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    async with http.ws_connect(session["cdp_url"]) as ws:
        await ws.send_json({"id": 1, "method": "Browser.close"})
        assert await farewell(ws) == (1001, "client_delete")
    assert (await ended(api, session["id"]))["ended_reason"] == "client_delete"


async def test_a_client_may_close_the_last_page_and_open_another(
    api: Api, site: Site, session: dict[str, Any], playwright: Playwright, http: aiohttp.ClientSession
) -> None:
    browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
    await browser.contexts[0].pages[0].close()
    assert (await api.get(session["id"]))["status"] == "ready"
    await browser.close()
    browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
    assert browser.contexts[0].pages == []
    page = await browser.contexts[0].new_page()
    await page.goto(site.url)
    await page.wait_for_function("innerWidth === 1280 && innerHeight === 720")
    await browser.close()
    async with http.ws_connect(session["cdp_url"]) as ws:
        await ws.send_json({"id": 1, "method": "Browser.close"})
        assert await farewell(ws) == (1001, "client_delete")


async def test_an_answer_of_50_megabytes_and_an_expression_of_20_pass(
    api: Api, session: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    async with http.ws_connect(await page_address(api, session), max_msg_size=0) as ws:
        page = DevTools(ws)
        assert await page.evaluate(f"'x'.repeat({50 * MEGABYTES})") == "x" * (50 * MEGABYTES)
        assert await page.evaluate(f"'{'y' * (20 * MEGABYTES)}'.length") == 20 * MEGABYTES
    counted = await api.get(session["id"])
    assert counted["bytes_down"] > 50 * MEGABYTES
    assert counted["bytes_up"] > 20 * MEGABYTES


async def test_a_client_that_stops_reading_costs_the_server_little_memory(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with server_process(tmp_path) as (process, api):
        address = await page_address(api, await api.ready())
        async with http.ws_connect(address, max_msg_size=0) as ws, http.ws_connect(address) as other:
            await DevTools(other).evaluate("1 + 1")
            before = peak_bytes(process.pid)
            stop_reading(ws)
            for number in range(4):
                await ws.send_json(command(number, f"'x'.repeat({25 * MEGABYTES})"))
            # The page works in order: once the other client has this answer, all of the four before it were sent.
            assert await DevTools(other).evaluate("'after the four'") == "after the four"
            assert peak_bytes(process.pid) - before < 20 * MEGABYTES
            get_transport(ws).resume_reading()
            for number in range(4):
                answer = await ws.receive_json(timeout=20)
                assert answer["id"] == number
                assert len(answer["result"]["result"]["value"]) == 25 * MEGABYTES
            assert peak_bytes(process.pid) - before < 20 * MEGABYTES


def command(number: int, expression: str) -> dict[str, Any]:
    return {"id": number, "method": "Runtime.evaluate", "params": {"expression": expression}}


def get_transport(ws: aiohttp.ClientWebSocketResponse) -> asyncio.ReadTransport:
    connection = ws._conn
    assert connection is not None
    transport = connection.transport
    assert isinstance(transport, asyncio.ReadTransport)
    return transport


def stop_reading(ws: aiohttp.ClientWebSocketResponse) -> None:
    get_transport(ws).pause_reading()


@asynccontextmanager
async def server_process(data_dir: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, Api]]:
    """A server in a process of its own, as `python -m chaser_server` starts it."""
    arguments = ["-m", "chaser_server", "--listen", "127.0.0.1:0", "--data-dir", str(data_dir)]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        said = ""
        while not (ready := re.search(r"ready on (http://\S+)", said)):
            line = await process.stdout.readline()
            assert line, f"the server has gone: {said}"
            said += line.decode()
        [key] = set(re.findall(r"cha_live_[\w-]+", said))
        async with Api(ready[1], key, data_dir) as api:
            yield process, api
    finally:
        process.terminate()
        await process.wait()
