"""Brings browsers up on this machine, from their configured profiles."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from chaser_server.chromium.flags import chromium_argv, environment
from chaser_server.chromium.profiles import Profile
from chaser_server.config import BrowserConfig, PreviewConfig
from chaser_server.display.xvfb import takes_socket, xvfb_argv
from chaser_server.egress.policy import Policy, Rules
from chaser_server.egress.proxy import EgressProxy
from chaser_server.egress.upstream import UpstreamPool
from chaser_server.errors import LaunchFailed
from chaser_server.live.encoder import Encoder
from chaser_server.machine import memory_kills
from chaser_server.model import ByteCount
from chaser_server.sandbox import process
from chaser_server.sandbox.process import Places, Program, Walls
from chaser_server.substrate.base import OnEvent
from chaser_server.substrate.local import LocalBrowser
from chaser_server.substrate.stopwatch import Stopwatch

_USR = Path("/usr")


@dataclass(frozen=True, slots=True)
class Executable:
    """A browser's program and its major version."""

    path: Path
    chrome_major: int


class LocalMaker:
    """Brings browsers up here, a bounded number at a time."""

    def __init__(
        self,
        *,
        config: BrowserConfig,
        preview: PreviewConfig,
        executables: Mapping[str, Executable],
        profiles: Mapping[str, Profile],
        walls: Walls,
        policy: Policy,
        upstreams: UpstreamPool | None,
        direct: Rules,
        refusals: Counter[str],
        instance: str,
    ) -> None:
        self._config = config
        self._preview = preview
        self._encoder = Encoder()
        self._display_takes_socket = takes_socket(config.xvfb)
        self._executables = executables
        self._profiles = profiles
        self._walls = walls
        self._upstreams = upstreams
        self._direct = direct
        self._refusals = refusals
        self._instance = instance
        self._browsers: set[LocalBrowser] = set()
        self._launches = asyncio.Semaphore(config.launches_at_once)
        # Without a sandbox the ports of every browser are the machine's: no session may reach another's.
        own_ports = policy.own_ports if walls.isolated else lambda: {*policy.own_ports(), *self._browser_ports()}
        self._policy = replace(policy, own_ports=own_ports)

    @property
    def profiles(self) -> frozenset[str]:
        return frozenset(name for name, profile in self._profiles.items() if profile.browser in self._executables)

    @property
    def unavailable(self) -> Mapping[str, str]:
        why = "its browser, {}, is not on this machine; `python -m chaser_server setup` brings it"
        missing = {name: self._profiles[name].browser for name in self._profiles.keys() - self.profiles}
        return {name: why.format(browser) for name, browser in missing.items()}

    async def prepare(self, profile: str, *, wanted: asyncio.Event) -> LocalBrowser:
        async with self._launches:
            return await self._launch(self._profiles[profile], wanted)

    async def close(self) -> None:
        self._encoder.close()

    async def _launch(self, profile: Profile, wanted: asyncio.Event) -> LocalBrowser:
        stack, sandbox, kills_before = AsyncExitStack(), None, memory_kills()
        in_background, stopwatch = not wanted.is_set(), Stopwatch()
        try:
            async with asyncio.timeout(self._config.launch_timeout_seconds):
                sandbox = await process.start(
                    partial(self._program, profile), self._walls, name=self._instance, in_background=in_background
                )
                stopwatch.lap("sandbox")
                stack.push_async_callback(sandbox.kill)
                browser = LocalBrowser(
                    sandbox,
                    stack,
                    profile=profile,
                    new_proxy=partial(self._proxy, profile),
                    isolated=self._walls.isolated,
                    preview=self._preview,
                    encoder=self._encoder,
                    kills_before=kills_before,
                    stopwatch=stopwatch,
                )
                self._browsers.add(browser)
                stack.callback(self._browsers.discard, browser)
                await browser.start(wanted if in_background else None)
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
            refusals=self._refusals,
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
        executable = self._executables[profile.browser]
        folder = executable.path.parent
        return Program(
            browser=chromium_argv(
                executable=str(executable.path),
                profile=profile,
                home=places.home,
                user_agent=profile.user_agent(executable.chrome_major),
                own_sandbox=isolated or os.geteuid() != 0,
                extra_args=self._config.extra_args,
            ),
            display=None if profile.headless else display,
            display_takes_socket=self._display_takes_socket,
            environment=environment(profile, home=places.home),
            read_only=[] if folder.is_relative_to(_USR) else [str(folder)],
        )

    def _browser_ports(self) -> set[int]:
        return {port for browser in self._browsers for port in (browser.devtools_port, browser.egress_port)}
