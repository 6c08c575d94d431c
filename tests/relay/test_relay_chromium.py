"""The relay between real clients and real Chromium."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from playwright.async_api import async_playwright
from relay_peers import Door

from chaser_server.bench.relay import BROWSERS, launched, served
from chaser_server.bench.wire import Connection, command

MEGABYTES = 1_000_000


@pytest.fixture(scope="module")
def devtools() -> Iterator[int]:
    with launched(BROWSERS[0]) as port:
        yield port


@pytest.fixture
async def chromium_door(devtools: int) -> AsyncIterator[Door]:
    async with Door(lambda: socket.create_connection(("127.0.0.1", devtools))) as door:
        door.path = browser_path(devtools)
        yield door


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def browser_path(devtools: int) -> str:
    address = json.load(urllib.request.urlopen(f"http://127.0.0.1:{devtools}/json/version"))["webSocketDebuggerUrl"]
    return address[address.index("/devtools") :]


def page_path(devtools: int) -> str:
    pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{devtools}/json/list"))
    return f"/devtools/page/{next(page['id'] for page in pages if page['type'] == 'page')}"


class Cdp:
    """A CDP connection through the door, one command at a time."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self._id = 0

    async def send(self, method: str, **params: object) -> int:
        self._id += 1
        await self.ws.send_str(json.dumps({"id": self._id, "method": method, "params": params}))
        return self._id

    async def answer(self, wanted: int) -> dict[str, object]:
        while (message := await self.ws.receive_json()).get("id") != wanted:
            pass
        result: dict[str, object] = message["result"]
        return result

    async def call(self, method: str, **params: object) -> dict[str, object]:
        return await self.answer(await self.send(method, **params))

    async def evaluate(self, expression: str) -> object:
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"]["value"]  # type: ignore[index]


async def cdp(door: Door, http: aiohttp.ClientSession) -> Cdp:
    return Cdp(await http.ws_connect(f"ws://127.0.0.1:{door.port}/", max_msg_size=0))


async def test_playwright_drives_a_page_leaves_and_comes_back(chromium_door: Door) -> None:
    async with async_playwright() as playwright:
        for title in ("first", "second"):
            browser = await playwright.chromium.connect_over_cdp(f"ws://127.0.0.1:{chromium_door.port}/")
            page = await browser.contexts[0].new_page()
            await page.goto(f"data:text/html,<title>{title}</title><h1>hello")
            assert await page.title() == title
            assert (await page.screenshot()).startswith(b"\x89PNG")
            await page.close()
            await browser.close()
            await (await chromium_door.relays.get()).wait_closed()


async def test_playwright_is_told_that_the_session_ended(chromium_door: Door) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(f"ws://127.0.0.1:{chromium_door.port}/")
        gone = asyncio.Event()
        browser.on("disconnected", lambda _: gone.set())
        relay = await chromium_door.relays.get()
        relay.close(1001, "ttl_expired")
        await gone.wait()
        await relay.wait_closed()
        assert not browser.is_connected()


async def test_an_answer_of_50_megabytes_and_an_expression_of_20_pass(
    chromium_door: Door, http: aiohttp.ClientSession, devtools: int
) -> None:
    chromium_door.path = page_path(devtools)
    client = await cdp(chromium_door, http)
    answer = await client.evaluate(f"'x'.repeat({50 * MEGABYTES})")
    assert answer == "x" * (50 * MEGABYTES)
    assert await client.evaluate(f"'{'y' * (20 * MEGABYTES)}'.length") == 20 * MEGABYTES
    assert chromium_door.count.down > 50 * MEGABYTES
    assert chromium_door.count.up > 20 * MEGABYTES


async def test_the_reason_comes_behind_the_large_answer_under_way(
    chromium_door: Door, http: aiohttp.ClientSession, devtools: int
) -> None:
    chromium_door.path = page_path(devtools)
    client = await cdp(chromium_door, http)
    asked = await client.send("Runtime.evaluate", expression=f"'x'.repeat({50 * MEGABYTES})", returnByValue=True)
    relay = await chromium_door.relays.get()
    while chromium_door.count.down < MEGABYTES:
        await asyncio.sleep(0)
    assert not relay._walker.at_boundary
    relay.close(1001, "idle_expired")
    assert len(str(await client.answer(asked))) > 50 * MEGABYTES
    last = await client.ws.receive()
    assert (last.type, last.data, last.extra) == (aiohttp.WSMsgType.CLOSE, 1001, "idle_expired")


async def test_several_clients_share_a_browser(chromium_door: Door, http: aiohttp.ClientSession) -> None:
    clients = [await cdp(chromium_door, http) for _ in range(5)]
    versions = await asyncio.gather(*(client.call("Browser.getVersion") for client in clients))
    assert len({str(version) for version in versions}) == 1
    await clients[0].ws.close()
    assert await clients[1].call("Browser.getVersion") == versions[1]


async def test_chromium_notices_that_a_client_left(chromium_door: Door, http: aiohttp.ClientSession) -> None:
    leaving, staying = await cdp(chromium_door, http), await cdp(chromium_door, http)
    mine = (await leaving.call("Target.createBrowserContext", disposeOnDetach=True))["browserContextId"]
    assert mine in (await staying.call("Target.getBrowserContexts"))["browserContextIds"]  # type: ignore[operator]
    await leaving.ws.close()
    while mine in (await staying.call("Target.getBrowserContexts"))["browserContextIds"]:  # type: ignore[operator]
        pass


async def test_a_browser_that_closes_itself_is_explained_to_every_client(http: aiohttp.ClientSession) -> None:
    with launched(BROWSERS[0]) as devtools:
        async with Door(lambda: socket.create_connection(("127.0.0.1", devtools))) as door:
            door.path = browser_path(devtools)
            closing, watching = await cdp(door, http), await cdp(door, http)
            await closing.send("Browser.close")
            while (last := await watching.ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            assert (last.type, last.data, last.extra) == (
                aiohttp.WSMsgType.CLOSE,
                1001,
                "browser connection lost",
            )
            await closing.ws.close()


async def test_chromium_refuses_an_unknown_target_in_its_own_words(
    chromium_door: Door, http: aiohttp.ClientSession
) -> None:
    chromium_door.path = "/devtools/page/none"
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await cdp(chromium_door, http)
    error = await chromium_door.failures.get()
    assert getattr(error, "status", None) in (404, 500)


def test_a_client_that_does_not_read_costs_the_server_no_memory_and_loses_nothing(devtools: int) -> None:
    path = page_path(devtools)
    with served(devtools) as server, Connection(server.port, path) as stalled, Connection(server.port, path) as other:
        before = server.usage().peak_megabytes
        stalled.socket.sendall(command("Runtime.evaluate", expression=f"'x'.repeat({50 * MEGABYTES})"))
        # Asked later on the same page: when this answer is whole, the stalled one has gone as far as it could.
        size = other.ask(command("Runtime.evaluate", expression=f"'y'.repeat({50 * MEGABYTES})"))
        assert size > 50 * MEGABYTES
        assert server.usage().peak_megabytes - before < 20
        assert stalled.take() > 50 * MEGABYTES
        assert server.usage().peak_megabytes - before < 20
