from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import xcffib
from xcffib import xproto

from chaser_server.display.window_manager import WindowManager
from chaser_server.errors import LaunchFailed
from tests.screens import Screen, running_chromium

MASK = xproto.EventMask.StructureNotify | xproto.EventMask.FocusChange | xproto.EventMask.PropertyChange


class Client:
    """An X client with windows of its own that reads what happens to them."""

    def __init__(self, screen: Screen) -> None:
        self._sock = screen.connect()
        self.connection = xcffib.Connection(fd=os.dup(self._sock.fileno()))
        self.core = self.connection.core
        self.root = self.connection.setup.roots[0].root

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self.connection.disconnect()

    def atom(self, name: str) -> int:
        return self.core.InternAtom(False, len(name), name).reply().atom

    def window(self, width: int, height: int, *, owner: int = 0) -> int:
        window = self.connection.generate_id()
        self.core.CreateWindow(
            0, window, self.root, 7, 9, width, height, 3, xproto.WindowClass.InputOutput, 0, xproto.CW.EventMask, [MASK]
        )
        if owner:
            self.property(window, xproto.Atom.WM_TRANSIENT_FOR, xproto.Atom.WINDOW, [owner])
        return window

    def property(self, window: int, name: int, kind: int, values: list[int]) -> None:
        data = struct.pack(f"={len(values)}I", *values)
        self.core.ChangeProperty(xproto.PropMode.Replace, window, name, kind, 32, len(values), data)

    def read(self, window: int, name: str) -> list[int]:
        reply = self.core.GetProperty(False, window, self.atom(name), 0, 0, 64).reply()
        return list(reply.value.to_atoms())

    def tell(self, window: int, kind: str, *words: int) -> None:
        data = xproto.ClientMessageData.synthetic([*words, *[0] * (5 - len(words))], "5I")
        event = xproto.ClientMessageEvent.synthetic(32, window, self.atom(kind), data)
        mask = xproto.EventMask.SubstructureRedirect | xproto.EventMask.SubstructureNotify
        self.core.SendEvent(False, self.root, mask, event.pack())
        self.connection.flush()

    async def wait_for(self, condition: Callable[[Any], bool]) -> Any:
        def look() -> Any:
            while not condition(event := self.connection.wait_for_event()):
                pass
            return event

        self.connection.flush()
        return await asyncio.wait_for(asyncio.to_thread(look), 10)

    async def show(self, window: int) -> tuple[int, int, int, int]:
        """Map a window; returns where it stands once it has the focus."""
        self.core.MapWindow(window)
        await self.wait_for_focus(window)
        return self.geometry(window)

    async def wait_for_focus(self, window: int) -> None:
        await self.wait_for(lambda event: isinstance(event, xproto.FocusInEvent) and event.event == window)

    def geometry(self, window: int) -> tuple[int, int, int, int]:
        place = self.core.GetGeometry(window).reply()
        assert place.border_width == 0
        return place.x, place.y, place.width, place.height


@pytest.fixture
async def manager(screen: Screen) -> AsyncIterator[WindowManager]:
    manager = await WindowManager.start(screen.connect())
    yield manager
    manager.close()
    await asyncio.wait_for(manager.wait_ended(), 10)


@pytest.fixture
async def client(screen: Screen, manager: WindowManager) -> AsyncIterator[Client]:
    client = Client(screen)
    yield client
    if screen.process.returncode is None:
        client.close()


async def test_a_normal_window_fills_the_screen_to_the_pixel(client: Client):
    assert await client.show(client.window(500, 300)) == (0, 0, 1280, 720)


async def test_a_dialog_is_centred_and_never_hangs_over_the_edge(client: Client):
    owner = client.window(500, 300)
    await client.show(owner)
    assert await client.show(client.window(400, 200, owner=owner)) == (440, 260, 400, 200)
    assert await client.show(client.window(1124, 822, owner=owner)) == (78, 0, 1124, 720)


async def test_a_window_that_calls_itself_a_dialog_is_one(client: Client):
    window = client.window(400, 200)
    kind = client.atom("_NET_WM_WINDOW_TYPE_DIALOG")
    client.property(window, client.atom("_NET_WM_WINDOW_TYPE"), xproto.Atom.ATOM, [kind])
    assert await client.show(window) == (440, 260, 400, 200)


async def test_a_window_cannot_move_away_or_shrink(client: Client):
    window = client.window(500, 300)
    await client.show(window)
    asked = xproto.ConfigWindow.X | xproto.ConfigWindow.Width
    client.core.ConfigureWindow(window, asked, [600, 100])
    told = await client.wait_for(lambda event: isinstance(event, xproto.ConfigureNotifyEvent))
    assert (told.x, told.y, told.width, told.height) == (0, 0, 1280, 720)
    assert client.geometry(window) == (0, 0, 1280, 720)


async def test_fullscreen_is_entered_and_left_as_a_client_asks(client: Client):
    window = client.window(500, 300)
    await client.show(window)
    fullscreen = client.atom("_NET_WM_STATE_FULLSCREEN")

    async def ask(action: int) -> list[int]:
        client.tell(window, "_NET_WM_STATE", action, fullscreen)
        await client.wait_for(
            lambda event: isinstance(event, xproto.PropertyNotifyEvent) and event.atom == client.atom("_NET_WM_STATE")
        )
        return client.read(window, "_NET_WM_STATE")

    assert fullscreen in await ask(1)
    assert client.geometry(window) == (0, 0, 1280, 720)
    assert fullscreen not in await ask(0)
    assert client.atom("_NET_WM_STATE_MAXIMIZED_VERT") in client.read(window, "_NET_WM_STATE")


async def test_a_notification_is_taken_away_and_other_unmanaged_windows_stay(client: Client):
    kind, notification = client.atom("_NET_WM_WINDOW_TYPE"), client.atom("_NET_WM_WINDOW_TYPE_NOTIFICATION")
    menu, bubble, normal = client.window(50, 50), client.window(60, 60), client.window(300, 200)
    for window in (menu, bubble):
        client.core.ChangeWindowAttributes(window, xproto.CW.OverrideRedirect, [1])
    client.property(bubble, kind, xproto.Atom.ATOM, [notification])
    client.core.MapWindow(menu)
    client.core.MapWindow(bubble)
    await client.wait_for(lambda event: isinstance(event, xproto.UnmapNotifyEvent) and event.window == bubble)
    assert client.core.GetGeometry(menu).reply().width == 50
    assert await client.show(normal) == (0, 0, 1280, 720)


async def test_a_window_asks_for_the_focus_and_gets_it(client: Client):
    first, second = client.window(500, 300), client.window(500, 300)
    await client.show(first)
    await client.show(second)
    client.tell(first, "_NET_ACTIVE_WINDOW", 1)
    await client.wait_for_focus(first)
    assert client.read(client.root, "_NET_ACTIVE_WINDOW") == [first]
    assert client.read(client.root, "_NET_CLIENT_LIST") == [second, first]


async def test_what_was_below_a_closed_window_has_the_focus_again(client: Client):
    first, second = client.window(500, 300), client.window(500, 300)
    await client.show(first)
    await client.show(second)
    client.core.DestroyWindow(second)
    await client.wait_for_focus(first)


async def test_a_window_that_knows_how_is_asked_to_close(client: Client):
    window = client.window(500, 300)
    delete = client.atom("WM_DELETE_WINDOW")
    client.property(window, client.atom("WM_PROTOCOLS"), xproto.Atom.ATOM, [delete])
    await client.show(window)
    client.tell(window, "_NET_CLOSE_WINDOW")
    asked = await client.wait_for(lambda event: isinstance(event, xproto.ClientMessageEvent))
    assert asked.data.data32[0] == delete


async def test_a_window_that_does_not_is_closed(screen: Screen, client: Client):
    rude = Client(screen)
    await rude.show(rude.window(500, 300))
    rude.tell(rude.core.GetInputFocus().reply().focus, "_NET_CLOSE_WINDOW")
    with pytest.raises(xcffib.ConnectionException):
        await rude.wait_for(lambda event: False)
    rude.connection.disconnect()


async def test_windows_that_were_there_first_are_managed_too(screen: Screen):
    client = Client(screen)
    window = client.window(500, 300)
    client.core.MapWindow(window)
    client.core.GetInputFocus().reply()
    manager = await WindowManager.start(screen.connect())
    assert client.geometry(window) == (0, 0, 1280, 720)
    manager.close()
    client.close()


async def test_a_chromium_window_is_exactly_the_screen_and_obeys_fullscreen(screen: Screen, manager: WindowManager):
    async with running_chromium(screen) as page:
        await page.until("outerWidth === screen.width && outerHeight === screen.height")
        assert await page.evaluate("[outerWidth, outerHeight, screenX, screenY]") == [1280, 720, 0, 0]
        assert await page.evaluate("innerHeight") < 720
        await page.fill_the_screen()
        assert await page.evaluate("[innerWidth, innerHeight]") == [1280, 720]


async def test_a_killed_x_server_ends_the_thread(screen: Screen, manager: WindowManager):
    screen.process.kill()
    await asyncio.wait_for(manager.wait_ended(), 10)
    manager.close()


async def test_closing_twice_is_no_fault(screen: Screen):
    manager = await WindowManager.start(screen.connect())
    manager.close()
    await asyncio.wait_for(manager.wait_ended(), 10)
    manager.close()


async def test_a_second_manager_is_refused(screen: Screen, manager: WindowManager):
    with pytest.raises(LaunchFailed, match="cannot be managed"):
        await WindowManager.start(screen.connect())


async def test_a_server_that_never_answers_is_given_up_and_its_thread_ends():
    ours, theirs = socket.socketpair()
    with pytest.raises(LaunchFailed, match="did not answer"):
        await WindowManager.start(ours, timeout_seconds=0.05)
    while theirs.recv(4096):
        pass  # the end of the stream: our side is shut
    theirs.close()


async def test_something_that_is_no_x_server_is_refused():
    ours, theirs = socket.socketpair()
    theirs.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(64))
    theirs.close()
    with pytest.raises(LaunchFailed):
        await WindowManager.start(ours)
