"""GET /v1/usage: what a workspace has used in the current month, as JSON or as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from aiohttp import web

from chaser_server.errors import InvalidRequest
from chaser_server.lifecycle import is_charged
from chaser_server.model import ApiKey, Session, UsageRow, utc_now
from chaser_server.web.appkeys import CONFIG, SERVICE, USAGE, WORKSPACES
from chaser_server.web.identity import authenticate
from chaser_server.web.schemas import render_key_names, timestamp

GIGABYTE = 1_000_000_000
CSV_HEAD = ("date", "key_id", "key_prefix", "key_name", "region", "sessions", "bytes_up", "bytes_down", "bytes_total")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a workspace's sessions of one month came to, up to `now`; `price` is in micro-USD for 10^9 bytes."""

    rows: Collection[UsageRow]
    begin: datetime
    now: datetime
    keys: Mapping[str, ApiKey]
    price: int


async def usage(request: web.Request) -> web.Response:
    """GET /v1/usage, with ?format=csv one line for each day, key and region"""
    workspace_id = await authenticate(request)
    form = request.query.get("format", "json")
    if form not in ("json", "csv"):
        raise InvalidRequest("format must be 'json' or 'csv'")
    statement = await _statement(request, workspace_id, utc_now())
    if form == "json":
        return web.json_response(summary(statement))
    name = f"usage-{statement.begin:%Y-%m}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(text=table(statement), content_type="text/csv", charset="utf-8", headers=headers)


async def _statement(request: web.Request, workspace_id: str, now: datetime) -> Statement:
    config, begin = request.app[CONFIG].metering, month_of(now)
    keys = await request.app[WORKSPACES].keys(workspace_id)
    stored = await request.app[USAGE].since(workspace_id, begin.date().isoformat())
    running = (
        row_of(session, config.count)
        for session in request.app[SERVICE].unsettled
        if session.workspace_id == workspace_id and begin <= session.created_at
    )
    rows = [row for row in (*stored, *running) if row.date <= now.date().isoformat()]  # midnight may have come since
    return Statement(rows, begin, now, {key.id: key for key in keys}, config.price_micro_usd_per_gb)


def month_of(now: datetime) -> datetime:
    """When the month of `now` began, in UTC."""
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def row_of(session: Session, metering: Iterable[str]) -> UsageRow:
    """A session as a row of the sums."""
    counted = [count for channel, count in session.bytes.items() if channel in metering]
    up, down = sum(count.up for count in counted), sum(count.down for count in counted)
    return UsageRow(
        date=session.created_at.date().isoformat(),
        key_id=session.key_id or "",
        region=session.proxy_region or "",
        sessions=1,
        bytes_up=up,
        bytes_down=down,
        charged_bytes=up + down if is_charged(session) else 0,
    )


def summary(statement: Statement) -> dict[str, Any]:
    """The whole answer. What is billed is rounded down in each bucket, from that bucket's own sum."""
    rows, price = statement.rows, statement.price
    by_date = _grouped(rows, lambda row: row.date)
    return {
        "period": "current",
        "from": timestamp(statement.begin),
        "to": timestamp(statement.now),
        "totals": {
            "bytes_up": sum(row.bytes_up for row in rows),
            "bytes_down": sum(row.bytes_down for row in rows),
            **_bytes_total(rows),
            **_sessions(rows),
            **_billed(rows, price),
        },
        "by_region": [
            {"region": region or None, **_sessions(of), **_bytes_total(of), **_billed(of, price)}
            for region, of in sorted(_grouped(rows, lambda row: row.region).items())
        ],
        "by_key": [
            {**_key(statement, key_id), **_sessions(of), **_bytes_total(of), **_billed(of, price)}
            for key_id, of in sorted(_grouped(rows, lambda row: row.key_id).items())
        ],
        "by_day": [
            {"date": day, **_bytes_total(by_date.get(day, ())), **_sessions(by_date.get(day, ()))}
            for day in _days(statement.begin.date(), statement.now.date())
        ],
    }


def table(statement: Statement) -> str:
    """CSV (RFC 4180) with a line for each day, key and region; days without sessions have none."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow((*CSV_HEAD, "billed_micro_usd"))
    groups = _grouped(statement.rows, lambda row: f"{row.date} {row.key_id} {row.region}")
    for _, of in sorted(groups.items()):
        first = of[0]
        key = [_plain(text or "") for text in _key(statement, first.key_id).values()]
        up, down = sum(row.bytes_up for row in of), sum(row.bytes_down for row in of)
        sums = *_sessions(of).values(), up, down, up + down, *_billed(of, statement.price).values()
        writer.writerow((first.date, *key, _plain(first.region), *sums))
    return out.getvalue()


def _plain(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _key(statement: Statement, key_id: str) -> dict[str, str | None]:
    """A key as a bucket names it; sessions that the dashboard made have none."""
    return {"key_id": key_id or None, **render_key_names(statement.keys.get(key_id))}


def _sessions(rows: Iterable[UsageRow]) -> dict[str, int]:
    return {"sessions": sum(row.sessions for row in rows)}


def _bytes_total(rows: Iterable[UsageRow]) -> dict[str, int]:
    return {"bytes_total": sum(row.bytes_up + row.bytes_down for row in rows)}


def _billed(rows: Iterable[UsageRow], price: int) -> dict[str, int]:
    return {"billed_micro_usd": sum(row.charged_bytes for row in rows) * price // GIGABYTE}


def _grouped(rows: Iterable[UsageRow], name: Callable[[UsageRow], str]) -> dict[str, list[UsageRow]]:
    groups: dict[str, list[UsageRow]] = {}
    for row in rows:
        groups.setdefault(name(row), []).append(row)
    return groups


def _days(first: date, last: date) -> list[str]:
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
