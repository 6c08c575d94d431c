"""What becomes of sessions, told twice: as a line of the log at each turn of a life, and as numbers for whoever watches
the server. Changes nothing, stores nothing; the numbers begin with the process and never go down."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from chaser_server.model import ByteCount, Channel, EndedReason, Session, Status
from chaser_server.sessions.running import RunningSession

READY_BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

log = logging.getLogger(__name__)


class Histogram:
    """How many values were how large: `counts` has one number for each bound, of the values up to it and above the
    bound before, and one more for those above the last."""

    def __init__(self, bounds: Iterable[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Chronicle:
    """Told by `Lives` of every turn; read by anybody.

    `ended` counts by status and reason ("" for a failed start); `ready_seconds` holds how long creates took, without
    rehearsals, which come up by the clock.
    """

    def __init__(self) -> None:
        self.created_total = 0
        # A number that is there from the start is seen to grow from 0.
        closed = {(Status.CLOSED, str(reason)): 0 for reason in EndedReason}
        self.ended: Counter[tuple[Status, str]] = Counter({**closed, (Status.ERROR, ""): 0})
        self.ready_seconds = Histogram(READY_BOUNDS_SECONDS)
        self._living: set[RunningSession] = set()
        self._past = {channel: ByteCount() for channel in Channel}

    def bytes(self) -> Mapping[Channel, ByteCount]:
        """What all sessions together have moved, those that are over included."""
        total = {channel: ByteCount(past.up, past.down) for channel, past in self._past.items()}
        for running in self._living:
            _add(total, running.record)
        return total

    def note_recovered(self, orphans: int) -> None:
        """So many sessions of an earlier life of the server were closed."""
        self.ended[Status.CLOSED, EndedReason.ABANDONED_ORPHAN] += orphans

    def note_created(self, running: RunningSession) -> None:
        """A session has begun."""
        session = running.record
        self.created_total += 1
        self._living.add(running)
        log.info("session %s created, profile %s", session.id, session.profile, extra=_fields(session, "created"))

    def note_ready(self, running: RunningSession) -> None:
        """Its browser is up."""
        session = running.record
        seconds = _seconds(session.created_at, session.ready_at)
        if not running.rehearsal:
            self.ready_seconds.add(seconds)
        milliseconds = round(seconds * 1000)
        extra = {**_fields(session, "ready"), "milliseconds": milliseconds}
        log.info("session %s ready in %d ms", session.id, milliseconds, extra=extra)

    def note_ended(self, running: RunningSession) -> None:
        """It is over: closed, or failed to start. An end that was nobody's wish is a warning."""
        session = running.record
        self.ended[session.status, session.ended_reason or ""] += 1
        extra = {**_fields(session, "ended"), "reason": session.ended_reason or session.status}
        if session.status is Status.ERROR:
            log.warning("session %s failed to start: %s", session.id, running.failure, extra=extra)
            return
        level = logging.WARNING if session.ended_reason is EndedReason.SUBSTRATE_DOWN else logging.INFO
        lived = timedelta(seconds=round(_seconds(session.created_at, session.ended_at)))
        log.log(level, "session %s ended after %s: %s", session.id, lived, session.ended_reason, extra=extra)

    def note_buried(self, running: RunningSession) -> None:
        """Nothing of it is left, and its counts are final."""
        if running in self._living:
            self._living.remove(running)
            _add(self._past, running.record)


def _add(total: Mapping[Channel, ByteCount], session: Session) -> None:
    for channel, count in session.bytes.items():
        total[channel].up += count.up
        total[channel].down += count.down


def _seconds(begin: datetime, end: datetime | None) -> float:
    return 0.0 if end is None else max(0.0, (end - begin).total_seconds())


def _fields(session: Session, event: str) -> dict[str, object]:
    return {"event": f"session_{event}", "session_id": session.id, "workspace_id": session.workspace_id}
