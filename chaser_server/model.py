"""The nouns every room shares: what was asked for, what is stored, and what is counted. No behaviour, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol


class Status(StrEnum):
    """Where a session stands; see `lifecycle.MOVES` for the ways between them."""

    CREATING = "creating"
    READY = "ready"
    CLOSED = "closed"
    ERROR = "error"


class EndedReason(StrEnum):
    """Why a session closed, in the words of the API."""

    CLIENT_DELETE = "client_delete"
    TTL_EXPIRED = "ttl_expired"
    IDLE_EXPIRED = "idle_expired"
    ABANDONED_ORPHAN = "abandoned_orphan"
    SUBSTRATE_DOWN = "substrate_down"


class Channel(StrEnum):
    """The three ways a session's bytes travel; each is counted apart."""

    EGRESS = "egress"
    CDP = "cdp"
    PREVIEW = "preview"


@dataclass(slots=True)
class ByteCount:
    """Bytes of one channel; `up` is away from the session's owner's side of it.

    For egress, `up` is what the browser sent to the network. For CDP and preview, `up` is what the client sent to
    the browser. Both only ever grow.
    """

    up: int = 0
    down: int = 0


class ByteTotal:
    """A count made of parts that are each still growing, such as the connections of one session."""

    def __init__(self) -> None:
        self._past = ByteCount()
        self._parts: list[ByteCount] = []

    @property
    def up(self) -> int:
        return self._past.up + sum(part.up for part in self._parts)

    @property
    def down(self) -> int:
        return self._past.down + sum(part.down for part in self._parts)

    def open_part(self) -> ByteCount:
        """A new part that counts into this total from now on."""
        part = ByteCount()
        self._parts.append(part)
        return part

    def close_part(self, part: ByteCount) -> None:
        """Keep what `part` has counted; it grows no more."""
        self._parts = [other for other in self._parts if other is not part]
        self._past = ByteCount(self._past.up + part.up, self._past.down + part.down)


class Counted(Protocol):
    """Anything whose bytes can be read."""

    @property
    def up(self) -> int: ...

    @property
    def down(self) -> int: ...


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """What a client asked for, after the web room has checked it. A rehearsal has no browser behind it."""

    workspace_id: str
    key_id: str | None
    profile: str
    ttl_seconds: int
    rehearsal: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """One row of the sessions table: a session as it is stored."""

    id: str
    workspace_id: str
    key_id: str | None
    profile: str
    status: Status
    created_at: datetime
    expires_at: datetime
    device: str | None = None
    ready_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: EndedReason | None = None
    proxy_ip: str | None = None
    proxy_region: str | None = None
    bytes: Mapping[Channel, Counted] = field(default_factory=lambda: {channel: ByteCount() for channel in Channel})


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list of sessions, and whether older ones follow."""

    sessions: list[Session]
    has_more: bool


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One line of a session's timeline."""

    at: datetime
    kind: str
    detail: dict[str, object]


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What went from one session to one destination by one way. `upstream` None is direct."""

    host: str
    upstream: str | None
    up: int
    down: int
    connections: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Workspace:
    """A tenant: it owns keys and sessions, and never sees another's.

    Where `concurrent_sessions` or `egress_budget_bytes` (of a calendar month) is None, the server's own limit holds.
    Sign-ins to the dashboard, links to them and preview tokens are good for one `sign_in_epoch`.
    """

    id: str
    name: str
    created_at: datetime
    concurrent_sessions: int | None = None
    egress_budget_bytes: int | None = None
    sign_in_epoch: int = 0


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret, of which only a hash is ever stored."""

    id: str
    workspace_id: str
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What a workspace's sessions of one day, key and region came to; region "" is direct egress.

    `charged_bytes` leaves out the sessions that ended in `error` or `substrate_down`.
    """

    date: str
    key_id: str
    region: str
    sessions: int
    bytes_up: int
    bytes_down: int
    charged_bytes: int


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a key's prefix, `dashboard`, `command line` or `server`, and from which address."""

    name: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that somebody did, or was refused. `actor` is a key's prefix, `dashboard`, `server` or empty."""

    number: int
    workspace_id: str
    at: datetime
    kind: str
    actor: str
    address: str
    detail: dict[str, object]


def utc_now() -> datetime:
    """The wall clock in UTC, with microseconds."""
    return datetime.now(UTC)
