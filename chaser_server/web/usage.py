"""GET /v1/usage: what a workspace has used in the current month."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Any

from aiohttp import web

from chaser_server.lifecycle import is_charged
from chaser_server.model import ApiKey, Session, UsageRow, utc_now
from chaser_server.web.appkeys import CONFIG, SERVICE, USAGE, WORKSPACES
from chaser_server.web.identity import authenticate
from chaser_server.web.schemas import timestamp

GIGABYTE = 1_000_000_000


async def usage(request: web.Request) -> web.Response:
    """GET /v1/usage"""
    workspace_id = await authenticate(request)
    now = utc_now()
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    config = request.app[CONFIG].metering
    rows = await request.app[USAGE].since(workspace_id, begin.date().isoformat())
    rows += [
        row_of(running.record, config.count)
        for running in request.app[SERVICE].running
        if running.record.workspace_id == workspace_id and running.record.created_at >= begin
    ]
    keys = await request.app[WORKSPACES].keys(workspace_id)
    return web.json_response(summary(rows, begin=begin, now=now, keys=keys, price=config.price_micro_usd_per_gb))


def row_of(session: Session, metering: Iterable[str]) -> UsageRow:
    """An open session as a row of the sums."""
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


def summary(
    rows: list[UsageRow], *, begin: datetime, now: datetime, keys: Iterable[ApiKey], price: int
) -> dict[str, Any]:
    """The whole answer. What is billed is rounded down in each bucket, from that bucket's own sum."""
    known = {key.id: key for key in keys}

    def bucket(of: list[UsageRow]) -> dict[str, Any]:
        charged = sum(row.charged_bytes for row in of)
        return {
            "sessions": sum(row.sessions for row in of),
            "bytes_total": sum(row.bytes_up + row.bytes_down for row in of),
            "billed_micro_usd": charged * price // GIGABYTE,
        }

    totals = {
        "bytes_up": sum(row.bytes_up for row in rows),
        "bytes_down": sum(row.bytes_down for row in rows),
        **bucket(rows),
    }
    by_key = [
        {
            "key_id": key_id or None,
            "key_prefix": known[key_id].prefix if key_id in known else None,
            "key_name": known[key_id].name if key_id in known else None,
            **bucket(of),
        }
        for key_id, of in _grouped(rows, lambda row: row.key_id)
    ]
    by_date = dict(_grouped(rows, lambda row: row.date))
    by_day = [{"date": day, **_without_bill(bucket(by_date.get(day, [])))} for day in _days(begin.date(), now.date())]
    return {
        "period": "current",
        "from": timestamp(begin),
        "to": timestamp(now),
        "totals": totals,
        "by_region": [
            {"region": region or None, **bucket(of)} for region, of in _grouped(rows, lambda row: row.region)
        ],
        "by_key": by_key,
        "by_day": by_day,
    }


def _grouped(rows: list[UsageRow], name: Callable[[UsageRow], str]) -> list[tuple[str, list[UsageRow]]]:
    groups: dict[str, list[UsageRow]] = {}
    for row in rows:
        groups.setdefault(name(row), []).append(row)
    return sorted(groups.items())


def _without_bill(numbers: dict[str, Any]) -> dict[str, Any]:
    return {"bytes_total": numbers["bytes_total"], "sessions": numbers["sessions"]}


def _days(first: date, last: date) -> list[str]:
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
