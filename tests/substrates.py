"""The one fake: a substrate that makes browsers of nothing, and its badly behaved cousins."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

from chaser_server.errors import LaunchFailed, SubstrateUnavailable
from chaser_server.model import ByteCount, LedgerRow
from chaser_server.substrate.base import Exit, OnEvent, View

KILLED = Exit(137, "")


class FakeBrowser:
    """A browser of nothing that lives until it is closed, or told to `die`."""

    device = "Linux - Chrome 156 (Desktop)"
    devtools_path = "/devtools/browser/fake"
    has_screen = True
    proxy_ip: str | None = None
    proxy_region: str | None = None
    forbidden_message = None

    def __init__(self, egress: ByteCount) -> None:
        self.egress = egress
        self.closed = False
        self.clients_left = 0
        self._gone: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def die(self, code: int, stderr_tail: str = "") -> None:
        if not self._gone.done():
            self._gone.set_result(Exit(code, stderr_tail))

    async def connect_devtools(self) -> socket.socket:
        raise LaunchFailed("a browser of nothing has no DevTools")

    async def fetch_devtools(self, method: str, path: str) -> tuple[int, str, bytes]:
        raise SubstrateUnavailable("a browser of nothing has no DevTools")

    def client_came(self) -> None:
        pass

    def client_left(self) -> None:
        self.clients_left += 1

    def ledger(self) -> list[LedgerRow]:
        return []

    async def view(self) -> View:
        raise SubstrateUnavailable("a browser of nothing has no screen")

    async def screenshot(self) -> bytes:
        return b"\x89PNG\r\n\x1a\n"

    async def exited(self) -> Exit:
        return await asyncio.shield(self._gone)

    async def cut_network(self) -> None:
        pass

    async def close(self) -> None:
        self.closed = True
        self.die(KILLED.code)


class FakeSubstrate:
    """Launches at once, and well. It has no pool: every launch is its own."""

    ready = starting = taken = hastened = cold = 0
    profiles = frozenset({"default", "mobile"})
    unavailable: Mapping[str, str] = {"light": "its browser is not on this machine"}

    def __init__(self) -> None:
        self.browsers: list[FakeBrowser] = []
        self.abandoned = 0

    async def launch(self, profile: str, *, egress: ByteCount, on_event: OnEvent) -> FakeBrowser:
        on_event("launched", {"pid": 1})
        return self._make(egress)

    def start(self) -> None:
        pass

    async def empty(self) -> None:
        pass

    async def close(self) -> None:
        pass

    @property
    def living(self) -> list[FakeBrowser]:
        return [browser for browser in self.browsers if not browser.closed]

    def _make(self, egress: ByteCount) -> FakeBrowser:
        browser = FakeBrowser(egress)
        self.browsers.append(browser)
        return browser


class SlowSubstrate(FakeSubstrate):
    """Launches when `go` is set; `launching` is set when somebody waits for that."""

    def __init__(self) -> None:
        super().__init__()
        self.launching = asyncio.Event()
        self.go = asyncio.Event()

    async def launch(self, profile: str, *, egress: ByteCount, on_event: OnEvent) -> FakeBrowser:
        self.launching.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        return self._make(egress)


class StubbornSubstrate(SlowSubstrate):
    """Does not hear that it is cancelled, and brings its browser all the same."""

    async def launch(self, profile: str, *, egress: ByteCount, on_event: OnEvent) -> FakeBrowser:
        self.launching.set()
        while not self.go.is_set():
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.abandoned += 1
        return self._make(egress)


class FailingSubstrate(FakeSubstrate):
    """No browser ever comes up."""

    async def launch(self, profile: str, *, egress: ByteCount, on_event: OnEvent) -> FakeBrowser:
        raise LaunchFailed("the browser did not come up: no display", stderr_tail="Missing X server")


class BrokenSubstrate(FakeSubstrate):
    """Breaks its contract: raises what it never promised."""

    async def launch(self, profile: str, *, egress: ByteCount, on_event: OnEvent) -> FakeBrowser:
        raise ZeroDivisionError("a bug")


class DyingSubstrate(FakeSubstrate):
    """Its browsers are dead on arrival."""

    async def launch(self, profile: str, *, egress: ByteCount, on_event: OnEvent) -> FakeBrowser:
        browser = self._make(egress)
        browser.die(139, "Segmentation fault")
        return browser


class LingeringSubstrate(FakeSubstrate):
    """Its browsers take their time to die: until `let_die` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.let_die = asyncio.Event()

    def _make(self, egress: ByteCount) -> FakeBrowser:
        browser = _LingeringBrowser(egress, self.let_die)
        self.browsers.append(browser)
        return browser


class _LingeringBrowser(FakeBrowser):
    def __init__(self, egress: ByteCount, let_die: asyncio.Event) -> None:
        super().__init__(egress)
        self._let_die = let_die

    async def close(self) -> None:
        await self._let_die.wait()
        await super().close()
