"""Budgets of workspaces, and the cap of a session."""

from __future__ import annotations

import asyncio
import sqlite3
import sys

from tests.api import Api
from tests.ways.seen import egress, events_of_kind, eventually

FLUSH = {"flush_seconds": 0.1}


async def spent(api: Api, amount: int) -> None:
    """Wait until the month on disk has so many bytes."""

    async def there() -> bool:
        with sqlite3.connect(api.data_dir / "chaser.db") as database:
            rows = database.execute("SELECT SUM(bytes) FROM egress_months").fetchone()
        return (rows[0] or 0) >= amount

    await eventually(there)


async def test_a_used_up_budget_stops_creates_and_nothing_else(serve, connect, counting):
    api = await serve(limits={"egress_budget_bytes": 50_000}, metering=FLUSH)
    session = await api.ready()
    page = (await connect(session)).contexts[0].pages[0]
    second = await api.create()
    await page.goto(counting.url)
    await spent(api, 50_000)
    answer = await api.ask("POST", "/v1/sessions", json={})
    assert answer.status == 402
    assert answer.json["error"]["code"] == "payment_required"
    assert "50000 bytes" in answer.json["error"]["message"]
    assert (await page.goto(counting.url)).status == 200
    assert [(await api.get(each["id"]))["ended_at"] for each in (session, second)] == [None, None]


async def test_a_workspace_has_its_own_budget_from_the_command_line(serve, connect, counting):
    api = await serve(metering=FLUSH)
    session = await api.ready()
    await (await connect(session)).contexts[0].pages[0].goto(counting.url)
    await spent(api, 50_000)
    await limit(api, 50_000)
    assert (await api.ask("POST", "/v1/sessions", json={})).status == 402
    await limit(api, 50_000_000)
    await api.create()


async def limit(api: Api, amount: int) -> None:
    command = ("workspaces", "limit", "default", "--egress-budget-bytes", str(amount), "--data-dir", str(api.data_dir))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "chaser_server", *command)
    assert await process.wait() == 0


async def test_a_session_is_cut_at_its_cap_and_says_so(serve, connect, counting):
    api = await serve(profiles={"capped": {"max_egress_bytes": 1_000_000}})
    session = await api.ready(profile="capped")
    page = (await connect(session)).contexts[0].pages[0]
    await page.goto(counting.url)
    failed = "() => fetch('/flood').then(answer => answer.arrayBuffer()).then(() => '', error => error.name)"
    assert await page.evaluate(failed) == "TypeError"
    refused = await page.goto(counting.url)
    assert (refused.status, "max_egress_bytes" in await refused.text()) == (403, True)
    [capped] = await events_of_kind(api, session["id"], "egress_capped")
    assert capped == {"max_bytes": 1_000_000}
    up, down = await egress(api, session["id"])
    assert 1_000_000 <= up + down < 10_000_000
    assert all(side.is_over for side in counting.sides)
    assert (await api.get(session["id"]))["status"] == "ready"
