from __future__ import annotations

import os
from pathlib import Path

from chaser_server.sandbox import doorman


def test_a_display_number_belongs_to_one_session_until_it_is_released():
    first = doorman.claim_display()
    second = doorman.claim_display()
    assert first != second
    assert int(Path(doorman.DISPLAY_LOCK.format(first)).read_text()) == os.getpid()
    for number in (first, second):
        doorman.release_display(number)
        assert not Path(doorman.DISPLAY_LOCK.format(number)).exists()


def test_a_display_without_a_lock_is_somebody_elses_too():
    number = doorman.claim_display()
    doorman.release_display(number)
    socket = Path(doorman.DISPLAY_SOCKET.format(number))
    socket.parent.mkdir(exist_ok=True)
    socket.touch()
    try:
        claimed = doorman.claim_display()
        assert claimed != number
        assert socket.exists()
        assert not Path(doorman.DISPLAY_LOCK.format(number)).exists()
        doorman.release_display(claimed)
    finally:
        socket.unlink()


def test_a_display_server_that_was_killed_leaves_no_socket_behind():
    number = doorman.claim_display()
    socket = Path(doorman.DISPLAY_SOCKET.format(number))
    socket.touch()
    doorman.release_display(number)
    assert not socket.exists()
