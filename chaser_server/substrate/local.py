"""A browser on this machine: introduces sandbox, display, egress and Chromium to each other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import aiohttp

from chaser_server.chromium.cdp import CdpError
from chaser_server.chromium.devtools import DevTools
from chaser_server.chromium.fingers import Fingers
from chaser_server.chromium.guard import asks_for_own_proxy
from chaser_server.chromium.hands import Hands
from chaser_server.chromium.keeper import PageKeeper
from chaser_server.chromium.profiles import Profile, device_name
from chaser_server.chromium.screencast import Screencast
from chaser_server.config import PreviewConfig
from chaser_server.display.framebuffer import Framebuffer, encode_png
from chaser_server.display.input import Input
from chaser_server.display.screen import Screen
from chaser_server.display.window_manager import WindowManager
from chaser_server.egress.proxy import EgressProxy
from chaser_server.errors import LaunchFailed, ScreenLost, SubstrateUnavailable
from chaser_server.live.encoder import Encoder
from chaser_server.live.seams import Driver, Source
from chaser_server.live.view import Facts, LiveView
from chaser_server.machine import memory_kills
from chaser_server.model import ByteCount, LedgerRow
from chaser_server.sandbox.process import Sandbox
from chaser_server.substrate.base import Exit, OnEvent
from chaser_server.substrate.driver import NativeDriver
from chaser_server.substrate.last_words import display_failure
from chaser_server.substrate.pages import PageSource
from chaser_server.substrate.stopwatch import Stopwatch

_LAST_WORDS_SECONDS = 5.0
_GOES_WRONG = (LaunchFailed, ScreenLost, aiohttp.ClientError, ConnectionError)
"""What is raised when something in the sandbox has died."""

NewProxy = Callable[[ByteCount, OnEvent], EgressProxy]


class LocalBrowser:
    """A Chromium in its sandbox on this machine."""

    def __init__(
        self,
        sandbox: Sandbox,
        stack: AsyncExitStack,
        *,
        profile: Profile,
        new_proxy: NewProxy,
        isolated: bool,
        preview: PreviewConfig,
        encoder: Encoder,
        kills_before: int,
        stopwatch: Stopwatch,
    ) -> None:
        """`kills_before` is `memory_kills()` from before the sandbox was started."""
        self._stopwatch = stopwatch
        self._sandbox = sandbox
        self._new_proxy = new_proxy
        self._proxy: EgressProxy | None = None
        self._way_out: socket.socket | None = None
        self._kills_before = kills_before
        self._stack = stack
        self._profile = profile
        self._devtools = DevTools(self.connect_devtools)
        self._keeper = PageKeeper(self._devtools, profile)
        self._framebuffer: Framebuffer | None = None
        self._preview = preview
        self._encoder = encoder
        self._view: LiveView | None = None
        self._view_turn = asyncio.Lock()
        self._picture_turn = asyncio.Lock()
        self._next_picture: asyncio.Task[bytes] | None = None
        self._pictures: set[asyncio.Task[bytes]] = set()
        self._closing: asyncio.Task[None] | None = None
        self.devtools_port = 0
        self.egress_port = 0
        self.devtools_path = ""
        self.device = ""
        self.forbidden_message = None if isolated else asks_for_own_proxy

    @property
    def has_screen(self) -> bool:
        return self._framebuffer is not None

    @property
    def proxy_ip(self) -> str | None:
        return self._proxy.proxy_ip if self._proxy else None

    @property
    def proxy_region(self) -> str | None:
        return self._proxy.proxy_region if self._proxy else None

    def ledger(self) -> list[LedgerRow]:
        return self._proxy.ledger() if self._proxy else []

    async def start(self, wanted: asyncio.Event | None) -> None:
        """Bring up, from the outside in: the way out, the screen, the browser.

        A sandbox that was started in the background steps forward as soon as it is `wanted`.
        """
        self._stack.push_async_callback(self._keeper.close)
        self._way_out = await self._socket("egress")
        self.egress_port = self._way_out.getsockname()[1]
        self._stack.callback(self._way_out.close)
        self._stopwatch.lap("doorman")
        if wanted is not None:
            forward = asyncio.create_task(self._step_forward(wanted), name=f"step-forward-{self._sandbox.pid}")
            self._stack.callback(forward.cancel)
        try:
            await self._open()
        except _GOES_WRONG as error:
            if failure := await self._display_failure(error):
                raise failure from error
            raise

    async def check(self) -> None:
        try:
            await self._devtools.call("Browser.getVersion")
        except (CdpError, ConnectionError, TimeoutError) as error:
            raise SubstrateUnavailable(f"the browser does not answer: {error}") from error

    async def adopt(self, *, egress: ByteCount, on_event: OnEvent) -> None:
        assert self._way_out is not None, "it is up"
        assert self._proxy is None, "it is adopted once"
        _refuse_waiting(self._way_out)
        self._proxy = self._new_proxy(egress, on_event)
        self._stack.push_async_callback(self._proxy.close)  # undone first: no byte moves after a session's end
        await self._proxy.start(self._way_out)
        on_event("launched", {"pid": self._sandbox.pid, "milliseconds": self._stopwatch.milliseconds})

    async def connect_devtools(self) -> socket.socket:
        descriptor, self.devtools_port = await self._sandbox.ask("devtools")
        return _adopt(descriptor)

    async def fetch_devtools(self, method: str, path: str) -> tuple[int, str, bytes]:
        try:
            return await self._devtools.fetch(method, path)
        except (aiohttp.ClientError, TimeoutError, OSError, LaunchFailed) as error:
            raise SubstrateUnavailable(f"the browser does not answer: {error}") from error

    def client_came(self) -> None:
        self._keeper.client_came()

    def client_left(self) -> None:
        self._keeper.client_left()

    async def screenshot(self) -> bytes:
        """One picture is made at a time; all who ask meanwhile share the next, which is no older than any of them."""
        if self._next_picture is None:
            self._next_picture = asyncio.create_task(self._take_picture(), name=f"screenshot-{self._sandbox.pid}")
            self._pictures.add(self._next_picture)
            self._next_picture.add_done_callback(self._pictures.discard)
        return await asyncio.shield(self._next_picture)

    async def _take_picture(self) -> bytes:
        async with self._picture_turn:
            self._next_picture = None
            return await self._picture()

    async def _picture(self) -> bytes:
        try:
            if self._framebuffer is None:
                return await self._keeper.capture()
            pixels = self._framebuffer.grab()
            return await asyncio.to_thread(encode_png, pixels, self._framebuffer.width, self._framebuffer.height)
        except (ScreenLost, CdpError, ConnectionError, TimeoutError) as error:
            raise SubstrateUnavailable(f"no picture of the screen: {error}") from error

    async def view(self) -> LiveView:
        async with self._view_turn:
            if self._view is None:
                try:
                    self._view = await self._open_view()
                except (LaunchFailed, ScreenLost, CdpError, ConnectionError, TimeoutError) as error:
                    raise SubstrateUnavailable(f"no live view of the screen: {error}") from error
            return self._view

    async def exited(self) -> Exit:
        code = await self._sandbox.exited()
        out_of_memory = code == 128 + signal.SIGKILL and memory_kills() > self._kills_before
        return Exit(code, self._sandbox.stderr_tail, out_of_memory)

    async def cut_network(self) -> None:
        if self._proxy is not None:
            await self._proxy.close()

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name=f"browser-close-{self._sandbox.pid}")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self._stack.aclose()
        # No picture outlives its screen for long, and so whoever waits for one gets it, or an error of ours.
        await asyncio.gather(*self._pictures, return_exceptions=True)

    async def _step_forward(self, wanted: asyncio.Event) -> None:
        await wanted.wait()
        await self._sandbox.step_forward()

    async def _open(self) -> None:
        if not self._profile.headless:
            await self._open_screen()
            self._stopwatch.lap("screen")
        self.devtools_path = await self._find_browser_target()
        self._stopwatch.lap("devtools")
        user_agent = await self._keeper.open(self.devtools_path)
        self.device = device_name(user_agent)
        self._stopwatch.lap("pages")

    async def _open_screen(self) -> None:
        manager = await WindowManager.start(await self._socket("display"))
        self._stack.callback(manager.close)
        descriptor, _ = await self._sandbox.ask("framebuffer")
        self._framebuffer = Framebuffer(descriptor)
        self._stack.callback(self._framebuffer.close)

    async def _display_failure(self, error: Exception) -> LaunchFailed | None:
        """A better one than `error` if Xvfb has died: who notices first only knows that nobody answers."""
        if self._profile.headless:
            return None
        with contextlib.suppress(TimeoutError):  # Chromium goes, too, when it has no display
            await asyncio.wait_for(self._sandbox.exited(), _LAST_WORDS_SECONDS)
        said = self._sandbox.stderr_tail
        why = display_failure(str(error), said)
        return LaunchFailed(why, stderr_tail=said) if why else None

    async def _open_view(self) -> LiveView:
        """Made for the first viewer, kept for the next: without viewers it does nothing."""
        source, driver, facts = await (self._view_pages() if self._framebuffer is None else self._view_screen())
        return LiveView(
            source=source,
            driver=driver,
            encoder=self._encoder,
            facts=facts,
            fps=self._preview.fps,
            max_fps=self._preview.max_fps,
        )

    async def _view_screen(self) -> tuple[Source, Driver, Facts]:
        descriptor, _ = await self._sandbox.ask("framebuffer")
        screen = await Screen.open(descriptor, await self._socket("display"))
        self._stack.callback(screen.close)
        screen_input = await Input.open(await self._socket("display"))
        self._stack.callback(screen_input.close)
        fingers = Fingers(self._devtools, self._keeper)
        driver = NativeDriver(screen_input, self._keeper, fingers, touch=self._profile.touch)
        facts = Facts(backend="xvfb", native_input=True, touch="emulated" if self._profile.touch else "none")
        return screen, driver, facts

    async def _view_pages(self) -> tuple[Source, Driver, Facts]:
        size = (self._profile.width, self._profile.height)
        cast = Screencast(self._devtools, self._keeper, width=size[0], height=size[1])
        self._stack.callback(cast.close)
        hands = Hands(self._devtools, cast)
        self._stack.callback(hands.close)
        source = PageSource(cast, size=size, first=await self._keeper.capture())
        facts = Facts(backend="screencast", native_input=False, touch="cdp" if self._profile.touch else "none")
        return source, hands, facts

    async def _socket(self, want: str) -> socket.socket:
        descriptor, _ = await self._sandbox.ask(want)
        return _adopt(descriptor)

    async def _find_browser_target(self) -> str:
        status, _, body = await self._devtools.fetch("GET", "/json/version", seconds=None)
        if status != 200:
            raise LaunchFailed(f"DevTools answered {status}")
        path: str = urlsplit(json.loads(body)["webSocketDebuggerUrl"]).path
        return path


def _adopt(descriptor: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:  # the sandbox may hand out anything
        os.close(descriptor)
        raise
    sock.setblocking(False)
    return sock


def _refuse_waiting(listener: socket.socket) -> None:
    """Close what the browser has tried to open before it had a session to count it for."""
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        connection.close()
