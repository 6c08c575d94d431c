"""Keeps a session's timeline readable: equal events are told once a minute, and only so many in all. Sans I/O."""

from __future__ import annotations

import time
from collections.abc import Callable

OnEvent = Callable[[str, dict[str, object]], None]

WINDOW_SECONDS = 60.0
EVENTS_PER_WINDOW = 20


class Notices:
    """Passes events on to `on_event`, at most `EVENTS_PER_WINDOW` different ones per window.

    What was held back is told as `suppressed`, a number, in the next event that passes.
    """

    def __init__(self, on_event: OnEvent, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._on_event = on_event
        self._clock = clock
        self._window_ends = 0.0
        self._told: set[tuple[str, str]] = set()
        self._suppressed = 0

    def tell(self, kind: str, detail: dict[str, object]) -> None:
        """Pass it on, or hold it back."""
        now = self._clock()
        if now >= self._window_ends:
            self._window_ends = now + WINDOW_SECONDS
            self._told.clear()
        key = (kind, repr(detail))
        if key in self._told or len(self._told) >= EVENTS_PER_WINDOW:
            self._suppressed += 1
            return
        self._told.add(key)
        suppressed, self._suppressed = self._suppressed, 0
        self._on_event(kind, {**detail, "suppressed": suppressed} if suppressed else detail)
