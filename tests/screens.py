"""Real parts for tests of the screen: an Xvfb outside any sandbox, and a headed Chromium with its DevTools."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import xcffib
from xcffib import xproto

from chaser_server.display.xvfb import xvfb_argv
from tests.devtools import Page

_CHROMIUM = [
    "/usr/lib/chromium/chromium",
    "--no-sandbox",
    "--test-type",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--password-store=basic",
    "--remote-debugging-port=0",
]


_numbers = itertools.count(1000 + os.getpid() * 97 % 50_000)  # of displays; far from those of tests running beside us


@dataclass(frozen=True)
class Screen:
    """A running Xvfb, reached the way the product reaches it: by connected sockets and one file descriptor."""

    process: asyncio.subprocess.Process
    number: int
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DISPLAY": f":{self.number}", "DBUS_SESSION_BUS_ADDRESS": "disabled:"}

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(f"/tmp/.X11-unix/X{self.number}")
        return sock

    def windows(self) -> int:
        """How many windows are to be seen, menus among them."""
        sock = self.connect()
        connection = xcffib.Connection(fd=os.dup(sock.fileno()))
        sock.close()
        children = connection.core.QueryTree(connection.setup.roots[0].root).reply().children
        asked = [connection.core.GetWindowAttributes(child) for child in children]
        found = 0
        for each in asked:
            with contextlib.suppress(xproto.WindowError):  # it has gone since, as a menu does
                found += each.reply().map_state == xproto.MapState.Viewable
        connection.disconnect()
        return found

    def framebuffer_fd(self) -> int:
        return os.open(self.directory / "Xvfb_screen0", os.O_RDONLY)


@asynccontextmanager
async def running_screen(width: int = 1280, height: int = 720) -> AsyncIterator[Screen]:
    with tempfile.TemporaryDirectory() as directory:
        reader, writer = os.pipe()
        number = next(_numbers)
        argv = xvfb_argv(width, height, framebuffer_dir=directory, display_fd=writer, display=number)
        process = await asyncio.create_subprocess_exec(*argv, pass_fds=(writer,), stderr=asyncio.subprocess.DEVNULL)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            assert await asyncio.to_thread(pipe.readline) == f"{number}\n"
        try:
            yield Screen(process, number, Path(directory))
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            Path(f"/tmp/.X11-unix/X{number}").unlink(missing_ok=True)


class Painter:
    """An X client that paints on the root window. Each call returns when the X server has done it."""

    def __init__(self, screen: Screen) -> None:
        sock = screen.connect()
        self._connection = xcffib.Connection(fd=os.dup(sock.fileno()))
        sock.close()
        self._root, self._gc = self._connection.setup.roots[0].root, self._connection.generate_id()
        self._connection.core.CreateGC(self._gc, self._root, 0, [])

    def fill(self, colour: int, area: tuple[int, int, int, int] = (0, 0, 1280, 720)) -> None:
        core = self._connection.core
        core.ChangeGC(self._gc, xproto.GC.Foreground, [colour])
        core.PolyFillRectangle(self._root, self._gc, 1, [xproto.RECTANGLE.synthetic(*area)])
        core.GetInputFocus().reply()

    def close(self) -> None:
        self._connection.disconnect()


@asynccontextmanager
async def running_chromium(screen: Screen, url: str = "about:blank") -> AsyncIterator[Page]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            *_CHROMIUM, f"--user-data-dir={profile}", url,
            env=screen.environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stderr is not None
        try:
            address, said = "", b""
            while not (found := re.search(r"DevTools listening on ws://([^/]+)/", address)):
                line = await asyncio.wait_for(process.stderr.readline(), 20)
                address, said = line.decode(), said + line
                assert line, f"Chromium went away with {await process.wait()}: {said.decode()}"
            drain = asyncio.create_task(process.stderr.read(), name="drain Chromium's stderr")
            async with aiohttp.ClientSession() as http:
                async with http.get(f"http://{found[1]}/json/list") as answer:
                    target = next(each for each in await answer.json() if each["type"] == "page")
                async with http.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as ws:
                    page = Page(ws)
                    listening = asyncio.create_task(page.listen(), name="listen to the page")
                    yield page
                    listening.cancel()
            process.terminate()
            await process.wait()
            drain.cancel()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
