"""Ends what is overdue. Decides by `lifecycle`, acts by `Lives`."""

from __future__ import annotations

from chaser_server import lifecycle
from chaser_server.model import utc_now
from chaser_server.sessions.lives import Lives
from chaser_server.sessions.places import Places


class Reaper:
    """Looks at every open session a few times a second."""

    def __init__(self, *, places: Places, lives: Lives, idle_seconds: float) -> None:
        self._places = places
        self._lives = lives
        self._idle_seconds = idle_seconds

    async def reap(self) -> None:
        """End the sessions that are overdue now."""
        now = utc_now()
        for running in self._places.open:
            reason = lifecycle.overdue(
                running.record,
                now,
                watched=running.watched,
                quiet_since=running.quiet_since,
                idle_seconds=self._idle_seconds,
            )
            if reason is not None:
                await self._lives.end(running, reason)
