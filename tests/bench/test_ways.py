"""A way that does not come to its browser raises, and leaves nothing of what it began."""

from __future__ import annotations

import tempfile
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chaser_server.bench.processes import named
from chaser_server.bench.ways import BenchServer, bare


async def test_a_bare_browser_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    silent = tmp_path / "browser"
    silent.write_text("#!/bin/sh\nsleep 60\n")
    silent.chmod(0o755)
    with pytest.raises(TimeoutError):
        await bare(str(silent), ready_seconds=0.1)()
    assert named(str(tmp_path)) == set()
    assert list(tmp_path.iterdir()) == [silent]


async def test_a_bare_browser_that_ends_at_once_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        await bare("/bin/true")()


async def test_a_session_that_does_not_become_ready_is_not_left_open() -> None:
    ended: list[str] = []

    async def created(_: web.Request) -> web.Response:
        return web.json_response({"id": "sess_1", "cdp_url": "ws://127.0.0.1/sess_1"})

    async def settled(_: web.Request) -> web.Response:
        return web.json_response({"status": "creating"})

    async def deleted(request: web.Request) -> web.Response:
        ended.append(request.path)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/v1/sessions", created)
    app.router.add_get("/v1/sessions/sess_1", settled)
    app.router.add_delete("/v1/sessions/sess_1", deleted)
    async with TestServer(app) as slow, aiohttp.ClientSession() as http:
        here = BenchServer(0, "chaser-fake", 0, str(slow.make_url("")).rstrip("/"), http, pool=0)
        with pytest.raises(RuntimeError, match="creating instead of ready"):
            await here.way("default")()
    assert ended == ["/v1/sessions/sess_1"]
