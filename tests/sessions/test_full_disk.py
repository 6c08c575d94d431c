"""A disk that takes nothing: nothing new begins, nothing that happened is lost, and it is said."""

from __future__ import annotations

import asyncio

import pytest

from chaser_server.errors import SessionNotOpen, StorageFailed
from chaser_server.model import EndedReason, Status
from chaser_server.store.audit import AuditLog
from chaser_server.store.usage import UsageStore
from tests.sessions.house import House
from tests.substrates import FailingSubstrate, SlowSubstrate


async def test_no_session_begins_that_cannot_be_stored(house: House) -> None:
    await house.fill_disk()
    with pytest.raises(StorageFailed, match="the database cannot be written"):
        await house.create()
    assert house.service.running == []
    assert house.substrate.browsers == []


async def test_a_delete_takes_effect_and_is_stored_when_there_is_room_again(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    running = await house.ready()
    await house.lives.settle()
    await house.fill_disk()
    await house.delete(running)
    seen = await house.service.get(house.workspace.id, running.record.id)
    assert (seen.status, seen.ended_reason) == (Status.CLOSED, EndedReason.CLIENT_DELETE)
    with pytest.raises(SessionNotOpen):
        await house.delete(running)
    await house.lives.settle()
    assert house.substrate.living == []
    assert "changes of sessions wait for the disk" in caplog.text
    assert (await house.stored(running)).status is Status.READY
    await house.make_room()
    await house.bookkeeper.flush()
    assert (await house.stored(running)).ended_reason is EndedReason.CLIENT_DELETE
    assert await house.ends(running) == [{"reason": "client_delete"}]


async def test_a_browser_that_comes_up_meanwhile_is_used_and_watched(house: House) -> None:
    house.furnish(SlowSubstrate())
    running = await house.create()
    await house.substrate.launching.wait()
    await house.fill_disk()
    house.substrate.go.set()
    await running.settled.wait()
    house.substrate.browsers[0].die(139, "gone")
    assert running.life is not None
    await running.life
    assert running.record.ended_reason is EndedReason.SUBSTRATE_DOWN
    await house.make_room()
    await house.lives.settle()
    kinds = [event.kind for event in await house.store.events(running.record.id)]
    assert kinds == ["created", "ready", "ended"]


async def test_a_failed_launch_is_kept_too(house: House) -> None:
    house.furnish(FailingSubstrate())
    running = await house.create()
    await house.fill_disk()
    assert (await house.over(running)).status is Status.CREATING
    await house.make_room()
    await house.lives.catch_up()
    assert (await house.stored(running)).status is Status.ERROR


async def test_what_waits_is_written_in_the_order_it_happened(house: House) -> None:
    running = await house.ready()
    await house.lives.settle()
    await house.fill_disk()
    for number in range(3):
        house.lives.note(running, f"note {number}", {})
        await asyncio.sleep(0)
    await house.delete(running)
    await house.make_room()
    await house.lives.settle()
    kinds = [event.kind for event in await house.store.events(running.record.id)]
    assert kinds[-4:] == ["note 0", "note 1", "note 2", "ended"]


async def test_a_drain_comes_to_its_end(house: House) -> None:
    running = await house.ready()
    await house.lives.settle()
    await house.fill_disk()
    await asyncio.wait_for(house.lives.drain(), 5)
    assert house.substrate.living == []
    await house.make_room()
    await house.lives.catch_up()
    assert (await house.stored(running)).ended_reason is EndedReason.ABANDONED_ORPHAN


async def test_an_end_is_summed_once_though_its_audit_has_to_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise StorageFailed("the database cannot be written: database or disk is full")

    running = await house.ready()
    with monkeypatch.context() as patched:
        patched.setattr(AuditLog, "append", full)
        await house.delete(running)
        await house.lives.settle()
    await house.lives.settle()
    assert await house.ends(running) == [{"reason": "client_delete"}]
    assert [row.sessions for row in await UsageStore(house.database).since(house.workspace.id, "2000-01-01")] == [1]
    assert [event.kind for event in await AuditLog(house.database).latest(house.workspace.id, 9)] == ["session_ended"]
