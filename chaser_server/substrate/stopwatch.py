"""Where a launch spends its time."""

from __future__ import annotations

from time import perf_counter


class Stopwatch:
    """Runs from its making; each lap is named by what was waited for."""

    def __init__(self) -> None:
        self._last = perf_counter()
        self.milliseconds: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Note the time since the last lap."""
        now = perf_counter()
        self.milliseconds[name] = round((now - self._last) * 1000, 1)
        self._last = now
