"""What a real browser moves is counted to the byte, as it moves, and kept."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chaser_server.tokens import new_key
from tests.api import Api
from tests.ways.origin import CountingSite
from tests.ways.seen import agreed, egress, eventually, ledger, ledger_sums

MIX = """async () => {
    const uploaded = await (await fetch('/up', {method: 'POST', body: new Uint8Array(2_000_000)})).text();
    const size = async path => (await (await fetch(path)).arrayBuffer()).byteLength;
    const [plain, chunked] = await Promise.all([size('/down?bytes=3000000'), size('/chunked?bytes=500000')]);
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/socket');
    await new Promise(done => socket.onopen = done);
    socket.send('x'.repeat(100_000));
    const echoed = (await new Promise(done => socket.onmessage = message => done(message.data))).length;
    const closed = new Promise(done => socket.onclose = done);
    socket.close();
    await closed;
    return [Number(uploaded), plain, chunked, echoed];
}"""
ABORT = """async ([path, bytes]) => {
    const stop = new AbortController();
    const reader = (await fetch(path, {signal: stop.signal})).body.getReader();
    for (let got = 0; got < bytes;) got += (await reader.read()).value.length;
    stop.abort();
}"""


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_any_mix_of_traffic_is_counted_to_the_byte(scheme, api, connect, tls):
    async with CountingSite(tls if scheme == "https" else None).serving() as site:
        session = await api.ready()
        browser = await connect(session)
        context = await browser.new_context(ignore_https_errors=True)
        page = await context.new_page()
        await page.goto(site.url)
        assert await page.evaluate(MIX) == [2_000_000, 3_000_000, 500_000, 100_000]
        await page.evaluate(ABORT, ["/held?bytes=700000", 700_000])
        await page.reload()
        await agreed(api, session["id"], lambda: site.counts)
        assert await ledger_sums(api, session["id"]) == site.counts
        [row] = await ledger(api, session["id"])
        assert (row["host"], row["upstream"], row["connections"]) == ("localhost", None, len(site.sides))
        up, down = site.counts
        assert up > 2_000_000
        assert down > 4_300_000
        await api.delete(session["id"])
        assert await egress(api, session["id"]) == await ledger_sums(api, session["id"]) == site.counts


async def test_a_download_that_a_stalled_page_leaves_is_counted_to_the_byte(api, connect, counting):
    session = await api.ready()
    page = (await connect(session)).contexts[0].pages[0]
    await page.goto(counting.url)
    await page.evaluate("async () => { window.reader = (await fetch('/flood')).body.getReader(); }")

    async def stalled() -> bool:
        before = counting.counts
        await asyncio.sleep(0.1)  # there is nothing to await in a thing that stands still
        return before == counting.counts

    await eventually(stalled)
    _, counted = await egress(api, session["id"])
    assert counted < counting.counts[1]  # what waits in the server's own socket is counted when it is certain
    await page.evaluate("() => window.reader.cancel()")
    await agreed(api, session["id"], lambda: counting.counts)


async def test_a_long_download_is_counted_as_it_moves(api, connect, counting):
    session = await api.ready()
    page = (await connect(session)).contexts[0].pages[0]
    await page.goto(counting.url)
    await page.evaluate("() => { fetch('/drip').then(answer => answer.arrayBuffer()); }")
    for _ in range(3):
        _, before = await egress(api, session["id"])
        shown = (await api.get(session["id"]))["bytes_down"]
        counting.more.put_nowait(100_000)
        await eventually(lambda floor=before + 100_000: _grown(api, session["id"], floor))
        assert (await api.get(session["id"]))["bytes_down"] >= shown + 100_000
    await agreed(api, session["id"], lambda: counting.counts)
    assert not any(side.is_over for side in counting.sides[-1:])


async def _grown(api: Api, session_id: str, to: int) -> bool:
    return (await egress(api, session_id))[1] >= to


@asynccontextmanager
async def server_process(data_dir: Path, key: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Api]]:
    """A server in a process of its own, to be killed."""
    config = data_dir.parent / "chaser.toml"
    config.write_text("[metering]\nflush_seconds = 0.1\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chaser_server", "--listen", "127.0.0.1:0"),
        *("--data-dir", str(data_dir), "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "CHASER_KEY": key},
    )
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            if found := re.search(r"ready on (\S+)", line.decode()):
                break
        async with Api(found[1], key, data_dir) as api:
            yield process, api
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def test_after_a_sigkill_no_more_than_the_last_flush_is_missing(tmp_path, connect, counting):
    data_dir, key = tmp_path / "data", new_key()

    async def on_disk() -> bool:
        with sqlite3.connect(data_dir / "chaser.db") as database:
            rows = database.execute("SELECT egress_up, egress_down FROM sessions").fetchall()
        return rows == [counting.counts]

    async with server_process(data_dir, key) as (process, api):
        session = await api.ready()
        page = (await connect(session)).contexts[0].pages[0]
        await page.goto(counting.url)
        await page.evaluate("() => { fetch('/drip').then(answer => answer.arrayBuffer()); }")
        counting.more.put_nowait(5_000_000)
        await eventually(lambda: _grown(api, session["id"], 5_000_000))
        await eventually(on_disk)
        flushed = counting.counts
        counting.more.put_nowait(1_000_000)
        await eventually(lambda: _grown(api, session["id"], flushed[1] + 1))
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with server_process(data_dir, key) as (_, api):
        kept = await egress(api, session["id"])
        assert flushed[0] <= kept[0] <= counting.counts[0]
        assert flushed[1] <= kept[1] <= counting.counts[1]
        assert (await api.get(session["id"]))["ended_reason"] == "abandoned_orphan"
        sums = await ledger_sums(api, session["id"])
        assert flushed[0] <= sums[0] <= counting.counts[0]
        assert flushed[1] <= sums[1] <= counting.counts[1]
