"""The sessions table and the timeline beside it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import aiosqlite

from chaser_server.lifecycle import is_charged
from chaser_server.model import (
    ByteCount,
    Channel,
    EndedReason,
    LedgerRow,
    Session,
    SessionEvent,
    Status,
    utc_now,
)
from chaser_server.store.database import Database, to_text, to_time

_INSERT_EVENT = "INSERT INTO session_events (session_id, at, kind, detail) VALUES (?, ?, ?, ?)"


class SessionStore:
    """Reads and writes sessions; decides nothing."""

    def __init__(self, database: Database, metering: Collection[str] = ("egress", "cdp")) -> None:
        """`metering` names the channels whose bytes are a session's usage."""
        self._database = database
        self._metering = metering

    async def insert(self, session: Session) -> None:
        """Store a new session with its first event. It is committed when this returns."""
        async with self._database.transaction() as write:
            await write.execute(
                "INSERT INTO sessions (id, workspace_id, key_id, profile, status, created_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    session.id,
                    session.workspace_id,
                    session.key_id,
                    session.profile,
                    session.status,
                    to_text(session.created_at),
                    to_text(session.expires_at),
                ),
            )
            detail = {"profile": session.profile}
            await write.execute(_INSERT_EVENT, _event_row(session.id, session.created_at, "created", detail))

    async def mark_ready(self, session: Session) -> None:
        """Store that `session` became ready, with its device."""
        async with self._database.transaction() as write:
            await write.execute(
                "UPDATE sessions SET status = ?, device = ?, ready_at = ? WHERE id = ?",
                (session.status, session.device, to_text(session.ready_at), session.id),
            )
            assert session.ready_at is not None
            await write.execute(
                _INSERT_EVENT, _event_row(session.id, session.ready_at, "ready", {"device": session.device})
            )

    async def mark_ended(self, session: Session, detail: dict[str, object]) -> None:
        """Store the end of `session`, its last byte counts and the `ended` event, all of it or none."""
        assert session.ended_at is not None
        async with self._database.transaction() as write:
            await self._save_counts(write, session)
            await write.execute(
                "UPDATE sessions SET status = ?, ended_at = ?, ended_reason = ? WHERE id = ?",
                (session.status, to_text(session.ended_at), session.ended_reason, session.id),
            )
            await self._add_usage(write, session, sessions=1)
            await write.execute(_INSERT_EVENT, _event_row(session.id, session.ended_at, "ended", detail))

    async def save_counts(self, counted: Iterable[Session]) -> None:
        """Store the byte counts and upstreams of several sessions, all of them or none.

        What the egress counts grew by is added to the month of its workspace.
        """
        async with self._database.transaction() as write:
            for session in counted:
                await self._save_counts(write, session)

    async def save_ledger(self, session_id: str, rows: Iterable[LedgerRow]) -> None:
        """Store rows of a session's egress ledger, each in place of what was known of it."""
        async with self._database.transaction() as write:
            await write.executemany(_UPSERT_LEDGER, [_ledger_values(session_id, row) for row in rows])

    async def ledger(self, session_id: str) -> list[LedgerRow]:
        """A session's egress by host and upstream, in order of first use."""
        rows = await self._database.rows(
            "SELECT * FROM egress_ledger WHERE session_id = ? ORDER BY first_at, host", (session_id,)
        )
        return [_ledger_row(row) for row in rows]

    async def month_egress(self, workspace_id: str, month: str, unsettled: Collection[Session] = ()) -> int:
        """Bytes, up and down, that a workspace's sessions moved over the network in `month` (YYYY-MM).

        What those that are `unsettled` have moved beyond what is stored of them is counted, too.
        """
        # In one statement, or what is stored in between would count twice, or not at all.
        row = await self._database.row(
            "SELECT (SELECT bytes FROM egress_months WHERE workspace_id = ? AND month = ?) AS month,"
            " (SELECT SUM(egress_up + egress_down) FROM sessions WHERE id IN (SELECT value FROM json_each(?)))"
            " AS stored",
            (workspace_id, month, json.dumps([session.id for session in unsettled])),
        )
        assert row is not None, "it has no condition"
        counts = [session.bytes[Channel.EGRESS] for session in unsettled]
        return (row["month"] or 0) + sum(count.up + count.down for count in counts) - (row["stored"] or 0)

    async def _save_counts(self, write: aiosqlite.Connection, session: Session) -> None:
        rows = await write.execute_fetchall("SELECT * FROM sessions WHERE id = ?", (session.id,))
        before = _session(next(iter(rows)))
        egress, known = session.bytes[Channel.EGRESS], before.bytes[Channel.EGRESS]
        grown = egress.up + egress.down - known.up - known.down
        if grown > 0:
            await write.execute(_ADD_TO_MONTH, (session.workspace_id, utc_now().strftime("%Y-%m"), grown))
        counts = (number for channel in Channel for number in (session.bytes[channel].up, session.bytes[channel].down))
        await write.execute(_COUNT, (session.proxy_ip, session.proxy_region, *counts, session.id))
        if before.ended_at is not None:  # its usage was summed at its end: what came later is added
            await self._add_usage(write, session, since=before, sessions=0)

    async def _add_usage(
        self, write: aiosqlite.Connection, session: Session, *, sessions: int, since: Session | None = None
    ) -> None:
        """Add a session, or what it moved since, to the sums of its day, key and region."""
        up, down = self._usage(session)
        up_before, down_before = self._usage(since) if since is not None else (0, 0)
        up, down = max(0, up - up_before), max(0, down - down_before)
        charged = up + down if is_charged(since or session) else 0  # `session` may be from before its end
        date, region = session.created_at.strftime("%Y-%m-%d"), session.proxy_region or ""
        numbers = (sessions, up, down, charged)
        await write.execute(_ADD_USAGE, (session.workspace_id, date, session.key_id or "", region, *numbers))

    def _usage(self, session: Session) -> tuple[int, int]:
        counted = [count for channel, count in session.bytes.items() if channel in self._metering]
        return sum(count.up for count in counted), sum(count.down for count in counted)

    async def add_event(self, session_id: str, event: SessionEvent) -> None:
        """Append a line to the timeline of a session."""
        await self._database.write(_INSERT_EVENT, _event_row(session_id, event.at, event.kind, event.detail))

    async def get(self, session_id: str) -> Session | None:
        """One session by id, of whatever workspace."""
        row = await self._database.row("SELECT * FROM sessions WHERE id = ?", (session_id,))
        return None if row is None else _session(row)

    async def page(
        self,
        workspace_id: str,
        *,
        limit: int,
        before: tuple[datetime, str] | None = None,
        status: Status | None = None,
    ) -> list[Session]:
        """Sessions of a workspace, newest first, at most `limit`; `before` is the last row of the page before.

        The order is total (`created_at`, then `id`) and the bound is a row, not a number of rows, so a session that
        is created in between never shifts or repeats one.
        """
        sql, values = "SELECT * FROM sessions WHERE workspace_id = ?", [workspace_id]
        if before is not None:
            sql += " AND (created_at, id) < (?, ?)"
            values += [to_text(before[0]) or "", before[1]]
        if status is not None:
            sql += " AND status = ?"
            values.append(status)
        sql += " ORDER BY created_at DESC, id DESC LIMIT ?"
        return [_session(row) for row in await self._database.rows(sql, [*values, limit])]

    async def open_sessions(self) -> list[Session]:
        """All sessions that are not in a terminal state; after a restart these are orphans."""
        rows = await self._database.rows("SELECT * FROM sessions WHERE status IN ('creating', 'ready')")
        return [_session(row) for row in rows]

    async def events(self, session_id: str) -> list[SessionEvent]:
        """The timeline of a session, oldest first."""
        rows = await self._database.rows(
            "SELECT at, kind, detail FROM session_events WHERE session_id = ? ORDER BY number", (session_id,)
        )
        return [
            SessionEvent(at=datetime.fromisoformat(row["at"]), kind=row["kind"], detail=json.loads(row["detail"]))
            for row in rows
        ]

    async def failure(self, session_id: str) -> str:
        """Why a session could not start, or nothing."""
        ends = [event.detail for event in await self.events(session_id) if event.kind == "ended"]
        return str(ends[0].get("error", "")) if ends else ""


# MAX: a count that is written late never takes bytes back.
_COUNT = (
    "UPDATE sessions SET proxy_ip = ?, proxy_region = ?, "
    + ", ".join(f"{channel}_{way} = MAX({channel}_{way}, ?)" for channel in Channel for way in ("up", "down"))
    + " WHERE id = ?"
)
_ADD_TO_MONTH = (
    "INSERT INTO egress_months (workspace_id, month, bytes) VALUES (?, ?, ?)"
    " ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes"
)
_ADD_USAGE = (
    "INSERT INTO usage (workspace_id, date, key_id, region, sessions, bytes_up, bytes_down, charged_bytes)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET sessions = sessions + excluded.sessions,"
    " bytes_up = bytes_up + excluded.bytes_up, bytes_down = bytes_down + excluded.bytes_down,"
    " charged_bytes = charged_bytes + excluded.charged_bytes"
)
_UPSERT_LEDGER = (
    "INSERT INTO egress_ledger (session_id, host, upstream, up, down, connections, first_at, last_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET up = MAX(up, excluded.up),"
    " down = MAX(down, excluded.down), connections = excluded.connections, last_at = excluded.last_at"
)


def _ledger_values(session_id: str, row: LedgerRow) -> tuple[Any, ...]:
    first, last = to_text(row.first_at), to_text(row.last_at)
    return session_id, row.host, row.upstream or "", row.up, row.down, row.connections, first, last


def _ledger_row(row: Any) -> LedgerRow:
    return LedgerRow(
        host=row["host"],
        upstream=row["upstream"] or None,
        up=row["up"],
        down=row["down"],
        connections=row["connections"],
        first_at=datetime.fromisoformat(row["first_at"]),
        last_at=datetime.fromisoformat(row["last_at"]),
    )


def _event_row(session_id: str, at: datetime, kind: str, detail: dict[str, Any]) -> tuple[Any, ...]:
    return session_id, to_text(at), kind, json.dumps(detail)


def _session(row: Any) -> Session:
    return Session(
        id=row["id"],
        workspace_id=row["workspace_id"],
        key_id=row["key_id"],
        profile=row["profile"],
        status=Status(row["status"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=datetime.fromisoformat(row["expires_at"]),
        device=row["device"],
        ready_at=to_time(row["ready_at"]),
        ended_at=to_time(row["ended_at"]),
        ended_reason=None if row["ended_reason"] is None else EndedReason(row["ended_reason"]),
        proxy_ip=row["proxy_ip"],
        proxy_region=row["proxy_region"],
        bytes={channel: ByteCount(up=row[f"{channel}_up"], down=row[f"{channel}_down"]) for channel in Channel},
    )
