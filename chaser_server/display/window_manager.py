"""Manage the windows of one X server in a thread of its own. Decides nothing (see `windows`) and knows no browser.

A thread, because a window manager must wait for replies and the X server, which lives in the sandbox, may never give
them. What it does is the part of ICCCM and EWMH (freedesktop.org's window manager hints) that Chromium and GTK look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import threading
from concurrent.futures import Future
from typing import Any

import xcffib
from xcffib import xproto

from chaser_server.display.windows import Stack, Window, changed_states, placement
from chaser_server.errors import LaunchFailed

log = logging.getLogger(__name__)

_SUPPORTED = (
    "_NET_SUPPORTED", "_NET_SUPPORTING_WM_CHECK", "_NET_WM_NAME", "_NET_WM_STATE", "_NET_WM_STATE_FULLSCREEN",
    "_NET_WM_STATE_MAXIMIZED_VERT", "_NET_WM_STATE_MAXIMIZED_HORZ", "_NET_WM_STATE_ABOVE", "_NET_ACTIVE_WINDOW",
    "_NET_CLIENT_LIST", "_NET_CLOSE_WINDOW", "_NET_FRAME_EXTENTS", "_NET_WM_WINDOW_TYPE", "_NET_WORKAREA",
)  # fmt: skip
_ATOMS = (
    *_SUPPORTED, "_NET_WM_WINDOW_TYPE_NORMAL", "_NET_WM_WINDOW_TYPE_NOTIFICATION", "UTF8_STRING", "WM_STATE",
    "WM_PROTOCOLS", "WM_DELETE_WINDOW",
)  # fmt: skip
_NORMAL_STATE = 1  # ICCCM 4.1.3.1
_MAX_PROPERTY_WORDS = 64  # of a property that a client wrote: longer lists are cut


class WindowManager:
    """The running window manager of one display. Ends by itself when its X server goes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._ready: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="window-manager", daemon=True)

    @classmethod
    async def start(cls, sock: socket.socket, *, timeout_seconds: float = 10) -> WindowManager:
        """Manage the X server at the other end of `sock`, a connected socket that is taken over.

        Returns once windows are managed, those that were there before included. Raises `LaunchFailed`, with the socket
        closed and the thread ending, when the server does not answer in time, is no X server or already has a manager.
        """
        manager = cls(sock)
        manager._thread.start()
        try:
            await asyncio.wait_for(asyncio.wrap_future(manager._ready), timeout_seconds)
        except TimeoutError:
            manager.close()
            raise LaunchFailed(f"the X server did not answer within {timeout_seconds:g} s") from None
        except BaseException:
            manager.close()
            raise
        return manager

    def close(self) -> None:
        """Let the X server go; the thread ends soon. Never waits; may be called twice or after the server's death."""
        with self._lock, contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes the thread wherever in libxcb it waits

    async def wait_ended(self) -> None:
        """Return when the thread has ended, after `close` or because the X server went."""
        await asyncio.shield(asyncio.wrap_future(self._ended))

    def _run(self) -> None:
        try:
            self._serve()
        except xcffib.ConnectionException as error:  # the X server has gone, or `close` was called
            self._refuse(error)
        except Exception as error:  # an X server may say anything; it ends here, never in the loop
            log.exception("the window manager has ended")
            self._refuse(error)
        finally:
            with self._lock:
                self._sock.close()
            self._ended.set_result(None)

    def _serve(self) -> None:
        # libxcb takes over the descriptor it gets and closes it; ours stays, to wake it by a shutdown
        connection = xcffib.Connection(fd=os.dup(self._sock.fileno()))
        try:
            desk = _Desk(connection)
            if self._ready.set_running_or_notify_cancel():
                self._ready.set_result(None)
            while True:
                desk.handle_next()
        finally:
            connection.disconnect()

    def _refuse(self, error: Exception) -> None:
        if not self._ready.done() and self._ready.set_running_or_notify_cancel():
            failure = LaunchFailed(f"the X server cannot be managed: {error or type(error).__name__}")
            self._ready.set_exception(failure)


class _Desk:
    """The conversation with the X server. Every method may raise `xcffib.XcffibException` when the server has gone."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._core = connection.core
        screen = connection.setup.roots[0]
        self._root: int = screen.root
        self._size: tuple[int, int] = (screen.width_in_pixels, screen.height_in_pixels)
        self._atoms = self._intern(_ATOMS)
        self._stack = Stack()
        self._take_over()
        self._announce()
        self._adopt()

    def handle_next(self) -> None:
        """Wait for one event and act on it. A window that has gone in the meantime is no error."""
        try:
            event = self._connection.wait_for_event()
            match event:
                case xproto.MapRequestEvent():
                    self._show(event.window)
                case xproto.ConfigureRequestEvent():
                    self._configure(event)
                case xproto.MapNotifyEvent() if event.override_redirect:
                    self._hide_hint(event.window)
                case xproto.UnmapNotifyEvent() | xproto.DestroyNotifyEvent():
                    self._forget(event.window)
                case xproto.ClientMessageEvent():
                    self._obey(event)
            self._connection.flush()
        except xcffib.Error:
            pass  # an X error: what it concerned is gone

    def _intern(self, names: tuple[str, ...]) -> dict[str, int]:
        cookies = [(name, self._core.InternAtom(False, len(name), name)) for name in names]
        return {name: cookie.reply().atom for name, cookie in cookies}

    def _take_over(self) -> None:
        mask = xproto.EventMask.SubstructureRedirect | xproto.EventMask.SubstructureNotify
        self._core.ChangeWindowAttributesChecked(self._root, xproto.CW.EventMask, [mask]).check()

    def _announce(self) -> None:
        """Say that there is a window manager, and which hints it follows (EWMH, Root Window Properties)."""
        check: int = self._connection.generate_id()
        self._core.CreateWindow(0, check, self._root, -1, -1, 1, 1, 0, xproto.WindowClass.InputOnly, 0, 0, [])
        for window in (self._root, check):
            self._set_property(window, "_NET_SUPPORTING_WM_CHECK", xproto.Atom.WINDOW, [check])
        name = b"chaser"
        mode, text = xproto.PropMode.Replace, self._atoms["UTF8_STRING"]
        self._core.ChangeProperty(mode, check, self._atoms["_NET_WM_NAME"], text, 8, len(name), name)
        supported = [self._atoms[each] for each in _SUPPORTED]
        self._set_property(self._root, "_NET_SUPPORTED", xproto.Atom.ATOM, supported)
        self._set_property(self._root, "_NET_WORKAREA", xproto.Atom.CARDINAL, [0, 0, *self._size])
        self._connection.flush()

    def _adopt(self) -> None:
        """Manage the windows that were shown before us."""
        for window in self._core.QueryTree(self._root).reply().children:
            with contextlib.suppress(xcffib.Error):
                attributes = self._core.GetWindowAttributes(window).reply()
                if attributes.map_state == xproto.MapState.Viewable and not attributes.override_redirect:
                    self._show(window)
        self._connection.flush()

    def _show(self, window_id: int) -> None:
        window = self._stack.find(window_id) or self._describe(window_id)
        geometry = self._core.GetGeometry(window_id).reply()
        self._set_states(window, window.states)
        self._place(window, (geometry.width, geometry.height))
        self._core.MapWindow(window_id)
        self._set_property(window_id, "WM_STATE", self._atoms["WM_STATE"], [_NORMAL_STATE, 0])
        self._activate(window)

    def _hide_hint(self, window_id: int) -> None:
        """Take away Chromium's bubble "To exit full screen, press…": nobody here can, and it covers the page."""
        types = self._get_property(window_id, self._atoms["_NET_WM_WINDOW_TYPE"])
        if types == [self._atoms["_NET_WM_WINDOW_TYPE_NOTIFICATION"]]:
            self._core.UnmapWindow(window_id)

    def _describe(self, window_id: int) -> Window:
        owner = self._get_property(window_id, xproto.Atom.WM_TRANSIENT_FOR)
        types = self._get_property(window_id, self._atoms["_NET_WM_WINDOW_TYPE"])
        states = set(self._get_property(window_id, self._atoms["_NET_WM_STATE"]))
        floating = (
            bool(owner)
            or bool(types and types[0] != self._atoms["_NET_WM_WINDOW_TYPE_NORMAL"])
            or self._atoms["_NET_WM_STATE_ABOVE"] in states  # picture in picture
        )
        return Window(window_id, floating, owner[0] if owner else 0, states)

    def _place(self, window: Window, wanted: tuple[int, int]) -> None:
        fullscreen = self._atoms["_NET_WM_STATE_FULLSCREEN"] in window.states
        to = placement(window, wanted, self._size, fullscreen=fullscreen)
        window_bits = xproto.ConfigWindow
        mask = window_bits.X | window_bits.Y | window_bits.Width | window_bits.Height | window_bits.BorderWidth
        self._core.ConfigureWindow(window.id, mask, [to.x, to.y, to.width, to.height, 0])
        # ICCCM 4.1.5: a window that asked and was not moved is told where it stands
        told = xproto.ConfigureNotifyEvent.synthetic(window.id, window.id, 0, to.x, to.y, to.width, to.height, 0, 0)
        self._core.SendEvent(False, window.id, xproto.EventMask.StructureNotify, told.pack())

    def _configure(self, event: Any) -> None:
        window = self._stack.find(event.window)
        if window is not None:
            self._place(window, (event.width, event.height))
            return
        asked = (event.x, event.y, event.width, event.height, event.border_width, event.sibling, event.stack_mode)
        chosen = [value for bit, value in enumerate(asked) if event.value_mask & (1 << bit)]
        self._core.ConfigureWindow(event.window, event.value_mask, chosen)

    def _activate(self, window: Window) -> None:
        for raised in self._stack.put_on_top(window):
            self._core.ConfigureWindow(raised.id, xproto.ConfigWindow.StackMode, [xproto.StackMode.Above])
        self._focus_top()

    def _focus_top(self) -> None:
        top = self._stack.top
        focus = top.id if top else xproto.InputFocus.PointerRoot
        self._core.SetInputFocus(xproto.InputFocus.PointerRoot, focus, xproto.Time.CurrentTime)
        self._set_property(self._root, "_NET_ACTIVE_WINDOW", xproto.Atom.WINDOW, [top.id if top else 0])
        self._set_property(self._root, "_NET_CLIENT_LIST", xproto.Atom.WINDOW, self._stack.ids)

    def _forget(self, window_id: int) -> None:
        if self._stack.remove(window_id):
            self._focus_top()

    def _obey(self, event: Any) -> None:
        """Do what a client asked of the window manager by a message to the root window."""
        window = self._stack.find(event.window)
        if window is None:
            return
        if event.type == self._atoms["_NET_ACTIVE_WINDOW"]:
            self._activate(window)
        elif event.type == self._atoms["_NET_CLOSE_WINDOW"]:
            self._ask_to_close(window.id)
        elif event.type == self._atoms["_NET_WM_STATE"]:
            action, first, second = event.data.data32[:3]
            geometry = self._core.GetGeometry(window.id).reply()
            self._set_states(window, changed_states(window.states, action, (first, second)))
            self._place(window, (geometry.width, geometry.height))

    def _ask_to_close(self, window_id: int) -> None:
        protocols, delete = self._atoms["WM_PROTOCOLS"], self._atoms["WM_DELETE_WINDOW"]
        if delete not in self._get_property(window_id, protocols):
            self._core.KillClient(window_id)
            return
        data = xproto.ClientMessageData.synthetic([delete, xproto.Time.CurrentTime, 0, 0, 0], "5I")
        message = xproto.ClientMessageEvent.synthetic(32, window_id, protocols, data)
        self._core.SendEvent(False, window_id, xproto.EventMask.NoEvent, message.pack())

    def _set_states(self, window: Window, states: set[int]) -> None:
        maximised = {self._atoms["_NET_WM_STATE_MAXIMIZED_VERT"], self._atoms["_NET_WM_STATE_MAXIMIZED_HORZ"]}
        window.states = states if window.floating else states | maximised
        self._set_property(window.id, "_NET_WM_STATE", xproto.Atom.ATOM, sorted(window.states))

    def _set_property(self, window_id: int, name: str, kind: int, values: list[int]) -> None:
        data = struct.pack(f"={len(values)}I", *values)
        mode = xproto.PropMode.Replace
        self._core.ChangeProperty(mode, window_id, self._atoms[name], kind, 32, len(values), data)

    def _get_property(self, window_id: int, atom: int) -> list[int]:
        cookie = self._core.GetProperty(False, window_id, atom, xproto.GetPropertyType.Any, 0, _MAX_PROPERTY_WORDS)
        reply = cookie.reply()
        return list(reply.value.to_atoms()) if reply.format == 32 else []
