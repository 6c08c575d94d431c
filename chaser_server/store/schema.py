"""The tables, as numbered migrations. A released migration is never edited; a change is a new one at the end."""

from __future__ import annotations

import sqlite3

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE workspaces (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        created_at TEXT NOT NULL,
        concurrent_sessions INTEGER
    ) STRICT;
    CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspaces(id),
        name TEXT NOT NULL,
        hash TEXT NOT NULL UNIQUE,
        prefix TEXT NOT NULL,
        created_at TEXT NOT NULL,
        last_used_at TEXT,
        revoked_at TEXT
    ) STRICT;
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL REFERENCES workspaces(id),
        key_id TEXT,
        profile TEXT NOT NULL,
        status TEXT NOT NULL,
        device TEXT,
        created_at TEXT NOT NULL,
        expires_at TEXT NOT NULL,
        ready_at TEXT,
        ended_at TEXT,
        ended_reason TEXT,
        proxy_ip TEXT,
        proxy_region TEXT,
        egress_up INTEGER NOT NULL DEFAULT 0,
        egress_down INTEGER NOT NULL DEFAULT 0,
        cdp_up INTEGER NOT NULL DEFAULT 0,
        cdp_down INTEGER NOT NULL DEFAULT 0,
        preview_up INTEGER NOT NULL DEFAULT 0,
        preview_down INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX sessions_newest ON sessions (workspace_id, created_at DESC, id DESC);
    CREATE INDEX sessions_open ON sessions (status) WHERE status IN ('creating', 'ready');
    CREATE TABLE session_events (
        number INTEGER PRIMARY KEY,
        session_id TEXT NOT NULL REFERENCES sessions(id),
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;
    CREATE INDEX session_events_of ON session_events (session_id, number);
    """,
    """
    CREATE TABLE egress_ledger (
        session_id TEXT NOT NULL REFERENCES sessions(id),
        host TEXT NOT NULL,
        upstream TEXT NOT NULL,
        up INTEGER NOT NULL,
        down INTEGER NOT NULL,
        connections INTEGER NOT NULL,
        first_at TEXT NOT NULL,
        last_at TEXT NOT NULL,
        PRIMARY KEY (session_id, host, upstream)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE egress_months (
        workspace_id TEXT NOT NULL REFERENCES workspaces(id),
        month TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (workspace_id, month)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE workspaces ADD COLUMN egress_budget_bytes INTEGER;
    """,
    """
    CREATE TABLE secrets (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT;
    """,
    # What ended sessions came to, by the day they were created: usage is read from here, never from all sessions.
    """
    CREATE TABLE usage (
        workspace_id TEXT NOT NULL REFERENCES workspaces(id),
        date TEXT NOT NULL,
        key_id TEXT NOT NULL,
        region TEXT NOT NULL,
        sessions INTEGER NOT NULL,
        bytes_up INTEGER NOT NULL,
        bytes_down INTEGER NOT NULL,
        charged_bytes INTEGER NOT NULL,
        PRIMARY KEY (workspace_id, date, key_id, region)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        workspace_id TEXT NOT NULL,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        actor TEXT NOT NULL,
        address TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_of ON audit (workspace_id, number);
    CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
    """,
    # The list of one status, without reading those of the others.
    """
    CREATE INDEX sessions_by_status ON sessions (workspace_id, status, created_at DESC, id DESC);
    """,
    # A cookie is good for the sign-in epoch it was signed in; a sign-in link is good once.
    """
    ALTER TABLE workspaces ADD COLUMN sign_in_epoch INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE used_links (
        nonce TEXT PRIMARY KEY,
        expires_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to the newest schema, each migration in one transaction with its number."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
