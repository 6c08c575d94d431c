"""A person's hands on a real session, by the raw stream of a whole server; asserted in the page inside the session."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.api import Api
from tests.devtools import Page
from tests.live.remote import (
    LOGGING_PAGE,
    PATIENCE_SECONDS,
    TEXT,
    US_KEYS,
    Remote,
    go,
    into_the_text,
    logged,
    open_page,
    viewing,
)

WIDTH, HEIGHT = 1280, 720


@pytest.fixture
async def remote(remote: Remote) -> Remote:
    """The mouse rests where a test's page has nothing."""
    await remote.mouse("move", 640, 600)
    return remote


async def click_until(remote: Remote, page: Page, pixel: tuple[int, int], condition: str) -> None:
    """Click on what lies over the page, which may be seen before it takes clicks, until that is true of the page."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await page.evaluate(condition):
            await remote.click(*pixel)
            await remote.taken()


@pytest.mark.parametrize(("x", "y"), [(0, 0), (WIDTH - 16, HEIGHT - 16), (640, 360), (333, 77)])
async def test_a_click_is_that_of_a_real_mouse_on_that_very_pixel(remote: Remote, page: Page, x: int, y: int) -> None:
    await remote.click(x, y)
    [click] = await logged(page, "click")
    assert (click["x"], click["y"], click["screenX"], click["screenY"]) == (x, y, x, y)
    assert (click["trusted"], click["pointer"], click["button"]) == (True, "mouse", 0)
    [down] = await logged(page, "pointerdown")
    assert (down["pressure"], down["trusted"]) == (0.5, True)
    assert await page.evaluate("matchMedia('(hover:hover) and (pointer:fine)').matches")


async def test_every_printable_character_is_typed_by_its_key(remote: Remote, page: Page) -> None:
    await into_the_text(remote, page)
    for code in US_KEYS:
        await remote.press(code)
        await remote.press("ShiftLeft", code)
    expected = "".join(US_KEYS.values())
    await page.until(f"{TEXT}.length >= {len(expected)}")
    assert await page.evaluate(TEXT) == expected
    keys = [event for event in await page.evaluate("log") if event["type"] == "keydown" and event["key"] != "Shift"]
    assert [(each["code"], each["key"]) for each in keys] == [(code, key) for code in US_KEYS for key in US_KEYS[code]]
    assert all(each["trusted"] and each["shift"] is bool(at % 2) for at, each in enumerate(keys))


@pytest.mark.parametrize("text", ["é", "漢字", "🙂", "naïve – “quoted”\nand a second line\t!", "plain words"])
async def test_text_arrives_as_it_is_whatever_the_keyboard_has(remote: Remote, page: Page, text: str) -> None:
    await into_the_text(remote, page)
    await remote.say("text", s=text)
    if "\t" not in text:
        await page.until(f"{TEXT} === {json.dumps(text)}")
    else:
        await page.until(f"{TEXT}.startsWith({json.dumps(text[:20])})")
    assert all(event["trusted"] for event in await logged(page, "input"))


async def test_a_long_paste_arrives_whole_and_before_what_is_typed_next(remote: Remote, page: Page) -> None:
    await into_the_text(remote, page)
    pasted = "All work and no play. " * 500
    await remote.say("text", s=pasted)
    await remote.press("KeyZ")
    await page.until(f"{TEXT}.length > {len(pasted)}")
    assert await page.evaluate(TEXT) == pasted + "z"


async def test_a_drag_selects_text_and_one_of_an_element_drops_it(remote: Remote, page: Page) -> None:
    await open_page(
        page,
        LOGGING_PAGE
        + """
        <div draggable=true id=a style="left:500px;top:100px;width:80px;height:80px;background:red"></div>
        <div id=b style="left:800px;top:100px;width:200px;height:200px;background:blue"
          ondragover=event.preventDefault()></div>
        <p id=p style="left:100px;top:300px;margin:0;font:20px/30px monospace">some words to select</p>""",
    )
    await remote.mouse("move", 540, 140)
    await remote.mouse("down", 540, 140)
    for x in range(560, 900, 20):
        await remote.mouse("move", x, 150)
    await logged(page, "dragover", "e.x > 800")
    await remote.mouse("up", 880, 150)
    [drop] = await logged(page, "drop")
    assert (drop["trusted"], drop["x"], drop["y"]) == (True, 880, 150)
    await remote.mouse("down", 101, 315)
    await remote.mouse("move", 300, 316)
    await remote.mouse("move", 338, 317)
    await remote.mouse("up", 338, 317)
    await page.until("String(getSelection()) === 'some words to select'")


async def test_the_wheel_scrolls_both_ways_on_both_axes(remote: Remote, page: Page) -> None:
    await remote.say("wheel", x=640, y=500, dx=0, dy=360)
    await page.until("scrollY === 360")
    await remote.say("wheel", x=640, y=500, dx=240, dy=0)
    await page.until("scrollX === 240")
    await remote.say("wheel", x=640, y=500, dx=-240, dy=-360)
    await page.until("scrollX === 0 && scrollY === 0")
    assert all(event["trusted"] for event in await logged(page, "wheel"))


async def test_an_item_of_a_list_is_picked_with_the_mouse(remote: Remote, page: Page) -> None:
    await open_page(
        page,
        LOGGING_PAGE
        + """<select id=s style="left:500px;top:100px;font:20px/24px sans-serif">
        <option>first<option>second<option>third</select>""",
    )
    still = await remote.still()
    await remote.click(530, 112)
    await remote.changes(still, (490, 140, 700, 260))
    # The list lies over the page, in a window of its own.
    await click_until(remote, page, (540, 170), "document.getElementById('s').value !== 'first'")
    assert all(event["trusted"] for event in await logged(page, "change"))


async def test_alert_confirm_and_prompt_are_answered_by_mouse_and_keys(remote: Remote, page: Page) -> None:
    still = await remote.still()
    box = (420, 0, 860, 100)
    await page.evaluate("setTimeout(() => { window.said = [alert('hello')] }); 0")
    await remote.changes(still, box)
    await remote.press("Enter")
    await page.until("window.said?.length === 1")
    await remote.changes(remote.picture(), box)
    await page.evaluate("setTimeout(() => said.push(confirm('sure?'))); 0")
    await remote.shows(lambda picture: picture.getpixel((100, 600)) < 150)  # the page is dimmed
    await remote.press("Escape")
    await page.until("said.length === 2")
    await remote.shows(lambda picture: picture.getpixel((100, 600)) > 200)
    await page.evaluate("setTimeout(() => said.push(prompt('name?'))); 0")
    await remote.shows(lambda picture: picture.getpixel((100, 600)) < 150)
    await remote.say("text", s="somebody")
    await remote.press("Enter")
    await page.until("said.length === 3")
    assert await page.evaluate("said.slice(1)") == [False, "somebody"]


async def test_the_context_menu_is_shown_and_does_what_it_says(remote: Remote, page: Page) -> None:
    await go(page, "data:text/html,<title>one</title>")
    await page.evaluate("window.name = 'kept'; window.mark = 1")
    still = await remote.still()
    await remote.click(640, 200, 2)
    await remote.changes(still, (640, 200, 960, 500))
    loaded = page.heard("Page.loadEventFired")
    await remote.click(685, 320)  # "Reload"
    await loaded
    assert await page.evaluate("[window.name, window.mark]") == ["kept", None]
    await go(page, "about:blank")


async def test_a_file_is_chosen_in_the_browsers_own_dialog(remote: Remote, page: Page) -> None:
    await open_page(page, LOGGING_PAGE + "<input type=file id=f style='left:100px;top:300px'>")
    still = await remote.still()
    await remote.click(150, 310)
    await remote.changes(still, (300, 0, 1200, 700), 20_000)
    await remote.say("text", s="/etc/hosts")
    # GTK reads the folder in its own time; until then "Open" does nothing.
    await click_until(remote, page, (1150, 696), "document.getElementById('f').files.length")
    assert await page.evaluate("document.getElementById('f').files[0].name") == "hosts"


async def test_a_second_window_is_used_and_closed_through_the_stream(remote: Remote, page: Page) -> None:
    await open_page(
        page,
        LOGGING_PAGE
        + """
        <button style="left:600px;top:300px;width:100px;height:100px"
          onclick="window.other = open('', '', 'popup,width=300,height=200');
          other.document.write('<body style=background:black;margin:0><textarea autofocus id=o></textarea>' +
          '<button onclick=window.close()'
          + ' style=position:fixed;left:500px;top:500px;width:99px;height:99px>')">open</button>""",
    )
    await remote.click(650, 350)
    await page.until("window.other?.innerWidth === 1280 && other.innerHeight === 720 && other.document.hasFocus()")
    await remote.shows(lambda picture: picture.getpixel((1200, 700)) < 20)
    await remote.click(20, 20)
    await remote.press("KeyH")
    await remote.say("text", s="é")
    await page.until("other.document.getElementById('o').value === 'hé'")
    await remote.click(550, 550)
    await page.until("other.closed && document.hasFocus()")
    await into_the_text(remote, page)
    await remote.say("text", s="ü")
    await page.until(f"{TEXT} === 'ü'")


async def test_modifiers_make_shortcuts_and_a_held_key_repeats(remote: Remote, page: Page) -> None:
    await into_the_text(remote, page)
    await remote.say("text", s="abc")
    await remote.press("ControlLeft", "KeyA")
    await remote.press("ControlLeft", "KeyX")
    await page.until(f"{TEXT} === ''")
    await remote.press("ControlLeft", "KeyV")
    await page.until(f"{TEXT} === 'abc'")
    await remote.press("ShiftLeft", "ArrowLeft")
    await page.until("(t => t.selectionStart === 2 && t.selectionEnd === 3)(document.getElementById('t'))")
    await remote.say("key", a="down", code="KeyX", key="x")
    await logged(page, "keydown", "e.repeat && e.code === 'KeyX'")
    await remote.say("key", a="up", code="KeyX", key="x")
    await logged(page, "keyup", "e.code === 'KeyX'")


async def test_what_a_person_held_is_let_go_when_they_leave(server: Api, session: str, page: Page) -> None:
    async with viewing(server, session) as remote:
        await remote.driving()
        await remote.mouse("down", 640, 500)
        await remote.say("key", a="down", code="ControlLeft", key="Control")
        await logged(page, "keydown", "e.code === 'ControlLeft'")
        await logged(page, "mousedown")
    await logged(page, "keyup", "e.code === 'ControlLeft'")
    await logged(page, "mouseup")


async def test_a_watch_only_token_never_drives_even_when_nobody_else_does(
    server: Api, session: str, page: Page
) -> None:
    async with viewing(server, session, input=False) as watcher:
        assert watcher.hello["control"] is False
        await watcher.say("control", a="ask")
        await watcher.click(640, 500)
        await watcher.press("KeyA")
        await watcher.say("text", s="é")
        await watcher.taken()
        assert not watcher.control.get("driving")
        async with viewing(server, session) as driver:
            await driver.driving()
            await driver.press("KeyB")
            await logged(page, "keydown", "e.code === 'KeyB'")
    seen = [event for event in await page.evaluate("log") if "click" in event["type"] or event["code"]]
    assert {event["code"] for event in seen} == {"KeyB"}


async def test_two_people_take_turns(server: Api, session: str, page: Page) -> None:
    async with viewing(server, session) as first, viewing(server, session) as second:
        await first.driving()
        await second.press("KeyB")
        await second.say("control", a="ask")
        await first.until(lambda: first.control["asking"] == [second.control["you"]])
        await first.press("KeyA")
        await first.say("control", a="give", to=second.control["you"])
        await second.driving()
        await first.press("KeyC")
        await first.taken()
        await second.press("KeyD")
        await logged(page, "keydown", "e.code === 'KeyD'")
        assert [event["code"] for event in await logged(page, "keydown")] == ["KeyA", "KeyD"]
