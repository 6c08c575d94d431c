"""What the live view needs from others, as protocols. No code."""

from __future__ import annotations

from typing import Protocol


class Source(Protocol):
    """A screen to look at, such as a framebuffer or a screencast."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, fixed for life."""

    async def wait_changed(self) -> None:
        """Return when the picture may differ from the one at the last return; the first call returns at once.

        A picture grabbed after a return holds everything up to it. May be cancelled without losing a change. Raises
        `ScreenLost` when the screen has gone.
        """

    def grab(self) -> bytes:
        """The picture now: BGRX, top line first, no padding. Never waits. Raises `ScreenLost`."""

    def rest(self) -> None:
        """Nobody looks any more, until the next `wait_changed`."""


class Driver(Protocol):
    """Something that takes input. Coordinates are pixels of the screen. Nothing here raises or waits for long."""

    def mouse(self, action: str, x: int, y: int, button: int) -> None:
        """`move`, `down` or `up`; buttons count as in MouseEvent.button."""

    def wheel(self, x: int, y: int, dx: float, dy: float) -> None:
        """Scroll by CSS pixels as in WheelEvent."""

    def key(self, action: str, code: str, key: str) -> None:
        """`down` or `up`, by KeyboardEvent.code and .key."""

    async def text(self, text: str) -> None:
        """Put text into whatever has the focus."""

    async def touch(self, action: str, points: tuple[tuple[int, int, int], ...]) -> None:
        """`start`, `move`, `end` or `cancel`, with (id, x, y) of each finger that the action is about."""

    def release_all(self) -> None:
        """Let go of everything that is held down."""


class Socket(Protocol):
    """One viewer's WebSocket. Every method may raise `ConnectionError` when the viewer has gone."""

    async def send_bytes(self, data: bytes) -> None:
        """Return when the transport has taken the message, not before: the waiting is what holds a slow viewer back."""

    async def send_text(self, text: str) -> None:
        """As `send_bytes`."""

    async def receive_text(self) -> str | None:
        """The next text message, or None when the viewer has gone."""

    async def close(self, code: int, reason: str) -> None:
        """Close with a WebSocket close code. May be called twice."""
