"""Sessions that are driven by Playwright, and sites that count what arrives."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Browser, Playwright

from tests.egress.upstreams import certificate
from tests.ways.origin import CountingSite

Connect = Callable[[dict[str, object]], Awaitable[Browser]]


@pytest.fixture
async def counting() -> AsyncIterator[CountingSite]:
    """A counting site over HTTP."""
    async with CountingSite().serving() as site:
        yield site


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate that nobody has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    return context


@pytest.fixture
async def connect(playwright: Playwright) -> AsyncIterator[Connect]:
    """Connect Playwright to a session, for as long as the test takes: `browser = await connect(session)`."""
    async with AsyncExitStack() as stack:

        async def to(session: dict[str, object]) -> Browser:
            browser = await playwright.chromium.connect_over_cdp(str(session["cdp_url"]))
            stack.push_async_callback(browser.close)
            return browser

        yield to
