"""Decide where windows go and which is on top: the thinking half of the window manager. Does no I/O and knows no X.

The policy is that of a telephone: the newest window fills the screen, dialogs lie centred on top of it and never hang
over an edge, and whatever closes uncovers what was there before.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Pixels from the screen's top left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(slots=True)
class Window:
    """A top-level window as it described itself when it asked to be shown."""

    id: int
    floating: bool = False
    transient_for: int = 0
    states: set[int] = field(default_factory=set)


def placement(window: Window, wanted: tuple[int, int], screen: tuple[int, int], *, fullscreen: bool) -> Rectangle:
    """Where `window`, which would like to be `wanted` (width, height), goes on a screen of that size."""
    if fullscreen or not window.floating:
        return Rectangle(0, 0, *screen)
    width, height = (max(1, min(want, have)) for want, have in zip(wanted, screen, strict=True))
    return Rectangle((screen[0] - width) // 2, (screen[1] - height) // 2, width, height)


def changed_states(states: set[int], action: int, named: tuple[int, ...]) -> set[int]:
    """The states after a client asked to remove (0), add (1) or toggle (2) the `named` ones (EWMH, _NET_WM_STATE)."""
    chosen = {state for state in named if state}
    match action:
        case 0:
            return states - chosen
        case 1:
            return states | chosen
        case 2:
            return states ^ chosen
        case _:
            return states


class Stack:
    """The shown windows from the lowest to the highest; the highest one has the focus."""

    def __init__(self) -> None:
        self._windows: list[Window] = []

    def __contains__(self, window_id: int) -> bool:
        return self.find(window_id) is not None

    @property
    def ids(self) -> list[int]:
        return [window.id for window in self._windows]

    @property
    def top(self) -> Window | None:
        return self._windows[-1] if self._windows else None

    def find(self, window_id: int) -> Window | None:
        return next((window for window in self._windows if window.id == window_id), None)

    def put_on_top(self, window: Window) -> list[Window]:
        """Raise `window`, known or new, and its dialogs above it, so that no dialog is ever lost behind its owner.

        Returns what was raised, lowest first.
        """
        dialogs = [other for other in self._windows if other.transient_for == window.id and other is not window]
        raised = [window, *dialogs]
        self._windows = [other for other in self._windows if other not in raised] + raised
        return raised

    def remove(self, window_id: int) -> bool:
        """Forget a window; returns whether it had the focus."""
        window = self.find(window_id)
        if window is None:
            return False
        had_focus = window is self.top
        self._windows.remove(window)
        return had_focus
