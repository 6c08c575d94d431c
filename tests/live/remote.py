"""A person far away, without the player: one WebSocket of the preview, and what its pictures show.

And the page in the session as it sees itself, by a DevTools connection of its own through the server's CDP door.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from PIL import Image, ImageChops

from chaser_server.live.protocol import FRAME_HEADER
from tests.api import Api
from tests.devtools import Page

PATIENCE_SECONDS = 20
LOGGING_PAGE = """<!doctype html><meta charset=utf-8><meta name=viewport content="width=device-width,minimum-scale=1">
<style>body { margin: 0; width: 3000px; height: 5000px } body > * { position: fixed }</style>
<textarea id=t style="left:100px;top:100px;width:300px;height:100px"></textarea>
<script>
  window.log = [];
  for (const type of ["click", "auxclick", "contextmenu", "wheel", "keydown", "keyup", "mousedown", "mouseup",
      "pointerdown", "pointermove", "pointerup", "pointercancel", "touchstart", "touchmove", "touchend", "touchcancel",
      "dragstart", "dragover", "drop", "input", "change"])
    addEventListener(type, (e) => log.push({type, trusted: e.isTrusted, x: e.clientX, y: e.clientY, screenX: e.screenX,
      screenY: e.screenY, pressure: e.pressure, pointer: e.pointerType, id: e.pointerId, button: e.button,
      code: e.code, key: e.key, repeat: e.repeat, shift: e.shiftKey,
      touches: e.touches && [...e.touches].map(t => [t.clientX, t.clientY])}), {capture: true, passive: true});
</script>"""
US_KEYS = {
    **{f"Key{letter}": letter.lower() + letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    **{f"Digit{plain}": plain + shifted for plain, shifted in zip("1234567890", "!@#$%^&*()", strict=True)},
    "Space": "  ", "Backquote": "`~", "Minus": "-_", "Equal": "=+", "BracketLeft": "[{", "BracketRight": "]}",
    "Backslash": "\\|", "Semicolon": ";:", "Quote": "'\"", "Comma": ",<", "Period": ".>", "Slash": "/?",
}  # fmt: skip
TEXT = "document.getElementById('t').value"


class Remote:
    """One viewer: it acknowledges every picture at once and keeps the newest."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.hello: dict[str, Any] = {}
        self.control: dict[str, Any] = {}
        self.errors: list[str] = []
        self.frames = 0
        self.bytes_down = 0
        self._newest = b""
        self._heard = asyncio.Condition()

    async def listen(self) -> None:
        """Hear what comes until the server ends it."""
        async for message in self.socket:
            async with self._heard:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._newest, self.frames = message.data, self.frames + 1
                    self.bytes_down += len(message.data)
                    await self.say("ack", seq=FRAME_HEADER.unpack_from(message.data)[4])
                else:
                    said = json.loads(message.data)
                    if said["t"] == "error":
                        self.errors.append(said["message"])
                    else:
                        setattr(self, said["t"], said)
                self._heard.notify_all()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Return when that is true of what was heard."""
        async with self._heard, asyncio.timeout(PATIENCE_SECONDS):
            await self._heard.wait_for(condition)

    async def driving(self) -> None:
        await self.until(lambda: self.control.get("driving"))

    async def taken(self) -> None:
        """Return when the server has read all that was said."""
        errors = len(self.errors)
        await self.say("nonsense")
        await self.until(lambda: len(self.errors) > errors)

    def picture(self) -> Image.Image:
        return Image.open(io.BytesIO(self._newest[FRAME_HEADER.size :])).convert("L")

    async def still(self) -> Image.Image:
        """The picture as it is now, to compare with later."""
        await self.until(lambda: self.frames)
        return self.picture()

    async def shows(self, condition: Callable[[Image.Image], bool]) -> Image.Image:
        """The first picture that fulfils a condition."""
        await self.until(lambda: self.frames and condition(self.picture()))
        return self.picture()

    async def changes(self, before: Image.Image, box: tuple[int, int, int, int], pixels: int = 1000) -> None:
        """Return when that many pixels in a part of the screen are clearly not as they were."""
        was = before.crop(box)

        def differs(picture: Image.Image) -> bool:
            counts = ImageChops.difference(was, picture.crop(box)).histogram()
            return sum(counts[48:]) >= pixels

        await self.shows(differs)

    async def say(self, t: str, **fields: Any) -> None:
        await self.socket.send_json({"t": t, **fields})

    async def mouse(self, action: str, x: float, y: float, button: int = 0) -> None:
        await self.say("mouse", a=action, x=x, y=y, b=button)

    async def click(self, x: float, y: float, button: int = 0) -> None:
        await self.mouse("down", x, y, button)
        await self.mouse("up", x, y, button)

    async def press(self, *codes: str) -> None:
        """A chord: down in this order, up in the reverse."""
        for code in codes:
            await self.say("key", a="down", code=code, key="")
        for code in reversed(codes):
            await self.say("key", a="up", code=code, key="")


@asynccontextmanager
async def viewing(api: Api, session_id: str, *, fps: float = 30, **grant: bool) -> AsyncIterator[Remote]:
    """A viewer with a token of its own; `input=False` makes it watch-only."""
    answer = await api.ask("POST", f"/v1/sessions/{session_id}/preview-token", json=grant)
    assert answer.status == 200, answer.body
    async with aiohttp.ClientSession() as http, http.ws_connect(answer.json["url"], max_msg_size=0) as socket:
        remote = Remote(socket)
        listening = asyncio.create_task(remote.listen(), name="viewer")
        await remote.until(lambda: remote.hello)
        await remote.say("config", fps=fps)
        yield remote
        await socket.close()
        await listening


@asynccontextmanager
async def inside(api: Api, session_id: str) -> AsyncIterator[Page]:
    """The first page of a session by plain DevTools, with nothing enabled."""
    targets = (await api.ask("GET", f"/sessions/{session_id}/json/list")).json
    url = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
    async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as socket:
        page = Page(socket)
        listening = asyncio.create_task(page.listen(), name="page")
        yield page
        listening.cancel()


async def open_page(page: Page, html: str = LOGGING_PAGE) -> None:
    """Show a document and wait until it is drawn."""
    frame = (await page.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
    await page.send("Page.setDocumentContent", frameId=frame, html=html)
    await page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def go(page: Page, url: str) -> None:
    """Visit an address and wait until it is loaded."""
    await page.send("Page.enable")
    loaded = page.heard("Page.loadEventFired")
    await page.send("Page.navigate", url=url)
    await loaded


async def logged(page: Page, kind: str, more: str = "true") -> list[dict[str, Any]]:
    """The events of one kind that the page has seen, once there is one that fulfils more."""
    await page.until(f"log.some(e => e.type === '{kind}' && {more})")
    return [event for event in await page.evaluate("log") if event["type"] == kind]


async def into_the_text(remote: Remote, page: Page) -> None:
    await remote.click(200, 150)
    await page.until("document.activeElement.id === 't'")
