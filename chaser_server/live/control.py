"""Decide who drives. Control is a lease: one viewer has it, the others see who and may ask. Pure: time is an argument.

The first who may drive drives. One who asks gets control when nobody has it, or when the driver gives or releases it,
leaves, or has not touched anything for a while: a forgotten tab keeps nobody out.
"""

from __future__ import annotations

LEASE_SECONDS = 15.0  # how long a driver who does nothing keeps control while another asks


class Control:
    """The lease of one screen. Viewers are numbers; times are seconds of any steady clock."""

    def __init__(self, lease_seconds: float = LEASE_SECONDS) -> None:
        self._lease_seconds = lease_seconds
        self._may_drive: list[int] = []
        self._asking: list[int] = []
        self._driver: int | None = None
        self._active_at = 0.0

    @property
    def driver(self) -> int | None:
        return self._driver

    @property
    def asking(self) -> tuple[int, ...]:
        """Who waits for control, the longest first."""
        return tuple(self._asking)

    @property
    def lapses_at(self) -> float | None:
        """When control passes on by itself unless the driver does something; None when nobody waits for it."""
        return self._active_at + self._lease_seconds if self._asking and self._driver is not None else None

    def join(self, viewer: int, now: float) -> None:
        """One who may drive has come; who only watches never joins."""
        self._may_drive.append(viewer)
        if self._driver is None:
            self._hand_to(viewer, now)

    def leave(self, viewer: int, now: float) -> None:
        """A viewer has gone; control passes to who has asked first, and else to nobody."""
        self._may_drive = [other for other in self._may_drive if other != viewer]
        self._asking = [other for other in self._asking if other != viewer]
        if viewer == self._driver:
            self._hand_on(now)

    def drives(self, viewer: int, now: float) -> bool:
        """Whether input of `viewer` counts; if so, its lease is renewed."""
        if viewer != self._driver:
            return False
        self._active_at = now
        return True

    def ask(self, viewer: int, now: float) -> None:
        """Wait for control, or get it when nobody has it. Ignored from who may not drive."""
        if viewer not in self._may_drive or viewer == self._driver or viewer in self._asking:
            return
        self._asking.append(viewer)
        if self._driver is None:
            self._hand_on(now)
        else:
            self.lapse(now)

    def release(self, viewer: int, now: float) -> None:
        """Give control up, or stop asking for it."""
        if viewer == self._driver:
            self._hand_on(now)
        self._asking = [other for other in self._asking if other != viewer]

    def give(self, viewer: int, to: int, now: float) -> None:
        """Give control to another who may drive; ignored unless it is yours."""
        if viewer == self._driver and to in self._may_drive:
            self._hand_to(to, now)

    def lapse(self, now: float) -> None:
        """Pass control on if its lease has run out while another waits."""
        if self.lapses_at is not None and now >= self.lapses_at:
            self._hand_on(now)

    def _hand_on(self, now: float) -> None:
        self._driver = None
        if self._asking:
            self._hand_to(self._asking[0], now)

    def _hand_to(self, viewer: int, now: float) -> None:
        self._driver = viewer
        self._active_at = now
        self._asking = [other for other in self._asking if other != viewer]
