"""The moments between a place that is given and a session that begins."""

from __future__ import annotations

import asyncio

import pytest

from chaser_server.errors import ConcurrencyLimit, PaymentRequired, SubstrateUnavailable
from chaser_server.model import Session, SessionSpec, Status
from chaser_server.sessions.running import RunningSession
from tests.sessions.house import House
from tests.substrates import FakeSubstrate


def spec(house: House) -> SessionSpec:
    return SessionSpec(house.workspace.id, None, "default", 60)


def in_line(house: House) -> asyncio.Task[RunningSession]:
    return asyncio.create_task(house.service.claim(spec(house), house.workspace, wait_seconds=60))


@pytest.fixture
async def full(house: House) -> RunningSession:
    """The only session that this house has a place for."""
    house.furnish(FakeSubstrate(), concurrent_sessions=1)
    return await house.ready()


async def until_waiting(house: House) -> None:
    while not house.service.waiting:
        await asyncio.sleep(0)


async def test_a_place_given_to_who_leaves_at_that_moment_goes_on(house: House, full: RunningSession) -> None:
    first, second = in_line(house), in_line(house)
    await until_waiting(house)
    while len(house.service.waiting[house.workspace.id]) != 2:
        await asyncio.sleep(0)
    deleting = asyncio.create_task(house.delete(full))
    while len(house.service.waiting[house.workspace.id]) != 1:
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await house.service.begin(await second)).status is Status.CREATING
    await deleting


async def test_a_shutdown_between_a_place_and_its_session_leaves_no_row(house: House, full: RunningSession) -> None:
    await house.delete(full)
    running = await house.service.claim(spec(house), house.workspace)
    await house.lives.drain()
    with pytest.raises(SubstrateUnavailable):
        await house.service.begin(running)
    page = await house.store.page(house.workspace.id, limit=10)
    assert [session.id for session in page] == [full.record.id]
    assert house.service.running == []


async def test_a_shutdown_at_the_moment_a_place_comes_refuses_who_waited(house: House, full: RunningSession) -> None:
    waiting = in_line(house)
    await until_waiting(house)
    house.service.waiting[house.workspace.id][0].answer.add_done_callback(lambda _: house.places.close())
    await house.delete(full)
    with pytest.raises(SubstrateUnavailable):
        await waiting
    assert (house.service.running, house.service.waits["served"], house.service.waits["refused"]) == ([], 0, 1)


async def test_a_budget_that_is_used_up_meanwhile_refuses_who_waited(house: House) -> None:
    house.furnish(FakeSubstrate(), concurrent_sessions=1, egress_budget_bytes=1000)
    running = await house.ready()
    waiting = in_line(house)
    await until_waiting(house)
    running.egress.down = 1000
    await house.delete(running)
    with pytest.raises(PaymentRequired):
        await waiting
    assert (house.service.running, house.service.waits["refused"]) == ([], 1)


async def test_those_in_line_are_refused_and_counted_at_a_shutdown(house: House, full: RunningSession) -> None:
    waiting = in_line(house)
    await until_waiting(house)
    await house.lives.drain()
    with pytest.raises(SubstrateUnavailable):
        await waiting
    assert house.service.waits == {"served": 0, "timed_out": 0, "left": 0, "refused": 1}


async def test_a_place_whose_session_cannot_be_stored_is_free_again(house: House) -> None:
    house.furnish(FakeSubstrate(), concurrent_sessions=1)
    await house.fill_disk()
    with pytest.raises(Exception, match="cannot be written"):
        await house.create()
    await house.make_room()
    await house.create()


async def test_without_patience_there_is_no_waiting(house: House, full: RunningSession) -> None:
    with pytest.raises(ConcurrencyLimit):
        await house.service.claim(spec(house), house.workspace)
    assert house.service.waiting == {}


async def test_a_create_that_is_cancelled_once_its_row_is_written_goes_on_as_a_session(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, written, answered = house.store.insert, asyncio.Event(), asyncio.Event()

    async def slowly(session: Session) -> None:
        await insert(session)
        written.set()
        await answered.wait()

    monkeypatch.setattr(house.store, "insert", slowly)
    running = await house.service.claim(spec(house), house.workspace)
    beginning = asyncio.create_task(house.service.begin(running))
    await written.wait()
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    answered.set()
    await asyncio.wait_for(running.settled.wait(), 10)
    assert house.service.running == [running]
    await house.delete(running)
    assert await house.store.open_sessions() == []
