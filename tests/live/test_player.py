"""The whole way: a person's hands on a real browser with the player in it, to a page in the session's real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from chaser_server import live
from chaser_server.display.input import Input
from chaser_server.display.screen import Screen
from chaser_server.display.window_manager import WindowManager
from chaser_server.live.encoder import Encoder
from chaser_server.live.view import Facts, LiveView
from tests import screens
from tests.devtools import Page
from tests.live.conftest import WebSocketEnd
from tests.screens import running_chromium, running_screen

STATIC = Path(live.__file__).parent.parent / "web" / "static"
EMBEDDER = """<!doctype html><meta charset=utf-8>
<style>html, body, #screen { margin: 0; width: 100%; height: 100% }</style><div id=screen></div>
<script type=module>
  import { mount } from "/static/player.js";
  window.statuses = [];
  window.player = mount(document.getElementById("screen"), {
    getToken: async () => {
      window.tokens = (window.tokens ?? 0) + 1;
      if (window.tokens === 1) throw Object.assign(new Error("starting"), {code: "session_not_ready"});
      if (window.gone) throw Object.assign(new Error("gone"), {code: "session_not_open"});
      return {url: location.origin.replace("http", "ws") + "/live"};
    },
    onStatus: status => { window.statuses.push(status.state); window.last = status; },
    fps: 30,
  });
</script>"""
SESSION_PAGE = """
document.body.outerHTML = `<body style="margin:0;overflow:hidden">
  <textarea id=t style="position:fixed;left:100px;top:100px;width:300px;height:100px"></textarea></body>`;
window.log = [];
for (const type of ['click', 'contextmenu', 'wheel', 'keydown', 'keyup', 'mousemove', 'mousedown', 'mouseup'])
  addEventListener(type, e => log.push({type, x: e.clientX, y: e.clientY, dy: e.deltaY, code: e.code, key: e.key,
    button: e.button, trusted: e.isTrusted, ctrl: e.ctrlKey}), {capture: true, passive: true});
"""


class PageDriver(Input):
    """Native input, with the page's own insertText for what no US keyboard has; as the substrate will join the two."""

    page: Page

    async def text(self, text: str) -> None:  # type: ignore[override]
        if rest := super().text(text):
            await self.page.send("Input.insertText", text=rest)

    async def touch(self, action: str, points: tuple[tuple[int, int, int], ...]) -> None:
        for _, x, y in points[:1]:
            self.finger(action, x, y)


@dataclass
class Stage:
    session: Page  # the page in the session
    viewer: Page  # the page with the player, in another browser on another screen
    hands: Input  # on the viewer's screen
    view: LiveView


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with AsyncExitStack() as leaving:

        async def browser(width: int, height: int) -> tuple[screens.Screen, Page]:
            screen = await leaving.enter_async_context(running_screen(width, height))
            manager = await WindowManager.start(screen.connect())
            leaving.callback(manager.close)
            page = await leaving.enter_async_context(running_chromium(screen))
            await page.fill_the_screen()
            return screen, page

        screen, session = await browser(1280, 720)
        far_screen, viewer = await browser(1000, 700)
        driver, hands = await PageDriver.open(screen.connect()), await Input.open(far_screen.connect())
        assert isinstance(driver, PageDriver)
        driver.page = session
        encoder = Encoder()
        source = await Screen.open(screen.framebuffer_fd(), screen.connect())
        view = LiveView(source=source, driver=driver, encoder=encoder, facts=Facts("xvfb", True, "none"))
        for each in (encoder, source, driver, hands):
            leaving.callback(each.close)
        runner = web.AppRunner(embedder(view))
        await runner.setup()
        leaving.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        leaving.push_async_callback(view.close, 4410, "the test is over")
        await viewer.send("Page.navigate", url=f"http://127.0.0.1:{runner.addresses[0][1]}/")
        shown = "document.querySelector('canvas').width === 1280"
        await viewer.until(f"window.last?.state === 'live' && last.driving && {shown}")
        yield Stage(session, viewer, hands, view)


def embedder(view: LiveView) -> web.Application:
    async def page(request: web.Request) -> web.Response:
        policy = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
        return web.Response(text=EMBEDDER, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def watch(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        await view.serve(WebSocketEnd(ws), may_drive=True)
        return ws

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/live", watch)
    app.router.add_static("/static", STATIC)
    return app


@pytest.fixture(autouse=True)
async def fresh(stage: Stage) -> None:
    await stage.session.evaluate(SESSION_PAGE)
    await stage.session.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def at(stage: Stage, x: int, y: int) -> tuple[int, int]:
    """Where the middle of a pixel of the session is on the viewer's screen."""
    box = await stage.viewer.evaluate(
        "(b => [b.left, b.top, b.width, b.height])(document.querySelector('canvas').getBoundingClientRect())"
    )
    return round(box[0] + (x + 0.5) * box[2] / 1280 - 0.5), round(box[1] + (y + 0.5) * box[3] / 720 - 0.5)


async def click(stage: Stage, x: int, y: int, button: int = 0) -> None:
    place = await at(stage, x, y)
    stage.hands.mouse("down", *place, button)
    stage.hands.mouse("up", *place, button)


async def into_the_text(stage: Stage) -> None:
    await click(stage, 200, 150)
    await stage.session.until("document.activeElement.id === 't'")


async def test_the_player_waits_for_the_session_and_then_shows_it_letterboxed(stage: Stage):
    assert await stage.viewer.evaluate("statuses.includes('creating')")
    box = await stage.viewer.evaluate(
        "(b => [b.left, b.top, b.width, b.height])(document.querySelector('canvas').getBoundingClientRect())"
    )
    assert box == pytest.approx([0, 68.75, 1000, 562.5], abs=1)
    await stage.session.evaluate("document.body.style.background = 'rgb(200, 0, 0)'")
    pixel = "document.querySelector('canvas').getContext('2d').getImageData(900, 600, 1, 1).data"
    await stage.viewer.until(f"(p => p[0] > 190 && p[1] < 10)({pixel})")
    await stage.viewer.until("last.fps > 0")
    await stage.viewer.until("last.fps === 0")


@pytest.mark.parametrize(("x", "y"), [(0, 0), (640, 360), (1279, 719), (333, 77)])
async def test_a_click_on_the_canvas_is_a_click_on_that_pixel_of_the_session(stage: Stage, x: int, y: int):
    await click(stage, x, y)
    await stage.session.until("log.some(e => e.type === 'click' && e.trusted)")
    seen = await stage.session.evaluate("(e => [e.x, e.y])(log.find(e => e.type === 'click'))")
    assert seen == pytest.approx([x, y], abs=1)  # a pixel of the smaller canvas is more than one of the session


async def test_the_secondary_button_and_the_wheel_arrive(stage: Stage):
    place = await at(stage, 640, 400)
    stage.hands.wheel(*place, 0, 240)
    await stage.session.until("log.some(e => e.type === 'wheel' && e.dy > 0)")
    await click(stage, 640, 400, 2)
    await stage.session.until("log.some(e => e.type === 'contextmenu')")
    stage.hands.key("down", "Escape")
    stage.hands.key("up", "Escape")


async def test_every_printable_character_is_typed_through_the_player(stage: Stage):
    await into_the_text(stage)
    printable = "".join(chr(number) for number in range(32, 127))
    for start in range(0, len(printable), 32):
        assert stage.hands.text(printable[start : start + 32]) == ""
    await stage.session.until(f"document.getElementById('t').value.length >= {len(printable)}")
    assert await stage.session.evaluate("document.getElementById('t').value") == printable


async def test_text_of_an_input_method_arrives_as_it_is(stage: Stage):
    await into_the_text(stage)
    await stage.viewer.until("document.activeElement.className === 'chaser-text'")
    await stage.viewer.send("Input.insertText", text="naïve 日本 🙂")
    await stage.session.until("document.getElementById('t').value === 'naïve 日本 🙂'")


async def test_pasted_text_arrives_and_leaves_no_modifier_behind(stage: Stage):
    await into_the_text(stage)
    await stage.viewer.until("document.activeElement.className === 'chaser-text'")
    await stage.viewer.evaluate(
        "(data => { data.setData('text/plain', 'pasted\\nüber'); document.activeElement.dispatchEvent("
        "new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})) })(new DataTransfer())"
    )
    await stage.session.until("document.getElementById('t').value === 'pasted\\nüber'")


async def test_keys_held_when_the_viewer_looks_away_are_let_go(stage: Stage):
    await into_the_text(stage)
    stage.hands.key("down", "ControlLeft")
    await stage.session.until("log.some(e => e.type === 'keydown' && e.code === 'ControlLeft')")
    await stage.viewer.evaluate("window.dispatchEvent(new Event('blur'))")
    await stage.session.until("log.some(e => e.type === 'keyup' && e.code === 'ControlLeft')")
    stage.hands.release_all()


async def test_the_player_comes_back_by_itself_and_ends_when_the_session_does(stage: Stage):
    await stage.viewer.evaluate("statuses.length = 0")
    for viewer in list(stage.view._viewers):
        await viewer._socket.close(1011, "a hiccup")  # type: ignore[attr-defined]
    await stage.viewer.until("statuses.includes('reconnecting') && last.state === 'live' && last.driving")
    await stage.viewer.evaluate("window.gone = true")
    await stage.view.close(4410, "client_delete")
    await stage.viewer.until("last.state === 'ended' && last.reason === 'client_delete'")
    assert "client_delete" in await stage.viewer.evaluate("document.querySelector('.chaser-overlay').textContent")
