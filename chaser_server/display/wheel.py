"""Turn smooth scrolling into the notches of a mouse wheel. Pure."""

from __future__ import annotations

from dataclasses import dataclass

NOTCH_PIXELS = 120  # what one notch scrolls in Chromium; measured, both axes
_MAX_NOTCHES = 20  # of one message: a broken client must not scroll for seconds


@dataclass(slots=True)
class WheelAxis:
    """One direction of the wheel. What is less than a notch waits for more of the same direction."""

    _rest: float = 0

    def notches(self, pixels: float) -> int:
        """Whole notches that are due after another `pixels`; the sign is the direction."""
        if self._rest * pixels < 0:
            self._rest = 0
        self._rest += pixels
        due = int(self._rest / NOTCH_PIXELS)
        self._rest -= due * NOTCH_PIXELS
        return max(-_MAX_NOTCHES, min(_MAX_NOTCHES, due))
