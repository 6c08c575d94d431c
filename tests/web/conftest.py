from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Playwright

from chaser_server import app
from chaser_server.chromium.find import find_chromium
from tests.api import Answer, Api
from tests.conftest import served
from tests.contract import CONTRACT
from tests.sessions.conftest import house
from tests.substrates import FakeSubstrate

__all__ = ["house"]

QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]

ServeFake = Callable[..., Awaitable[Api]]


def furnish(monkeypatch: pytest.MonkeyPatch, substrate: FakeSubstrate) -> None:
    """Let the next server have this substrate instead of the machine's."""

    async def the_fake(*_: object, **__: object) -> FakeSubstrate:
        return substrate

    monkeypatch.setattr(app, "local_substrate", the_fake)


@pytest.fixture
async def serve_fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServeFake]:
    """Start a whole server whose browsers are fake: `api = await serve_fake(SlowSubstrate(), limits={...})`."""
    async with AsyncExitStack() as stack:

        async def start(substrate: FakeSubstrate, **tables: dict[str, Any]) -> Api:
            furnish(monkeypatch, substrate)
            return await stack.enter_async_context(served(tmp_path / "data", tables))

        yield start


@pytest.fixture
async def substrate() -> FakeSubstrate:
    """The substrate of `fake_api`."""
    return FakeSubstrate()


@pytest.fixture
async def fake_api(serve_fake: ServeFake, substrate: FakeSubstrate) -> Api:
    """A whole server with fake browsers that behave."""
    return await serve_fake(substrate)


@pytest.fixture(scope="module")
async def chromium(playwright: Playwright) -> AsyncIterator[Browser]:
    browser = await playwright.chromium.launch(executable_path=str(find_chromium().path), args=QUIET)
    yield browser
    await browser.close()


@pytest.fixture
async def viewer(chromium: Browser) -> AsyncIterator[Browser]:
    """The browser of a person at the dashboard; their pages are closed when the test ends."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


@pytest.fixture(autouse=True)
def answers_are_as_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold every answer that a test of this room gets to /openapi.json."""
    ask = Api.ask

    async def ask_and_check(self: Api, method: str, path: str, **options: Any) -> Answer:
        answer = await ask(self, method, path, **options)
        CONTRACT.check(method, path.partition("?")[0], answer)
        return answer

    monkeypatch.setattr(Api, "ask", ask_and_check)
