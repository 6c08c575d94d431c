"""Delete, death, expiry and a launch that finishes, at the same moment: a session ends exactly once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from chaser_server.errors import SessionNotOpen
from chaser_server.lifecycle import TERMINAL
from chaser_server.model import EndedReason
from chaser_server.sessions.running import RunningSession
from tests.sessions.house import House
from tests.substrates import SlowSubstrate, StubbornSubstrate


async def delete(house: House, running: RunningSession) -> None:
    try:
        await house.delete(running)
    except SessionNotOpen:
        pass


async def launch(house: House, running: RunningSession) -> None:
    house.substrate.go.set()


async def die(house: House, running: RunningSession) -> None:
    """The browser dies the moment it is there."""
    house.substrate.go.set()
    while not house.substrate.browsers and running.is_open:
        await asyncio.sleep(0)
    for browser in house.substrate.browsers:
        browser.die(139)


async def expire(house: House, running: RunningSession) -> None:
    await house.lives.end(running, EndedReason.TTL_EXPIRED)


async def drain(house: House, running: RunningSession) -> None:
    await house.lives.drain()


Blow = Callable[[House, RunningSession], Awaitable[None]]
BLOWS: list[Blow] = [delete, launch, die, expire, drain]


@pytest.mark.parametrize("substrate", [SlowSubstrate, StubbornSubstrate])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
async def test_whatever_comes_together_a_session_ends_once_and_nothing_is_left(
    house: House, substrate: type[SlowSubstrate], steps: int
) -> None:
    for blows in itertools.permutations(BLOWS, 3):
        house.furnish(substrate())
        running = await house.create()
        await house.substrate.launching.wait()
        tasks = []
        for blow in blows:
            tasks.append(asyncio.create_task(blow(house, running)))
            for _ in range(steps):
                await asyncio.sleep(0)
        house.substrate.go.set()
        await asyncio.gather(*tasks)
        await expire(house, running)
        await house.lives.settle()
        assert (await house.stored(running)).status in TERMINAL
        assert len(await house.ends(running)) == 1, blows
        assert house.substrate.living == [], blows
        assert house.service.running == []
