"""The pool with real browsers: ready in a moment, fresh each time, and gone with the server."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Playwright

from chaser_server.app import Server, serving
from chaser_server.config_file import parse
from tests.api import Api
from tests.processes import browser_of, command_of, descendants, server_process, until
from tests.site import Site


@dataclass
class Pooled:
    """A server in this process whose pool is full."""

    server: Server
    api: Api

    async def full(self) -> None:
        await until(lambda: self.server.pool.ready == 1, "one stands ready")

    async def pid(self, session_id: str) -> int:
        events = await self.api.events(session_id)
        found: int = next(event["detail"]["pid"] for event in events if event["kind"] == "launched")
        return found


@pytest.fixture
async def pooled(tmp_path: Path) -> AsyncIterator[Pooled]:
    tables: dict[str, Any] = {"server": {"listen": "127.0.0.1:0", "data_dir": str(tmp_path / "data")}}
    async with serving(parse(tables)) as server, Api(server.url, server.first_key or "", tmp_path) as api:
        running = Pooled(server, api)
        await running.full()
        yield running
    await until(lambda: not any("doorman" in each.command for each in descendants(os.getpid())), "nothing is left")


async def test_each_session_gets_a_browser_of_its_own_that_nobody_has_used(
    pooled: Pooled, site: Site, playwright: Playwright
) -> None:
    seen, pids = [], set()
    for _ in range(2):
        session = await pooled.api.ready()
        pids.add(await pooled.pid(session["id"]))
        browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
        page = browser.contexts[0].pages[0]
        await page.goto(site.url)
        seen.append(await page.evaluate("[document.cookie, localStorage.length, history.length]"))
        await page.evaluate("document.cookie = 'a=1; max-age=999'; localStorage.b = 2")
        await browser.close()
        await pooled.full()
    assert seen == [["", 0, seen[0][2]]] * 2
    assert len(pids) == 2
    assert (pooled.server.pool.taken, pooled.server.pool.cold) == (2, 0)


async def test_a_pooled_browser_is_counted_from_the_moment_it_is_taken(
    pooled: Pooled, site: Site, playwright: Playwright
) -> None:
    session = await pooled.api.ready()
    (running,) = pooled.server.service.running
    assert (running.egress.up, running.egress.down) == (0, 0)
    browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
    await browser.contexts[0].pages[0].goto(site.url)
    await browser.close()
    assert running.egress.down > 0
    assert running.browser is not None
    assert {row.host for row in running.browser.ledger()} == {"localhost"}


async def test_a_browser_that_has_died_in_the_pool_is_never_given_out(pooled: Pooled) -> None:
    os.kill(browser_of(descendants(os.getpid())).pid, signal.SIGKILL)
    session = await pooled.api.ready()
    assert (await pooled.api.get(session["id"]))["status"] == "ready"
    assert pooled.server.pool.taken == 0


async def test_a_browser_that_does_not_answer_is_not_given_out_either(pooled: Pooled) -> None:
    stopped = browser_of(descendants(os.getpid())).pid
    os.kill(stopped, signal.SIGSTOP)
    await pooled.api.ready()
    assert pooled.server.pool.taken == 0
    await until(lambda: not command_of(stopped), "it is thrown away")


async def test_a_browser_in_the_pool_leaves_the_processor_to_others_until_it_is_taken(pooled: Pooled) -> None:
    def nice() -> str:
        return Path(f"/proc/{browser}/autogroup").read_text().split()[-1]

    browser = browser_of(descendants(os.getpid())).pid
    assert nice() == "19"
    await pooled.api.ready()
    await until(lambda: nice() == "0", "it is a session's")


async def test_a_server_told_to_stop_takes_its_pool_along(tmp_path: Path) -> None:
    async with server_process(tmp_path / "data", config="[pool]\nsize = 2\n") as server:
        await until(lambda: any("--type=renderer" in each.command for each in descendants(server.pid)), "it fills")
        living = descendants(server.pid)
        assert await server.stop() == 0
        assert [each.command for each in living if each.lives] == []
        assert not any("Traceback" in line for line in server.output)
