"""What a client of the API sees of a session's egress."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.api import Api


async def egress(api: Api, session_id: str) -> tuple[int, int]:
    """The session's egress count, up and down."""
    count = (await api.ask("GET", f"/v1/sessions/{session_id}/events")).json["bytes"]["egress"]
    return count["up"], count["down"]


async def ledger(api: Api, session_id: str) -> list[dict[str, object]]:
    """The session's ledger."""
    rows: list[dict[str, object]] = (await api.ask("GET", f"/v1/sessions/{session_id}/egress")).json["data"]
    return rows


async def ledger_sums(api: Api, session_id: str) -> tuple[int, int]:
    rows = await ledger(api, session_id)
    return sum(int(str(row["bytes_up"])) for row in rows), sum(int(str(row["bytes_down"])) for row in rows)


async def events_of_kind(api: Api, session_id: str, kind: str) -> list[dict[str, object]]:
    return [event["detail"] for event in await api.events(session_id) if event["kind"] == kind]


async def eventually(condition: Callable[[], Awaitable[object]]) -> object:
    """What the condition gives once it is true; asked again and again, each time anew."""
    async with asyncio.timeout(20):
        while not (result := await condition()):
            await asyncio.sleep(0.01)
        return result


async def agreed(api: Api, session_id: str, counts: Callable[[], tuple[int, int]]) -> None:
    """Wait until the session's count is that of the origin."""
    seen = None
    try:
        async with asyncio.timeout(20):
            while (seen := await egress(api, session_id)) != counts():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"the session counted {seen}, the origin {counts()}") from None
