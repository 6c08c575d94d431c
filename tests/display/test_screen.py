from __future__ import annotations

import asyncio
import os
import socket

import pytest
import xcffib
from xcffib import xproto

from chaser_server.display.input import Input
from chaser_server.display.screen import Screen
from chaser_server.errors import LaunchFailed, ScreenLost
from tests import screens
from tests.display.test_framebuffer import paint


async def see(screen: screens.Screen) -> Screen:
    """An open screen that is quiet: what happened before is seen."""
    watched = await Screen.open(screen.framebuffer_fd(), screen.connect())
    await asyncio.wait_for(watched.wait_changed(), 10)
    return watched


def show_a_pointer(screen: screens.Screen) -> xcffib.Connection:
    """Give the root window an arrow, which the X server draws as long as the connection stands."""
    connection = xcffib.Connection(fd=os.dup((sock := screen.connect()).fileno()))
    sock.close()
    core, root = connection.core, connection.setup.roots[0].root
    font, cursor = connection.generate_id(), connection.generate_id()
    core.OpenFont(font, len("cursor"), "cursor")
    core.CreateGlyphCursor(cursor, font, font, 2, 3, 0, 0, 0, 65535, 65535, 65535)
    core.ChangeWindowAttributesChecked(root, xproto.CW.Cursor, [cursor]).check()
    return connection


async def test_the_first_look_comes_at_once_and_shows_the_whole_screen(screen: screens.Screen):
    watched = await see(screen)
    assert watched.size == (1280, 720)
    assert len(watched.grab()) == 1280 * 720 * 4
    watched.close()


async def test_what_is_drawn_is_told_and_is_in_the_picture_then(screen: screens.Screen):
    watched = await see(screen)
    for number in range(1, 50):
        waiting = asyncio.create_task(watched.wait_changed())
        await asyncio.to_thread(paint, screen, number, (10, 10, 1, 1))
        await asyncio.wait_for(waiting, 10)
        first = (10 * 1280 + 10) * 4
        assert watched.grab()[first] == number
    watched.close()


async def test_no_change_is_missed_between_two_looks(screen: screens.Screen):
    watched = await see(screen)
    await asyncio.to_thread(paint, screen, 0x11, (0, 0, 1, 1))
    await asyncio.wait_for(watched.wait_changed(), 10)
    await asyncio.to_thread(paint, screen, 0x22, (0, 0, 1, 1))
    await asyncio.wait_for(watched.wait_changed(), 10)
    assert watched.grab()[0] == 0x22
    watched.close()


async def test_a_look_that_is_given_up_loses_nothing(screen: screens.Screen):
    watched = await see(screen)
    await asyncio.to_thread(paint, screen, 0x11, (0, 0, 1, 1))
    for _ in range(3):
        given_up = asyncio.create_task(watched.wait_changed())
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
    await asyncio.wait_for(watched.wait_changed(), 10)
    watched.close()


async def test_a_moved_pointer_is_a_change(screen: screens.Screen):
    arrow = show_a_pointer(screen)
    watched = await see(screen)
    input = await Input.open(screen.connect())
    before = watched.grab()
    input.mouse("move", 200, 200)
    await asyncio.wait_for(watched.wait_changed(), 10)
    assert watched.grab() != before
    input.close()
    arrow.disconnect()
    watched.close()


async def test_nothing_is_told_while_nothing_changes(screen: screens.Screen):
    watched = await see(screen)
    waiting = asyncio.create_task(watched.wait_changed())
    other = await see(screen)  # the X server answers others meanwhile
    assert not waiting.done()
    waiting.cancel()
    other.close()
    watched.close()


async def test_a_killed_x_server_ends_the_waiting(screen: screens.Screen):
    watched = await see(screen)
    waiting = asyncio.create_task(watched.wait_changed())
    await asyncio.sleep(0)
    screen.process.kill()
    with pytest.raises(ScreenLost):
        await asyncio.wait_for(waiting, 10)
    with pytest.raises(ScreenLost):
        await watched.wait_changed()
    watched.close()


async def test_closing_ends_the_waiting_and_the_pictures(screen: screens.Screen):
    watched = await see(screen)
    waiting = asyncio.create_task(watched.wait_changed())
    await asyncio.sleep(0)
    watched.close()
    watched.close()
    with pytest.raises(ScreenLost):
        await asyncio.wait_for(waiting, 10)
    with pytest.raises(ScreenLost):
        watched.grab()


async def test_what_is_no_framebuffer_leaves_nothing_open(screen: screens.Screen):
    reader, writer = os.pipe()
    sock = screen.connect()
    with pytest.raises(LaunchFailed, match="not a regular file"):
        await Screen.open(reader, sock)
    assert sock.fileno() == -1
    os.close(writer)


async def test_what_is_no_x_server_leaves_nothing_open(screen: screens.Screen):
    ours, theirs = socket.socketpair()
    theirs.close()
    fd = screen.framebuffer_fd()
    with pytest.raises(LaunchFailed):
        await Screen.open(fd, ours)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
