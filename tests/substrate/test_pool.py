"""What stands ready: filled, taken once, looked after, and gone with the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from chaser_server.config import PoolConfig, ProfileConfig
from chaser_server.errors import LaunchFailed
from chaser_server.model import ByteCount
from chaser_server.substrate.pool import Pool, shelf_sizes
from chaser_server.substrate.shelf import backoff_seconds
from tests.substrate.maker import FakeMaker, FakeWarmBrowser, Pauses, settled


class PoolHouse:
    """A pool on a fake maker."""

    def __init__(self) -> None:
        self.maker = FakeMaker()
        self.pauses = Pauses()
        self.events: list[tuple[str, dict[str, object]]] = []
        self.pool: Pool

    def furnish(self, *, start: bool = True, max_age_seconds: float = 600, **sizes: int) -> None:
        self.pool = Pool(
            self.maker,
            sizes=sizes,
            max_age_seconds=max_age_seconds,
            quiet_seconds=0,
            pause=self.pauses,
        )
        if start:
            self.pool.start()

    async def full(self, **sizes: int) -> None:
        self.furnish(**sizes)
        await settled(lambda: self.pool.ready == sum(sizes.values()))

    async def launch(self, profile: str = "default") -> FakeWarmBrowser:
        count = ByteCount()
        browser = await self.pool.launch(profile, egress=count, on_event=lambda *event: self.events.append(event))
        assert cast(Any, browser).egress is count
        return cast(FakeWarmBrowser, browser)

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.pool.taken, self.pool.hastened, self.pool.cold


@pytest.fixture
async def house() -> AsyncIterator[PoolHouse]:
    opened = PoolHouse()
    yield opened
    opened.maker.go.set()
    opened.pauses.go.set()
    await opened.pool.close()
    assert opened.maker.under_way == 0


async def test_what_stands_ready_is_taken_and_replaced(house: PoolHouse) -> None:
    await house.full(default=1)
    browser = await house.launch()
    assert browser.number == 0
    assert house.events == [("launched", {"pid": 0})]
    await settled(lambda: house.pool.ready == 1)
    assert (await house.launch()).number == 1
    assert house.counts == (2, 0, 0)


async def test_a_browser_is_given_out_once_however_many_ask_at_the_same_time(house: PoolHouse) -> None:
    await house.full(default=2)
    browsers = await asyncio.gather(*(house.launch() for _ in range(7)))
    assert [browser.adoptions for browser in browsers] == [1] * 7
    assert len({browser.number for browser in browsers}) == 7


async def test_a_burst_larger_than_the_pool_starts_the_rest_cold(house: PoolHouse) -> None:
    await house.full(default=2)
    await asyncio.gather(*(house.launch() for _ in range(5)))
    assert house.counts == (2, 0, 3)


async def test_no_fill_begins_while_somebody_waits_for_a_launch(house: PoolHouse) -> None:
    await house.full(default=1)
    house.maker.go.clear()
    burst = [asyncio.create_task(house.launch()) for _ in range(4)]
    await house.maker.until(lambda: house.maker.under_way == 3)
    assert house.maker.attempts == 4  # one fill before, three cold launches now
    house.maker.go.set()
    await asyncio.gather(*burst)
    await settled(lambda: house.pool.ready == 1)


async def test_a_launch_takes_over_the_fill_that_is_under_way_and_hastens_it(house: PoolHouse) -> None:
    house.maker.go.clear()
    house.furnish(default=1)
    await house.maker.until(lambda: house.maker.under_way == 1)
    first = asyncio.create_task(house.launch())
    second = asyncio.create_task(house.launch())
    await house.maker.until(lambda: house.maker.attempts == 2)
    house.maker.go.set()
    browsers = await asyncio.gather(first, second)
    assert all(browser.wanted.is_set() for browser in browsers)
    assert house.counts == (0, 1, 1)


async def test_a_fill_that_nobody_waits_for_stays_in_the_background_until_it_is_taken(house: PoolHouse) -> None:
    await house.full(default=1)
    assert not house.maker.browsers[0].wanted.is_set()
    assert (await house.launch()).wanted.is_set()


async def test_a_hastened_fill_goes_to_the_shelf_when_its_launch_is_cancelled(house: PoolHouse) -> None:
    house.maker.go.clear()
    house.furnish(default=1)
    await house.maker.until(lambda: house.maker.under_way == 1)
    launch = asyncio.create_task(house.launch())
    await settled(lambda: launch.get_stack() != [] and house.pool._shelves["default"]._filling.claimed)  # type: ignore[union-attr]
    launch.cancel()
    await asyncio.wait([launch])
    house.maker.go.set()
    await settled(lambda: house.pool.ready == 1)
    assert house.maker.attempts == 1


async def test_a_launch_whose_hastened_fill_fails_starts_cold(house: PoolHouse) -> None:
    house.maker.go.clear()
    house.maker.failures = 1
    house.furnish(default=1)
    await house.maker.until(lambda: house.maker.under_way == 1)
    launch = asyncio.create_task(house.launch())
    await asyncio.sleep(0)
    house.maker.go.set()
    assert (await launch).number == 0
    assert house.counts == (0, 0, 1)


async def test_a_browser_that_does_not_answer_is_thrown_away_and_the_next_one_taken(house: PoolHouse) -> None:
    await house.full(default=2)
    house.maker.browsers[0].ill = True
    assert (await house.launch()).number == 1
    await settled(lambda: house.maker.browsers[0].closed)
    assert house.maker.browsers[0].adoptions == 0


async def test_when_none_answers_the_launch_is_cold(house: PoolHouse) -> None:
    await house.full(default=1)
    house.maker.browsers[0].ill = True
    assert (await house.launch()).adoptions == 1
    assert house.counts == (0, 0, 1)


async def test_a_browser_that_dies_in_the_pool_is_replaced_after_a_pause(house: PoolHouse) -> None:
    await house.full(default=1)
    house.maker.browsers[0].die(139)
    await house.maker.until(lambda: len(house.maker.browsers) == 2)
    await settled(lambda: house.pool.ready == 1)
    assert house.maker.browsers[0].closed
    assert house.pauses.asked == [1.0]


async def test_a_browser_that_has_grown_old_is_replaced(house: PoolHouse) -> None:
    house.furnish(default=1, max_age_seconds=0.01)
    await house.maker.until(lambda: len(house.maker.browsers) >= 2)
    await settled(lambda: house.maker.browsers[0].closed)
    assert house.pauses.asked == []


async def test_a_machine_where_nothing_comes_up_is_tried_ever_more_seldom(
    house: PoolHouse, caplog: pytest.LogCaptureFixture
) -> None:
    house.maker.failures = 5
    with caplog.at_level(logging.WARNING):
        await house.full(default=1)
    assert house.pauses.asked == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert caplog.text.count("no browser of profile default for the pool: the browser did not come up") == 5


def test_the_pauses_between_failures_double_up_to_a_minute() -> None:
    assert [backoff_seconds(failures) for failures in (0, 1, 2, 6, 7, 5000)] == [0, 1, 2, 32, 60, 60]


async def test_browsers_that_come_up_and_die_are_no_reason_to_spin(house: PoolHouse) -> None:
    house.furnish(default=1)
    for number in range(4):
        await house.maker.until(lambda number=number: len(house.maker.browsers) > number)  # type: ignore[misc]
        house.maker.browsers[number].die(1)
    await house.maker.until(lambda: len(house.maker.browsers) == 5)
    assert house.pauses.asked == [1.0, 2.0, 4.0, 8.0]


async def test_a_taken_browser_that_answered_ends_the_pauses(house: PoolHouse) -> None:
    house.maker.failures = 2
    await house.full(default=1)
    await house.launch()
    await settled(lambda: house.pool.ready == 1)
    assert house.pauses.asked == [1.0, 2.0]


async def test_a_shelf_in_its_pause_does_not_keep_another_from_filling(house: PoolHouse) -> None:
    house.maker.failures = 1
    house.pauses.go.clear()
    house.furnish(default=1, mobile=1)
    await settled(lambda: house.pool.ready == 1)
    assert house.pauses.asked == [1.0]


async def test_shelves_are_filled_one_browser_at_a_time(house: PoolHouse) -> None:
    await house.full(default=3, mobile=2)
    assert house.maker.most == 1


async def test_a_profile_without_a_shelf_starts_cold(house: PoolHouse) -> None:
    await house.full(default=1)
    await house.launch("mobile")
    assert (house.pool.ready, house.counts) == (1, (0, 0, 1))


async def test_a_cold_launch_that_fails_says_so(house: PoolHouse) -> None:
    house.furnish()
    house.maker.failures = 1
    with pytest.raises(LaunchFailed):
        await house.launch()


async def test_an_emptied_pool_leaves_nothing_and_fills_no_more(house: PoolHouse) -> None:
    await house.full(default=2)
    await house.pool.empty()
    assert (house.pool.ready, house.maker.living) == (0, [])
    await house.pool.close()
    assert house.maker.closed


async def test_a_pool_closed_while_it_fills_stops_that(house: PoolHouse) -> None:
    house.maker.go.clear()
    house.furnish(default=1)
    await house.maker.until(lambda: house.maker.under_way == 1)
    await house.pool.close()
    assert (house.maker.under_way, house.maker.browsers) == (0, [])


async def test_nothing_is_filled_before_the_start(house: PoolHouse) -> None:
    house.furnish(start=False, default=1)
    await house.launch()
    assert house.maker.attempts == 1


@pytest.mark.parametrize(
    ("pool", "profiles", "sizes"),
    [
        (PoolConfig(), {"default": ProfileConfig(), "mobile": ProfileConfig()}, {"default": 1}),
        (
            PoolConfig(size=3),
            {"default": ProfileConfig(), "mobile": ProfileConfig(pool=2)},
            {"default": 3, "mobile": 2},
        ),
        (PoolConfig(size=1), {"default": ProfileConfig(pool=4)}, {"default": 4}),
        (PoolConfig(size=0), {"default": ProfileConfig(pool=4), "mobile": ProfileConfig(pool=2)}, {}),
    ],
)
def test_a_size_of_0_turns_the_pool_off_and_profiles_may_ask_for_their_own(
    pool: PoolConfig, profiles: dict[str, ProfileConfig], sizes: dict[str, int]
) -> None:
    assert shelf_sizes(pool, profiles) == sizes
