"""Who waits for a place: first come first served within a workspace, workspaces by turns. Knows no limit."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from chaser_server.model import SessionSpec, Workspace, utc_now
from chaser_server.sessions.running import RunningSession


@dataclass(frozen=True, slots=True, eq=False)
class Waiter:
    """One create that waits, `since` it came; `answer` gets the session whose place it was given."""

    spec: SessionSpec
    workspace: Workspace
    answer: asyncio.Future[RunningSession]
    since: datetime = field(default_factory=utc_now)


class FairQueue:
    """The waiters of all workspaces. The workspace that was served last comes last."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Waiter]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(waiters) for waiters in self._waiting.values())

    def lines(self) -> dict[str, list[Waiter]]:
        """Who waits, by workspace, which stand in the order of their turns; within one, the first is served first."""
        return {workspace_id: list(waiters) for workspace_id, waiters in self._waiting.items()}

    def join(self, waiter: Waiter) -> None:
        """Wait behind the others of the same workspace."""
        self._waiting.setdefault(waiter.workspace.id, deque()).append(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Wait no longer; may be called again."""
        waiters = self._waiting.get(waiter.workspace.id)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            self._tidy(waiter.workspace.id)

    def serve(self, place: Callable[[Waiter], RunningSession | None]) -> None:
        """Give places out for as long as `place` has one for somebody who is first in a workspace."""
        while self._serve_one(place):
            pass

    def refuse_all(self, error: Exception) -> None:
        """Send everybody away."""
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.answer.done():
                    waiter.answer.set_exception(error)
        self._waiting.clear()

    def _serve_one(self, place: Callable[[Waiter], RunningSession | None]) -> bool:
        for workspace_id, waiters in self._waiting.items():
            placed = place(waiters[0])
            if placed is not None:
                waiters.popleft().answer.set_result(placed)
                self._waiting.move_to_end(workspace_id)
                self._tidy(workspace_id)
                return True
        return False

    def _tidy(self, workspace_id: str) -> None:
        if not self._waiting[workspace_id]:
            del self._waiting[workspace_id]
