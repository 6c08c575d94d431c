"""Fingers on a real session that plays a phone, by the raw stream of a whole server."""

from __future__ import annotations

from typing import Any

from tests.api import Api
from tests.devtools import Page
from tests.live.remote import Remote, go, viewing

PROFILE = "mobile"


async def touch(remote: Remote, action: str, *points: tuple[int, int, int]) -> None:
    await remote.say("touch", a=action, pts=[{"id": number, "x": x, "y": y} for number, x, y in points])


async def events(page: Page, start: str) -> list[dict[str, Any]]:
    return [event for event in await page.evaluate("log") if event["type"].startswith(start)]


async def test_the_phone_says_that_it_takes_touch(remote: Remote, page: Page) -> None:
    assert (remote.hello["w"], remote.hello["h"], remote.hello["touch"]) == (412, 839, "emulated")
    assert await page.evaluate("[innerWidth, innerHeight]") == [412, 839]
    assert await page.evaluate("matchMedia('(hover:none) and (pointer:coarse)').matches")


async def test_a_tap_is_a_trusted_touch_and_then_a_click_on_that_pixel(remote: Remote, page: Page) -> None:
    await touch(remote, "start", (7, 50, 300))
    await touch(remote, "end", (7, 50, 300))
    await page.until("log.some(e => e.type === 'click')")
    seen = await page.evaluate("log")
    assert [event["type"] for event in seen] == [
        "pointerdown", "touchstart", "pointerup", "touchend", "mousedown", "mouseup", "click",
    ]  # fmt: skip
    assert all(event["trusted"] for event in seen)
    assert (seen[0]["pointer"], seen[0]["x"], seen[0]["y"], seen[0]["pressure"]) == ("touch", 50, 300, 1)
    assert seen[1]["touches"] == [[50, 300]]
    assert (seen[-1]["x"], seen[-1]["y"]) == (50, 300)


async def test_a_swipe_scrolls(remote: Remote, page: Page) -> None:
    await touch(remote, "start", (1, 200, 700))
    for y in range(680, 200, -20):
        await touch(remote, "move", (1, 200, y))
    await touch(remote, "end", (1, 200, 220))
    await page.until("scrollY > 50 && log.some(e => e.type === 'touchstart')")
    assert (await events(page, "touchstart"))[0]["touches"] == [[200, 700]]
    assert not await events(page, "click")


async def test_a_finger_that_stays_is_felt_before_it_moves_or_lifts(remote: Remote, page: Page) -> None:
    await touch(remote, "start", (1, 50, 300))
    await page.until("log.some(e => e.type === 'touchstart')")
    await touch(remote, "cancel", (1, 50, 300))
    await page.until("log.some(e => e.type === 'touchend')")


async def test_two_fingers_that_land_together_are_both_seen_and_the_next_tap_is_one(remote: Remote, page: Page) -> None:
    await touch(remote, "start", (1, 50, 300), (2, 150, 300))
    await touch(remote, "move", (1, 40, 310))
    await touch(remote, "move", (2, 160, 290))
    await touch(remote, "end", (1, 40, 310))
    await touch(remote, "end", (2, 160, 290))
    await page.until("log.filter(e => e.type === 'touchend').length === 2")
    touches = [(event["type"], event["touches"]) for event in await events(page, "touch")]
    assert touches[:2] == [("touchstart", [[50, 300]]), ("touchstart", [[50, 300], [150, 300]])]
    assert ("touchmove", [[40, 310], [160, 290]]) in touches
    assert touches[-2:] == [("touchend", [[160, 290]]), ("touchend", [])]
    assert all(event["trusted"] for event in await page.evaluate("log"))
    assert {event["pointer"] for event in await events(page, "pointer")} == {"touch"}
    await page.evaluate("log.length = 0")
    await touch(remote, "start", (1, 50, 400))
    await touch(remote, "end", (1, 50, 400))
    await page.until("log.some(e => e.type === 'click')")
    assert [event["touches"] for event in await events(page, "touch")] == [[[50, 400]], []]


async def test_a_second_finger_that_comes_late_cancels_the_first_and_brings_it_back(remote: Remote, page: Page) -> None:
    await touch(remote, "start", (1, 50, 300))
    await page.until("log.some(e => e.type === 'touchstart')")
    await touch(remote, "start", (2, 150, 300))
    await touch(remote, "cancel", (1, 50, 300), (2, 150, 300))
    await page.until("log.filter(e => e.type === 'touchcancel').length > 1")
    touches = [(event["type"], event["touches"]) for event in await events(page, "touch")]
    assert touches[:4] == [
        ("touchstart", [[50, 300]]), ("touchcancel", []),
        ("touchstart", [[50, 300]]), ("touchstart", [[50, 300], [150, 300]]),
    ]  # fmt: skip


async def test_fingers_meet_the_page_where_they_are_seen_when_it_is_zoomed(remote: Remote, page: Page) -> None:
    wide = """data:text/html,<meta name=viewport content="width=device-width"><body style=margin:0>
        <div style=width:824px;height:5000px>
        <script>log = []
          addEventListener('touchstart', e => log.push([...e.touches].map(t => [t.clientX, t.clientY])))
        </script>"""
    await go(page, wide)
    await page.until("visualViewport.scale === 0.5")
    await touch(remote, "start", (1, 50, 300), (2, 150, 300))
    await touch(remote, "cancel", (1, 50, 300), (2, 150, 300))
    await page.until("log.at(-1)?.length === 2")
    assert await page.evaluate("log") == [[[100, 600]], [[100, 600], [300, 600]]]
    await go(page, "about:blank")


async def test_fingers_are_lifted_when_their_viewer_leaves(server: Api, session: str, page: Page) -> None:
    async with viewing(server, session) as viewer:
        await viewer.driving()
        await touch(viewer, "start", (1, 50, 300))
        await touch(viewer, "start", (2, 150, 300))
        await page.until("log.some(e => e.type === 'touchstart' && e.touches.length === 2)")
        await page.evaluate("log.length = 0")
    await page.until("log.some(e => e.type === 'touchcancel')")


async def test_a_page_opens_another_though_nobody_but_us_is_attached_to_it(remote: Remote, page: Page) -> None:
    await page.evaluate("window.other = open('about:blank', '', 'popup'); 0")
    await page.until("other.screen.width === 412 && other.navigator.maxTouchPoints === 5")
    await page.evaluate("other.close()")
    await page.until("document.hasFocus()")
