"""Real parts for tests of the whole server: one served in this process, an API client, and a site to visit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Playwright, async_playwright

from chaser_server.config import Config
from chaser_server.config_file import parse
from tests.api import Api
from tests.site import Site

Serve = Callable[..., Awaitable[Api]]


@asynccontextmanager
async def served(data_dir: Path, tables: dict[str, dict[str, Any]]) -> AsyncIterator[Api]:
    """A server on a free loopback port with these settings, and a client that holds its first key."""
    from chaser_server.app import serving

    server_table = {"listen": "127.0.0.1:0", "data_dir": str(data_dir), **tables.get("server", {})}
    pool_table = tables.get("pool", {"size": 0})  # so that what a test sees are its own browsers
    config: Config = parse({**tables, "server": server_table, "pool": pool_table})
    async with serving(config) as server, Api(server.url, server.first_key or "", data_dir) as api:
        yield api


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Start servers with settings: `api = await serve(limits={"idle_seconds": 2})`; stopped when the test ends."""
    async with AsyncExitStack() as stack:

        async def start(**tables: dict[str, Any]) -> Api:
            return await stack.enter_async_context(served(tmp_path / "data", tables))

        yield start


@pytest.fixture
async def api(serve: Serve) -> Api:
    """A server with default settings."""
    return await serve()


@pytest.fixture(scope="module")
async def playwright() -> AsyncIterator[Playwright]:
    """One driver for a module: it takes a third of a second to start."""
    async with async_playwright() as running:
        yield running


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A small web site on loopback."""
    async with Site() as running:
        yield running
