"""The live view of browsers without a screen: pictures and hands by CDP, with the limits that `hello` tells."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.devtools import Page
from tests.live.remote import LOGGING_PAGE, TEXT, US_KEYS, Remote, inside, into_the_text, logged, open_page, viewing

SETTINGS = {
    "browser": {"display": "headless"},
    "sandbox": {"isolation": "none"},
    "profiles": {"default": {}, "mobile": {"device": "Pixel 7"}},
}


@pytest.fixture
async def remote(remote: Remote) -> Remote:
    """The first picture is there."""
    await remote.still()
    return remote


async def test_hello_tells_what_this_view_cannot_do(remote: Remote) -> None:
    hello = remote.hello
    assert (hello["backend"], hello["native_input"], hello["touch"]) == ("screencast", False, "none")
    assert (hello["w"], hello["h"]) == (1280, 720)


async def test_the_page_is_shown_and_what_changes_follows(remote: Remote, page: Page) -> None:
    for grey in (40, 200):
        await page.evaluate(f"document.body.style.background = 'rgb({grey}, {grey}, {grey})'")
        await remote.shows(lambda picture, grey=grey: abs(picture.getpixel((600, 600)) - grey) < 8)


async def test_a_mouse_click_is_trusted_and_on_that_very_pixel(remote: Remote, page: Page) -> None:
    for x, y in ((640, 360), (333, 77)):
        await remote.mouse("move", x, y)
        await remote.click(x, y)
        await page.until(f"log.some(e => e.type === 'click' && e.x === {x} && e.y === {y} && e.trusted)")
    assert [each["pressure"] for each in await logged(page, "pointerdown")] == [0.5, 0.5]
    await remote.click(333, 77, 2)
    await logged(page, "contextmenu")


async def test_keys_type_and_text_is_inserted_in_that_order(remote: Remote, page: Page) -> None:
    await into_the_text(remote, page)
    for code in US_KEYS:
        await remote.press(code)
        await remote.press("ShiftLeft", code)
    await remote.say("text", s="é漢🙂")
    await remote.press("Enter")
    await remote.press("KeyX")
    await remote.press("Backspace")
    expected = "".join(US_KEYS.values()) + "é漢🙂\n"
    await logged(page, "keyup", "e.code === 'Backspace'")
    assert await page.evaluate(TEXT) == expected
    keys = [event for event in await page.evaluate("log") if event["type"] == "keydown" and event["key"] != "Shift"]
    typed = [(each["code"], each["key"]) for each in keys[: len(US_KEYS) * 2]]
    assert typed == [(code, key) for code in US_KEYS for key in US_KEYS[code]]
    await remote.press("ControlLeft", "KeyA")
    await remote.press("Delete")
    await page.until(f"{TEXT} === ''")


async def test_the_wheel_scrolls_and_a_drag_is_one(remote: Remote, page: Page) -> None:
    await remote.say("wheel", x=640, y=500, dx=0, dy=360)
    await page.until("scrollY === 360")
    await remote.mouse("down", 640, 500)
    await remote.mouse("move", 700, 510)
    await remote.mouse("up", 700, 510)
    [up] = await logged(page, "mouseup")
    assert (up["x"], up["y"]) == (700, 510)


async def test_a_window_that_comes_to_the_front_is_shown_and_driven_and_so_is_the_first_again(
    remote: Remote, page: Page
) -> None:
    await page.evaluate("window.other = open('', '', 'popup'); 0")
    await page.evaluate("other.document.write('<body style=background:black><textarea id=o autofocus></textarea>'); 0")
    await remote.shows(lambda picture: picture.getpixel((700, 700)) < 20)
    await remote.click(20, 20)
    await remote.press("KeyH")
    await page.until("other.document.getElementById('o').value === 'h'")
    await page.evaluate("other.close()")
    await remote.shows(lambda picture: picture.getpixel((700, 700)) > 200)


async def test_without_viewers_no_picture_is_made_and_the_next_sees_the_page_as_it_is(
    server: Api, session: str, page: Page
) -> None:
    async with viewing(server, session) as first:
        await first.still()
    await page.evaluate("document.body.style.background = 'black'")
    async with viewing(server, session) as second:
        await second.shows(lambda picture: picture.getpixel((700, 700)) < 20)


async def test_held_keys_and_buttons_are_let_go(server: Api, session: str, page: Page) -> None:
    async with viewing(server, session) as remote:
        await remote.driving()
        await remote.still()
        await remote.mouse("down", 640, 500)
        await remote.say("key", a="down", code="ControlLeft", key="Control")
        await logged(page, "keydown", "e.code === 'ControlLeft'")
    await logged(page, "keyup", "e.code === 'ControlLeft'")
    await logged(page, "mouseup")


async def test_fingers_touch_a_phone_without_a_screen(server: Api) -> None:
    phone = await server.ready(profile="mobile")
    async with inside(server, phone["id"]) as page, viewing(server, phone["id"]) as remote:
        await open_page(page, LOGGING_PAGE)
        await remote.driving()
        await page.evaluate("document.body.style.background = 'black'")
        await remote.shows(lambda picture: picture.getpixel((200, 600)) < 20)
        assert (remote.hello["w"], remote.hello["h"], remote.hello["touch"]) == (412, 839, "cdp")
        for action, points in (
            ("start", [(1, 50, 300)]), ("start", [(2, 150, 300)]), ("move", [(1, 40, 310)]),
            ("end", [(1, 40, 310)]), ("end", [(2, 150, 300)]),
        ):  # fmt: skip
            await remote.say("touch", a=action, pts=[{"id": number, "x": x, "y": y} for number, x, y in points])
        await page.until("log.filter(e => e.type === 'touchend').length === 2")
        touches = [(each["type"], each["touches"]) for each in await page.evaluate("log") if "touches" in each]
        assert touches == [
            ("touchstart", [[50, 300]]), ("touchstart", [[50, 300], [150, 300]]),
            ("touchmove", [[40, 310], [150, 300]]), ("touchend", [[150, 300]]), ("touchend", []),
        ]  # fmt: skip
        assert all(each["trusted"] for each in await page.evaluate("log"))
    await server.delete(phone["id"])
