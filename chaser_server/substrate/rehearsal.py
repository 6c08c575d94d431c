"""Browsers of nothing, for keys that are made to test one's own API client: sessions come up by the clock."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import Mapping
from typing import NoReturn

from PIL import Image, ImageDraw

from chaser_server.errors import SessionNotOpen
from chaser_server.model import ByteCount, LedgerRow
from chaser_server.substrate.base import Exit, OnEvent, View

READY_SECONDS = 1.0
_ENDED = Exit(code=0, stderr_tail="")


def _refuse() -> NoReturn:
    raise SessionNotOpen("sessions of cha_test_ keys have no browser behind them; use a cha_live_ key to drive one")


class RehearsalBrowser:
    """Answers what the API asks of a browser, and is none."""

    device = "Rehearsal - Chrome 0 (Desktop)"
    devtools_path = "/devtools/browser/rehearsal"
    has_screen = False
    proxy_ip: str | None = None
    proxy_region: str | None = None
    forbidden_message = None

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    def ledger(self) -> list[LedgerRow]:
        return []

    async def connect_devtools(self) -> socket.socket:
        _refuse()

    async def fetch_devtools(self, method: str, path: str) -> tuple[int, str, bytes]:
        _refuse()

    async def view(self) -> View:
        _refuse()

    def client_came(self) -> None:
        """Nobody comes."""

    def client_left(self) -> None:
        """Nobody comes, so nobody leaves."""

    async def screenshot(self) -> bytes:
        return await asyncio.to_thread(_picture)

    async def exited(self) -> Exit:
        await self._closed.wait()
        return _ENDED

    async def cut_network(self) -> None:
        """There is none."""

    async def close(self) -> None:
        self._closed.set()


class RehearsalSubstrate:
    """Launches nothing, a second later."""

    def __init__(self, profiles: frozenset[str]) -> None:
        self.profiles = profiles
        self.unavailable: Mapping[str, str] = {}

    async def launch(self, profile: str, *, egress: ByteCount, on_event: OnEvent) -> RehearsalBrowser:
        await asyncio.sleep(READY_SECONDS)
        return RehearsalBrowser()

    async def close(self) -> None:
        """Nothing to let go of."""


def _picture() -> bytes:
    """Always the same: a grey screen that says what it is."""
    image = Image.new("RGB", (1280, 720), "#d8dce0")
    ImageDraw.Draw(image).text((40, 40), "A session of a cha_test_ key: no browser behind it.", fill="#202428")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
