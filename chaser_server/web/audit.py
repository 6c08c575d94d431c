"""GET /v1/audit/stream: who did what, as server-sent events (HTML Living Standard 9.2)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re

from aiohttp import web

from chaser_server.errors import Unauthorized
from chaser_server.model import AuditEvent
from chaser_server.web.appkeys import AUDIT
from chaser_server.web.identity import authenticate_cookie
from chaser_server.web.schemas import timestamp

KINDS = (
    "session_created",
    "session_ended",
    "key_created",
    "key_rotated",
    "key_revoked",
    "signed_in",
    "sign_in_refused",
    "signed_out_everywhere",
    "request_refused",
)
"""Every kind of event. A browser's EventSource hands out only those that it was told the names of."""
KEEP_ALIVE_SECONDS = 15.0
FIRST_EVENTS = 100
_STILL_HERE = b": still here\n\n"
_EVENT_NUMBER = re.compile(r"[0-9]{1,18}")  # fits SQLite's integers
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until a buffer is full
}


async def stream(request: web.Request) -> web.StreamResponse:
    """The events of the workspace: those behind `Last-Event-ID`, or the newest; then each as it comes."""
    workspace, audit = await authenticate_cookie(request), request.app[AUDIT]
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    await response.write(_STILL_HERE)
    seen = _last_event(request)
    if seen is not None and seen > await audit.newest():  # of a database that a backup has taken the place of
        seen = None
    events = await audit.latest(workspace.id, FIRST_EVENTS) if seen is None else []
    while True:
        for event in events:
            await response.write(render(event))
            seen = event.number
        is_over, news = audit.over, audit.news()
        events = await audit.after(workspace.id, seen or 0)
        if not events and is_over:
            return response
        if not events and not await _comes(news):
            await response.write(_STILL_HERE)
        try:
            await authenticate_cookie(request)
        except Unauthorized:  # signed out everywhere, or too long ago: it asks anew, and is told
            return response


def _last_event(request: web.Request) -> int | None:
    """The number of the last event that the client has seen, if it says so; what is no number of ours is ignored."""
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if _EVENT_NUMBER.fullmatch(text) else None


async def _comes(news: asyncio.Event) -> bool:
    """Whether there is news before the connection needs a sign of life."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(news.wait(), KEEP_ALIVE_SECONDS)
    return news.is_set()


def render(event: AuditEvent) -> bytes:
    """One event of the stream; its id is what `Last-Event-ID` gives back."""
    data = {
        "at": timestamp(event.at),
        "kind": event.kind,
        "actor": event.actor,
        "address": event.address,
        "detail": event.detail,
    }
    return f"id: {event.number}\nevent: {event.kind}\ndata: {json.dumps(data)}\n\n".encode()
