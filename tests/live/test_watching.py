"""Watching a session: it changes nothing there, keeps it alive while it lasts, and is counted apart."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Playwright

from chaser_server import web as web_room
from tests.api import Api
from tests.conftest import Serve
from tests.live.remote import inside, open_page, viewing

SEEN = """[innerWidth, innerHeight, outerWidth, outerHeight, screen.width, devicePixelRatio, document.hasFocus(),
    document.visibilityState, matchMedia('(hover:hover)').matches, navigator.maxTouchPoints, navigator.webdriver]"""
NOTING = """window.noted = [];
    for (const type of ['resize', 'focus', 'blur', 'visibilitychange', 'pointermove', 'mousemove'])
      for (const place of [window, document]) place.addEventListener(type, () => noted.push(type));"""


@pytest.mark.parametrize("display", ["xvfb", "headless"])
async def test_a_page_and_its_client_notice_nothing_of_viewers(
    serve: Serve, display: str, playwright: Playwright
) -> None:
    api = await serve(browser={"display": display})
    session = await api.ready()
    browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
    page = browser.contexts[0].pages[0]
    await page.set_content("<body style='height:3000px'><h1>A page</h1>")
    before = await page.evaluate(SEEN)
    await page.evaluate(NOTING)
    async with viewing(api, session["id"], input=False) as watcher, viewing(api, session["id"]) as driver:
        for viewer in (watcher, driver):
            await viewer.still()
        assert await page.evaluate(SEEN) == before
        await page.evaluate("document.body.style.background = 'black'")
        await watcher.shows(lambda picture: picture.getpixel((900, 600)) < 20)
        assert await page.evaluate("noted") == []
        second = await browser.contexts[0].new_page()
        await second.goto("data:text/html,<title>two</title>")
        assert await second.title() == "two"
        await second.close()
        await page.bring_to_front()
        await page.evaluate("noted.length = 0")
    assert await page.evaluate(SEEN) == before
    assert await page.evaluate("noted") == []
    assert await page.title() == ""
    await browser.close()
    assert (await api.get(session["id"]))["status"] == "ready"


async def test_a_viewer_keeps_its_session_from_being_idle_and_its_leaving_does_not_end_it(serve: Serve) -> None:
    api = await serve(limits={"idle_seconds": 2})
    watched = await api.ready()
    async with viewing(api, watched["id"], input=False) as viewer:
        await viewer.still()
        alone = await api.ready()
        await ended(api, alone["id"], "idle_expired")
        await viewer.taken()
        assert (await api.get(watched["id"]))["status"] == "ready"
    assert (await api.get(watched["id"]))["status"] == "ready"
    await ended(api, watched["id"], "idle_expired")


async def test_two_sessions_without_isolation_have_a_screen_each(serve: Serve) -> None:
    api = await serve(sandbox={"isolation": "none"})
    async with AsyncExitStack() as leaving:
        for colour, shown in (("black", range(20)), ("white", range(235, 256))):
            session = await api.ready()
            page = await leaving.enter_async_context(inside(api, session["id"]))
            viewer = await leaving.enter_async_context(viewing(api, session["id"]))
            await open_page(page)
            await page.evaluate(f"document.body.style.background = '{colour}'")
            await viewer.shows(lambda picture, shown=shown: picture.getpixel((900, 600)) in shown)
            await viewer.click(640, 360)
            await page.until("log.some(e => e.type === 'click')")


async def ended(api: Api, session_id: str, reason: str) -> None:
    """Wait until a session is closed, for that reason."""
    while (now := await api.get(session_id))["status"] == "ready":
        pass
    assert now["ended_reason"] == reason


async def test_what_a_stream_takes_is_counted_apart(api: Api) -> None:
    session = await api.ready()
    async with inside(api, session["id"]) as page:
        await open_page(page)
    before = await api.get(session["id"])
    async with viewing(api, session["id"]) as viewer:
        await viewer.still()
    disconnected = await noted(api, session["id"], "viewer_disconnected")
    assert disconnected["bytes_down"] > viewer.bytes_down > 1000
    assert disconnected["bytes_up"] > 0
    after = await api.get(session["id"])
    assert (after["bytes_up"], after["bytes_down"]) == (before["bytes_up"], before["bytes_down"])


async def noted(api: Api, session_id: str, kind: str) -> dict[str, Any]:
    """The detail of an event, once it is in the timeline."""
    while True:
        for event in await api.events(session_id):
            if event["kind"] == kind:
                detail: dict[str, Any] = event["detail"]
                return detail


@pytest.fixture
async def embedder() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Somebody's own page with the player in it, and what it answers when the player asks for a token."""
    token: dict[str, str] = {}
    page = """<!doctype html><style>html, body, #screen { margin: 0; width: 100%; height: 100% }</style>
        <div id=screen></div><script type=module>import { mount } from "/static/player.js";
        window.player = mount(document.getElementById("screen"),
          { getToken: async () => (await fetch("/token")).json(), fps: 30, onStatus: status => window.last = status });
        </script>"""

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html")

    async def give(_: web.Request) -> web.Response:
        return web.json_response(token)

    app = web.Application()
    app.router.add_get("/", show)
    app.router.add_get("/token", give)
    app.router.add_static("/static", f"{web_room.__path__[0]}/static")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", token
    await runner.cleanup()


async def test_a_person_uses_a_session_through_the_player_in_their_own_browser(
    serve: Serve, embedder: tuple[str, dict[str, str]], playwright: Playwright
) -> None:
    url, token = embedder
    api = await serve(server={"allowed_origins": [url]})
    session = await api.ready()
    token |= (await api.ask("POST", f"/v1/sessions/{session['id']}/preview-token", json={})).json
    async with inside(api, session["id"]) as page:
        await open_page(page)
        browser = await playwright.chromium.launch(executable_path="/usr/lib/chromium/chromium", args=["--no-sandbox"])
        far = await browser.new_page(viewport={"width": 1280, "height": 720})
        await far.goto(url)
        await far.wait_for_function("last?.state === 'live' && last.driving && last.width === 1280")
        await far.mouse.click(200, 150)
        await page.until("log.some(e => e.type === 'click' && e.trusted && e.x === 200 && e.y === 150)")
        await far.keyboard.type("aB!é漢")
        await far.keyboard.press("Enter")
        await far.keyboard.insert_text("🙂")
        await page.until(f"document.getElementById('t').value === {json.dumps('aB!é漢' + chr(10) + '🙂')}")
        await far.mouse.move(640, 500)
        await far.mouse.wheel(0, 240)
        await page.until("scrollY === 240")
        await browser.close()
