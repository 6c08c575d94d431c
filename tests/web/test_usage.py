"""Usage: sums that are exact, whole, live, and charged only for what was served."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaser_server.model import ApiKey, UsageRow, utc_now
from chaser_server.web import usage
from chaser_server.web.usage import Statement, month_of, summary, table
from tests.api import Api
from tests.substrates import FailingSubstrate, FakeSubstrate
from tests.web.conftest import ServeFake
from tests.web.cookies import Dashboard

PRICE = 5_000_000
BILLED = ["sessions", "bytes_total", "billed_micro_usd"]


async def of(api: Api, key: str | None = None) -> dict[str, Any]:
    answer = await api.ask("GET", "/v1/usage", key=key)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def test_usage_has_exactly_its_fields(fake_api: Api, substrate: FakeSubstrate) -> None:
    before = utc_now()
    await fake_api.ready()
    substrate.browsers[0].egress.up, substrate.browsers[0].egress.down = 1_000, 400_000
    told = await of(fake_api)
    assert list(told) == ["period", "from", "to", "totals", "by_region", "by_key", "by_day"]
    assert told["period"] == "current"
    assert told["from"] == f"{before:%Y-%m}-01T00:00:00.000000Z"
    assert before <= datetime.fromisoformat(told["to"]) <= utc_now()
    sums = {"bytes_total": 401_000, "sessions": 1, "billed_micro_usd": 2005}
    assert told["totals"] == {"bytes_up": 1_000, "bytes_down": 400_000, **sums}
    assert list(told["totals"]) == ["bytes_up", "bytes_down", "bytes_total", "sessions", "billed_micro_usd"]
    assert told["by_region"] == [{"region": None, **sums}]
    assert list(told["by_region"][0]) == ["region", *BILLED]
    (key,) = told["by_key"]
    assert list(key) == ["key_id", "key_prefix", "key_name", *BILLED]
    assert (key["key_prefix"], key["key_name"]) == (fake_api.key[:16], "first start")
    assert [list(day) for day in told["by_day"]] == [["date", "bytes_total", "sessions"]] * before.day
    assert told["by_day"][-1] == {"date": f"{before:%Y-%m-%d}", "bytes_total": 401_000, "sessions": 1}
    assert all(day["bytes_total"] == day["sessions"] == 0 for day in told["by_day"][:-1])


async def test_nothing_used_is_told_as_zeros(fake_api: Api) -> None:
    told = await of(fake_api)
    assert set(told["totals"].values()) == {0}
    assert (told["by_region"], told["by_key"]) == ([], [])
    assert len(told["by_day"]) == utc_now().day


async def test_the_sums_are_the_same_before_and_after_an_end(fake_api: Api, substrate: FakeSubstrate) -> None:
    session = await fake_api.ready()
    substrate.browsers[0].egress.up = 123_456_789
    live = await of(fake_api)
    await fake_api.delete(session["id"])
    ended = await of(fake_api)
    assert {**ended, "to": None} == {**live, "to": None}
    assert live["totals"]["billed_micro_usd"] == 617_283  # 123,456,789 * 5,000,000 / 10^9 = 617,283.9


async def test_workspaces_keys_and_the_dashboard_are_counted_apart(fake_api: Api) -> None:
    other, ours = await Dashboard.of(fake_api, "other"), await Dashboard.of(fake_api)
    for key in (fake_api.key, ours.key, other.key):
        assert (await fake_api.ask("POST", "/v1/sessions", key=key)).status == 201
    assert (await ours.ask("POST", "/v1/sessions")).status == 201
    told = await of(fake_api)
    assert told["totals"]["sessions"] == 3
    prefixes = {(key["key_prefix"], key["key_name"], key["sessions"]) for key in told["by_key"]}
    assert prefixes == {(fake_api.key[:16], "first start", 1), (ours.key[:16], "for tests", 1), (None, None, 1)}
    assert (await of(fake_api, other.key))["totals"]["sessions"] == 1
    assert (await ours.ask("GET", "/v1/usage")).json["totals"] == told["totals"]


async def test_a_session_that_fails_or_dies_is_counted_and_not_charged(serve_fake: ServeFake) -> None:
    api = await serve_fake(FailingSubstrate())
    created = await api.create()
    await api.ask("GET", f"/v1/sessions/{created['id']}?wait=ready")
    told = await of(api)
    assert (told["totals"]["sessions"], told["totals"]["billed_micro_usd"]) == (1, 0)


async def test_the_bytes_of_a_session_that_dies_are_shown_and_not_charged(
    fake_api: Api, substrate: FakeSubstrate
) -> None:
    session = await fake_api.ready()
    browser = substrate.browsers[0]
    browser.egress.down = 10**9
    assert (await of(fake_api))["totals"]["billed_micro_usd"] == PRICE
    browser.die(139)
    while (await fake_api.get(session["id"]))["status"] != "closed":
        pass
    await fake_api.events(session["id"])  # what it says is stored
    assert (await of(fake_api))["totals"]["bytes_total"] == 10**9
    assert (await of(fake_api))["totals"]["billed_micro_usd"] == 0


async def test_regions_are_apart(fake_api: Api, substrate: FakeSubstrate) -> None:
    sessions = [await fake_api.ready() for _ in range(3)]
    for browser, (region, moved) in zip(substrate.browsers, (("de", 100), ("fr", 200), ("de", 300)), strict=True):
        browser.proxy_ip, browser.proxy_region, browser.egress.up = f"192.0.2.{moved % 250}", region, moved
    for _ in range(2):
        told = await of(fake_api)
        assert {one["region"]: (one["sessions"], one["bytes_total"]) for one in told["by_region"]} == {
            "de": (2, 400),
            "fr": (1, 200),
        }
        for session in sessions[:2]:
            await fake_api.ask("DELETE", f"/v1/sessions/{session['id']}")


def statement(rows: list[UsageRow], now: datetime, *, price: int = PRICE, **names: str) -> Statement:
    keys = {key_id: ApiKey(key_id, "ws", name, f"cha_live_{key_id:.7}", now) for key_id, name in names.items()}
    return Statement(rows, month_of(now), now, keys, price)


@pytest.mark.parametrize(
    ("now", "days", "last"),
    [
        ("2026-02-01T00:00:00", 1, "2026-02-01"),
        ("2026-02-28T23:59:59.999999", 28, "2026-02-28"),
        ("2028-02-29T12:00:00", 29, "2028-02-29"),
        ("2026-12-31T23:59:59", 31, "2026-12-31"),
        ("2027-01-01T00:00:00", 1, "2027-01-01"),
    ],
)
def test_every_day_of_the_month_up_to_now_is_listed(now: str, days: int, last: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    told = summary(statement([], moment))
    assert told["from"] == f"{now[:7]}-01T00:00:00.000000Z"
    listed = [day["date"] for day in told["by_day"]]
    assert (listed[0], listed[-1], len(listed), len(set(listed))) == (f"{now[:7]}-01", last, days, days)


async def test_last_months_sessions_are_last_months(
    fake_api: Api, substrate: FakeSubstrate, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await fake_api.ready()
    await fake_api.ready()
    await fake_api.delete(session["id"])
    first = month_of(utc_now())
    for now, expected in ((utc_now(), 2), (month_of(first + timedelta(days=32)), 0), (first - timedelta(days=1), 0)):
        monkeypatch.setattr(usage, "utc_now", lambda now=now: now)
        told = await of(fake_api)
        assert sum(day["sessions"] for day in told["by_day"]) == told["totals"]["sessions"] == expected


NOW = datetime(2026, 6, 13, 11, 49, tzinfo=UTC)
ROWS = st.lists(
    st.builds(
        lambda day, key, region, sessions, up, down, is_charged: UsageRow(
            f"2026-06-{day:02}", key, region, sessions, up, down, (up + down) * is_charged
        ),
        st.integers(1, 13),
        st.sampled_from(["", "key_a", "key_b", "key_gone"]),
        st.sampled_from(["", "de", "fr"]),
        st.integers(0, 1000),
        st.integers(0, 10**15),
        st.integers(0, 10**15),
        st.integers(0, 1),
    ),
    max_size=30,
)


@given(rows=ROWS, price=st.integers(0, 10**8))
def test_every_way_to_divide_comes_to_the_totals(rows: list[UsageRow], price: int) -> None:
    told = summary(statement(rows, NOW, price=price, key_a="a", key_b="b"))
    totals = told["totals"]
    assert totals["bytes_up"] + totals["bytes_down"] == totals["bytes_total"]
    assert totals["billed_micro_usd"] == sum(row.charged_bytes for row in rows) * price // 10**9
    for name in ("by_region", "by_key", "by_day"):
        assert sum(bucket["bytes_total"] for bucket in told[name]) == totals["bytes_total"]
        assert sum(bucket["sessions"] for bucket in told[name]) == totals["sessions"]
    for name in ("by_region", "by_key"):  # each is rounded down by itself
        billed = sum(bucket["billed_micro_usd"] for bucket in told[name])
        assert billed <= totals["billed_micro_usd"] <= billed + len(told[name])


@given(rows=ROWS)
def test_a_table_has_one_line_for_each_day_key_and_region(rows: list[UsageRow]) -> None:
    expected: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        sums = expected[row.date, row.key_id, row.region]
        for number, part in enumerate((row.sessions, row.bytes_up, row.bytes_down)):
            sums[number] += part
    lines = list(csv.DictReader(io.StringIO(table(statement(rows, NOW, key_a="a", key_b="b")))))
    told = {
        (line["date"], line["key_id"], line["region"]): [
            int(line["sessions"]),
            int(line["bytes_up"]),
            int(line["bytes_down"]),
        ]
        for line in lines
    }
    assert told == expected
    assert len(lines) == len(expected)
    assert all(int(line["bytes_total"]) == int(line["bytes_up"]) + int(line["bytes_down"]) for line in lines)


def test_a_name_is_no_formula_in_a_table() -> None:
    rows = [UsageRow("2026-06-13", "key_a", "", 1, 2, 3, 5)]
    lines = table(statement(rows, NOW, key_a='=HYPERLINK("http://evil.example")')).splitlines()
    assert lines[1] == """2026-06-13,key_a,cha_live_key_a,"'=HYPERLINK(""http://evil.example"")",,1,2,3,5,0"""


async def test_usage_can_be_downloaded_as_a_table(fake_api: Api) -> None:
    await fake_api.ready()
    answer = await fake_api.ask("GET", "/v1/usage?format=csv")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="usage-{utc_now():%Y-%m}.csv"'
    head, line = csv.reader(io.StringIO(answer.body.decode()))
    assert head[:5] == ["date", "key_id", "key_prefix", "key_name", "region"]
    assert line[2:] == [fake_api.key[:16], "first start", "", "1", "0", "0", "0", "0"]
    refused = await fake_api.ask("GET", "/v1/usage?format=xml")
    assert (refused.status, refused.json["error"]["code"]) == (400, "invalid_request")


async def test_preview_bytes_count_only_where_the_operator_says_so(serve_fake: ServeFake) -> None:
    api = await serve_fake(substrate := FakeSubstrate(), metering={"count": ["cdp"]})
    session = await api.ready()
    substrate.browsers[0].egress.up = 100
    assert (await of(api))["totals"]["bytes_total"] == 0
    await api.delete(session["id"])
    assert (await of(api))["totals"]["bytes_total"] == 0
