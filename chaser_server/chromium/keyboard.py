"""The US keyboard as CDP wants it told: what each key is and writes. Pure.

`code` and `key` are those of the W3C's UI Events; the numbers are Windows virtual-key codes, by which Chromium and
pages (`keyCode`) know keys on every system.
"""

from __future__ import annotations

from typing import Any

MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}  # bits of Input.dispatchKeyEvent

_WRITING = {
    **{f"Key{letter}": (ord(letter), letter.lower() + letter) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    **{f"Digit{two[0]}": (ord(two[0]), two) for two in ("1!", "2@", "3#", "4$", "5%", "6^", "7&", "8*", "9(", "0)")},
    "Space": (32, "  "), "Backquote": (192, "`~"), "Minus": (189, "-_"), "Equal": (187, "=+"),
    "BracketLeft": (219, "[{"), "BracketRight": (221, "]}"), "Backslash": (220, "\\|"), "IntlBackslash": (226, "<>"),
    "Semicolon": (186, ";:"), "Quote": (222, "'\""), "Comma": (188, ",<"), "Period": (190, ".>"), "Slash": (191, "/?"),
    **{f"Numpad{digit}": (96 + digit, f"{digit}{digit}") for digit in range(10)},
    "NumpadMultiply": (106, "**"), "NumpadAdd": (107, "++"), "NumpadSubtract": (109, "--"),
    "NumpadDecimal": (110, ".."), "NumpadDivide": (111, "//"), "NumpadEqual": (187, "=="),
}  # fmt: skip
_NAMED = {
    "Backspace": 8, "Tab": 9, "Enter": 13, "NumpadEnter": 13, "Pause": 19, "CapsLock": 20, "Escape": 27, "PageUp": 33,
    "PageDown": 34, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
    "PrintScreen": 44, "Insert": 45, "Delete": 46, "MetaLeft": 91, "MetaRight": 92, "ContextMenu": 93, "NumLock": 144,
    "ScrollLock": 145, "ShiftLeft": 16, "ShiftRight": 16, "ControlLeft": 17, "ControlRight": 17, "AltLeft": 18,
    "AltRight": 18, **{f"F{number}": 111 + number for number in range(1, 13)},
}  # fmt: skip
_WRITTEN = {character: code for code, (_, both) in reversed(_WRITING.items()) for character in both}


def modifier(code: str) -> int:
    """The bit of the modifier that a key is; 0 for any other key."""
    return MODIFIERS.get(code.removesuffix("Left").removesuffix("Right"), 0)


def key_event(action: str, code: str, key: str, modifiers: int) -> dict[str, Any] | None:
    """The parameters of Input.dispatchKeyEvent for a key that goes `down` or `up` while `modifiers` are held.

    A key is found by its `code`, or by `key` where a soft keyboard sends no code. None when no US keyboard has it.
    """
    if code not in _WRITING and code not in _NAMED:
        code = _WRITTEN.get(key, key)
    if code in _WRITING:
        number, both = _WRITING[code]
        name = text = both[1 if modifiers & MODIFIERS["Shift"] else 0]
    elif code in _NAMED:
        number, text = _NAMED[code], "\r" if _NAMED[code] == 13 else ""
        name = code.removeprefix("Numpad").removesuffix("Left").removesuffix("Right") if modifier(code) else code
        name = "Enter" if code == "NumpadEnter" else name
    else:
        return None
    writes = action == "down" and text and not modifiers & ~MODIFIERS["Shift"]
    event = {
        "type": "keyUp" if action == "up" else "keyDown" if writes else "rawKeyDown",
        "code": code,
        "key": name,
        "windowsVirtualKeyCode": number,
        "modifiers": modifiers,
        "isKeypad": code.startswith("Numpad"),
        "location": 3 if code.startswith("Numpad") else _side(code),
    }
    return {**event, "text": text} if writes else event


def _side(code: str) -> int:
    """KeyboardEvent.location of a key that there is twice."""
    if not modifier(code):
        return 0
    return 1 if code.endswith("Left") else 2
