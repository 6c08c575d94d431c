"""However a session ends, its traffic stops with it: at the 204, or as soon as it is no longer ready."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from chaser_server.app import serving
from chaser_server.config_file import parse
from chaser_server.model import utc_now
from tests.api import Api
from tests.ways.origin import CountingSite
from tests.ways.seen import egress, events_of_kind, eventually, ledger_sums

FLOOD = "async () => { const reader = (await fetch('/flood')).body.getReader(); window.on = true;" + (
    " (async () => { while (true) await reader.read(); })(); }"
)


async def flooded(api: Api, connect, site: CountingSite) -> tuple[str, object]:
    """A session whose page downloads without end."""
    session = await api.ready()
    browser = await connect(session)
    page = browser.contexts[0].pages[0]
    await page.goto(site.url)
    await page.evaluate(FLOOD)

    async def moving() -> bool:
        return (await egress(api, session["id"]))[1] > 10_000_000

    await eventually(moving)
    return session["id"], browser


async def test_a_delete_cuts_a_download_before_its_204(api, connect, counting):
    session_id, _ = await flooded(api, connect, counting)
    await api.delete(session_id)
    assert all(side.is_over for side in counting.sides)
    counted = await egress(api, session_id)
    assert counted == await ledger_sums(api, session_id)
    assert 10_000_000 < counted[1] <= counting.counts[1]


async def test_an_idle_session_is_cut_in_the_middle_of_a_download(serve, connect, counting):
    api = await serve(limits={"idle_seconds": 1})
    session_id, browser = await flooded(api, connect, counting)
    await browser.close()
    await ended(api, session_id, "idle_expired")
    assert all(side.is_over for side in counting.sides)


async def test_a_session_whose_time_is_up_is_cut_in_the_middle_of_a_download(tmp_path, connect, counting):
    config = parse({"server": {"listen": "127.0.0.1:0", "data_dir": str(tmp_path)}})
    async with serving(config) as server, Api(server.url, server.first_key or "", tmp_path) as api:
        session_id, _ = await flooded(api, connect, counting)
        [running] = server.service.running
        running.change(expires_at=utc_now())  # the shortest time a client may ask for is a minute
        await ended(api, session_id, "ttl_expired")
        assert all(side.is_over for side in counting.sides)


@pytest.mark.parametrize("whom", ["sandbox", "browser"])
async def test_a_killed_session_is_cut_in_the_middle_of_a_download(whom, api, connect, counting):
    session_id, _ = await flooded(api, connect, counting)
    [launched] = await events_of_kind(api, session_id, "launched")
    pid = int(str(launched["pid"]))
    os.kill(pid if whom == "sandbox" else network_service(pid), signal.SIGKILL)
    if whom == "sandbox":
        await ended(api, session_id, "substrate_down")

    async def cut() -> bool:
        return all(side.is_over for side in counting.sides)

    await eventually(cut)
    assert (await egress(api, session_id))[1] <= counting.counts[1]


def network_service(pid: int) -> int:
    """The process of a session that holds its connections to the proxy."""
    for entry in descendants(pid):
        if "network.mojom.NetworkService" in Path(f"/proc/{entry}/cmdline").read_text():
            return entry
    raise AssertionError("no network service")


def descendants(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


async def ended(api: Api, session_id: str, reason: str) -> None:
    async def over() -> bool:
        session = await api.get(session_id)
        return session["ended_reason"] == reason

    await eventually(over)
