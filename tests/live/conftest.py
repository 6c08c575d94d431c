"""A live view of a real Xvfb behind a real WebSocket server, and viewers that are real WebSocket clients."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

from chaser_server.display.screen import Screen
from chaser_server.live.encoder import Encoder
from chaser_server.live.protocol import FRAME_HEADER
from chaser_server.live.view import Facts, LiveView
from tests.api import Api
from tests.conftest import served
from tests.devtools import Page
from tests.live.remote import Remote, inside, open_page, viewing
from tests.screens import Painter, running_screen


class CountingSource:
    """A screen that counts how often it is looked at."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.size = screen.size
        self.grabs = 0

    def grab(self) -> bytes:
        self.grabs += 1
        return self._screen.grab()

    async def wait_changed(self) -> None:
        await self._screen.wait_changed()

    def rest(self) -> None:
        self._screen.rest()


class CountingEncoder(Encoder):
    """An encoder that counts."""

    encodes = 0

    async def jpeg(self, *args: Any) -> Any:
        self.encodes += 1
        return await super().jpeg(*args)


@dataclass
class Recorder:
    """A driver that writes down what it is told."""

    told: list[tuple[Any, ...]] = field(default_factory=list)

    def mouse(self, *args: Any) -> None:
        self.told.append(("mouse", *args))

    def wheel(self, *args: Any) -> None:
        self.told.append(("wheel", *args))

    def key(self, *args: Any) -> None:
        self.told.append(("key", *args))

    async def text(self, *args: Any) -> None:
        self.told.append(("text", *args))

    async def touch(self, *args: Any) -> None:
        self.told.append(("touch", *args))

    def release_all(self) -> None:
        self.told.append(("release_all",))


class Frame(NamedTuple):
    size: tuple[int, int]
    seq: int
    unix_ms: int
    picture: bytes

    @property
    def red(self) -> int:
        """How red the top left corner is."""
        image = Image.open(io.BytesIO(self.picture))
        assert image.size == self.size
        return int(image.getpixel((0, 0))[0])


class Client:
    """A viewer. It keeps what it was told last on control, which may come at any time."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self._control: dict[str, Any] = {}

    async def _next(self) -> aiohttp.WSMessage:
        """The next message that is not about control."""
        while True:
            message = await self.ws.receive(timeout=10)
            if message.type is not aiohttp.WSMsgType.TEXT or json.loads(message.data)["t"] != "control":
                return message
            self._control = json.loads(message.data)

    async def text(self, kind: str) -> dict[str, Any]:
        """The next text message; a frame in its place is a fault."""
        message = await self._next()
        assert message.type is aiohttp.WSMsgType.TEXT, "a frame came"
        said = json.loads(message.data)
        assert said["t"] == kind
        return dict(said)

    async def control(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What was said on control once that fulfils a condition; frames until then are skipped."""
        while not (self._control and condition(self._control)):
            message = await self.ws.receive(timeout=10)
            if message.type is aiohttp.WSMsgType.TEXT and (said := json.loads(message.data))["t"] == "control":
                self._control = said
        return self._control

    async def frame(self) -> Frame:
        """The next frame."""
        message = await self._next()
        assert message.type is aiohttp.WSMsgType.BINARY, message
        kind, codec, width, height, seq, unix_ms = FRAME_HEADER.unpack_from(message.data)
        assert (kind, codec) == (1, 0)
        return Frame((width, height), seq, unix_ms, message.data[FRAME_HEADER.size :])

    async def say(self, t: str, **fields: Any) -> None:
        await self.ws.send_json({"t": t, **fields})

    async def ack(self, frame: Frame) -> None:
        await self.say("ack", seq=frame.seq)

    async def heard(self) -> None:
        """Return when the server has read all that was said; a frame until then is a fault."""
        await self.say("nonsense")
        await self.text("error")


class WebSocketEnd:
    """The server's end of a viewer, as the web room will make it."""

    def __init__(self, ws: web.WebSocketResponse) -> None:
        self._ws = ws

    async def send_bytes(self, data: bytes) -> None:
        await self._ws.send_bytes(data)

    async def send_text(self, text: str) -> None:
        await self._ws.send_str(text)

    async def receive_text(self) -> str | None:
        message = await self._ws.receive()
        return message.data if message.type is aiohttp.WSMsgType.TEXT else None

    async def close(self, code: int, reason: str) -> None:
        await self._ws.close(code=code, message=reason.encode())


@dataclass
class Stage:
    """Everything around one live view."""

    view: LiveView
    source: CountingSource
    encoder: CountingEncoder
    driver: Recorder
    painter: Painter
    process: Any
    connect: Callable[..., contextlib.AbstractAsyncContextManager[Client]]


async def serve(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with running_screen() as xvfb, aiohttp.ClientSession() as http:
        screen = await Screen.open(xvfb.framebuffer_fd(), xvfb.connect())
        source, encoder, driver = CountingSource(screen), CountingEncoder(), Recorder()
        view = LiveView(
            source=source, driver=driver, encoder=encoder, facts=Facts("xvfb", True, "none"), fps=30, max_fps=30
        )

        async def watch(request: web.Request) -> web.StreamResponse:
            ws = web.WebSocketResponse(compress=False)
            await ws.prepare(request)
            await view.serve(WebSocketEnd(ws), may_drive="watch" not in request.query)
            return ws

        runner, url = await serve(watch)

        @asynccontextmanager
        async def connect(query: str = "") -> AsyncIterator[Client]:
            async with http.ws_connect(url + query, max_msg_size=0) as ws:
                client = Client(ws)
                await client.text("hello")
                yield client

        painter = Painter(xvfb)
        yield Stage(view, source, encoder, driver, painter, xvfb.process, connect)
        await view.close(1001, "the test is over")
        await runner.cleanup()
        painter.close()
        screen.close()
        encoder.close()


# One server and one session for each module of hands: `SETTINGS` and `PROFILE` of the module say which.


@pytest.fixture(scope="module")
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with served(tmp_path_factory.mktemp("server"), getattr(request.module, "SETTINGS", {})) as running:
        yield running


@pytest.fixture(scope="module")
async def session(request: pytest.FixtureRequest, server: Api) -> str:
    return str((await server.ready(profile=getattr(request.module, "PROFILE", "default")))["id"])


@pytest.fixture(scope="module")
async def devtools(server: Api, session: str) -> AsyncIterator[Page]:
    async with inside(server, session) as first:  # one for all: Chromium undoes emulation when a client leaves
        yield first


@pytest.fixture
async def page(devtools: Page) -> Page:
    """The page in the session, as new."""
    await open_page(devtools)
    return devtools


@pytest.fixture
async def remote(server: Api, session: str, page: Page) -> AsyncIterator[Remote]:
    """A person who drives that page."""
    async with viewing(server, session) as viewer:
        await viewer.driving()
        yield viewer
