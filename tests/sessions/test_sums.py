"""What a session came to is summed once, whenever its bytes come and whatever the disk does."""

from __future__ import annotations

import pytest

from chaser_server.model import EndedReason
from chaser_server.store.usage import UsageStore
from tests.sessions.house import House


async def sums(house: House) -> tuple[int, int, int, int]:
    rows = await UsageStore(house.database).since(house.workspace.id, "0000-01-01")
    return (
        sum(row.sessions for row in rows),
        sum(row.bytes_up for row in rows),
        sum(row.bytes_down for row in rows),
        sum(row.charged_bytes for row in rows),
    )


@pytest.mark.parametrize(("reason", "charged"), [(EndedReason.CLIENT_DELETE, 60), (EndedReason.SUBSTRATE_DOWN, 0)])
async def test_bytes_that_come_after_the_end_are_added_once(house: House, reason: EndedReason, charged: int) -> None:
    running = await house.ready()
    running.egress.up, running.egress.down = 10, 20
    open_still = running.record
    await house.lives.end(running, reason)
    running.egress.up, running.egress.down = 25, 35
    for record in (running.record, running.record, open_still):
        await house.store.save_counts([record])
    await house.lives.settle()
    assert await sums(house) == (1, 25, 35, charged)


async def test_a_disk_that_was_full_at_the_end_loses_and_doubles_nothing(house: House) -> None:
    running = await house.ready()
    running.egress.up = 10
    await house.fill_disk()
    await house.delete(running)
    assert [session.id for session in house.service.unsettled] == [running.record.id]
    await house.make_room()
    await house.lives.settle()
    assert house.service.unsettled == []
    assert await sums(house) == (1, 10, 0, 10)
    assert len(await house.ends(running)) == 1
