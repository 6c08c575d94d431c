from __future__ import annotations

import pytest

from chaser_server.live.control import Control

LEASE = 10.0


@pytest.fixture
def control() -> Control:
    """One drives (1), another may (2)."""
    control = Control(LEASE)
    control.join(1, now=0)
    control.join(2, now=0)
    return control


def test_the_first_who_may_drives(control: Control):
    assert control.driver == 1
    assert control.drives(1, now=1)
    assert not control.drives(2, now=1)


def test_who_only_watches_never_drives(control: Control):
    control.ask(9, now=100)
    control.give(1, 9, now=100)
    assert control.asking == ()
    assert not control.drives(9, now=100)


def test_who_asks_gets_control_when_the_driver_releases_it(control: Control):
    control.ask(2, now=1)
    assert (control.driver, control.asking) == (1, (2,))
    control.release(1, now=2)
    assert (control.driver, control.asking) == (2, ())


def test_a_driver_gives_control_to_whom_it_likes(control: Control):
    control.give(2, 2, now=1)
    assert control.driver == 1, "it was not theirs to give"
    control.give(1, 2, now=1)
    assert control.driver == 2


def test_a_driver_who_leaves_is_followed_by_the_first_who_asked(control: Control):
    control.join(3, now=0)
    control.ask(3, now=1)
    control.ask(2, now=2)
    control.leave(1, now=3)
    assert (control.driver, control.asking) == (3, (2,))


def test_after_the_last_driver_nobody_drives_until_one_asks(control: Control):
    control.release(1, now=1)
    assert control.driver is None
    assert not control.drives(1, now=1), "moving the mouse takes no control"
    control.ask(2, now=2)
    assert control.driver == 2


def test_a_lease_lapses_only_when_it_is_unused_and_somebody_waits(control: Control):
    control.lapse(now=1000)
    assert control.driver == 1
    control.drives(1, now=1000)
    control.ask(2, now=1001)
    assert control.lapses_at == 1000 + LEASE
    control.drives(1, now=1005)
    control.lapse(now=1000 + LEASE)
    assert control.driver == 1
    control.lapse(now=1005 + LEASE)
    assert (control.driver, control.lapses_at) == (2, None)


def test_who_asks_a_driver_that_has_long_done_nothing_drives_at_once(control: Control):
    control.ask(2, now=LEASE)
    assert control.driver == 2


def test_one_may_stop_asking_or_leave(control: Control):
    control.ask(2, now=1)
    control.release(2, now=2)
    assert control.asking == ()
    control.ask(2, now=1)
    control.leave(2, now=2)
    assert (control.driver, control.asking) == (1, ())
