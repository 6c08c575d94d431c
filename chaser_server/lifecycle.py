"""The life of a session as pure decisions: which moves there are and what is overdue. No clock of its own, no I/O."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from chaser_server.model import EndedReason, Session, Status


class Event(StrEnum):
    """What can happen to a session."""

    LAUNCHED = "launched"
    LAUNCH_FAILED = "launch_failed"
    ENDED = "ended"


MOVES: dict[tuple[Status, Event], Status] = {
    (Status.CREATING, Event.LAUNCHED): Status.READY,
    (Status.CREATING, Event.LAUNCH_FAILED): Status.ERROR,
    (Status.CREATING, Event.ENDED): Status.CLOSED,
    (Status.READY, Event.ENDED): Status.CLOSED,
}

OPEN = frozenset({Status.CREATING, Status.READY})
TERMINAL = frozenset(Status) - OPEN


def move(status: Status, event: Event) -> Status:
    """The status after `event`. An impossible move is a bug in the caller, hence an assertion."""
    after = MOVES.get((status, event))
    assert after is not None, f"no move from {status} on {event}"
    return after


def overdue(
    session: Session, now: datetime, *, watched: bool, quiet_since: datetime | None, idle_seconds: float
) -> EndedReason | None:
    """Why `session` must end at `now`, or None.

    `watched` says whether a CDP client or a viewer is connected; `quiet_since` is when the last of them left, or when
    the session became ready, or None while it is being created.
    """
    if session.status in TERMINAL:
        return None
    if now >= session.expires_at:
        return EndedReason.TTL_EXPIRED
    if not watched and quiet_since is not None and now >= quiet_since + timedelta(seconds=idle_seconds):
        return EndedReason.IDLE_EXPIRED
    return None


def exit_reason(exit_code: int) -> EndedReason:
    """Why a session ended whose browser went by itself: code 0 is the client's `Browser.close`, else it died."""
    return EndedReason.CLIENT_DELETE if exit_code == 0 else EndedReason.SUBSTRATE_DOWN


def is_charged(session: Session) -> bool:
    """Whether its bytes cost anything: not when it failed to start, nor when its end was our fault."""
    return session.status is not Status.ERROR and session.ended_reason is not EndedReason.SUBSTRATE_DOWN
