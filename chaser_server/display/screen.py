"""See a screen: its pictures, and when it has changed. Knows no viewer and encodes nothing.

Changes are told by XDamage; the pointer, which Xvfb draws into the picture without telling XDamage, by XInput 2.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, NamedTuple

from xcffib import damage, xinput

from chaser_server.display.framebuffer import Framebuffer
from chaser_server.display.xlink import Link, open_link
from chaser_server.errors import LaunchFailed, ScreenLost

_SUBTRACT = 3  # Damage protocol 1.1, minor opcode
_GET_INPUT_FOCUS = 43  # the core protocol's cheapest request with a reply
_REPLY = 1


class _Watch(NamedTuple):
    opcode: int
    damage: int


def _watch_changes(connection: Any) -> _Watch:
    for name in ("DAMAGE", "XInputExtension"):
        if not connection.core.QueryExtension(len(name), name).reply().present:
            raise RuntimeError(f"it has no {name}")
    root = connection.setup.roots[0].root
    watcher = connection(damage.key)
    watcher.QueryVersion(1, 1).reply()
    number = connection.generate_id()
    watcher.CreateChecked(number, root, damage.ReportLevel.NonEmpty).check()
    pointers = connection(xinput.key)
    pointers.XIQueryVersion(2, 0).reply()
    moves = xinput.EventMask.synthetic(xinput.Device.AllMaster, 1, [xinput.XIEventMask.RawMotion])
    pointers.XISelectEventsChecked(root, 1, [moves]).check()
    return _Watch(connection.core.QueryExtension(len("DAMAGE"), "DAMAGE").reply().major_opcode, number)


class Screen:
    """The screen of one session as something to look at. Made by `open`."""

    def __init__(self, framebuffer: Framebuffer, link: Link, watch: _Watch) -> None:
        self._framebuffer = framebuffer
        self._link = link
        self._changed = asyncio.Event()
        self._changed.set()  # what happened before we looked
        self._unanswered = 0
        self._answered = asyncio.Event()
        subtract = struct.pack("=BBHIII", watch.opcode, _SUBTRACT, 4, watch.damage, 0, 0)
        self._rearm = subtract + struct.pack("=BxH", _GET_INPUT_FOCUS, 1)
        link.listen(self._heard, self._lost)

    @classmethod
    async def open(cls, framebuffer_fd: int, sock: socket.socket) -> Screen:
        """Take over a readable descriptor of Xvfb's framebuffer file and a connected socket to the same server.

        Raises `LaunchFailed`, with both closed, when they are not what they should be.
        """
        try:
            framebuffer = Framebuffer(framebuffer_fd)
        except ScreenLost as error:
            sock.close()
            raise LaunchFailed(error.message) from error
        try:
            link, watch = await open_link(sock, _watch_changes)
        except BaseException:
            framebuffer.close()
            raise
        return cls(framebuffer, link, watch)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, fixed for life."""
        return self._framebuffer.width, self._framebuffer.height

    def grab(self) -> bytes:
        """The picture now: BGRX, without padding. Raises `ScreenLost`."""
        return self._framebuffer.grab()

    async def wait_changed(self) -> None:
        """Return when something was drawn since the last call returned; the first call returns at once.

        A picture grabbed then holds all that was drawn before, and what is drawn later makes the next call return: no
        change is missed. Raises `ScreenLost` when the X server goes. Only one may wait at a time.
        """
        await self._changed.wait()
        # XDamage reports once until it is re-armed. The reply tells that it is, so that the grab comes after.
        if not self._link.send(self._rearm):
            raise ScreenLost("the X server has gone")
        self._unanswered += 1
        self._changed.clear()
        self._answered.clear()
        try:
            await self._answered.wait()
        except asyncio.CancelledError:
            self._changed.set()  # it was seen by nobody
            raise
        if not self._link.alive:
            raise ScreenLost("the X server has gone")

    def rest(self) -> None:
        """Nobody looks any more. Nothing is to be done: only `wait_changed` costs anything."""

    def close(self) -> None:
        """Let the screen go; whoever waits gets `ScreenLost`. May be called twice."""
        self._link.close()
        self._lost()
        self._framebuffer.close()

    def _heard(self, kind: int) -> None:
        if kind != _REPLY:
            self._changed.set()
            return
        self._unanswered -= 1
        if self._unanswered == 0:
            self._answered.set()

    def _lost(self) -> None:
        self._changed.set()
        self._answered.set()
