from __future__ import annotations

import asyncio
import string
from collections.abc import AsyncIterator
from typing import Any

import pytest
import xcffib

from chaser_server.display.input import Input
from chaser_server.display.keymap import KEYCODES
from chaser_server.display.window_manager import WindowManager
from tests.devtools import Page
from tests.processes import until
from tests.screens import Screen, running_chromium, running_screen

BODY = """
<style>body { margin: 0; width: 5000px; height: 5000px } body > * { position: fixed; width: 50px; height: 50px }</style>
<textarea id=t style="left:100px;top:100px;width:300px;height:100px"></textarea>
<select id=s style="left:600px;top:100px;width:200px;height:30px"><option>one<option>two<option>three</select>
<div id=d draggable=true style="left:100px;top:300px;background:red"></div>
<div id=e style="left:400px;top:300px;background:blue"></div>
"""
LISTEN = """
window.log = [];
for (const type of ['mousedown', 'mouseup', 'mousemove', 'click', 'auxclick', 'contextmenu', 'wheel', 'pointerdown',
                    'keydown', 'keyup', 'dragstart', 'dragover', 'drop'])
  addEventListener(type, e => log.push({type, x: e.clientX, y: e.clientY, button: e.button, code: e.code, key: e.key,
    shift: e.shiftKey, repeat: e.repeat, trusted: e.isTrusted, pressure: e.pressure, dx: e.deltaX, dy: e.deltaY,
    at: e.target.id}), {capture: true, passive: true});
document.getElementById('e').addEventListener('dragover', e => e.preventDefault());
"""


class Driven:
    """A page that writes down what happens to it, and the input that makes it happen."""

    def __init__(self, page: Page, input: Input, screen: Screen) -> None:
        self.page, self.input, self.screen = page, input, screen

    async def fresh(self) -> None:
        self.input.release_all()
        await self.page.send("Page.navigate", url="about:blank")
        await self.page.until("document.readyState === 'complete'")
        await self.page.evaluate(f"document.body.outerHTML = {BODY!r}; {LISTEN}; 0")
        # Chromium drops a wheel that turns before the page is painted, and what follows it within half a second
        await self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    async def seen(self, condition: str) -> list[dict[str, Any]]:
        """The log so far, once `condition` (JavaScript over the array `log`) holds."""
        await self.page.until(condition)
        return list(await self.page.evaluate("log"))

    def click(self, x: int, y: int, button: int = 0) -> None:
        self.input.mouse("down", x, y, button)
        self.input.mouse("up", x, y, button)

    def tap(self, *codes: str) -> None:
        for code in codes:
            assert self.input.key("down", code)
            assert self.input.key("up", code)

    async def into_the_text(self) -> None:
        self.click(200, 150)
        await self.page.until("document.activeElement.id === 't'")

    async def value(self, length: int) -> str:
        """What stands in the text field, once that is `length` long."""
        await self.page.until(f"document.getElementById('t').value.length >= {length}")
        return str(await self.page.evaluate("document.getElementById('t').value"))


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Driven]:
    async with running_screen() as screen:
        manager = await WindowManager.start(screen.connect())
        input = await Input.open(screen.connect())
        async with running_chromium(screen) as page:
            await page.fill_the_screen()
            yield Driven(page, input, screen)
        input.close()
        manager.close()
        await manager.wait_ended()


@pytest.fixture
async def driven(browser: Driven) -> Driven:
    await browser.fresh()
    return browser


@pytest.mark.parametrize(("button", "name"), [(0, "click"), (1, "auxclick")])
async def test_a_click_lands_on_its_pixel_as_from_a_real_mouse(driven: Driven, button: int, name: str):
    driven.click(640, 500, button)
    log = await driven.seen(f"log.some(e => e.type === '{name}')")
    click = log[-1]
    assert (click["x"], click["y"], click["button"], click["trusted"]) == (640, 500, button, True)
    assert next(event for event in log if event["type"] == "pointerdown")["pressure"] == 0.5


async def test_the_secondary_button_opens_a_menu_that_escape_closes(driven: Driven):
    without = driven.screen.windows()
    driven.click(900, 600, 2)
    await driven.seen("log.some(e => e.type === 'contextmenu' && e.x === 900 && e.y === 600)")
    await until(lambda: driven.screen.windows() > without, "the menu is there")
    driven.tap("Escape")
    await until(lambda: driven.screen.windows() == without, "the menu is gone")
    driven.input.mouse("move", 700, 500)
    await driven.seen("log.some(e => e.type === 'mousemove' && e.x === 700)")


async def test_the_corners_of_the_page_are_the_corners_of_the_screen(driven: Driven):
    for x, y in ((1, 1), (0, 0), (1279, 719)):
        driven.input.mouse("move", x, y)
        await driven.seen(f"log.some(e => e.type === 'mousemove' && e.x === {x} && e.y === {y})")


async def test_a_button_that_no_mouse_has_is_ignored(driven: Driven):
    driven.input.mouse("down", 5, 5, 7)
    driven.click(300, 500)
    log = await driven.seen("log.some(e => e.type === 'mouseup')")
    assert [event["button"] for event in log if event["type"] in ("mousedown", "mouseup")] == [0, 0]


async def test_the_wheel_turns_both_ways_by_notches_and_less_waits_for_more(driven: Driven):
    driven.input.wheel(640, 400, 0, 60)
    for turn in ((0, 60), (120, 0), (-120, 0), (0, -120)):
        expected = (turn[0], 2 * turn[1] if turn == (0, 60) else turn[1])
        driven.input.wheel(640, 400, *turn)
        log = await driven.seen(f"log.some(e => e.dx === {expected[0]} && e.dy === {expected[1]})")
    assert len([event for event in log if event["type"] == "wheel"]) == 4


async def test_a_line_of_a_list_is_chosen_with_the_mouse(driven: Driven):
    driven.click(700, 115)
    await driven.page.until("document.activeElement.id === 's'")
    driven.tap("ArrowDown", "ArrowDown", "Enter")
    await driven.page.until("document.getElementById('s').value === 'three'")


async def test_a_thing_is_dragged_and_dropped(driven: Driven):
    driven.input.mouse("down", 120, 320)
    for x in range(120, 160, 5):
        driven.input.mouse("move", x, 320)
    await driven.seen("log.some(e => e.type === 'dragstart')")
    driven.input.mouse("move", 410, 320)
    driven.input.mouse("move", 425, 325)
    await driven.seen("log.some(e => e.type === 'dragover' && e.at === 'e')")
    driven.input.mouse("up", 425, 325)
    await driven.seen("log.some(e => e.type === 'drop' && e.trusted)")


async def test_a_finger_is_the_main_button(driven: Driven):
    for action, x in (("start", 640), ("move", 650), ("end", 660)):
        driven.input.finger(action, x, 500)
    await driven.seen("log.some(e => e.type === 'click' && e.x === 660)")


async def test_every_printable_character_of_the_us_keyboard_is_typed_as_it_is(driven: Driven):
    await driven.into_the_text()
    printable = "".join(char for char in string.printable if char.isprintable())
    assert driven.input.text(printable[:50]) == ""
    assert driven.input.text(printable[50:]) == ""
    assert await driven.value(len(printable)) == printable


async def test_a_held_key_repeats_with_its_modifier_and_is_let_go_with_everything_else(driven: Driven):
    await driven.into_the_text()
    driven.input.key("down", "ShiftLeft")
    driven.input.key("down", "KeyQ")
    log = await driven.seen("log.filter(e => e.code === 'KeyQ' && e.repeat).length >= 2")
    first = next(event for event in log if event.get("code") == "KeyQ")
    assert (first["key"], first["shift"], first["repeat"], first["trusted"]) == ("Q", True, False, True)
    assert driven.input.text("typed") == "typed", "text is not typed while a modifier is held"
    driven.input.mouse("down", 640, 500)
    driven.input.release_all()
    await driven.seen(
        "['KeyQ', 'ShiftLeft'].every(code => log.some(e => e.type === 'keyup' && e.code === code))"
        " && log.some(e => e.type === 'mouseup' && e.x === 640)"
    )


async def test_every_key_tells_the_page_its_own_code(driven: Driven):
    await driven.into_the_text()
    await driven.page.evaluate("addEventListener('keydown', e => e.preventDefault(), {capture: true})")
    codes = [code for code in KEYCODES if code not in SYSTEM_KEYS]
    for code in codes:
        driven.tap(code)
    log = await driven.seen(f"log.filter(e => e.type === 'keyup').length >= {len(codes)}")
    assert [event["code"] for event in log if event["type"] == "keydown"] == codes


SYSTEM_KEYS = {"F11", "F12", "MetaLeft", "MetaRight", "CapsLock", "NumLock"}  # they change the browser or the next keys


async def test_what_cannot_be_typed_is_left_to_the_caller(screen: Screen):
    input = await Input.open(screen.connect())
    assert input.text("naïve") == "naïve"
    assert input.text("x" * 65) == "x" * 65
    assert not input.key("down", "Lang1", "HangulMode")
    input.close()


async def test_a_killed_x_server_takes_no_input_and_raises_nothing(screen: Screen):
    input = await Input.open(screen.connect())
    screen.process.kill()
    await screen.process.wait()
    input.mouse("down", 10, 10)
    input.wheel(10, 10, 0, 500)
    input.key("down", "KeyA")
    assert input.text("abc") == "abc"
    input.release_all()
    assert not input.alive
    input.close()


async def test_a_hung_x_server_holds_up_nobody(screen: Screen):
    input = await Input.open(screen.connect())
    screen.process.send_signal(19)  # SIGSTOP
    for step in range(20_000):
        input.mouse("move", step % 1280, 10)
    assert input.alive
    screen.process.send_signal(18)  # SIGCONT
    input.close()


async def test_what_a_busy_x_server_has_not_read_yet_waits_for_it(screen: Screen):
    input, watcher = await Input.open(screen.connect()), xcffib.Connection(fd=screen.connect().detach())
    screen.process.send_signal(19)  # SIGSTOP
    for step in range(1000):
        input.mouse("move", step, 10)
    screen.process.send_signal(18)  # SIGCONT
    root = watcher.setup.roots[0].root
    while (await asyncio.to_thread(watcher.core.QueryPointer(root).reply)).root_x != 999:
        pass
    watcher.disconnect()
    input.close()
