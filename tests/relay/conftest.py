"""Every relay test that waits does so twice: on plain asyncio and on uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvloop
from relay_peers import Browser, Door


def pytest_asyncio_loop_factories() -> dict[str, object]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as peer:
        yield peer


@pytest.fixture
async def door(browser: Browser) -> AsyncIterator[Door]:
    async with Door(browser.dial) as server:
        yield server


@pytest.fixture(autouse=True)
def no_errors_logged(caplog: pytest.LogCaptureFixture) -> object:
    """A fault inside a protocol's callback reaches only the log: let it fail the test."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
