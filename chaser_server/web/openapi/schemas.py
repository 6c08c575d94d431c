"""The shapes of what is asked and answered, as JSON Schema 2020-12. Objects have exactly the fields that stand here."""

from __future__ import annotations

from typing import Any

from chaser_server.web.openapi.errors import ERRORS

Json = dict[str, Any]

SESSION = "sess_01998d2e-5f3a-7c41-9e0b-2d6c1f3a4b5c"
TIME = {"type": "string", "format": "date-time", "description": "RFC 3339 in UTC with microseconds and Z."}
TIME_OR_NULL = {**TIME, "type": ["string", "null"]}
COUNT = {"type": "integer", "minimum": 0}
TEXT = {"type": "string"}
TEXT_OR_NULL = {"type": ["string", "null"]}


def record(description: str = "", /, **properties: Json) -> Json:
    """An object with all of these fields and no other."""
    told = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"description": description, **told} if description else told


def asked(description: str, /, **properties: Json) -> Json:
    """An object of a request: no field must be there, and no other may."""
    return {"type": "object", "description": description, "properties": properties, "additionalProperties": False}


def list_of(name: str) -> Json:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


_ID = {"type": "string", "pattern": "^sess_[0-9a-f-]{36}$", "description": "sess_ and a UUID of version 7."}
_STATUS = {"type": "string", "enum": ["creating", "ready", "closed", "error"]}
_REASONS = ["client_delete", "ttl_expired", "idle_expired", "abandoned_orphan", "substrate_down"]
_CDP_URL = {"type": "string", "format": "uri", "description": "For connectOverCDP and browserWSEndpoint."}
_UP_DOWN = record(up=COUNT, down=COUNT)
_BILLED = {**COUNT, "description": "Millionths of a dollar, rounded down from this sum; failed sessions cost nothing."}

_SESSION_FIELDS: Json = {
    "id": _ID,
    "object": {"const": "session"},
    "status": _STATUS,
    "device": {**TEXT_OR_NULL, "description": "What the browser is or plays; null until it is up."},
    "cdp_url": _CDP_URL,
    "bytes_up": {**COUNT, "description": "Sent, on the channels that metering.count names; live."},
    "bytes_down": {**COUNT, "description": "Received, likewise."},
    "proxy_ip": {**TEXT_OR_NULL, "description": "Of the upstream proxy in use; null for direct egress."},
    "proxy_region": TEXT_OR_NULL,
    "created_at": TIME,
    "ready_at": TIME_OR_NULL,
    "expires_at": TIME,
    "ended_at": TIME_OR_NULL,
    "ended_reason": {"enum": [*_REASONS, None], "description": "Why it closed; null while open, and for error."},
}

_KEY_FIELDS: Json = {
    "id": TEXT,
    "name": TEXT,
    "prefix": {**TEXT, "description": "The first 16 characters of the secret."},
    "created_at": TIME,
    "last_used_at": TIME_OR_NULL,
    "revoked_at": {**TIME_OR_NULL, "description": "From when on it is invalid; in the future during a grace."},
}

_SUMS: Json = {"sessions": COUNT, "bytes_total": COUNT, "billed_micro_usd": _BILLED}

SCHEMAS: dict[str, Json] = {
    "Error": record(
        "Every error has this shape.",
        error=record(
            code={"type": "string", "enum": list(ERRORS), "description": "For programs; never changes its meaning."},
            message={"type": "string", "description": "For people; may change."},
        ),
    ),
    "NewSession": asked(
        "An empty body is an empty object.",
        profile={
            "type": "string",
            "default": "default",
            "description": "A section [profiles.NAME] of the server's configuration; default and mobile are built in.",
        },
        ttl_seconds={"type": "integer", "minimum": 60, "maximum": 3600, "default": 1800},
    ),
    "CreatedSession": record(
        "A session that has just been stored; its browser comes up behind the answer.",
        **{name: _SESSION_FIELDS[name] for name in ("id", "object")},
        status={"const": "creating"},
        **{name: _SESSION_FIELDS[name] for name in ("cdp_url", "created_at", "expires_at")},
    ),
    "Session": record("A session as it is now.", **_SESSION_FIELDS),
    "SessionList": record(
        "One page, newest first.",
        object={"const": "list"},
        data=list_of("Session"),
        next_cursor={**TEXT_OR_NULL, "description": "Give it back as ?cursor= for the next page; null on the last."},
        has_more={"type": "boolean"},
    ),
    "SessionEvent": record(
        "One line of a timeline.",
        at=TIME,
        kind={**TEXT, "description": "created, launched, ready, client_connected, viewer_connected, ended and others."},
        detail={
            "type": "object",
            "description": "What belongs to this kind: an end says its cause, a launch its milliseconds.",
        },
    ),
    "SessionEvents": record(
        "A session's timeline, and its bytes by channel.",
        object={"const": "list"},
        bytes=record(egress=_UP_DOWN, cdp=_UP_DOWN, preview=_UP_DOWN),
        data=list_of("SessionEvent"),
    ),
    "EgressRow": record(
        "What one destination got and gave.",
        host=TEXT,
        upstream={**TEXT_OR_NULL, "description": "The name of the upstream proxy; null is direct."},
        bytes_up=COUNT,
        bytes_down=COUNT,
        connections=COUNT,
        first_at=TIME,
        last_at=TIME,
    ),
    "SessionEgress": record(object={"const": "list"}, data=list_of("EgressRow")),
    "NewPreviewToken": asked(
        "An empty body is an empty object.",
        input={"type": "boolean", "default": True, "description": "false: the viewer may only watch."},
    ),
    "PreviewToken": record(
        url={"type": "string", "format": "uri", "description": "The WebSocket of the live view, token included."},
        expires_at={**TIME, "description": "RFC 3339 in UTC with milliseconds."},
        input_enabled={"type": "boolean"},
        fps={"type": "number", "exclusiveMinimum": 0},
    ),
    "Usage": record(
        "The current month, from its first day 00:00 UTC until now.",
        period={"const": "current"},
        **{"from": TIME},
        to=TIME,
        totals=record(bytes_up=COUNT, bytes_down=COUNT, **_SUMS),
        by_region={"type": "array", "items": record(region=TEXT_OR_NULL, **_SUMS)},
        by_key={
            "type": "array",
            "items": record(key_id=TEXT_OR_NULL, key_prefix=TEXT_OR_NULL, key_name=TEXT_OR_NULL, **_SUMS),
        },
        by_day={
            "type": "array",
            "description": "Every day, those without sessions included.",
            "items": record(date={"type": "string", "format": "date"}, bytes_total=COUNT, sessions=COUNT),
        },
    ),
    "Key": record("A key without its secret.", **_KEY_FIELDS),
    "KeyList": record(keys=list_of("Key")),
    "NewKey": {
        **asked(
            "The name is for people.",
            name={"type": "string", "minLength": 1, "maxLength": 100, "pattern": "\\S", "description": "Printable."},
            mode={
                "enum": ["live", "test"],
                "default": "live",
                "description": "test: its sessions come up by the clock and have no browser.",
            },
        ),
        "required": ["name"],
    },
    "KeyWithSecret": record(
        "The only answer that ever shows the secret.",
        **_KEY_FIELDS,
        secret={"type": "string", "pattern": "^cha_(live|test)_[A-Za-z0-9_-]{43}$"},
    ),
    "Rotation": asked(
        "An empty body is an empty object.",
        grace_days={
            "type": "integer",
            "minimum": 0,
            "maximum": 30,
            "default": 7,
            "description": "For so long the old key still works.",
        },
    ),
    "Version": {
        "type": "object",
        "required": ["Browser", "webSocketDebuggerUrl"],
        "description": "In Chromium's words.",
    },
    "Target": {"type": "object", "required": ["id", "type", "url"], "description": "In Chromium's words."},
}
