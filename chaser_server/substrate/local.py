"""Browsers on this machine: introduces sandbox, display, egress and Chromium to each other."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from chaser_server.chromium.cdp import CdpError
from chaser_server.chromium.devtools import DevTools
from chaser_server.chromium.flags import chromium_argv, environment
from chaser_server.chromium.guard import asks_for_own_proxy
from chaser_server.chromium.keeper import PageKeeper
from chaser_server.chromium.profiles import Profile, device_name
from chaser_server.config import BrowserConfig, PreviewConfig
from chaser_server.display.framebuffer import Framebuffer, encode_png
from chaser_server.display.input import Input
from chaser_server.display.screen import Screen
from chaser_server.display.window_manager import WindowManager
from chaser_server.display.xvfb import xvfb_argv
from chaser_server.egress.policy import Policy, Rules
from chaser_server.egress.proxy import EgressProxy
from chaser_server.egress.upstream import UpstreamPool
from chaser_server.errors import LaunchFailed, ScreenLost, SubstrateUnavailable
from chaser_server.live.encoder import Encoder
from chaser_server.live.view import Facts, LiveView
from chaser_server.model import ByteCount, LedgerRow
from chaser_server.sandbox import process
from chaser_server.sandbox.process import Places, Program, Sandbox, Walls
from chaser_server.substrate.base import Exit, OnEvent
from chaser_server.substrate.driver import NativeDriver

_USR = Path("/usr")

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
    ) -> None:
        self._sandbox = sandbox
        self._new_proxy = new_proxy
        self._proxy: EgressProxy | None = None
        self._way_out: socket.socket | None = None
        self._stack = stack
        self._profile = profile
        self._devtools = DevTools(self.connect_devtools)
        self._keeper = PageKeeper(self._devtools, profile)
        self._framebuffer: Framebuffer | None = None
        self._preview = preview
        self._encoder = encoder
        self._view: LiveView | None = None
        self._view_turn = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        self.devtools_port = 0
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

    async def start(self, wanted: asyncio.Event) -> None:
        """Bring up, from the outside in: the way out, the screen, the browser."""
        self._way_out = await self._socket("egress")
        self._stack.callback(self._way_out.close)
        if not wanted.is_set():
            self._step_back(wanted)
        if not self._profile.headless:
            await self._open_screen()
        self._stack.push_async_callback(self._keeper.close)
        self.devtools_path = await self._find_browser_target()
        user_agent = await self._keeper.open(self.devtools_path)
        self.device = device_name(user_agent)

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
        on_event("launched", {"pid": self._sandbox.pid})

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
                except (LaunchFailed, ScreenLost) as error:
                    raise SubstrateUnavailable(f"no live view of the screen: {error.message}") from error
            return self._view

    async def exited(self) -> Exit:
        code = await self._sandbox.exited()
        return Exit(code, self._sandbox.stderr_tail)

    async def cut_network(self) -> None:
        if self._proxy is not None:
            await self._proxy.close()

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._stack.aclose(), name=f"browser-close-{self._sandbox.pid}")
        await asyncio.shield(self._closing)

    def _step_back(self, wanted: asyncio.Event) -> None:
        """Leave the processor to others until the browser is wanted."""
        self._sandbox.step_back()
        forward = asyncio.create_task(self._step_forward(wanted), name=f"step-forward-{self._sandbox.pid}")
        self._stack.callback(forward.cancel)

    async def _step_forward(self, wanted: asyncio.Event) -> None:
        await wanted.wait()
        await self._sandbox.step_forward()

    async def _open_screen(self) -> None:
        manager = await WindowManager.start(await self._socket("display"))
        self._stack.callback(manager.close)
        descriptor, _ = await self._sandbox.ask("framebuffer")
        self._framebuffer = Framebuffer(descriptor)
        self._stack.callback(self._framebuffer.close)

    async def _open_view(self) -> LiveView:
        """Made for the first viewer, kept for the next: without viewers it does nothing."""
        descriptor, _ = await self._sandbox.ask("framebuffer")
        screen = await Screen.open(descriptor, await self._socket("display"))
        self._stack.callback(screen.close)
        screen_input = await Input.open(await self._socket("display"))
        self._stack.callback(screen_input.close)
        return LiveView(
            source=screen,
            driver=NativeDriver(screen_input, self._keeper),
            encoder=self._encoder,
            facts=Facts(backend="xvfb", native_input=True, touch="emulated" if self._profile.touch else "none"),
            fps=self._preview.fps,
            max_fps=self._preview.max_fps,
        )

    async def _socket(self, want: str) -> socket.socket:
        descriptor, _ = await self._sandbox.ask(want)
        return _adopt(descriptor)

    async def _find_browser_target(self) -> str:
        status, _, body = await self._devtools.fetch("GET", "/json/version", seconds=None)
        if status != 200:
            raise LaunchFailed(f"DevTools answered {status}")
        path: str = urlsplit(json.loads(body)["webSocketDebuggerUrl"]).path
        return path


class LocalMaker:
    """Brings browsers up here, a bounded number at a time."""

    def __init__(
        self,
        *,
        config: BrowserConfig,
        preview: PreviewConfig,
        executable: Path,
        chrome_major: int,
        profiles: dict[str, Profile],
        walls: Walls,
        policy: Policy,
        upstreams: UpstreamPool | None,
        direct: Rules,
        instance: str,
    ) -> None:
        self._config = config
        self._preview = preview
        self._encoder = Encoder()
        self._executable = executable
        self._chrome_major = chrome_major
        self._profiles = profiles
        self._walls = walls
        self._upstreams = upstreams
        self._direct = direct
        self._instance = instance
        self._browsers: set[LocalBrowser] = set()
        self._launches = asyncio.Semaphore(config.launches_at_once)
        # Without a sandbox every DevTools port is one of the machine's: no session may reach another's.
        own_ports = policy.own_ports if walls.isolated else lambda: {*policy.own_ports(), *self._devtools_ports()}
        self._policy = replace(policy, own_ports=own_ports)

    @property
    def profiles(self) -> frozenset[str]:
        return frozenset(self._profiles)

    async def prepare(self, profile: str, *, wanted: asyncio.Event) -> LocalBrowser:
        async with self._launches:
            return await self._launch(self._profiles[profile], wanted)

    async def close(self) -> None:
        self._encoder.close()

    async def _launch(self, profile: Profile, wanted: asyncio.Event) -> LocalBrowser:
        stack, sandbox = AsyncExitStack(), None
        try:
            async with asyncio.timeout(self._config.launch_timeout_seconds):
                sandbox = await process.start(partial(self._program, profile), self._walls, name=self._instance)
                stack.push_async_callback(sandbox.kill)
                browser = LocalBrowser(
                    sandbox,
                    stack,
                    profile=profile,
                    new_proxy=partial(self._proxy, profile),
                    isolated=self._walls.isolated,
                    preview=self._preview,
                    encoder=self._encoder,
                )
                self._browsers.add(browser)
                stack.callback(self._browsers.discard, browser)
                await browser.start(wanted)
        except BaseException as error:
            await asyncio.shield(stack.aclose())
            if not isinstance(error, Exception):
                raise
            raise self._failure(error, "" if sandbox is None else sandbox.stderr_tail) from error
        return browser

    def _proxy(self, profile: Profile, egress: ByteCount, on_event: OnEvent) -> EgressProxy:
        return EgressProxy(
            count=egress,
            policy=self._policy,
            on_event=on_event,
            upstreams=self._upstreams,
            region=profile.region or None,
            bypass=self._direct,
            max_bytes=profile.max_egress_bytes or None,
        )

    def _failure(self, error: Exception, stderr_tail: str) -> LaunchFailed:
        """Why a launch failed, with what the programs inside said last: that is most often the cause."""
        if isinstance(error, LaunchFailed) and error.stderr_tail:
            return error
        why = str(error) or type(error).__name__
        if isinstance(error, TimeoutError):
            why = f"it took more than {self._config.launch_timeout_seconds:g} s"
        last_words = stderr_tail.strip().rpartition("\n")[2]
        said = f"; its last words: {last_words}" if last_words else ""
        return LaunchFailed(f"the browser did not come up: {why}{said}", stderr_tail=stderr_tail)

    def _program(self, profile: Profile, places: Places) -> Program:
        isolated = self._walls.isolated
        display = xvfb_argv(profile.width, profile.height, framebuffer_dir=places.framebuffer, binary=self._config.xvfb)
        folder = self._executable.parent
        return Program(
            browser=chromium_argv(
                executable=str(self._executable),
                profile=profile,
                home=places.home,
                user_agent=profile.user_agent(self._chrome_major),
                own_sandbox=isolated or os.geteuid() != 0,
                extra_args=self._config.extra_args,
            ),
            display=None if profile.headless else display,
            environment=environment(profile, home=places.home),
            read_only=[] if folder.is_relative_to(_USR) else [str(folder)],
        )

    def _devtools_ports(self) -> set[int]:
        return {browser.devtools_port for browser in self._browsers}


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
