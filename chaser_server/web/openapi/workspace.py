"""The operations on a workspace: its usage, its keys, its audit."""

from __future__ import annotations

from chaser_server.web.openapi.parts import (
    BY_COOKIE,
    BY_KEY,
    Json,
    answer,
    body,
    in_header,
    in_path,
    operation,
    query,
    raw,
    shape,
)

TAG = "Workspace"
_WHO = ("unauthorized", "forbidden")
_KEY_ID = in_path("key_id", "The key's id.", "key_01998d2e-5f3a-7c41-9e0b-2d6c1f3a4b5c")
_SUMS = {"sessions": 12, "bytes_total": 5200000, "billed_micro_usd": 26000}
_KEY = {
    "id": "key_01998d2e-5f3a-7c41-9e0b-2d6c1f3a4b5c",
    "name": "ci",
    "prefix": "cha_live_2vXyQ7a",
    "created_at": "2026-11-21T09:30:00.123456Z",
    "last_used_at": None,
    "revoked_at": None,
}
_SECRET = {**_KEY, "secret": "cha_live_2vXyQ7aExampleOfASecretExampleOfASecretExam"}
_USAGE = {
    "period": "current",
    "from": "2026-11-01T00:00:00.000000Z",
    "to": "2026-11-02T09:30:00.123456Z",
    "totals": {"bytes_up": 200000, "bytes_down": 5000000, **_SUMS},
    "by_region": [{"region": None, **_SUMS}],
    "by_key": [{"key_id": _KEY["id"], "key_prefix": _KEY["prefix"], "key_name": "ci", **_SUMS}],
    "by_day": [
        {"date": "2026-11-01", "bytes_total": 0, "sessions": 0},
        {"date": "2026-11-02", "bytes_total": 5200000, "sessions": 12},
    ],
}
_TABLE = (
    "date,key_id,key_prefix,key_name,region,sessions,bytes_up,bytes_down,bytes_total\r\n"
    "2026-11-02,key_01998d2e-5f3a-7c41-9e0b-2d6c1f3a4b5c,cha_live_2vXyQ7a,ci,,12,200000,5000000,5200000\r\n"
)
_EVENT = 'id: 7\nevent: key_created\ndata: {"at": "2026-11-21T09:30:00.123456Z", "kind": "key_created", "actor": "dashboard", "address": "127.0.0.1", "detail": {"name": "ci"}}\n\n'  # noqa: E501

_SUMS_OF_THE_MONTH = answer("Sums for the current calendar month, UTC.", shape("Usage"), example=_USAGE)
_SUMS_OF_THE_MONTH["content"]["text/csv"] = {"schema": {"type": "string"}, "example": _TABLE}

USAGE = operation(
    "getUsage",
    "Show this month's usage",
    tag=TAG,
    security=BY_KEY,
    parameters=[query("format", "csv: a table with one line for each day, key and region.", {"enum": ["json", "csv"]})],
    responses={"200": _SUMS_OF_THE_MONTH},
    errors=(*_WHO, "invalid_request"),
)

LIST_KEYS = operation(
    "listKeys",
    "List API keys",
    tag=TAG,
    description="By the dashboard's cookie: keys are managed by people, not by keys.",
    security=BY_COOKIE,
    responses={"200": answer("Oldest first.", shape("KeyList"), example={"keys": [_KEY]})},
    errors=_WHO,
)

CREATE_KEY = operation(
    "createKey",
    "Make an API key",
    tag=TAG,
    description="The secret is shown in this answer and never again.",
    security=BY_COOKIE,
    request_body=body(shape("NewKey"), {"name": "ci", "mode": "live"}, required=True),
    responses={"201": answer("Made.", shape("KeyWithSecret"), example=_SECRET)},
    errors=(*_WHO, "invalid_request", "payload_too_large"),
)

REVOKE_KEY = operation(
    "revokeKey",
    "Revoke an API key",
    tag=TAG,
    description="It is invalid from the 204 on. Open sessions go on.",
    security=BY_COOKIE,
    parameters=[_KEY_ID],
    responses={"204": answer("Revoked.")},
    errors=(*_WHO, "not_found"),
)

ROTATE_KEY = operation(
    "rotateKey",
    "Replace an API key",
    tag=TAG,
    description="Makes another with the same name and mode; the old one works until its grace ends. A "
    "key that is revoked, or past its grace, cannot be rotated.",
    security=BY_COOKIE,
    parameters=[_KEY_ID],
    request_body=body(shape("Rotation"), {"grace_days": 7}),
    responses={"201": answer("The new key.", shape("KeyWithSecret"), example=_SECRET)},
    errors=(*_WHO, "not_found", "key_revoked", "invalid_request", "payload_too_large"),
)

AUDIT = operation(
    "streamAudit",
    "Follow the audit",
    tag=TAG,
    description="Server-sent events, until the sign-in or the server ends: first those behind `Last-Event-ID`, or the "
    "newest 100, then each as it happens. Keys created, rotated and revoked, sessions created and ended, sign-ins, "
    "refused ones and their end, refused requests.",
    security=BY_COOKIE,
    parameters=[in_header("Last-Event-ID", "The id of the last event seen.", {"type": "string"})],
    responses={"200": raw("A stream of events.", "text/event-stream", {"type": "string"}, example=_EVENT)},
    errors=_WHO,
)

PATHS: dict[str, Json] = {
    "/v1/usage": {"get": USAGE},
    "/v1/keys": {"get": LIST_KEYS, "post": CREATE_KEY},
    "/v1/keys/{key_id}": {"delete": REVOKE_KEY},
    "/v1/keys/{key_id}/rotate": {"post": ROTATE_KEY},
    "/v1/audit/stream": {"get": AUDIT},
}
