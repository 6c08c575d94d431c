"""Move the mouse and press the keys of a screen as a person would, by the XTEST extension. Knows no viewer and no page.

What arrives in the page is trusted, with hover, pressure, key repeat and menus as from real devices. Nothing here waits
for the X server: what a hung one does not take is dropped, and a dead one takes nothing more.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, NamedTuple

from chaser_server.display.keymap import KEYCODES, MODIFIERS, keycode, strokes
from chaser_server.display.wheel import WheelAxis
from chaser_server.display.xlink import Link, open_link

_FAKE_INPUT = 2  # XTEST protocol 2.2, minor opcode
_FAKE_INPUT_REQUEST = struct.Struct("=BBHBB2xII8xhh7xB")
_KEY_PRESS, _KEY_RELEASE, _BUTTON_PRESS, _BUTTON_RELEASE, _MOTION = 2, 3, 4, 5, 6  # X11 protocol, Appendix B
_BUTTONS = {0: 1, 1: 2, 2: 3, 3: 8, 4: 9}  # MouseEvent.button -> X button
_WHEEL_UP, _WHEEL_DOWN, _WHEEL_LEFT, _WHEEL_RIGHT = 4, 5, 6, 7
_MAX_TYPED_CHARACTERS = 64  # longer text is a paste, and a paste is no typing


class _Extension(NamedTuple):
    opcode: int
    root: int


def _find_xtest(connection: Any) -> _Extension:
    extension = connection.core.QueryExtension(len("XTEST"), "XTEST").reply()
    if not extension.present:
        raise RuntimeError("it has no XTEST extension")
    return _Extension(extension.major_opcode, connection.setup.roots[0].root)


class Input:
    """The mouse and keyboard of one screen, with what is held down on them. Made by `open`."""

    def __init__(self, link: Link, extension: _Extension) -> None:
        self._link = link
        self._extension = extension
        self._held_keys: list[int] = []
        self._held_buttons: list[int] = []
        self._across, self._down = WheelAxis(), WheelAxis()

    @classmethod
    async def open(cls, sock: socket.socket) -> Input:
        """Take over `sock`, a connected socket to the X server. Raises `LaunchFailed`, with the socket closed."""
        link, extension = await open_link(sock, _find_xtest)
        return cls(link, extension)

    @property
    def alive(self) -> bool:
        """Whether the X server is still there."""
        return self._link.alive

    def mouse(self, action: str, x: int, y: int, button: int = 0) -> None:
        """Move to a pixel of the screen and press (`down`) or release (`up`) a button there, or only `move` (and drag).

        `button` counts as in MouseEvent.button: 0 main, 1 middle, 2 secondary, 3 back, 4 forward. Others are ignored.
        """
        if action != "move" and button not in _BUTTONS:
            return
        moved = self._motion(x, y)
        if action == "move":
            self._link.send(moved)
        elif action == "down":
            self._press(self._held_buttons, _BUTTONS[button], moved, _BUTTON_PRESS)
        elif action == "up":
            self._release(self._held_buttons, _BUTTONS[button], moved, _BUTTON_RELEASE)

    def wheel(self, x: int, y: int, dx: float, dy: float) -> None:
        """Scroll at a pixel by CSS pixels, as in WheelEvent.deltaX and deltaY; less than a notch waits for more."""
        turns = self._turns(self._across.notches(dx), _WHEEL_LEFT, _WHEEL_RIGHT)
        turns += self._turns(self._down.notches(dy), _WHEEL_UP, _WHEEL_DOWN)
        self._link.send(self._motion(x, y) + turns)

    def key(self, action: str, code: str, key: str = "") -> bool:
        """Press (`down`) or release (`up`) a key by KeyboardEvent.code; the X server repeats what is held.

        Returns whether there is such a key on a US keyboard.
        """
        number = keycode(code, key)
        if number is None:
            return False
        if action == "down":
            self._press(self._held_keys, number, b"", _KEY_PRESS)
        elif action == "up":
            self._release(self._held_keys, number, b"", _KEY_RELEASE)
        return True

    def text(self, text: str) -> str:
        """Type `text` on the keyboard if it can be typed there; returns what was not: all of it, or nothing.

        All or nothing, because the caller puts the rest into the page on another way, and two ways have no order. Text
        that is too long for typing, or comes while a modifier is held, is left to the caller too.
        """
        keys = strokes(text)
        if keys is None or len(keys) > _MAX_TYPED_CHARACTERS or not MODIFIERS.isdisjoint(self._held_keys):
            return text
        shift = KEYCODES["ShiftLeft"]
        request = b""
        for stroke in keys:
            tap = self._fake(_KEY_PRESS, stroke.keycode) + self._fake(_KEY_RELEASE, stroke.keycode)
            shifted = self._fake(_KEY_PRESS, shift) + tap + self._fake(_KEY_RELEASE, shift)
            request += shifted if stroke.shift else tap
        return "" if self._link.send(request) else text

    def finger(self, action: str, x: int, y: int) -> None:
        """One finger by way of the main button: `start`, `move`, `end` or `cancel`.

        XTEST has no touch; a page that emulates touch from the mouse sees trusted touch events.
        """
        self.mouse({"start": "down", "move": "move"}.get(action, "up"), x, y)

    def release_all(self) -> None:
        """Let go of every key and button that is held, the last one first."""
        for button in reversed(self._held_buttons):
            self._release(self._held_buttons, button, b"", _BUTTON_RELEASE)
        for number in reversed(self._held_keys):
            self._release(self._held_keys, number, b"", _KEY_RELEASE)

    def close(self) -> None:
        """Let go of everything and of the X server. May be called twice."""
        self.release_all()
        self._link.close()

    def _press(self, held: list[int], detail: int, before: bytes, kind: int) -> None:
        """A second press of what is held is only a movement, as on a real device."""
        if detail in held:
            self._link.send(before)
        elif self._link.send(before + self._fake(kind, detail)):
            held.append(detail)

    def _release(self, held: list[int], detail: int, before: bytes, kind: int) -> None:
        if detail not in held:
            self._link.send(before)
        elif self._link.send(before + self._fake(kind, detail)):
            held.remove(detail)

    def _turns(self, notches: int, negative: int, positive: int) -> bytes:
        button = positive if notches > 0 else negative
        return (self._fake(_BUTTON_PRESS, button) + self._fake(_BUTTON_RELEASE, button)) * abs(notches)

    def _motion(self, x: int, y: int) -> bytes:
        return self._fake(_MOTION, 0, x, y)

    def _fake(self, kind: int, detail: int, x: int = 0, y: int = 0) -> bytes:
        length = _FAKE_INPUT_REQUEST.size // 4
        opcode, root = self._extension
        return _FAKE_INPUT_REQUEST.pack(opcode, _FAKE_INPUT, length, kind, detail, 0, root, x, y, 0)
