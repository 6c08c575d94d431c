"""The whole server as a process with real Chromium: how it stops, dies, starts again, refuses, and what it leaves."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chaser_server.substrate.from_config import instance_name
from tests.api import Api
from tests.processes import Served, browser_of, descendants, run, server_process, until


def temporary(data_dir: Path) -> set[str]:
    """What sessions of one server may have left in the directory for temporary files."""
    return {path.name for path in Path(tempfile.gettempdir()).glob(f"*{instance_name(data_dir)}*")}


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def rows(data_dir: Path) -> list[tuple[str, str | None]]:
    with sqlite3.connect(data_dir / "chaser.db") as connection:
        return connection.execute("SELECT status, ended_reason FROM sessions ORDER BY id").fetchall()


async def ending(api: Api, session_id: str) -> dict[str, Any]:
    """What the timeline says of the end; a client's leaving may stand behind it."""
    (detail,) = [event["detail"] for event in await api.events(session_id) if event["kind"] == "ended"]
    found: dict[str, Any] = detail
    return found


async def farewell(ws: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    """What a CDP client is told at the end."""
    message = await asyncio.wait_for(ws.receive(), 10)
    assert message.type is aiohttp.WSMsgType.CLOSE, message
    return message.data, message.extra


async def test_a_server_told_to_stop_ends_its_sessions_tells_their_clients_and_exits_with_0(tmp_path: Path) -> None:
    async with server_process(tmp_path / "data") as server, aiohttp.ClientSession() as http:
        sessions = await asyncio.gather(server.api.ready(), server.api.ready())
        async with http.ws_connect(sessions[0]["cdp_url"]) as ws:
            living = descendants(server.pid)
            stopping = asyncio.create_task(server.stop())
            assert await farewell(ws) == (1001, "abandoned_orphan")
        assert await stopping == 0
        assert [each.command for each in living if each.lives] == []
    assert rows(tmp_path / "data") == [("closed", "abandoned_orphan")] * 2


async def test_a_server_told_to_stop_while_browsers_come_up_waits_for_none_of_them(tmp_path: Path) -> None:
    async with server_process(tmp_path / "data") as server:
        await asyncio.gather(*(server.api.create() for _ in range(6)))
        living = descendants(server.pid)
        assert await server.stop() == 0
        assert [each.command for each in living if each.lives] == []
        assert not any("Traceback" in line for line in server.output)
    assert rows(tmp_path / "data") == [("closed", "abandoned_orphan")] * 6


async def test_a_server_that_was_killed_leaves_orphans_that_are_gone_before_the_next_ones_first_answer(
    tmp_path: Path,
) -> None:
    async with server_process(tmp_path / "data") as server:
        session = await server.api.ready()
        living = descendants(server.pid)
        server.kill()
    async with server_process(tmp_path / "data", key=server.api.key) as server:
        found = await server.api.get(session["id"])
        assert [each.command for each in living if each.lives] == []
        assert (found["status"], found["ended_reason"]) == ("closed", "abandoned_orphan")
        refused = await server.api.ask("DELETE", f"/v1/sessions/{session['id']}")
        assert refused.status == 409
        assert await server.stop() == 0


async def test_of_ten_sessions_at_once_nothing_is_left(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with server_process(data_dir) as server:
        await server.api.delete((await server.api.ready())["id"])  # what is loaded only once is loaded
        await until(lambda: not descendants(server.pid), "the first session is gone")
        before = descriptors(server.pid), temporary(data_dir)
        began_with = threads(server.pid)
        async with Api(server.api.url, server.api.key, server.api.data_dir) as crowd:  # its connections go with it
            sessions = await asyncio.gather(*(crowd.ready() for _ in range(10)))
            refused = await crowd.ask("POST", "/v1/sessions")
            assert (refused.status, refused.json["error"]["code"]) == (429, "concurrency_limit")
            await asyncio.gather(*(crowd.delete(session["id"]) for session in sessions))
        await until(lambda: not descendants(server.pid), "no process is left")
        await until(lambda: (descriptors(server.pid), temporary(data_dir)) == before, f"all as before: {before}")
        # The pool of worker threads keeps those it has made; it makes at most four more than there are cores.
        assert threads(server.pid) <= began_with + (os.cpu_count() or 1) + 4
        assert await server.stop() == 0
    assert rows(data_dir) == [("closed", "client_delete")] * 11


async def test_a_killed_browser_is_substrate_down_for_clients_and_in_the_timeline(tmp_path: Path) -> None:
    async with server_process(tmp_path / "data") as server, aiohttp.ClientSession() as http:
        session = await server.api.ready()
        async with http.ws_connect(session["cdp_url"]) as ws:
            os.kill(browser_of(descendants(server.pid)).pid, signal.SIGKILL)
            assert await farewell(ws) == (1001, "substrate_down")
        found = await server.api.get(session["id"])
        assert (found["status"], found["ended_reason"]) == ("closed", "substrate_down")
        detail = await ending(server.api, session["id"])
        assert detail["exit_code"] == 128 + signal.SIGKILL
        assert (detail["signal"], detail["out_of_memory"]) == ("SIGKILL", False)
        assert "DevTools listening on" in detail["stderr_tail"]
        await until(lambda: not descendants(server.pid), "the rest of the session is gone, too")


async def test_a_browser_closed_by_its_client_is_a_delete(tmp_path: Path) -> None:
    async with server_process(tmp_path / "data") as server, aiohttp.ClientSession() as http:
        session = await server.api.ready()
        async with http.ws_connect(session["cdp_url"]) as ws:
            await ws.send_json({"id": 1, "method": "Browser.close"})
            assert (await ws.receive_json(timeout=10))["id"] == 1
            assert await farewell(ws) == (1001, "client_delete")
        assert (await server.api.get(session["id"]))["ended_reason"] == "client_delete"


@pytest.mark.parametrize("flags", [("--isolation", "none"), ("--display", "headless"),
                                   ("--isolation", "none", "--display", "headless")])  # fmt: skip
async def test_the_ways_to_go_without_run_a_session_and_leave_nothing(tmp_path: Path, flags: tuple[str, ...]) -> None:
    data_dir = tmp_path / "data"
    async with server_process(data_dir, *flags) as server:
        assert any("isolation is none" in line for line in server.output) is ("none" in flags)
        session = await server.api.ready()
        picture = await server.api.ask("POST", f"/v1/sessions/{session['id']}/screenshot")
        assert (picture.status, picture.body[:4]) == (200, b"\x89PNG")
        await server.api.delete(session["id"])
        await until(lambda: not descendants(server.pid), "no process is left")
        assert temporary(data_dir) == set()
        await server.api.ready()
        assert bool(temporary(data_dir)) is ("none" in flags)
        living = descendants(server.pid)
        server.kill()
        await server.process.wait()
        await until(lambda: not any(each.lives for each in living), "the kernel or the doorman ended them")
    async with server_process(data_dir, *flags):
        assert temporary(data_dir) == set()


async def test_a_browser_that_does_not_start_fails_its_session_with_the_cause(tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "chromium"
    broken.parent.mkdir()
    broken.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo Chromium 156.0.0.0 && exit\necho this browser is broken >&2\nexit 3\n'
    )
    broken.chmod(0o755)
    config = f'[browser]\nexecutable = "{broken}"\n'
    tmp_path.chmod(0o755)
    async with server_process(tmp_path / "data", "--isolation", "none", config=config) as server:
        created = await server.api.create()
        failed = (await server.api.ask("GET", f"/v1/sessions/{created['id']}?wait=ready")).json
        assert failed["status"] == "error"
        detail = await ending(server.api, created["id"])
        assert "this browser is broken" in detail["error"]
        assert "this browser is broken" in detail["stderr_tail"]
        await until(lambda: not descendants(server.pid), "no process is left")


async def test_two_servers_do_not_share_a_data_directory(tmp_path: Path) -> None:
    async with server_process(tmp_path / "data"):
        status, said = await run(tmp_path / "data")
    assert status == 1
    assert f"another chaser-server uses the data directory {tmp_path / 'data'}" in said
    assert "--data-dir" in said
    assert "Traceback" not in said


async def test_a_taken_port_is_refused_by_its_number(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, said = await run(tmp_path / "data", "--listen", address)
    assert status == 1
    assert address in said
    assert "--listen" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('[browser]\nexecutable = "/nowhere/chromium"', ["/nowhere/chromium", "browser.executable"]),
        ('[browser]\nxvfb = "/nowhere/Xvfb"', ["/nowhere/Xvfb", 'display = "headless"', "--display headless"]),
        ('[sandbox]\nbwrap = "/nowhere/bwrap"', ["/nowhere/bwrap", 'isolation = "none"', "--isolation none"]),
        ('[sandbox]\nuser = "nobody-at-all"', ["nobody-at-all", "--isolation none"]),
        (f'[sandbox]\nbwrap = "{shutil.which("false")}"', ["user namespaces", "--isolation none"]),
        ('[sandbox]\nisolaton = "none"', ["unknown setting sandbox.isolaton"]),
    ],
)
async def test_a_machine_that_lacks_something_is_refused_with_the_ways_out(
    tmp_path: Path, config: str, words: list[str]
) -> None:
    status, said = await run(tmp_path / "data", config=config)
    assert status == 1
    for word in words:
        assert word in said
    assert "Traceback" not in said
    assert "ready on" not in said


async def test_a_key_from_the_environment_is_valid_and_no_other_is_shown(tmp_path: Path) -> None:
    key = "cha_live_" + "k" * 43
    async with server_process(tmp_path / "data", key=key) as server:
        assert (await server.api.ask("GET", "/v1/sessions")).status == 200
        assert not any("cha_live_" in line for line in server.output)


async def logged(server: Served, text: str) -> None:
    await until(lambda: any(text in line for line in server.output), f"{text!r} is in the log")


async def test_the_log_is_json_when_asked_for(tmp_path: Path) -> None:
    async with server_process(tmp_path / "data", "--log-format", "json") as server:
        await server.api.ask("GET", "/v1/sessions")
        await logged(server, '"path": "/v1/sessions", "status": 200')
