"""The ledger and the cap (pure), and both at work in a proxy; and what keeps the timeline readable."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from chaser_server.egress.ledger import Account
from chaser_server.egress.notices import EVENTS_PER_WINDOW, WINDOW_SECONDS, Notices
from chaser_server.egress.policy import Policy, Rules
from chaser_server.model import ByteCount
from tests.egress.peers import OriginSide, egress, origin
from tests.egress.test_proxy import echo, hello


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_row_sums_the_connections_to_one_host_by_one_way():
    clock, count = Clock(), ByteCount()
    account = Account(count=count, clock=clock)
    first = account.open("a.example", None)
    first.sent(10)
    clock.now = 2000.0
    account.open("a.example", None).received(5)
    account.open("a.example", "eu-1").sent(1)
    row, other_way = account.rows()
    assert (row.up, row.down, row.connections) == (10, 5, 2)
    assert (row.first_at, row.last_at) == (datetime.fromtimestamp(1000, UTC), datetime.fromtimestamp(2000, UTC))
    assert (other_way.upstream, other_way.up, other_way.connections) == ("eu-1", 1, 1)
    assert (count.up, count.down) == (11, 5)


def test_hosts_beyond_the_bound_share_one_row_and_no_byte_is_lost():
    account = Account(count=ByteCount(), max_rows=3)
    for number in range(10):
        account.open(f"h{number}.example", "eu-1").sent(1)
    account.open("h0.example", "eu-1").sent(1)
    rows = account.rows()
    assert [(row.host, row.up) for row in rows] == [
        ("h0.example", 2),
        ("h1.example", 1),
        ("h2.example", 1),
        ("other", 7),
    ]
    assert rows[-1].connections == 7


def test_a_full_account_says_so_once():
    told = []
    account = Account(count=ByteCount(), max_bytes=100, on_full=lambda: told.append(1))
    meter = account.open("a", None)
    meter.sent(60)
    assert not account.is_full
    meter.received(40)
    meter.received(40)
    assert account.is_full
    assert told == [1]


async def test_the_ledger_of_a_session_adds_up_to_its_count(client_to):
    async with origin(echo) as there, origin(hello) as web, egress() as here:
        tunnel, plain = await client_to(here.port), await client_to(here.port)
        await tunnel.connect(f"LOCALHOST.:{there.port}")
        await tunnel.send(b"x" * 1000)
        await tunnel.read_exactly(1000)
        await plain.get(f"http://127.0.0.1:{web.port}/")
        rows = {row.host: row for row in here.proxy.ledger()}
        assert (rows["localhost"].up, rows["localhost"].down) == (1000, 1000)
        assert sum(row.up for row in rows.values()) == here.count.up
        assert sum(row.down for row in rows.values()) == here.count.down


async def test_a_session_at_its_cap_is_cut_with_an_event_and_dials_no_more(client_to):
    async def flood(side: OriginSide) -> None:
        while True:
            await side.write(b"z" * 65536)

    cap = 3_000_000
    async with origin(flood) as there, egress(max_bytes=cap) as here:
        client = await client_to(here.port)
        await client.connect(f"127.0.0.1:{there.port}")
        with pytest.raises(ConnectionResetError):
            await client.read_to_end()
        assert cap <= here.count.down < cap + 10_000_000
        assert here.events == [("egress_capped", {"max_bytes": cap})]
        late = await client_to(here.port)
        assert b" 403 " in await late.connect(f"127.0.0.1:{there.port}")
        assert b"max_egress_bytes" in await late.read_to_end()


async def test_thousands_of_equal_refusals_are_one_event(client_to):
    async with egress(Policy(block=Rules.parse(["*.evil.example"]))) as here:
        client = await client_to(here.port)
        for number in range(200):
            await client.get(f"http://{'ads' if number < 100 else f'n{number}'}.evil.example/")
            await client.read_until(b"egress.block.\n")
        assert len(here.events) == EVENTS_PER_WINDOW
        assert here.events[0][1]["rule"] == "blocked"


def test_what_was_held_back_is_told_with_the_next_event():
    clock, events = Clock(), []
    notices = Notices(lambda kind, detail: events.append(detail), clock=clock)
    for _ in range(5):
        notices.tell("refused", {"to": "a"})
    clock.now += WINDOW_SECONDS
    notices.tell("refused", {"to": "a"})
    assert events == [{"to": "a"}, {"to": "a", "suppressed": 4}]
