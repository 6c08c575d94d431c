from __future__ import annotations

import os
import string

import pytest
import xcffib
from xcffib import keysymdef

from chaser_server.display.keymap import CHARACTERS, KEYCODES, MODIFIERS, keycode, strokes
from tests.screens import Screen

KEYSYMS = {
    "Escape": "Escape", "Backspace": "BackSpace", "Tab": "Tab", "Enter": "Return", "CapsLock": "Caps_Lock",
    "Space": "space",
    "ShiftLeft": "Shift_L", "ShiftRight": "Shift_R", "ControlLeft": "Control_L", "ControlRight": "Control_R",
    "AltLeft": "Alt_L", "AltRight": "Alt_R", "MetaLeft": "Super_L", "MetaRight": "Super_R", "ContextMenu": "Menu",
    "NumLock": "Num_Lock", "ScrollLock": "Scroll_Lock", "PrintScreen": "Print", "Pause": "Pause",
    "Home": "Home", "End": "End", "PageUp": "Prior", "PageDown": "Next", "Insert": "Insert", "Delete": "Delete",
    "ArrowUp": "Up", "ArrowDown": "Down", "ArrowLeft": "Left", "ArrowRight": "Right", "IntlBackslash": "less",
    "NumpadEnter": "KP_Enter", "NumpadAdd": "KP_Add", "NumpadSubtract": "KP_Subtract", "NumpadMultiply": "KP_Multiply",
    "NumpadDivide": "KP_Divide", "NumpadDecimal": "KP_Delete", "NumpadEqual": "KP_Equal", "Numpad0": "KP_Insert",
    "Numpad1": "KP_End", "Numpad2": "KP_Down", "Numpad3": "KP_Next", "Numpad4": "KP_Left", "Numpad5": "KP_Begin",
    "Numpad6": "KP_Right", "Numpad7": "KP_Home", "Numpad8": "KP_Up", "Numpad9": "KP_Prior",
    **{f"F{number}": f"F{number}" for number in range(1, 13)},
}  # fmt: skip


async def test_every_key_and_character_is_where_a_real_xvfb_has_it(screen: Screen):
    sock = screen.connect()
    connection = xcffib.Connection(fd=os.dup(sock.fileno()))
    mapping = connection.core.GetKeyboardMapping(8, 248).reply()
    width = mapping.keysyms_per_keycode

    def keysym(code: int, level: int) -> int:
        return mapping.keysyms[(code - 8) * width + level]

    for code, name in KEYSYMS.items():
        assert keysym(KEYCODES[code], 0) == getattr(keysymdef, f"XK_{name}"), code
    for char, stroke in CHARACTERS.items():
        if char.isprintable():
            assert keysym(stroke.keycode, int(stroke.shift)) == ord(char), char
    connection.disconnect()
    sock.close()


def test_every_printable_ascii_character_can_be_typed():
    printable = "".join(char for char in string.printable if char.isprintable())
    assert len(printable) == 95
    assert strokes(printable) is not None


def test_no_key_has_two_places():
    assert len(set(KEYCODES.values())) == len(KEYCODES)
    assert len(MODIFIERS) == 8


@pytest.mark.parametrize("text", ["é", "naïve", "日本", "🙂", "a\x00"])
def test_text_outside_the_keymap_is_not_typed(text):
    assert strokes(text) is None


@pytest.mark.parametrize(
    ("code", "key", "expected"),
    [
        ("KeyA", "ф", "KeyA"),
        ("", "a", "KeyA"),
        ("", "A", "KeyA"),
        ("Unidentified", "Backspace", "Backspace"),
        ("", "ArrowLeft", "ArrowLeft"),
    ],
)
def test_a_key_is_found_by_its_place_and_else_by_its_meaning(code, key, expected):
    assert keycode(code, key) == KEYCODES[expected]


def test_a_key_that_no_us_keyboard_has_is_none():
    assert keycode("Lang1", "HangulMode") is None
    assert keycode("", "") is None
