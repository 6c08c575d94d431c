"""The screenshot is of the screen: what Chromium draws outside the page is in it, too."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import threading
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from PIL import Image
from playwright.async_api import Playwright

from chaser_server.substrate import local
from chaser_server.substrate.local import LocalBrowser
from tests.api import Api
from tests.devtools import DevTools

GREEN, BLUE, WHITE = (0, 255, 0), (0, 0, 255), (255, 255, 255)
BELOW_THE_BOX = (0, 40, 200, 140)
MIDDLE_OF_THE_TOP = (427, 0, 853, 140)  # where Chromium puts the dialogs of a page
PAGE = """<!doctype html><body style="margin: 0; background: rgb(0, 0, 255)">
<select style="width: 200px; height: 30px">
  <option style="background: rgb(255, 0, 0)">red</option>
  <option style="background: rgb(0, 255, 0)">green</option>
</select>"""


def share(picture: Image.Image, colour: tuple[int, int, int], region: tuple[int, int, int, int]) -> float:
    """How much of a region is of exactly this colour."""
    part = picture.crop(region)
    counts: dict[Any, int] = {found: count for count, found in part.getcolors(part.width * part.height) or []}
    return counts.get(colour, 0) / (part.width * part.height)


def tasks_named(beginning: str) -> list[asyncio.Task[Any]]:
    """What is under way in this process, by the beginning of its name."""
    return [task for task in asyncio.all_tasks() if task.get_name().startswith(beginning)]


async def picture_where(api: Api, session_id: str, condition: Callable[[Image.Image], bool]) -> Image.Image:
    """The first screenshot of which that is true: the screen is drawn in its own time."""
    async with asyncio.timeout(20):
        while True:
            answer = await api.ask("POST", f"/v1/sessions/{session_id}/screenshot")
            assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
            picture = Image.open(io.BytesIO(answer.body)).convert("RGB")
            if condition(picture):
                return picture


async def test_an_open_select_list_is_in_the_picture(api: Api, playwright: Playwright) -> None:
    session = await api.ready()
    browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
    page = browser.contexts[0].pages[0]
    await page.set_content(PAGE)
    plain = await picture_where(api, session["id"], lambda seen: share(seen, BLUE, BELOW_THE_BOX) == 1)
    assert plain.size == (1280, 720)
    await page.mouse.click(100, 15)
    await picture_where(api, session["id"], lambda seen: share(seen, GREEN, BELOW_THE_BOX) > 0.1)
    await browser.close()
    await api.delete(session["id"])


async def test_an_open_alert_is_in_the_picture(api: Api) -> None:
    session = await api.ready()
    [target] = (await api.ask("GET", f"/sessions/{session['id']}/json/list")).json
    async with aiohttp.ClientSession() as http, http.ws_connect(target["webSocketDebuggerUrl"]) as ws:
        page = DevTools(ws)
        await page.evaluate(f"document.write({json.dumps(PAGE)})")
        await picture_where(api, session["id"], lambda seen: share(seen, BLUE, MIDDLE_OF_THE_TOP) == 1)
        await page.evaluate("void setTimeout(() => alert('Look up!'))")
        await picture_where(api, session["id"], lambda seen: share(seen, WHITE, MIDDLE_OF_THE_TOP) > 0.7)
    await api.delete(session["id"])


async def test_a_session_that_is_still_created_has_no_picture_yet(api: Api) -> None:
    session = await api.create()
    answer = await api.ask("POST", f"/v1/sessions/{session['id']}/screenshot")
    assert (answer.status, answer.json["error"]["code"]) == (409, "session_not_ready")
    await api.delete(session["id"])
    answer = await api.ask("POST", f"/v1/sessions/{session['id']}/screenshot")
    assert (answer.status, answer.json["error"]["code"]) == (409, "session_not_open")


async def test_many_who_ask_at_once_share_one_picture(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    session, many = await api.ready(), 9
    asked, drawn, everybody_is_here = itertools.count(1), itertools.count(1), threading.Event()
    take, draw = LocalBrowser.screenshot, local.encode_png

    async def screenshot(self: LocalBrowser) -> bytes:
        if next(asked) == many:
            everybody_is_here.set()
        return await take(self)

    def encode_png(pixels: bytes, width: int, height: int) -> bytes:
        next(drawn)
        assert everybody_is_here.wait(20)
        return draw(pixels, width, height)

    monkeypatch.setattr(LocalBrowser, "screenshot", screenshot)
    monkeypatch.setattr(local, "encode_png", encode_png)
    path = f"/v1/sessions/{session['id']}/screenshot"
    answers = await asyncio.gather(*(api.ask("POST", path) for _ in range(many)))
    assert {answer.status for answer in answers} == {200}
    assert next(drawn) - 1 <= 2  # the one under way as the others came, and theirs
    await api.delete(session["id"])


async def test_a_picture_that_is_being_made_is_over_before_its_browser(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, draw = await api.ready(), local.encode_png
    loop, is_drawn, go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def encode_png(pixels: bytes, width: int, height: int) -> bytes:
        loop.call_soon_threadsafe(is_drawn.set)
        assert go.wait(20)
        return draw(pixels, width, height)

    monkeypatch.setattr(local, "encode_png", encode_png)
    asking = asyncio.create_task(api.ask("POST", f"/v1/sessions/{session['id']}/screenshot"))
    await is_drawn.wait()
    [drawing] = tasks_named("screenshot-")
    await api.delete(session["id"])
    while not (closing := tasks_named("browser-close-")):
        await asyncio.sleep(0)
    loop.call_later(0.3, go.set)  # when the browser is gone
    await asyncio.wait(closing)
    assert drawing.done()
    assert (await asking).status == 200
