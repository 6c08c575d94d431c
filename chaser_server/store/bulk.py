"""Fills a database with a month of ended sessions, as measurements of a busy server need them."""

from __future__ import annotations

from datetime import datetime

from chaser_server.store.database import Database, to_text

KEYS, REGIONS = 20, 3


async def fill(database: Database, workspace_id: str, count: int, *, begin: datetime, end: datetime) -> None:
    """Add `count` ended sessions, evenly from `begin` to `end`, with their first and last events and their usage.

    They belong to `KEYS` keys that need not exist and to `REGIONS` regions.
    """
    values = {
        "workspace": workspace_id,
        "count": count,
        "begin": begin.timestamp(),
        "step": (end - begin).total_seconds() / count,
        "expires": to_text(end),
    }
    async with database.transaction() as write:
        for statement in (_SESSIONS, _EVENTS, _USAGE):
            await write.execute(statement, values)


_AT = "strftime('%Y-%m-%dT%H:%M:%f', :begin + :step * i, 'unixepoch') || '000Z'"
_SESSIONS = f"""
    WITH RECURSIVE numbers (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < :count)
    INSERT INTO sessions (id, workspace_id, key_id, profile, status, device, created_at, expires_at, ready_at,
        ended_at, ended_reason, proxy_region, egress_up, egress_down, cdp_up, cdp_down)
    SELECT printf('sess_00000000-0000-7000-8000-%012d', i), :workspace, 'key_' || (i % {KEYS}), 'default', 'closed',
        'Linux - Chrome 156 (Desktop)', {_AT}, :expires, {_AT}, {_AT}, 'client_delete', 'region ' || (i % {REGIONS}),
        i, 10 * i, 100, 1000
    FROM numbers
"""
_EVENTS = """
    INSERT INTO session_events (session_id, at, kind, detail)
    SELECT id, created_at, kind, '{}' FROM sessions, (SELECT 'created' AS kind UNION ALL SELECT 'ended')
    WHERE workspace_id = :workspace
"""
_USAGE = """
    INSERT INTO usage (workspace_id, date, key_id, region, sessions, bytes_up, bytes_down, charged_bytes)
    SELECT workspace_id, substr(created_at, 1, 10), key_id, proxy_region, COUNT(*), SUM(egress_up + cdp_up),
        SUM(egress_down + cdp_down), SUM(egress_up + egress_down + cdp_up + cdp_down)
    FROM sessions WHERE workspace_id = :workspace GROUP BY 1, 2, 3, 4
"""
