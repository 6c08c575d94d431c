"""What is overdue is ended; what is counted is stored."""

from __future__ import annotations

from datetime import timedelta

from chaser_server.model import EndedReason, Status, utc_now
from chaser_server.sessions.rounds import every
from chaser_server.sessions.running import RunningSession
from tests.sessions.house import House
from tests.sessions.test_service import Visitor
from tests.substrates import FakeSubstrate, SlowSubstrate


def age(running: RunningSession, seconds: float) -> None:
    """Let a session be so much older."""
    past = timedelta(seconds=seconds)
    running.change(expires_at=running.record.expires_at - past)
    if running.quiet_since is not None:
        running.quiet_since -= past


async def test_a_session_ends_when_its_time_is_up(house: House) -> None:
    running = await house.ready(ttl_seconds=60)
    age(running, 59)
    await house.reaper.reap()
    assert running.is_open
    age(running, 1)
    await house.reaper.reap()
    assert (await house.stored(running)).ended_reason is EndedReason.TTL_EXPIRED


async def test_a_session_that_does_not_come_up_expires_too(house: House) -> None:
    house.furnish(SlowSubstrate())
    running = await house.create(ttl_seconds=60)
    await house.substrate.launching.wait()
    age(running, 60)
    await house.reaper.reap()
    assert (await house.stored(running)).ended_reason is EndedReason.TTL_EXPIRED
    await house.lives.settle()
    assert house.substrate.abandoned == 1


async def test_a_session_nobody_comes_to_is_idle_from_the_moment_it_was_ready(house: House) -> None:
    house.furnish(FakeSubstrate(), idle_seconds=10)
    running = await house.ready(ttl_seconds=3600)
    assert running.quiet_since == running.record.ready_at
    age(running, 9)
    await house.reaper.reap()
    assert running.is_open
    age(running, 1)
    await house.reaper.reap()
    assert (await house.stored(running)).ended_reason is EndedReason.IDLE_EXPIRED


async def test_a_connected_client_keeps_a_session_and_its_leaving_starts_the_count_anew(house: House) -> None:
    house.furnish(FakeSubstrate(), idle_seconds=10)
    running, first, second = await house.ready(ttl_seconds=3600), Visitor(), Visitor()
    running.attach(first)
    running.attach(second)
    age(running, 1000)
    running.detach(first)
    await house.reaper.reap()
    assert running.is_open
    running.detach(second)
    await house.reaper.reap()
    assert running.is_open
    age(running, 10)
    await house.reaper.reap()
    assert running.record.ended_reason is EndedReason.IDLE_EXPIRED


async def test_a_client_that_leaves_an_ended_session_stirs_nothing(house: House) -> None:
    running, visitor = await house.ready(), Visitor()
    running.attach(visitor)
    await house.delete(running)
    running.detach(visitor)
    assert house.substrate.browsers[0].clients_left == 0


async def test_a_client_that_leaves_an_open_session_lets_the_browser_be_put_right(house: House) -> None:
    running, visitor = await house.ready(), Visitor()
    running.attach(visitor)
    running.detach(visitor)
    assert house.substrate.browsers[0].clients_left == 1


async def test_counts_are_flushed_while_a_session_lives(house: House) -> None:
    running = await house.ready()
    house.substrate.browsers[0].egress.down += 5
    await house.bookkeeper.flush()
    assert (await house.stored(running)).bytes["egress"].down == 5
    assert (await house.stored(running)).status is Status.READY


async def test_the_rounds_go_on_by_themselves(house: House) -> None:
    running = await house.ready()
    running.change(expires_at=utc_now())
    assert running.life is not None
    async with every(0.01, house.reaper.reap, name="reaper"):
        await running.life
    assert running.record.ended_reason is EndedReason.TTL_EXPIRED
