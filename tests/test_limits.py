"""How many sessions may be open."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from chaser_server.config import LimitsConfig
from chaser_server.errors import ConcurrencyLimit
from chaser_server.limits import RateLimits, check_places
from chaser_server.model import Workspace


def refused(*, mine: int, living: int, limit: int = 10, most: int = 0, own: int | None = None) -> bool:
    workspace = Workspace(id="ws_1", name="one", created_at=datetime.now(UTC), concurrent_sessions=own)
    try:
        check_places(LimitsConfig(concurrent_sessions=limit, max_sessions=most), workspace, mine=mine, living=living)
    except ConcurrencyLimit:
        return True
    return False


@pytest.mark.parametrize(("mine", "is_refused"), [(0, False), (9, False), (10, True), (11, True)])
def test_a_workspace_may_have_as_many_as_the_server_allows_each(mine: int, is_refused: bool) -> None:
    assert refused(mine=mine, living=mine) is is_refused


def test_a_workspace_with_a_limit_of_its_own_has_that_one() -> None:
    assert not refused(mine=10, living=10, own=11)
    assert refused(mine=1, living=1, own=1)


def test_a_limit_of_zero_is_none() -> None:
    assert not refused(mine=1000, living=1000, limit=0)
    assert not refused(mine=1000, living=1000, own=0)


def test_the_server_bears_no_more_than_its_own_limit_whoever_asks() -> None:
    assert refused(mine=0, living=3, most=3)
    assert refused(mine=0, living=3, most=3, own=0)
    assert not refused(mine=0, living=2, most=3)


def test_who_asks_no_more_is_forgotten_while_others_ask() -> None:
    rates = RateLimits(screenshots=60)
    for number in range(100):
        rates.take("screenshots", f"sess_{number}", now=float(number) / 10)
    rates.take("screenshots", "sess_another", now=100.0)
    assert len(rates._times) == 1
