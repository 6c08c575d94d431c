"""Sessions that go out through upstream proxies of the config."""

from __future__ import annotations

import json
import logging
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from tests.egress.upstreams import PASSWORD, USER, Counted, free_port, upstream_of_kind
from tests.ways.seen import agreed, events_of_kind, ledger
from tests.ways.test_around import processes


@pytest.fixture
async def upstream(tmp_path):
    """Start upstream proxies of a kind."""
    async with AsyncExitStack() as stack:

        async def start(kind: str) -> Counted:
            return await stack.enter_async_context(upstream_of_kind(kind, tmp_path))

        yield start


def entry(name: str, counted: Counted, **more: object) -> dict[str, object]:
    return {"name": name, "url": counted.url, **more}


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_a_session_shows_its_upstream_once_it_has_worked_and_counts_what_that_saw(
    kind, serve, connect, counting, upstream
):
    counted = await upstream(kind)
    api = await serve(upstreams=[entry("one", counted, region="de")])
    session = await api.ready()
    assert (session["proxy_ip"], session["proxy_region"]) == (None, None)
    page = (await connect(session)).contexts[0].pages[0]
    await page.goto(counting.url)
    session = await api.get(session["id"])
    assert (session["proxy_ip"], session["proxy_region"]) == ("127.0.0.1", "de")
    await agreed(api, session["id"], lambda: (counted.relay.got, counted.relay.gave))
    assert {row["upstream"] for row in await ledger(api, session["id"])} == {"one"}
    assert (await api.get(session["id"]))["bytes_up"] > counting.counts[0] > 0


async def test_a_profile_chooses_the_region(serve, connect, counting, upstream):
    near, far = await upstream("socks5"), await upstream("socks5")
    api = await serve(
        upstreams=[entry("near", near, region="de", weight=1e6), entry("far", far, region="jp", ip="192.0.2.7")],
        profiles={"abroad": {"region": "jp"}},
    )
    session = await api.ready(profile="abroad")
    await (await connect(session)).contexts[0].pages[0].goto(counting.url)
    session = await api.get(session["id"])
    assert (session["proxy_ip"], session["proxy_region"]) == ("192.0.2.7", "jp")
    assert near.relay.sides == []


async def test_credentials_appear_nowhere(*, serve, connect, counting, upstream, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    counted = await upstream("http")
    api = await serve(upstreams=[entry("one", counted)])
    session = await api.ready()
    page = (await connect(session)).contexts[0].pages[0]
    await page.goto(counting.url)
    failed = await page.goto(f"http://127.0.0.1:{free_port()}/")
    seen = [
        caplog.text,
        await page.evaluate("document.body.innerText"),
        json.dumps(await failed.all_headers()),
        json.dumps(await api.get(session["id"])),
        json.dumps(await api.events(session["id"])),
        json.dumps(await ledger(api, session["id"])),
        *(await processes(api, session["id"])).values(),
        *environments(list(await processes(api, session["id"]))),
        *(path.read_bytes().decode("latin-1") for path in (tmp_path / "data").iterdir()),
    ]
    assert len(seen) > 12
    for secret in (PASSWORD, USER + ":", "Y2hhc2VyOnMzY3JldC13b3Jk"):
        assert not [text for text in seen if secret in text]


def environments(pids: list[int]) -> list[str]:
    """Of those that still live: a browser's helpers come and go."""
    found = []
    for pid in pids:
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/environ").read_text())
    return found


async def test_a_session_whose_upstream_dies_moves_and_says_so(serve, connect, counting, upstream, tmp_path):
    dying = AsyncExitStack()
    first, second = await dying.enter_async_context(upstream_of_kind("socks5", tmp_path)), await upstream("socks5")
    api = await serve(
        upstreams=[
            entry("first", first, region="de", weight=1e9),
            entry("second", second, region="jp", weight=0.001),
        ]
    )
    session = await api.ready()
    page = (await connect(session)).contexts[0].pages[0]
    await page.goto(counting.url)
    assert (await api.get(session["id"]))["proxy_region"] == "de"
    await dying.aclose()
    await page.goto(counting.url)
    assert (await api.get(session["id"]))["proxy_region"] == "jp"
    [moved] = await events_of_kind(api, session["id"], "egress_upstream_changed")
    assert (moved["from"], moved["to"]) == ("first", "second")
    assert "refused" in str(moved["reason"])
    assert {row["upstream"] for row in await ledger(api, session["id"])} == {"first", "second"}


async def test_what_egress_direct_names_takes_no_upstream(serve, connect, counting, upstream):
    counted = await upstream("socks5")
    api = await serve(upstreams=[entry("one", counted)], egress={"direct": ["localhost"]})
    session = await api.ready()
    page = (await connect(session)).contexts[0].pages[0]
    await page.goto(counting.url)
    assert counted.relay.sides == []
    assert (await api.get(session["id"]))["proxy_ip"] is None
    await page.goto(counting.url.replace("localhost", "127.0.0.1"))
    assert [row["upstream"] for row in await ledger(api, session["id"])] == [None, "one"]
