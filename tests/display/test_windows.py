from __future__ import annotations

import pytest

from chaser_server.display.windows import Rectangle, Stack, Window, changed_states, placement

SCREEN = (1280, 720)


@pytest.mark.parametrize(
    ("window", "wanted", "fullscreen", "expected"),
    [
        (Window(1), (500, 300), False, Rectangle(0, 0, 1280, 720)),
        (Window(1), (5000, 3000), False, Rectangle(0, 0, 1280, 720)),
        (Window(1, floating=True), (400, 200), False, Rectangle(440, 260, 400, 200)),
        (Window(1, floating=True), (1124, 822), False, Rectangle(78, 0, 1124, 720)),
        (Window(1, floating=True), (0, 0), False, Rectangle(639, 359, 1, 1)),
        (Window(1, floating=True), (400, 200), True, Rectangle(0, 0, 1280, 720)),
    ],
)
def test_normal_windows_fill_the_screen_and_dialogs_stay_within_it(window, wanted, fullscreen, expected):
    assert placement(window, wanted, SCREEN, fullscreen=fullscreen) == expected


@pytest.mark.parametrize(("action", "expected"), [(0, {1}), (1, {1, 2, 3}), (2, {1, 3}), (9, {1, 2})])
def test_states_are_removed_added_and_toggled_as_a_client_asks(action, expected):
    assert changed_states({1, 2}, action, (2, 3) if action != 0 else (2, 0)) == expected


def test_the_newest_window_is_on_top_and_the_one_before_comes_back_when_it_goes():
    stack = Stack()
    for number in (1, 2, 3):
        stack.put_on_top(Window(number))
    assert stack.remove(3)
    assert stack.top is not None
    assert stack.top.id == 2
    assert not stack.remove(1)
    assert stack.ids == [2]


def test_a_raised_window_takes_its_dialogs_along():
    stack = Stack()
    owner, dialog, other = Window(1), Window(2, floating=True, transient_for=1), Window(3)
    for window in (owner, dialog, other):
        stack.put_on_top(window)
    assert [raised.id for raised in stack.put_on_top(owner)] == [1, 2]
    assert stack.ids == [3, 1, 2]


def test_a_window_that_was_never_shown_is_forgotten_without_fuss():
    stack = Stack()
    assert not stack.remove(7)
    assert stack.top is None
    assert 7 not in stack
