"""Mouse, keyboard and fingers by CDP, for browsers without a screen. Knows no viewer.

Events arrive trusted, but only in the page: there is no menu, no list and no dialog to use. Keys do not repeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from chaser_server.chromium.cdp import CdpError
from chaser_server.chromium.devtools import DevTools
from chaser_server.chromium.fingers import Points
from chaser_server.chromium.keyboard import key_event, modifier
from chaser_server.chromium.screencast import Screencast

_BUTTONS = {0: ("left", 1), 1: ("middle", 4), 2: ("right", 2), 3: ("back", 8), 4: ("forward", 16)}
_DOUBLE_CLICK_SECONDS, _DOUBLE_CLICK_PIXELS = 0.5, 5
_MAX_WAITING = 1000  # events; a page that is so far behind hangs
_CALL_SECONDS = 0.5
_PRESSURE = 0.5  # of a mouse button (Pointer Events 4.1.1)


class Hands:
    """What one driver does to the page that a screencast shows, in order, and what is held down meanwhile."""

    def __init__(self, devtools: DevTools, cast: Screencast) -> None:
        self._devtools = devtools
        self._cast = cast
        self._waiting: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(_MAX_WAITING)
        self._buttons: dict[int, tuple[int, int]] = {}  # held button -> where it was last
        self._keys: list[str] = []
        self._fingers: dict[int, tuple[int, int]] = {}
        self._clicks, self._clicked = 0, (0, 0, 0, 0.0)  # of the last press: button, x, y, when
        self._work = asyncio.create_task(self._send_all(), name="hands")

    def mouse(self, action: str, x: int, y: int, button: int) -> None:
        """`move`, `down` or `up`; buttons count as in MouseEvent.button."""
        name = "none"
        if action != "move":
            name = _BUTTONS[button][0]
            self._count_clicks(action, x, y, button)
            self._buttons = {held: at for held, at in self._buttons.items() if held != button}
            self._buttons |= {button: (x, y)} if action == "down" else {}
        kind = {"move": "mouseMoved", "down": "mousePressed", "up": "mouseReleased"}[action]
        self._mouse_event(kind, x, y, button=name, clickCount=self._clicks if action != "move" else 0)

    def wheel(self, x: int, y: int, dx: float, dy: float) -> None:
        """Scroll by CSS pixels."""
        self._mouse_event("mouseWheel", x, y, deltaX=dx, deltaY=dy)

    def key(self, action: str, code: str, key: str) -> None:
        """`down` or `up`, by KeyboardEvent.code and .key."""
        self._keys = [held for held in self._keys if held != code] + ([code] if action == "down" else [])
        event = key_event(action, code, key, self._modifiers())
        if event is not None:
            self._put("Input.dispatchKeyEvent", event)

    async def text(self, text: str) -> None:
        """Put text into whatever has the focus."""
        self._put("Input.insertText", {"text": text})

    async def touch(self, action: str, points: Points) -> None:
        """`start`, `move`, `end` or `cancel`, with (id, x, y) of each finger that the action is about."""
        lifted = [point for point in points if point[0] in self._fingers]
        for number, x, y in points:
            if action == "start" or (action == "move" and number in self._fingers):
                self._fingers[number] = (x, y)
            else:
                self._fingers.pop(number, None)
        down = [(number, x, y) for number, (x, y) in self._fingers.items()]
        told = lifted if action == "end" else down if action != "cancel" else []
        touches = []
        for number, x, y in told:
            css_x, css_y = self._cast.css_point(x, y)
            touches.append({"id": number, "x": css_x, "y": css_y})
        if touches or action == "cancel":
            params = {"type": f"touch{action.capitalize()}", "touchPoints": touches, "modifiers": self._modifiers()}
            self._put("Input.dispatchTouchEvent", params)

    def release_all(self) -> None:
        """Let go of everything that is held down."""
        for button, (x, y) in tuple(self._buttons.items()):
            self.mouse("up", x, y, button)
        for code in reversed(tuple(self._keys)):
            self.key("up", code, "")
        if self._fingers:
            self._put("Input.dispatchTouchEvent", {"type": "touchCancel", "touchPoints": []})
            self._fingers = {}

    def close(self) -> None:
        """Stop."""
        self._work.cancel()

    def _mouse_event(self, kind: str, x: int, y: int, **more: Any) -> None:
        held = sum(_BUTTONS[button][1] for button in self._buttons)
        css_x, css_y = self._cast.css_point(x, y)
        force = _PRESSURE if held else 0
        common = {"type": kind, "x": css_x, "y": css_y, "buttons": held, "modifiers": self._modifiers(), "force": force}
        self._put("Input.dispatchMouseEvent", {**common, **more})

    def _count_clicks(self, action: str, x: int, y: int, button: int) -> None:
        if action != "down":
            return
        before, was_x, was_y, when = self._clicked
        near = max(abs(x - was_x), abs(y - was_y)) <= _DOUBLE_CLICK_PIXELS
        again = before == button and near and time.monotonic() - when < _DOUBLE_CLICK_SECONDS
        self._clicks = self._clicks + 1 if again else 1
        self._clicked = (button, x, y, time.monotonic())

    def _modifiers(self) -> int:
        return sum({modifier(code) for code in self._keys})

    def _put(self, method: str, params: dict[str, Any]) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait((method, params))

    async def _send_all(self) -> None:
        """Send one after the other; a page that does not take one, as while an alert is open, does not get it."""
        while True:
            method, params = await self._waiting.get()
            with contextlib.suppress(CdpError, ConnectionError, TimeoutError):
                async with asyncio.timeout(_CALL_SECONDS):
                    await self._devtools.call(method, params, self._cast.page)
