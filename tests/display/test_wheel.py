from __future__ import annotations

from chaser_server.display.wheel import WheelAxis


def test_small_turns_add_up_to_a_notch():
    axis = WheelAxis()
    assert [axis.notches(50) for _ in range(5)] == [0, 0, 1, 0, 1]


def test_both_directions_have_notches():
    axis = WheelAxis()
    assert axis.notches(240) == 2
    assert axis.notches(-120) == -1


def test_turning_back_forgets_what_was_left_over():
    axis = WheelAxis()
    assert axis.notches(119) == 0
    assert axis.notches(-119) == 0
    assert axis.notches(-1) == -1


def test_a_wild_turn_is_bounded_and_leaves_nothing_behind():
    axis = WheelAxis()
    assert axis.notches(1e9) == 20
    assert axis.notches(1) == 0
