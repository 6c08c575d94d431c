"""The life of a session: which moves there are, and what is overdue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chaser_server.lifecycle import MOVES, OPEN, TERMINAL, Event, exit_reason, move, overdue
from chaser_server.model import EndedReason, Session, Status

NOW = datetime(2026, 6, 13, 12, 0, tzinfo=UTC)


def session(status: Status = Status.READY, *, ttl_seconds: float = 60) -> Session:
    return Session(
        id="sess_1", workspace_id="ws_1", key_id=None, profile="default", status=status,
        created_at=NOW, expires_at=NOW + timedelta(seconds=ttl_seconds),
    )  # fmt: skip


def verdict(status: Status = Status.READY, *, after: float, watched: bool = False, quiet: float | None = 0) -> object:
    """What is overdue `after` seconds of a life of 60, allowed to idle 10, quiet since second `quiet`."""
    quiet_since = None if quiet is None else NOW + timedelta(seconds=quiet)
    now = NOW + timedelta(seconds=after)
    return overdue(session(status), now, watched=watched, quiet_since=quiet_since, idle_seconds=10)


@pytest.mark.parametrize(
    ("before", "event", "after"),
    [
        (Status.CREATING, Event.LAUNCHED, Status.READY),
        (Status.CREATING, Event.LAUNCH_FAILED, Status.ERROR),
        (Status.CREATING, Event.ENDED, Status.CLOSED),
        (Status.READY, Event.ENDED, Status.CLOSED),
    ],
)
def test_these_are_all_moves(before: Status, event: Event, after: Status) -> None:
    assert move(before, event) is after
    assert len(MOVES) == 4


@pytest.mark.parametrize("status", [Status.CLOSED, Status.ERROR])
def test_nothing_leaves_closed_or_error(status: Status) -> None:
    assert status in TERMINAL
    for event in Event:
        with pytest.raises(AssertionError):
            move(status, event)


def test_every_open_status_has_a_way_to_an_end() -> None:
    for status in OPEN:
        assert MOVES[status, Event.ENDED] in TERMINAL


def test_a_session_is_overdue_at_the_moment_it_expires() -> None:
    assert verdict(after=59.999999, watched=True) is None
    assert verdict(after=60, watched=True) is EndedReason.TTL_EXPIRED


def test_a_session_that_never_came_up_expires_too_but_is_never_idle() -> None:
    assert verdict(Status.CREATING, after=59, quiet=None) is None
    assert verdict(Status.CREATING, after=60, quiet=None) is EndedReason.TTL_EXPIRED


def test_idleness_counts_from_the_moment_it_became_quiet() -> None:
    assert verdict(after=9.999999) is None
    assert verdict(after=10) is EndedReason.IDLE_EXPIRED
    assert verdict(after=10, quiet=5) is None
    assert verdict(after=15, quiet=5) is EndedReason.IDLE_EXPIRED


def test_a_connected_client_keeps_a_session_but_not_beyond_its_time() -> None:
    assert verdict(after=59, watched=True) is None
    assert verdict(after=61, watched=True) is EndedReason.TTL_EXPIRED


def test_what_expires_and_idles_at_once_has_expired() -> None:
    assert verdict(after=61) is EndedReason.TTL_EXPIRED


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_what_has_ended_is_never_overdue(status: Status) -> None:
    assert verdict(status, after=1000) is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [(0, EndedReason.CLIENT_DELETE), (1, EndedReason.SUBSTRATE_DOWN), (137, EndedReason.SUBSTRATE_DOWN)],
)
def test_a_browser_that_leaves_in_good_order_was_closed_by_its_client(code: int, reason: EndedReason) -> None:
    assert exit_reason(code) is reason
