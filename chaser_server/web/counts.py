"""What has passed through the doors of this room since the start, as plain numbers that only grow. Knows no format."""

from __future__ import annotations

from collections import Counter

from aiohttp import hdrs, web

UNMATCHED = "unmatched"
"""What stands for the route of a request that no route is for: such paths are a stranger's choice, and without end."""


class Counts:
    """`requests` by route, method and status; `errors` by their code; `cdp_refused` by the code of the error."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.errors: Counter[str] = Counter()
        self.cdp_accepted = 0
        self.cdp_refused: Counter[str] = Counter()
        self.viewers_accepted = 0
        self.frames_sent = 0

    def note_answer(self, request: web.Request, status: int) -> None:
        """A request was answered; one that became a WebSocket, when that is over."""
        resource = request.match_info.route.resource
        method = request.method if request.method in hdrs.METH_ALL else "other"
        self.requests[UNMATCHED if resource is None else resource.canonical, method, status] += 1
