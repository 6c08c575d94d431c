"""The live half of an open session: its browser, its clients and its counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from chaser_server.lifecycle import OPEN
from chaser_server.model import ByteCount, ByteTotal, Channel, Counted, Session, Status, utc_now
from chaser_server.substrate.base import Browser, Substrate


class Client(Protocol):
    """A connected automation client or viewer, as far as a session cares."""

    def close(self, code: int, reason: str) -> None:
        """Tell it why, and let it go; does not wait."""


class RunningSession:
    """One open session. Only `Lives` changes its record; anybody may read it.

    `substrate` makes its browser; `life` is the task that launches and then watches it; `settled` is set when the
    session has left `creating`; `failure` says why it could not start; `notes` counts the lines of its timeline;
    `quiet_since` is when its last client left; `rehearsal` says that there is no browser behind it.
    """

    def __init__(self, session: Session, substrate: Substrate, *, rehearsal: bool = False) -> None:
        self.substrate = substrate
        self.rehearsal = rehearsal
        self.egress = ByteCount()
        self.cdp = ByteTotal()
        self.preview = ByteTotal()
        counts: dict[Channel, Counted] = {
            Channel.EGRESS: self.egress,
            Channel.CDP: self.cdp,
            Channel.PREVIEW: self.preview,
        }
        self._record = replace(session, bytes=counts)
        self.browser: Browser | None = None
        self.life: asyncio.Task[None] | None = None
        self.settled = asyncio.Event()
        self.failure = ""
        self.notes = 0
        self.quiet_since: datetime | None = None
        self._clients: set[Client] = set()

    @property
    def record(self) -> Session:
        """The session as it is now; its byte counts are live."""
        if self.browser is not None:
            ip, region = self.browser.proxy_ip, self.browser.proxy_region
            if (ip, region) != (self._record.proxy_ip, self._record.proxy_region):
                self.change(proxy_ip=ip, proxy_region=region)
        return self._record

    @property
    def is_open(self) -> bool:
        """Whether the session has not ended."""
        return self._record.status in OPEN

    @property
    def watched(self) -> bool:
        """Whether a client or viewer is connected."""
        return bool(self._clients)

    @property
    def clients(self) -> tuple[Client, ...]:
        """Who is connected now."""
        return tuple(self._clients)

    def change(self, **fields: object) -> Session:
        """Replace fields of the record; its byte counts stay the same live ones."""
        self._record = replace(self._record, **fields)  # type: ignore[arg-type]
        return self._record

    def attach(self, client: Client, *, only_views: bool = False) -> None:
        """A client has connected, or a viewer, of whom the browser knows nothing."""
        assert self._record.status is Status.READY
        self._clients.add(client)
        if self.browser is not None and not only_views:
            self.browser.client_came()

    def detach(self, client: Client, *, only_views: bool = False) -> None:
        """A client or viewer has gone; when it was the last, the session is quiet from now on."""
        self._clients.discard(client)
        if not self._clients:
            self.quiet_since = utc_now()
        if self.browser is not None and self.is_open and not only_views:
            self.browser.client_left()

    def dismiss(self, code: int, reason: str) -> None:
        """Tell all clients that it is over."""
        for client in self.clients:
            client.close(code, reason)
