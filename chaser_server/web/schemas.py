"""Between JSON and our types: checks what comes in, shapes what goes out. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from chaser_server.errors import InvalidRequest
from chaser_server.limits import GRACE_DAYS_DEFAULT, GRACE_DAYS_HIGH
from chaser_server.model import ApiKey, Channel, LedgerRow, Session, SessionEvent, Status

TTL_LOW, TTL_HIGH, TTL_DEFAULT = 60, 3600, 1800
LIMIT_LOW, LIMIT_HIGH, LIMIT_DEFAULT = 1, 100, 20
WAIT_HIGH = 60
NAME_HIGH = 100


def parse_object(body: bytes, fields: Collection[str]) -> dict[str, Any]:
    """A request body as an object with only these fields; an empty body is `{}`. Raises `InvalidRequest`."""
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object")
    for name in value:
        if name not in fields:
            allowed = f"; allowed: {', '.join(sorted(fields))}" if fields else "; none are allowed here"
            raise InvalidRequest(f"unknown field {name!r}{allowed}")
    return value


def parse_create(body: bytes) -> tuple[str, int]:
    """The profile and the lifetime in seconds that POST /v1/sessions asks for."""
    value = parse_object(body, ("profile", "ttl_seconds"))
    profile = value.get("profile", "default")
    if not isinstance(profile, str):
        raise InvalidRequest("profile must be a string")
    ttl = value.get("ttl_seconds", TTL_DEFAULT)
    if not _is_integer(ttl) or not TTL_LOW <= ttl <= TTL_HIGH:
        raise InvalidRequest(f"ttl_seconds must be an integer from {TTL_LOW} to {TTL_HIGH}")
    return profile, int(ttl)


def parse_preview(body: bytes) -> bool:
    """Whether the preview token that is asked for may drive."""
    value = parse_object(body, ("input",))
    may_drive = value.get("input", True)
    if not isinstance(may_drive, bool):
        raise InvalidRequest("input must be true or false")
    return may_drive


def parse_new_key(body: bytes) -> tuple[str, str]:
    """The name and mode of the key that is asked for."""
    value = parse_object(body, ("name", "mode"))
    name, mode = value.get("name"), value.get("mode", "live")
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name.strip()) <= NAME_HIGH:
        raise InvalidRequest(f"name must be a string of 1 to {NAME_HIGH} printable characters")
    if mode not in ("live", "test"):
        raise InvalidRequest("mode must be 'live' or 'test'")
    return name.strip(), mode


def parse_rotation(body: bytes) -> int:
    """For how many days the old key still works."""
    days = parse_object(body, ("grace_days",)).get("grace_days", GRACE_DAYS_DEFAULT)
    if not _is_integer(days) or not 0 <= days <= GRACE_DAYS_HIGH:
        raise InvalidRequest(f"grace_days must be an integer from 0 to {GRACE_DAYS_HIGH}")
    return int(days)


def parse_password(form: bytes) -> str:
    """The `password` of a form, or "" (WHATWG URL 5.1, whose percent-decoding turns what is no UTF-8 into U+FFFD)."""
    return parse_qs(form.decode("utf-8", "replace"), errors="replace").get("password", [""])[0]


def parse_wait(prefer: Sequence[str]) -> float:
    """Seconds that `Prefer: wait=N` allows (RFC 7240 4.3), at most a minute; 0 without. A bad preference is ignored."""
    for part in ",".join(prefer).split(","):
        name, _, value = part.split(";")[0].partition("=")
        if name.strip().lower() == "wait" and value.strip().isdecimal():
            return min(float(value.strip()), WAIT_HIGH)
    return 0.0


def parse_integer(query: Mapping[str, str], name: str, *, default: int, low: int, high: int) -> int:
    """A whole number from the query string. Raises `InvalidRequest` naming it and its range."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise InvalidRequest(f"{name} must be an integer from {low} to {high}")
    return int(text)


def parse_status(query: Mapping[str, str]) -> Status | None:
    """The status filter of the list."""
    text = query.get("status")
    if text is None:
        return None
    if text not in tuple(Status):
        raise InvalidRequest(f"status must be one of {', '.join(Status)}")
    return Status(text)


def _is_integer(value: object) -> bool:
    """As JSON Schema 2020-12 4.2.3 has it: 60.0 is an integer, too; `true` is one to Python, but not to JSON."""
    return type(value) is int or (isinstance(value, float) and value.is_integer())


def make_cursor(session: Session) -> str:
    """An opaque mark behind `session`: URL-safe base64 of `created_at|uuid`."""
    text = f"{session.created_at.isoformat()}|{session.id.removeprefix('sess_')}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def parse_cursor(query: Mapping[str, str]) -> tuple[datetime, str] | None:
    """The row behind which the page begins."""
    text = query.get("cursor")
    if text is None:
        return None
    try:
        padded = text + "=" * (-len(text) % 4)
        moment, _, uuid = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition("|")
        created_at = datetime.fromisoformat(moment)
        if not uuid or created_at.tzinfo is None:
            raise ValueError
        return created_at.astimezone(UTC), f"sess_{uuid}"
    except (ValueError, OverflowError, binascii.Error) as error:
        raise InvalidRequest("cursor is not one that this server gave: pass next_cursor as it came") from error


def timestamp(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with microseconds and `Z`."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def short_timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def render_created(session: Session, cdp_url: str) -> dict[str, Any]:
    """The six fields of a 201."""
    return {
        "id": session.id,
        "object": "session",
        "status": session.status,
        "cdp_url": cdp_url,
        "created_at": timestamp(session.created_at),
        "expires_at": timestamp(session.expires_at),
    }


def render_session(session: Session, cdp_url: str, metering: Collection[str]) -> dict[str, Any]:
    """All fields of a session; `metering` names the channels that make up its byte counts."""
    counted = [count for channel, count in session.bytes.items() if channel in metering]
    return {
        "id": session.id,
        "object": "session",
        "status": session.status,
        "device": session.device,
        "cdp_url": cdp_url,
        "bytes_up": sum(count.up for count in counted),
        "bytes_down": sum(count.down for count in counted),
        "proxy_ip": session.proxy_ip,
        "proxy_region": session.proxy_region,
        "created_at": timestamp(session.created_at),
        "ready_at": timestamp(session.ready_at),
        "expires_at": timestamp(session.expires_at),
        "ended_at": timestamp(session.ended_at),
        "ended_reason": session.ended_reason,
    }


def render_key(key: ApiKey) -> dict[str, Any]:
    """A key without its secret."""
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "created_at": timestamp(key.created_at),
        "last_used_at": timestamp(key.last_used_at),
        "revoked_at": timestamp(key.revoked_at),
    }


def render_key_names(key: ApiKey | None) -> dict[str, str | None]:
    """How people tell a key from others; None stands for the dashboard, which has none."""
    return {"key_prefix": None, "key_name": None} if key is None else {"key_prefix": key.prefix, "key_name": key.name}


def render_channels(session: Session) -> dict[str, dict[str, int]]:
    """A session's byte counts, each channel apart."""
    return {channel: {"up": session.bytes[channel].up, "down": session.bytes[channel].down} for channel in Channel}


def render_events(session: Session, events: Collection[SessionEvent]) -> dict[str, Any]:
    """A session's timeline with its channels apart."""
    return {
        "object": "list",
        "bytes": render_channels(session),
        "data": [{"at": timestamp(event.at), "kind": event.kind, "detail": event.detail} for event in events],
    }


def render_ledger(rows: Collection[LedgerRow]) -> dict[str, Any]:
    """A session's egress by destination host and upstream; upstream `null` is direct."""
    data = [
        {
            "host": row.host,
            "upstream": row.upstream,
            "bytes_up": row.up,
            "bytes_down": row.down,
            "connections": row.connections,
            "first_at": timestamp(row.first_at),
            "last_at": timestamp(row.last_at),
        }
        for row in rows
    ]
    return {"object": "list", "data": data}
