"""Who did what: written down by the handlers, and streamed as server-sent events (HTML Living Standard 9.2)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re

from aiohttp import web

from chaser_server.errors import StorageFailed
from chaser_server.model import AuditEvent
from chaser_server.web.appkeys import AUDIT, SERVICE
from chaser_server.web.identity import authenticate_cookie
from chaser_server.web.schemas import timestamp

KEEP_ALIVE_SECONDS = 15.0
FIRST_EVENTS = 100
_NUMBER = re.compile(r"[0-9]{1,18}")  # as many digits as SQLite has room for

log = logging.getLogger(__name__)


async def note(request: web.Request, workspace_id: str, kind: str, *, actor: str, **detail: object) -> None:
    """Write down what this request did or was refused. That has happened: a full disk undoes nothing of it."""
    try:
        await request.app[AUDIT].append(workspace_id, kind, actor=actor, address=request.remote or "", **detail)
    except StorageFailed as error:
        log.error("%s by %s is missing in the audit: %s", kind, actor or "a stranger", error.message)


async def stream(request: web.Request) -> web.StreamResponse:
    """GET /v1/audit/stream: the events behind `Last-Event-ID`, or the newest of the workspace; then each as it comes"""
    workspace = await authenticate_cookie(request)
    audit, last = request.app[AUDIT], request.headers.get("Last-Event-ID", "")
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    news = audit.news()
    resumes = _NUMBER.fullmatch(last) is not None
    seen = int(last) if resumes else 0
    if resumes:
        events = await audit.after(workspace.id, seen)
    else:
        events = await audit.latest(workspace.id, FIRST_EVENTS)
    while not request.app[SERVICE].draining:
        for event in events:
            await response.write(render(event))
            seen = event.number
        if not events:
            await response.write(b": still here\n\n")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), KEEP_ALIVE_SECONDS)
        news = audit.news()
        events = await audit.after(workspace.id, seen)
    return response


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
