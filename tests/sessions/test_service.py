"""A session's way from asked for to gone, on a substrate that behaves and on its cousins that do not."""

from __future__ import annotations

import asyncio

import pytest

from chaser_server.errors import (
    ConcurrencyLimit,
    InvalidRequest,
    SessionNotFound,
    SessionNotOpen,
    SessionNotReady,
    SubstrateUnavailable,
)
from chaser_server.model import EndedReason, Status
from chaser_server.sessions.lives import MAX_NOTES
from tests.sessions.house import House
from tests.substrates import (
    BrokenSubstrate,
    DyingSubstrate,
    FailingSubstrate,
    LingeringSubstrate,
    SlowSubstrate,
    StubbornSubstrate,
)


class Visitor:
    """A connected client that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []

    def close(self, code: int, reason: str) -> None:
        self.told.append((code, reason))


async def test_a_session_is_on_disk_before_its_browser_is_up(house: House) -> None:
    house.furnish(SlowSubstrate())
    running = await house.create()
    stored = await house.stored(running)
    assert (stored.status, stored.ready_at, stored.device) == (Status.CREATING, None, None)


async def test_a_ready_session_is_stored_with_its_device(house: House) -> None:
    running = await house.ready()
    await house.lives.settle()
    stored = await house.stored(running)
    assert (stored.status, stored.device) == (Status.READY, "Linux - Chrome 156 (Desktop)")
    assert stored.ready_at == running.record.ready_at


async def test_a_deleted_session_is_closed_on_disk_and_its_browser_gone(house: House) -> None:
    running = await house.ready()
    await house.delete(running)
    stored = await house.stored(running)
    assert (stored.status, stored.ended_reason) == (Status.CLOSED, EndedReason.CLIENT_DELETE)
    await house.lives.settle()
    assert house.substrate.living == []


async def test_a_timeline_ends_with_a_word_when_it_is_full_but_the_end_is_told(house: House) -> None:
    running = await house.ready()
    for number in range(MAX_NOTES + 10):
        house.lives.note(running, "client_connected", {"number": number})
    await house.delete(running)
    kinds = [event.kind for event in await house.service.events(house.workspace.id, running.record.id)]
    assert kinds.count("timeline_full") == 1
    assert kinds.count("client_connected") < MAX_NOTES
    assert kinds[-1] == "ended"


async def test_clients_are_told_why_it_ended(house: House) -> None:
    running, visitor = await house.ready(), Visitor()
    running.attach(visitor)
    await house.delete(running)
    assert visitor.told == [(1001, "client_delete")]


async def test_deleting_while_creating_stops_the_launch(house: House) -> None:
    house.furnish(SlowSubstrate())
    running = await house.create()
    await house.substrate.launching.wait()
    await house.delete(running)
    assert (await house.stored(running)).ended_reason is EndedReason.CLIENT_DELETE
    await house.lives.settle()
    assert house.substrate.abandoned == 1
    assert house.substrate.browsers == []


async def test_deleting_at_once_leaves_nothing_either(house: House) -> None:
    house.furnish(SlowSubstrate())
    await house.delete(await house.create())
    await house.lives.settle()
    assert house.substrate.browsers == []


async def test_a_browser_that_comes_in_spite_of_a_delete_is_taken_away(house: House) -> None:
    house.furnish(StubbornSubstrate())
    running = await house.create()
    await house.substrate.launching.wait()
    await house.delete(running)
    house.substrate.go.set()
    await house.lives.settle()
    (browser,) = house.substrate.browsers
    assert browser.closed
    assert running.record.status is Status.CLOSED
    assert await house.ends(running) == [{"reason": "client_delete"}]


async def test_deleting_twice_says_the_second_time_that_it_has_ended(house: House) -> None:
    running = await house.ready()
    await house.delete(running)
    with pytest.raises(SessionNotOpen, match="client_delete"):
        await house.delete(running)
    assert len(await house.ends(running)) == 1


async def test_of_many_deletes_at_once_exactly_one_wins(house: House) -> None:
    running = await house.ready()
    results = await asyncio.gather(*(house.delete(running) for _ in range(5)), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, SessionNotOpen) for result in results) == 4
    assert len(await house.ends(running)) == 1


async def test_a_failed_launch_ends_in_error_with_its_cause_in_the_timeline(house: House) -> None:
    house.furnish(FailingSubstrate())
    running = await house.create()
    stored = await house.over(running)
    assert (stored.status, stored.ended_reason) == (Status.ERROR, None)
    assert stored.ended_at is not None
    cause = "the browser did not come up: no display"
    assert await house.ends(running) == [{"error": cause, "stderr_tail": "Missing X server"}]


async def test_whoever_connects_later_is_told_why_the_launch_failed(house: House) -> None:
    house.furnish(FailingSubstrate())
    running = await house.create()
    for _ in range(2):  # held at the door, and long after
        with pytest.raises(SessionNotOpen, match=r"error \(the browser did not come up: no display\)"):
            await house.service.open_door(running.record.id, 5, None)
        await house.over(running)


async def test_a_bug_below_ends_the_session_in_error_at_once(house: House) -> None:
    house.furnish(BrokenSubstrate())
    running = await house.create()
    assert (await house.over(running)).status is Status.ERROR
    assert "a bug" in str(await house.ends(running))


async def test_a_browser_that_dies_ends_its_session_with_its_last_words(house: House) -> None:
    running, visitor = await house.ready(), Visitor()
    running.attach(visitor)
    house.substrate.browsers[0].die(139, "Segmentation fault")
    stored = await house.over(running)
    assert (stored.status, stored.ended_reason) == (Status.CLOSED, EndedReason.SUBSTRATE_DOWN)
    assert await house.ends(running) == [
        {
            "reason": "substrate_down",
            "exit_code": 139,
            "signal": "SIGSEGV",
            "out_of_memory": False,
            "stderr_tail": "Segmentation fault",
        }
    ]
    assert visitor.told == [(1001, "substrate_down")]
    assert house.substrate.living == []


@pytest.mark.parametrize(
    ("code", "signal"), [(1, None), (134, "SIGABRT"), (137, "SIGKILL"), (139, "SIGSEGV"), (128, None), (255, None)]
)
async def test_the_timeline_names_the_signal(house: House, code: int, signal: str | None) -> None:
    running = await house.ready()
    house.substrate.browsers[0].die(code)
    await house.over(running)
    (end,) = await house.ends(running)
    assert (end["exit_code"], end["signal"]) == (code, signal)


async def test_a_client_that_ends_its_browser_leaves_no_cause_of_death(house: House) -> None:
    running = await house.ready()
    house.substrate.browsers[0].die(0)
    await house.over(running)
    assert await house.ends(running) == [{"reason": "client_delete", "exit_code": 0}]


async def test_a_browser_dead_on_arrival_is_substrate_down_too(house: House) -> None:
    house.furnish(DyingSubstrate())
    running = await house.create()
    assert (await house.over(running)).ended_reason is EndedReason.SUBSTRATE_DOWN


async def test_a_browser_closed_by_its_client_is_a_delete(house: House) -> None:
    running = await house.ready()
    house.substrate.browsers[0].die(0)
    assert (await house.over(running)).ended_reason is EndedReason.CLIENT_DELETE


async def test_a_place_is_free_at_once_while_the_browser_still_dies(house: House) -> None:
    house.furnish(LingeringSubstrate(), concurrent_sessions=1)
    first = await house.ready()
    with pytest.raises(ConcurrencyLimit):
        await house.create()
    await house.delete(first)
    await house.ready()
    assert len(house.substrate.living) == 2
    house.substrate.let_die.set()


async def test_the_machines_own_limit_counts_browsers_that_still_die(house: House) -> None:
    house.furnish(LingeringSubstrate(), max_sessions=1)
    await house.delete(await house.ready())
    with pytest.raises(ConcurrencyLimit):
        await house.create()
    house.substrate.let_die.set()
    await house.lives.settle()
    await house.ready()


async def test_a_failed_launch_gives_its_place_back(house: House) -> None:
    house.furnish(FailingSubstrate(), concurrent_sessions=1)
    for _ in range(3):
        await house.over(await house.create())


async def test_creates_at_once_never_pass_the_limit(house: House) -> None:
    house.furnish(SlowSubstrate(), concurrent_sessions=3)
    results = await asyncio.gather(*(house.create() for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(result, ConcurrencyLimit) for result in results) == 7
    assert len(house.service.running) == 3


async def test_an_unknown_profile_is_refused_with_those_there_are(house: House) -> None:
    with pytest.raises(InvalidRequest, match="there are: default, mobile"):
        await house.create(profile="tablet")


async def test_another_workspaces_session_cannot_be_told_from_none(house: House) -> None:
    running = await house.ready()
    for session_id in (running.record.id, "sess_none"):
        for ask in (house.service.get, house.service.delete, house.service.events, house.service.screenshot):
            with pytest.raises(SessionNotFound) as refused:
                await ask("ws_other", session_id)
            assert refused.value.message == f"no session {session_id} in this workspace"


async def test_a_picture_needs_a_session_that_is_ready(house: House) -> None:
    house.furnish(SlowSubstrate())
    running = await house.create()
    with pytest.raises(SessionNotReady):
        await house.service.screenshot(house.workspace.id, running.record.id)
    await house.delete(running)
    with pytest.raises(SessionNotOpen):
        await house.service.screenshot(house.workspace.id, running.record.id)


async def test_waiting_ends_when_the_session_is_ready_or_has_ended_or_time_is_up(house: House) -> None:
    house.furnish(SlowSubstrate())
    first, second = await house.create(), await house.create()
    asked = house.workspace.id, first.record.id
    assert (await house.service.wait_settled(*asked, 0)).status is Status.CREATING
    waiting = asyncio.create_task(house.service.wait_settled(*asked, 60))
    deleted = asyncio.create_task(house.service.wait_settled(house.workspace.id, second.record.id, 60))
    await house.substrate.launching.wait()
    await house.delete(second)
    house.substrate.go.set()
    assert (await waiting).status is Status.READY
    assert (await deleted).status is Status.CLOSED


async def test_the_door_opens_when_the_session_is_ready(house: House) -> None:
    house.furnish(SlowSubstrate())
    running = await house.create()
    at_the_door = asyncio.create_task(house.service.open_door(running.record.id, 60, None))
    await house.substrate.launching.wait()
    house.substrate.go.set()
    assert await at_the_door is running


async def test_the_door_does_not_hold_for_ever(house: House) -> None:
    house.furnish(SlowSubstrate())
    running = await house.create()
    with pytest.raises(SessionNotReady, match="not ready within 0 s"):
        await house.service.open_door(running.record.id, 0, None)


async def test_draining_ends_everything_and_takes_nothing_more(house: House) -> None:
    house.furnish(SlowSubstrate())
    up = await house.create()
    await house.substrate.launching.wait()
    house.substrate.go.set()
    await up.settled.wait()
    house.substrate.go.clear()
    coming = await house.create()
    await house.lives.drain()
    for running in (up, coming):
        assert (await house.stored(running)).ended_reason is EndedReason.ABANDONED_ORPHAN
        assert len(await house.ends(running)) == 1
    assert house.substrate.living == []
    assert house.service.draining
    with pytest.raises(SubstrateUnavailable):
        await house.create()


async def test_what_an_earlier_life_left_open_is_closed_as_orphan(house: House) -> None:
    left = [await house.ready(), await house.create()]
    await asyncio.gather(*(running.settled.wait() for running in left))
    await house.lives.settle()
    lives = [running.life for running in left]
    before = house.substrate
    house.furnish(SlowSubstrate())
    assert await house.lives.recover() == 2
    for running in left:
        stored = await house.stored(running)
        assert (stored.status, stored.ended_reason) == (Status.CLOSED, EndedReason.ABANDONED_ORPHAN)
    assert await house.lives.recover() == 0
    for life in lives:
        assert life is not None
        life.cancel()
    assert len(before.browsers) == 2


async def test_bytes_are_live_in_a_get_and_final_on_disk(house: House) -> None:
    house.furnish(LingeringSubstrate())
    running = await house.ready()
    (browser,) = house.substrate.browsers
    browser.egress.up += 70
    assert (await house.service.get(house.workspace.id, running.record.id)).bytes["egress"].up == 70
    await house.delete(running)
    browser.egress.up += 7  # the last of it, while the browser dies
    house.substrate.let_die.set()
    await house.lives.settle()
    assert (await house.stored(running)).bytes["egress"].up == 77
