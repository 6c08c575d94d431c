from __future__ import annotations

import pytest

from chaser_server.chromium.keyboard import MODIFIERS, key_event


def test_a_key_writes_what_it_says_and_its_release_writes_nothing():
    assert key_event("down", "KeyA", "a", 0) == {
        "type": "keyDown", "code": "KeyA", "key": "a", "text": "a", "windowsVirtualKeyCode": 65, "modifiers": 0,
        "isKeypad": False, "location": 0,
    }  # fmt: skip
    up = key_event("up", "KeyA", "a", 0)
    assert up is not None
    assert up["type"] == "keyUp"
    assert "text" not in up


@pytest.mark.parametrize(
    ("code", "modifiers", "key", "text", "number"),
    [
        ("KeyA", MODIFIERS["Shift"], "A", "A", 65),
        ("KeyA", MODIFIERS["Control"], "a", None, 65),
        ("Digit2", MODIFIERS["Shift"], "@", "@", 50),
        ("Period", 0, ".", ".", 190),  # 46, its character code, would be Delete
        ("Enter", 0, "Enter", "\r", 13),
        ("NumpadEnter", 0, "Enter", "\r", 13),
        ("ShiftLeft", MODIFIERS["Shift"], "Shift", None, 16),
        ("ArrowLeft", 0, "ArrowLeft", None, 37),
        ("F12", 0, "F12", None, 123),
    ],
)
def test_keys_have_the_names_and_numbers_that_pages_know(code: str, modifiers: int, key: str, text: str, number: int):
    event = key_event("down", code, "", modifiers)
    assert event is not None
    assert (event["key"], event.get("text"), event["windowsVirtualKeyCode"]) == (key, text, number)


def test_a_soft_keyboards_key_is_found_by_what_it_writes():
    event = key_event("down", "", "Q", MODIFIERS["Shift"])
    assert event is not None
    assert (event["code"], event["text"]) == ("KeyQ", "Q")
    assert key_event("down", "", "é", 0) is None


def test_what_there_is_twice_tells_its_side():
    sides = [key_event("down", code, "", 0) for code in ("ControlLeft", "AltRight", "Numpad1", "KeyA")]
    assert [event and event["location"] for event in sides] == [1, 2, 3, 0]
