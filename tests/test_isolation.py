"""What a session cannot reach: other sessions, the host's files, the server, and on a public bind its loopback."""

from __future__ import annotations

import asyncio
import os
import pwd
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, Error, Page, Playwright

from tests.api import Api
from tests.conftest import Serve
from tests.processes import Process, descendants
from tests.site import Site

FETCH = "url => fetch(url, {mode: 'no-cors'}).then(() => 'answered', () => 'failed')"
CONNECT = """url => new Promise(done => {
    const socket = new WebSocket(url);
    socket.onopen = () => done('opened');
    socket.onerror = () => done('failed');
})"""


class Watched:
    """A service on the host's loopback that notes whether anybody came."""

    def __init__(self) -> None:
        self.visits = 0
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")
        writer.close()


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    service = Watched()
    server = await asyncio.start_server(service.answer, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    async with server:
        yield service


@asynccontextmanager
async def driving(playwright: Playwright, *sessions: dict[str, Any]) -> AsyncIterator[list[Browser]]:
    """Playwright, connected to these sessions."""
    browsers = [await playwright.chromium.connect_over_cdp(session["cdp_url"]) for session in sessions]
    yield browsers
    for browser in browsers:
        await browser.close()


def first_page(browser: Browser) -> Page:
    return browser.contexts[0].pages[0]


async def shown(browser: Browser, url: str) -> str:
    """What a new page shows of an address, or the browser's error."""
    page = await browser.contexts[0].new_page()
    try:
        await page.goto(url)
        return await page.content()
    except Error as error:
        return error.message
    finally:
        await page.close()


async def devtools_path(api: Api, session: dict[str, Any]) -> str:
    """The path of the DevTools socket of a session's browser, which only its own browser knows."""
    version = (await api.ask("GET", f"/sessions/{session['id']}/json/version")).json
    return "/devtools/" + version["webSocketDebuggerUrl"].partition("/devtools/")[2]


async def processes_of(api: Api, session: dict[str, Any]) -> set[Process]:
    (pid,) = [event["detail"]["pid"] for event in await api.events(session["id"]) if event["kind"] == "launched"]
    return descendants(pid)


def status_of(process: Process) -> dict[str, str]:
    """What proc(5) says of a process."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def test_no_session_reaches_the_devtools_of_another_or_its_own(
    api: Api, site: Site, playwright: Playwright
) -> None:
    mine, other = await asyncio.gather(api.ready(), api.ready())
    paths = [await devtools_path(api, session) for session in (mine, other)]
    async with driving(playwright, mine) as (browser,):
        page = first_page(browser)
        for host in ("127.0.0.1", "localhost", "[::1]"):
            seen = await shown(browser, f"http://{host}:9222/json/version")
            assert not any(path in seen for path in paths), seen
        await page.goto(site.url)
        for path in paths:
            assert await page.evaluate(CONNECT, f"ws://127.0.0.1:9222{path}") == "failed"


async def test_files_of_the_host_are_not_there(api: Api, playwright: Playwright) -> None:
    database = api.data_dir / "chaser.db"
    assert sqlite3.connect(database).execute("SELECT count(*) FROM keys").fetchone() == (1,)
    session = await api.ready()
    async with driving(playwright, session) as (browser,):
        for path in ("/etc/shadow", str(database), str(database.parent), "/root", "/var/log", "/etc/hostname"):
            assert "ERR_FILE_NOT_FOUND" in await shown(browser, f"file://{path}"), path
        assert "user:x:1000" in await shown(browser, "file:///etc/passwd")
        assert "root" not in await shown(browser, "file:///etc/passwd")


async def test_the_servers_own_listener_is_not_open_to_sessions(api: Api, site: Site, playwright: Playwright) -> None:
    session = await api.ready()
    port = api.url.rpartition(":")[2]
    async with driving(playwright, session) as (browser,):
        page = first_page(browser)
        for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"):
            seen = await shown(browser, f"http://{host}:{port}/healthz")
            assert '"status"' not in seen
            assert "belongs to the server itself" in seen or "ERR_" in seen, seen
        await page.goto(site.url)
        assert await page.evaluate(CONNECT, f"ws://127.0.0.1:{port}/sessions/{session['id']}") == "failed"


async def test_on_a_public_bind_the_hosts_loopback_is_not_open_to_sessions(
    serve: Serve, watched: Watched, playwright: Playwright
) -> None:
    api = await serve(server={"listen": "0.0.0.0:0"})
    assert api.url.startswith("http://127.0.0.1:")  # what is printed to paste: 0.0.0.0 is no address to go to
    session = await api.ready()
    async with driving(playwright, session) as (browser,):
        for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433"):
            seen = await shown(browser, f"http://{host}:{watched.port}/")
            assert "secret" not in seen
            assert "not open to sessions here" in seen or "ERR_" in seen, seen
        await first_page(browser).evaluate(FETCH, f"http://127.0.0.1:{watched.port}/")
        assert await first_page(browser).evaluate(CONNECT, f"ws://127.0.0.1:{watched.port}/") == "failed"
    assert watched.visits == 0


async def test_on_a_loopback_bind_the_hosts_loopback_is_open_as_documented(
    api: Api, watched: Watched, playwright: Playwright
) -> None:
    session = await api.ready()
    async with driving(playwright, session) as (browser,):
        assert "secret" in await shown(browser, f"http://localhost:{watched.port}/")
    assert watched.visits >= 1


async def call(ws: aiohttp.ClientWebSocketResponse, method: str, session_id: str = "", **params: Any) -> dict[str, Any]:
    """One CDP call by hand: Playwright would not send some of them."""
    request = {"id": 1, "method": method, "params": params}
    await ws.send_json({**request, "sessionId": session_id} if session_id else request)
    while "id" not in (answer := await ws.receive_json(timeout=10)):
        pass
    result: dict[str, Any] = answer["result"]
    return result


async def test_a_context_that_goes_around_the_proxy_reaches_nothing(api: Api, watched: Watched) -> None:
    session = await api.ready()
    way_out = watched.port
    async with aiohttp.ClientSession() as http, http.ws_connect(session["cdp_url"], max_msg_size=0) as ws:
        for proxy in ("direct://", f"http://127.0.0.1:{way_out}", f"socks5://127.0.0.1:{way_out}"):
            context = await call(ws, "Target.createBrowserContext", proxyServer=proxy, proxyBypassList="<-loopback>")
            target = await call(ws, "Target.createTarget", url="about:blank", **context)
            attached = await call(ws, "Target.attachToTarget", flatten=True, **target)
            for host in ("127.0.0.1", "localhost", "example.com"):
                where = f"http://{host}:{way_out}/"
                went = await call(ws, "Page.navigate", attached["sessionId"], url=where)
                assert went["errorText"].startswith("net::ERR_"), went
            await call(ws, "Target.disposeBrowserContext", **context)
    assert watched.visits == 0
    found = await api.get(session["id"])
    assert found["status"] == "ready"


async def test_two_sessions_share_neither_cookies_nor_storage(api: Api, site: Site, playwright: Playwright) -> None:
    sessions = await asyncio.gather(api.ready(), api.ready())
    async with driving(playwright, *sessions) as (first, second):
        page, other = first_page(first), first_page(second)
        await page.goto(f"{site.url}/set-cookie")
        await page.evaluate("localStorage.setItem('mark', 'first')")
        await page.goto(f"{site.url}/echo")
        assert "visitor" in await page.content()
        await other.goto(f"{site.url}/echo")
        assert "visitor" not in await other.content()
        assert await other.evaluate("localStorage.getItem('mark')") is None


async def test_a_session_runs_as_nobody_outside_and_as_uid_1000_inside_with_every_renderer_filtered(api: Api) -> None:
    session = await api.ready()
    outside = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
    processes = await processes_of(api, session)
    for process in processes:
        uids = status_of(process)["Uid"].split()
        assert set(uids) == {str(outside)}, (process.command, uids)
        assert status_of(process)["NoNewPrivs"] == "1", process.command
    browsers = [
        each for each in processes if "--remote-debugging-port=" in each.command and "--type=" not in each.command
    ]
    assert ["1000", str(outside), "1"] in [Path(f"/proc/{each.pid}/uid_map").read_text().split() for each in browsers]
    renderers = [each for each in processes if "--type=renderer" in each.command]
    assert renderers
    assert {status_of(each)["Seccomp"] for each in renderers} == {"2"}
    assert not any("--no-sandbox" in each.command for each in processes)
