"""The seam between sessions and machines. Above it nobody knows of bubblewrap, Xvfb or a local path."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from signal import Signals
from typing import Protocol

from chaser_server.model import ByteCount, LedgerRow

OnEvent = Callable[[str, dict[str, object]], None]
"""Told of what belongs in a session's timeline: its kind and its detail."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a browser went by itself: its exit code (128 + N for signal N) and the last lines it wrote.

    `out_of_memory` says that it was killed, and that the kernel has killed for memory among the server's processes
    while it lived: which of them, the kernel tells nobody but root.
    """

    code: int
    stderr_tail: str
    out_of_memory: bool = False

    @property
    def signal(self) -> str | None:
        """The name of the signal that ended it."""
        known = {128 + one.value: one.name for one in Signals}
        return known.get(self.code)


class ViewerSocket(Protocol):
    """One viewer's WebSocket, as the live view uses it; see `live.seams.Socket` for the whole contract."""

    async def send_bytes(self, data: bytes) -> None: ...

    async def send_text(self, text: str) -> None: ...

    async def receive_text(self) -> str | None: ...

    async def close(self, code: int, reason: str) -> None: ...


class View(Protocol):
    """A browser's live view."""

    async def serve(self, socket: ViewerSocket, *, may_drive: bool) -> None:
        """Serve one viewer until it goes or is cancelled; whatever it held down is let go then."""


class Browser(Protocol):
    """One launched Chromium with its sandbox, display and egress. Belongs to whoever launched it."""

    @property
    def device(self) -> str:
        """What it is or plays, as the API shows it."""

    @property
    def proxy_ip(self) -> str | None:
        """Address of the upstream proxy in use; None until one has worked, and for direct egress."""

    @property
    def proxy_region(self) -> str | None:
        """Region of that proxy."""

    def ledger(self) -> list[LedgerRow]:
        """Who got its bytes, so far."""

    @property
    def devtools_path(self) -> str:
        """Path of the browser-level DevTools WebSocket."""

    @property
    def has_screen(self) -> bool:
        """Whether `screenshot` is of a screen, or only of a page."""

    @property
    def forbidden_message(self) -> Callable[[bytes], bool] | None:
        """Tells which messages a DevTools client may not send; None where the sandbox makes that needless."""

    async def connect_devtools(self) -> socket.socket:
        """A socket connected to the DevTools port, the caller's to close. Raises `LaunchFailed` when it has gone."""

    async def fetch_devtools(self, method: str, path: str) -> tuple[int, str, bytes]:
        """Ask the discovery endpoint: status, content type, body. Raises `SubstrateUnavailable` without an answer."""

    def client_came(self) -> None:
        """A DevTools client has connected."""

    def client_left(self) -> None:
        """A DevTools client has disconnected: what it undid is put back."""

    async def screenshot(self) -> bytes:
        """A PNG of the screen as a person would see it. Raises `SubstrateUnavailable` when there is none."""

    async def view(self) -> View:
        """Its live view, one for all viewers. Raises `SubstrateUnavailable` when there can be none."""

    async def exited(self) -> Exit:
        """Wait until the browser is gone, by itself or by `close`."""

    async def cut_network(self) -> None:
        """Cut every connection that it has to the network, at once; no byte moves or is counted after this returns."""

    async def close(self) -> None:
        """Cut its network, end its processes and leave nothing; returns when that is so. May be called again."""


class WarmBrowser(Browser, Protocol):
    """A browser that is up, and has no way to the network until it is adopted. Belongs to whoever had it prepared."""

    async def check(self) -> None:
        """Ask it for its version. Raises `SubstrateUnavailable` when it does not answer."""

    async def adopt(self, *, egress: ByteCount, on_event: OnEvent) -> None:
        """Give it its way to the network, once; `egress` grows with what it moves from now on."""


class Maker(Protocol):
    """Prepares browsers."""

    @property
    def profiles(self) -> frozenset[str]:
        """The names that `prepare` knows."""

    @property
    def unavailable(self) -> Mapping[str, str]:
        """Configured profiles that this machine cannot bring up, and why."""

    async def prepare(self, profile: str, *, wanted: asyncio.Event) -> WarmBrowser:
        """Bring up a browser and return it when DevTools answers.

        Until `wanted` is set, before or behind this, it gets only the processor time that nobody else asks for. Raises
        `LaunchFailed` (also on a time-out). When this raises, or is cancelled, nothing is left behind.
        """

    async def close(self) -> None:
        """Let go of what belongs to no browser. Browsers are closed by their owners before."""


class Substrate(Protocol):
    """A maker of browsers."""

    @property
    def profiles(self) -> frozenset[str]:
        """The names a client may ask for."""

    @property
    def unavailable(self) -> Mapping[str, str]:
        """Names that a client may expect here, and why it cannot have them."""

    async def launch(self, profile: str, *, egress: ByteCount, on_event: OnEvent) -> Browser:
        """Bring up a browser and return it when DevTools answers.

        `egress` grows with what it moves over the network. Raises `LaunchFailed` (also on a time-out). When this
        raises, or is cancelled, nothing is left behind.
        """

    async def close(self) -> None:
        """Let go of what belongs to no browser. Browsers are closed by their owners before."""
