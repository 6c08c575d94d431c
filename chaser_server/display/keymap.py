"""The US keyboard as tables: where each key of a web page's KeyboardEvent.code is, and which keys make which character.
No I/O.

X keycodes are the Linux kernel's key numbers (linux/input-event-codes.h) plus 8, in the evdev rules that Xvfb uses;
Chromium derives `code` from them, so they are fixed whatever the keymap. The names are those of the W3C's "UI Events
KeyboardEvent code Values".
"""

from __future__ import annotations

from typing import NamedTuple

_EVDEV_OFFSET = 8


class Stroke(NamedTuple):
    """One key, with or without Shift."""

    keycode: int
    shift: bool


def _row(first: int, *codes: str) -> dict[str, int]:
    return {code: first + place + _EVDEV_OFFSET for place, code in enumerate(codes)}


KEYCODES: dict[str, int] = {
    **_row(1, "Escape", *(f"Digit{digit}" for digit in "1234567890"), "Minus", "Equal", "Backspace", "Tab"),
    **_row(16, *(f"Key{letter}" for letter in "QWERTYUIOP"), "BracketLeft", "BracketRight", "Enter", "ControlLeft"),
    **_row(
        30, *(f"Key{letter}" for letter in "ASDFGHJKL"), "Semicolon", "Quote", "Backquote", "ShiftLeft", "Backslash"
    ),
    **_row(44, *(f"Key{letter}" for letter in "ZXCVBNM"), "Comma", "Period", "Slash", "ShiftRight", "NumpadMultiply"),
    **_row(56, "AltLeft", "Space", "CapsLock", *(f"F{number}" for number in range(1, 11)), "NumLock", "ScrollLock"),
    **_row(71, "Numpad7", "Numpad8", "Numpad9", "NumpadSubtract", "Numpad4", "Numpad5", "Numpad6", "NumpadAdd"),
    **_row(79, "Numpad1", "Numpad2", "Numpad3", "Numpad0", "NumpadDecimal"),
    **_row(86, "IntlBackslash", "F11", "F12"),
    **_row(96, "NumpadEnter", "ControlRight", "NumpadDivide", "PrintScreen", "AltRight"),
    **_row(
        102, "Home", "ArrowUp", "PageUp", "ArrowLeft", "ArrowRight", "End", "ArrowDown", "PageDown", "Insert", "Delete"
    ),
    **_row(117, "NumpadEqual"),
    **_row(119, "Pause"),
    **_row(125, "MetaLeft", "MetaRight", "ContextMenu"),
}

MODIFIERS: frozenset[int] = frozenset(
    KEYCODES[f"{name}{side}"] for name in ("Shift", "Control", "Alt", "Meta") for side in ("Left", "Right")
)

_PLAIN = {
    **{letter.lower(): f"Key{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    **{digit: f"Digit{digit}" for digit in "1234567890"},
    " ": "Space", "\n": "Enter", "\r": "Enter", "\t": "Tab",
    "`": "Backquote", "-": "Minus", "=": "Equal", "[": "BracketLeft", "]": "BracketRight", "\\": "Backslash",
    ";": "Semicolon", "'": "Quote", ",": "Comma", ".": "Period", "/": "Slash",
}  # fmt: skip
_SHIFTED = dict(zip('!@#$%^&*()~_+{}|:"<>?', "1234567890`-=[]\\;',./", strict=True))

CHARACTERS: dict[str, Stroke] = {
    **{char: Stroke(KEYCODES[code], False) for char, code in _PLAIN.items()},
    **{char: Stroke(KEYCODES[_PLAIN[base]], True) for char, base in _SHIFTED.items()},
    **{letter.upper(): Stroke(KEYCODES[_PLAIN[letter]], True) for letter in "abcdefghijklmnopqrstuvwxyz"},
}


def keycode(code: str, key: str) -> int | None:
    """The X keycode of a KeyboardEvent, by its `code`, or by its `key` where a soft keyboard sends no code.

    None when it is no key of a US keyboard.
    """
    if code in KEYCODES:
        return KEYCODES[code]
    if key in CHARACTERS:
        return CHARACTERS[key].keycode
    return KEYCODES.get(key)  # Enter, Backspace, ArrowLeft…: keys whose value is also a code


def strokes(text: str) -> list[Stroke] | None:
    """The keys that type `text`, or None when it holds a character that the US keyboard does not have."""
    found = [CHARACTERS.get(char) for char in text]
    return None if None in found else [stroke for stroke in found if stroke is not None]
