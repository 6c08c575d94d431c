"""Decide how good a picture each viewer gets. Pure: sees how long pictures take to arrive, says what to send next.

First the quality goes down, then the size; the rate follows by itself, since each picture waits for the last one's ack.
A step that does not help is taken back: where the delay is distance, not bandwidth, worse pictures are for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grade:
    """How a picture is made: JPEG quality, and the scale of its sides. Equal grades share one encode."""

    quality: int
    scale: float


DEFAULT_GRADE = Grade(70, 1.0)
_QUALITIES = (25, 40, 55, 70, 85, 95)  # wishes are rounded to these, so that viewers share encodes
_SCALES = (0.25, 0.5, 0.75, 1.0)
_LADDER = (Grade(95, 1.0), Grade(40, 1.0), Grade(40, 0.75), Grade(40, 0.5), Grade(25, 0.5))  # the most a step allows
_WINDOW = 4  # acks that are looked at before a step
_HELPED = 0.9  # a step down must bring the time to this share, or it is taken back
_PATIENCE_WINDOWS = 8  # before a step is tried again after it did not help, or went back up too early


def wished(quality: int | None, scale: float | None, before: Grade) -> Grade:
    """The grade nearest to what a viewer asked for; None keeps what it had."""
    return Grade(
        before.quality if quality is None else min(_QUALITIES, key=lambda step: abs(step - quality)),
        before.scale if scale is None else min(_SCALES, key=lambda step: abs(step - scale)),
    )


class Adaptation:
    """One viewer's step on the ladder."""

    def __init__(self) -> None:
        self._step = 0
        self._times: list[float] = []
        self._before_step: float | None = None  # how long it took before the last step down, until that is judged
        self._patience = 0

    def grade(self, wish: Grade) -> Grade:
        """What to send a viewer that wishes for `wish`."""
        limit = _LADDER[self._step]
        return Grade(min(wish.quality, limit.quality), min(wish.scale, limit.scale))

    def arrived(self, seconds: float, interval_seconds: float) -> None:
        """A picture was on the viewer's screen `seconds` after it left, where one is due every `interval_seconds`."""
        self._times.append(seconds)
        if len(self._times) < _WINDOW:
            return
        typical = sorted(self._times)[_WINDOW // 2]
        self._times = []
        self._judge(typical, interval_seconds)

    def _judge(self, typical: float, interval: float) -> None:
        before, self._before_step = self._before_step, None
        if before is not None and typical > before * _HELPED:
            self._step -= 1
            self._patience = _PATIENCE_WINDOWS
        elif self._patience > 0:
            self._patience -= 1
        elif typical > interval * 1.2 and self._step < len(_LADDER) - 1:
            self._step += 1
            self._before_step = typical
        elif typical < interval * 0.4 and self._step > 0:
            self._step -= 1
            self._patience = _PATIENCE_WINDOWS
