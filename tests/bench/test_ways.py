"""A way that does not come to its browser raises, and leaves nothing of what it began."""

from __future__ import annotations

import tempfile
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chaser_server.bench.ways import BenchServer, bare


def living(word: str) -> list[str]:
    """Processes of this machine with `word` in an argument."""
    return [str(path) for path in Path("/proc").glob("[0-9]*/cmdline") if word.encode() in path.read_bytes()]


async def test_a_bare_browser_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    silent = tmp_path / "browser"
    silent.write_text("#!/bin/sh\nsleep 60\n")
    silent.chmod(0o755)
    with pytest.raises(TimeoutError):
        await bare(str(silent), ready_seconds=0.1)()
    assert living(str(tmp_path)) == []
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
        here = BenchServer(pid=0, seconds_to_start=0, url=str(slow.make_url("")).rstrip("/"), http=http, pool=0)
        with pytest.raises(RuntimeError, match="creating instead of ready"):
            await here.way("default")()
    assert ended == ["/v1/sessions/sess_1"]
