"""The operations on /v1/sessions."""

from __future__ import annotations

from chaser_server.web.openapi.parts import (
    BY_KEY,
    SESSION_ID,
    Json,
    answer,
    body,
    header,
    in_header,
    operation,
    query,
    raw,
    shape,
)
from chaser_server.web.openapi.schemas import SESSION

TAG = "Sessions"
_WHO = ("unauthorized", "forbidden")
_WHICH = (*_WHO, "session_not_found")
_OPEN = (*_WHICH, "session_not_open")
_READY = (*_OPEN, "session_not_ready")
_CDP_URL = f"ws://127.0.0.1:7070/sessions/{SESSION}"
_CREATED = {
    "id": SESSION,
    "object": "session",
    "status": "creating",
    "cdp_url": _CDP_URL,
    "created_at": "2026-11-21T09:30:00.123456Z",
    "expires_at": "2026-11-21T10:00:00.123456Z",
}
_SESSION = {
    **_CREATED,
    "status": "ready",
    "device": "Linux - Chrome 156 (Desktop)",
    "bytes_up": 48211,
    "bytes_down": 1920344,
    "proxy_ip": None,
    "proxy_region": None,
    "ready_at": "2026-11-21T09:30:00.531222Z",
    "ended_at": None,
    "ended_reason": None,
}
_EVENTS = {
    "object": "list",
    "bytes": {channel: {"up": 0, "down": 0} for channel in ("egress", "cdp", "preview")},
    "data": [{"at": "2026-11-21T09:30:00.123456Z", "kind": "created", "detail": {"profile": "default"}}],
}
_EGRESS_ROW = {
    "host": "example.com",
    "upstream": None,
    "bytes_up": 1532,
    "bytes_down": 20411,
    "connections": 2,
    "first_at": "2026-11-21T09:30:02.000000Z",
    "last_at": "2026-11-21T09:30:04.000000Z",
}
_TOKEN = {
    "url": f"{_CDP_URL}/preview?token=WyJ3c18i...",
    "expires_at": "2026-11-21T09:35:00.123Z",
    "input_enabled": True,
    "fps": 5,
}

CREATE = operation(
    "createSession",
    "Start a browser session",
    tag=TAG,
    description="Answers at once, before the browser is up; the session is stored by then. Connecting to its `cdp_url` "
    "waits until it is ready. With `Prefer: wait=N` a create that finds no place waits for one, in a line that is fair "
    "between workspaces.",
    security=BY_KEY,
    parameters=[in_header("Prefer", "RFC 7240: wait=N, in seconds, at most 60.", {"type": "string"})],
    request_body=body(shape("NewSession"), {"profile": "default", "ttl_seconds": 600}),
    responses={
        "201": answer(
            "Stored; the browser is being launched.",
            shape("CreatedSession"),
            example=_CREATED,
            headers={"Location": header("Where the session is from now on.", f"/v1/sessions/{SESSION}")},
        )
    },
    errors=(
        *_WHO,
        "invalid_request",
        "payment_required",
        "payload_too_large",
        "rate_limited",
        "concurrency_limit",
        "substrate_unavailable",
    ),
)

LIST = operation(
    "listSessions",
    "List sessions, newest first",
    tag=TAG,
    description="Sessions created while someone pages never shift or repeat rows.",
    security=BY_KEY,
    parameters=[
        query("limit", "Sessions a page.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
        query("cursor", "next_cursor of the page before.", {"type": "string"}),
        query("status", "Only these.", {"type": "string", "enum": ["creating", "ready", "closed", "error"]}),
    ],
    responses={
        "200": answer(
            "One page.",
            shape("SessionList"),
            example={"object": "list", "data": [_SESSION], "next_cursor": None, "has_more": False},
        )
    },
    errors=(*_WHO, "invalid_request"),
)

SHOW = operation(
    "getSession",
    "Show a session",
    tag=TAG,
    description="Its byte counts are live. With `?wait=ready` the answer comes as soon as it has left `creating`.",
    security=BY_KEY,
    parameters=[
        SESSION_ID,
        query("wait", "Answer when the session has left creating, or the time is up.", {"enum": ["ready"]}),
        query("timeout", "Seconds to wait.", {"type": "integer", "minimum": 0, "maximum": 60, "default": 60}),
    ],
    responses={"200": answer("The session as it is now.", shape("Session"), example=_SESSION)},
    errors=(*_WHICH, "invalid_request"),
)

DELETE = operation(
    "deleteSession",
    "End a session",
    tag=TAG,
    description="From the 204 on its sockets are closed, its tokens void and its place free; nobody waits for the "
    "browser to die. Works while `creating`, too.",
    security=BY_KEY,
    parameters=[SESSION_ID],
    responses={"204": answer("It has ended.")},
    errors=_OPEN,
)

SCREENSHOT = operation(
    "takeScreenshot",
    "Take a picture of the screen",
    tag=TAG,
    description="The whole screen as a person would see it: the browser's own dialogs and open lists included.",
    security=BY_KEY,
    parameters=[SESSION_ID],
    responses={
        "200": raw("A PNG.", "image/png", {"type": "string", "contentMediaType": "image/png"}),
    },
    errors=(*_READY, "rate_limited", "substrate_unavailable"),
)

PREVIEW_TOKEN = operation(
    "mintPreviewToken",
    "Make an address for the live view",
    tag=TAG,
    description="It is good for one session and a few minutes, and dies with the session. Mint another to go on.",
    security=BY_KEY,
    parameters=[SESSION_ID],
    request_body=body(shape("NewPreviewToken"), {"input": False}),
    responses={"200": answer("A WebSocket URL, token included.", shape("PreviewToken"), example=_TOKEN)},
    errors=(*_READY, "invalid_request", "payload_too_large", "rate_limited"),
)

EVENTS = operation(
    "listSessionEvents",
    "Show a session's timeline",
    tag=TAG,
    description="Everything that happened to it, and the cause of a bad end: exit code, signal, the browser's last "
    "words.",
    security=BY_KEY,
    parameters=[SESSION_ID],
    responses={"200": answer("Oldest first.", shape("SessionEvents"), example=_EVENTS)},
    errors=_WHICH,
)

EGRESS = operation(
    "listSessionEgress",
    "Show who got a session's bytes",
    tag=TAG,
    security=BY_KEY,
    parameters=[SESSION_ID],
    responses={
        "200": answer(
            "By destination host and way.",
            shape("SessionEgress"),
            example={"object": "list", "data": [_EGRESS_ROW]},
        )
    },
    errors=_WHICH,
)

PATHS: dict[str, Json] = {
    "/v1/sessions": {"post": CREATE, "get": LIST},
    "/v1/sessions/{session_id}": {"get": SHOW, "delete": DELETE},
    "/v1/sessions/{session_id}/screenshot": {"post": SCREENSHOT},
    "/v1/sessions/{session_id}/preview-token": {"post": PREVIEW_TOKEN},
    "/v1/sessions/{session_id}/events": {"get": EVENTS},
    "/v1/sessions/{session_id}/egress": {"get": EGRESS},
}
