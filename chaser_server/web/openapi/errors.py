"""Every error code of the API: its status, when it is answered, and an example of its message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Told:
    """One error as the document tells it."""

    status: int
    when: str
    example: str
    headers: tuple[str, ...] = ()


HEADERS: dict[str, dict[str, Any]] = {
    "Retry-After": {
        "description": "Whole seconds after which another try makes sense.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[1-9][0-9]*$"},
        "example": "1",
    },
    "Allow": {
        "description": "The methods that this path has.",
        "required": True,
        "schema": {"type": "string"},
        "example": "GET, HEAD, POST",
    },
    "WWW-Authenticate": {"required": True, "schema": {"type": "string"}, "example": "Bearer"},
}

ERRORS: dict[str, Told] = {
    "invalid_request": Told(
        400,
        "The request cannot be understood: no HTTP, a body that is no JSON object, an unknown field, a wrong type, "
        "a value out of its range. The message names the field and what is allowed.",
        "ttl_seconds must be an integer from 60 to 3600",
    ),
    "unauthorized": Told(
        401,
        "The key is missing, malformed, unknown, revoked or past its grace; or the dashboard's cookie is.",
        "this API key is not valid here: malformed, unknown or revoked",
        headers=("WWW-Authenticate",),
    ),
    "payment_required": Told(
        402,
        "The workspace's egress budget of this month is used up.",
        "the workspace has used up its egress budget of 1000000000 bytes for this month",
    ),
    "forbidden": Told(
        403,
        "A WebSocket or cookie request from a foreign Origin; or a token that is not valid.",
        "Origin https://elsewhere.example may not connect; the operator can add it to server.allowed_origins",
    ),
    "session_not_found": Told(
        404,
        "No such session, or another workspace's: the two are never told apart.",
        "no session sess_01998d2e-5f3a-7c41-9e0b-2d6c1f3a4b5c in this workspace",
    ),
    "not_found": Told(404, "Nothing of that name here.", "there is nothing at this path"),
    "method_not_allowed": Told(
        405,
        "The path has other methods only; they are in `Allow`.",
        "PATCH is not possible here; possible: GET, HEAD, POST",
        headers=("Allow",),
    ),
    "key_revoked": Told(
        409, "The key to be rotated is revoked, or past its grace.", "this key is revoked; make a new one instead"
    ),
    "session_not_ready": Told(
        409, "The session is still being created.", "the session is still being created; wait with GET ?wait=ready"
    ),
    "session_not_open": Told(409, "The session has ended, or failed to start.", "the session has ended: client_delete"),
    "payload_too_large": Told(413, "The body has more than 64 KiB.", "the body may have at most 65536 bytes"),
    "rate_limited": Told(
        429,
        "Too many requests of this kind in the last minute.",
        "more than 20 creates in a minute; next one in 12 s",
        headers=("Retry-After",),
    ),
    "concurrency_limit": Told(
        429,
        "The workspace, or the whole server, has as many open sessions as it may.",
        "the workspace has 10 sessions open, as many as it may",
        headers=("Retry-After",),
    ),
    "internal_error": Told(
        500,
        "A failure of ours; the log names the request. Nothing was changed when the message says that something could "
        "not be written.",
        "this is our fault; the log names request req_01998d2e-5f3a-7c41-9e0b-2d6c1f3a4b5c",
    ),
    "substrate_unavailable": Told(
        503,
        "Browsers cannot be launched or reached now, or the server is shutting down.",
        "the server is shutting down",
        headers=("Retry-After",),
    ),
}


def failures(*codes: str, headers: dict[str, Any]) -> dict[str, Any]:
    """The responses for these codes, by status; `headers` are those of every response."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(ERRORS[code].status, []).append(code)
    return {str(status): _failure(here, headers) for status, here in sorted(by_status.items())}


def _failure(codes: list[str], headers: dict[str, Any]) -> dict[str, Any]:
    own = {name: HEADERS[name] for code in codes for name in ERRORS[code].headers}
    narrowed = {"properties": {"error": {"properties": {"code": {"enum": codes}}}}}
    examples = {code: {"value": {"error": {"code": code, "message": ERRORS[code].example}}} for code in codes}
    return {
        "description": " ".join(f"`{code}`: {ERRORS[code].when}" for code in codes),
        "headers": {**headers, **own},
        "content": {
            "application/json": {
                "schema": {"allOf": [{"$ref": "#/components/schemas/Error"}, narrowed]},
                "examples": examples,
            }
        },
    }
