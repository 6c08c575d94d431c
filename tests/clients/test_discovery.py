"""DevTools discovery: what an http:// URL leads to, and that every URL handed out leads back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import pytest
from playwright.async_api import Playwright

from tests.api import Answer, Api
from tests.conftest import served
from tests.devtools import DevTools
from tests.site import Site


@pytest.fixture(scope="module")
async def door(api: Api) -> AsyncIterator[str]:
    """The path of a session that is ready."""
    session = await api.ready()
    yield f"/sessions/{session['id']}"
    await api.delete(session["id"])


async def ask(api: Api, path: str, method: str = "GET", **options: Any) -> Answer:
    """A request as a DevTools client makes it: without a key, and without following a redirect."""
    return await api.ask(method, path, key="", allow_redirects=False, **options)


async def evaluate(address: str, expression: str) -> Any:
    async with aiohttp.ClientSession() as http, http.ws_connect(address) as ws:
        return await DevTools(ws).evaluate(expression)


@pytest.mark.parametrize("slash", ["", "/"])
async def test_playwright_connects_by_an_http_address(
    api: Api, site: Site, playwright: Playwright, door: str, slash: str
) -> None:
    browser = await playwright.chromium.connect_over_cdp(f"{api.url}{door}{slash}")
    page = browser.contexts[0].pages[0]
    await page.goto(site.url)
    assert await page.title() == "A local site"
    await browser.close()


@pytest.mark.parametrize("end", ["", "/", "?", "/?token=anything&more=1"])
async def test_the_websocket_takes_a_trailing_slash_and_any_query(
    api: Api, playwright: Playwright, door: str, end: str
) -> None:
    browser = await playwright.chromium.connect_over_cdp(f"{api.url.replace('http', 'ws')}{door}{end}")
    assert browser.contexts
    await browser.close()


@pytest.mark.parametrize("path", ["/json/version", "/json/version/", "/json/version?for_tabs"])
async def test_version_names_the_browser_socket_of_this_server(api: Api, door: str, path: str) -> None:
    answer = await ask(api, door + path)
    assert answer.status == 200
    assert answer.json["Browser"].startswith("Chrome/")
    address = answer.json["webSocketDebuggerUrl"]
    assert address.startswith(f"{api.url.replace('http', 'ws')}{door}/devtools/browser/")
    async with aiohttp.ClientSession() as http, http.ws_connect(address) as ws:
        assert (await DevTools(ws).send("Browser.getVersion"))["product"] == answer.json["Browser"]


@pytest.mark.parametrize("path", ["/json", "/json/", "/json/list", "/json/list/"])
async def test_every_listed_page_is_reached_at_its_address(api: Api, door: str, path: str) -> None:
    answer = await ask(api, door + path)
    assert answer.status == 200
    pages = [target for target in answer.json if target["type"] == "page"]
    assert pages
    for page in pages:
        assert await evaluate(page["webSocketDebuggerUrl"], "location.href") == page["url"]
        front_end = parse_qs(urlsplit(page["devtoolsFrontendUrl"]).query)
        assert [f"ws://{address}" for address in front_end["ws"]] == [page["webSocketDebuggerUrl"]]


async def test_a_page_is_opened_brought_to_the_front_and_closed(api: Api, site: Site, door: str) -> None:
    wanted = f"{site.url}/echo?a=1%2B1&key=value"
    opened = await ask(api, f"{door}/json/new?{quote(wanted, safe='')}", "PUT")
    assert (opened.status, opened.json["url"]) == (200, wanted)
    target, address = opened.json["id"], opened.json["webSocketDebuggerUrl"]
    assert await evaluate(
        address, "new Promise(done => setInterval(() => location.search && done(location.href)))"
    ) == (wanted)
    activated = await ask(api, f"{door}/json/activate/{target}")
    assert (activated.status, activated.body) == (200, b"Target activated")
    closed = await ask(api, f"{door}/json/close/{target}")
    assert (closed.status, closed.body) == (200, b"Target is closing")
    missing = await ask(api, f"{door}/json/close/{'0' * 32}")
    assert (missing.status, missing.json["error"]["code"]) == (404, "not_found")


async def test_a_page_is_not_opened_by_get(api: Api, door: str) -> None:
    answer = await ask(api, f"{door}/json/new")
    assert (answer.status, answer.json["error"]["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "PUT"


async def test_the_protocol_is_told_by_a_session_and_at_the_root(api: Api, door: str) -> None:
    by_session, at_root = await ask(api, f"{door}/json/protocol"), await ask(api, "/json/protocol")
    assert (by_session.status, at_root.status) == (200, 200)
    assert "Browser" in [domain["domain"] for domain in at_root.json["domains"]]
    assert at_root.body == by_session.body


async def test_paths_that_are_no_endpoint_are_not_passed_on(api: Api, door: str) -> None:
    for path in ("/json/unknown", "/json/close/", "/json/version/x", "/devtools/inspector.html"):
        answer = await ask(api, door + path)
        assert (answer.status, answer.json["error"]["code"]) == (404, "not_found"), path


async def test_a_socket_of_an_unknown_target_is_not_found(api: Api, door: str) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await http.ws_connect(f"{api.url}{door}/devtools/page/{'0' * 32}")
    assert refusal.value.status == 404


async def test_the_words_of_a_proxy_that_is_not_trusted_count_for_nothing(api: Api, door: str) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    answer = await ask(api, f"{door}/json/version", headers=headers)
    assert answer.json["webSocketDebuggerUrl"].startswith(f"{api.url.replace('http', 'ws')}{door}/")
    created = await api.ask("POST", "/v1/sessions", json={}, headers=headers)
    assert created.json["cdp_url"].startswith(f"{api.url.replace('http', 'ws')}/sessions/")
    await api.delete(created.json["id"])


async def test_the_words_of_a_trusted_proxy_make_every_address_secure(tmp_path: Path) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "browsers.example"}
    async with served(tmp_path, {"server": {"trusted_proxies": ["127.0.0.0/8"]}}) as api:
        created = await api.ask("POST", "/v1/sessions", json={}, headers=headers)
        door = f"/sessions/{created.json['id']}"
        assert created.json["cdp_url"] == f"wss://browsers.example{door}"
        version = await ask(api, f"{door}/json/version", headers=headers)
        assert version.json["webSocketDebuggerUrl"].startswith(f"wss://browsers.example{door}/devtools/browser/")
        [page] = (await ask(api, f"{door}/json/list", headers=headers)).json
        assert page["webSocketDebuggerUrl"].startswith(f"wss://browsers.example{door}/devtools/page/")
        assert f"?wss=browsers.example{door}/devtools/page/" in page["devtoolsFrontendUrl"]


async def test_a_public_url_wins_over_what_the_request_says(tmp_path: Path) -> None:
    async with served(tmp_path, {"server": {"public_url": "https://browsers.example:8443/"}}) as api:
        created = await api.create()
        assert created["cdp_url"] == f"wss://browsers.example:8443/sessions/{created['id']}"


async def test_a_required_key_opens_the_door_and_stays_in_the_addresses(
    tmp_path: Path, playwright: Playwright, site: Site
) -> None:
    async with served(tmp_path, {"cdp": {"require_key": True}}) as api:
        protocol = await ask(api, "/json/protocol")
        assert (protocol.status, protocol.json["error"]["code"]) == (503, "substrate_unavailable")
        door = f"/sessions/{(await api.ready())['id']}"
        for path in (door, f"{door}/json/version", f"{door}/json/version?key=cha_live_wrong"):
            refused = await ask(api, path)
            assert (refused.status, refused.json["error"]["code"]) == (401, "unauthorized")
        assert (await api.ask("GET", f"{door}/json/version")).status == 200
        for address in (f"{api.url}{door}?key={api.key}", f"{api.url.replace('http', 'ws')}{door}?key={api.key}"):
            browser = await playwright.chromium.connect_over_cdp(address)
            await browser.close()
        opened = await ask(api, f"{door}/json/new?{site.url}/echo&key={api.key}", "PUT")
        assert opened.json["url"] == f"{site.url}/echo"
        assert opened.json["webSocketDebuggerUrl"].endswith(f"?key={api.key}")
        assert await evaluate(opened.json["webSocketDebuggerUrl"], "1 + 1") == 2
