"""Sessions as their users know them: asked for, watched, used and ended. `Places` admits them, `Lives` changes them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from chaser_server.errors import SessionNotFound, SessionNotOpen, SessionNotReady
from chaser_server.model import (
    Actor,
    EndedReason,
    LedgerRow,
    Page,
    Session,
    SessionEvent,
    SessionSpec,
    Status,
    Workspace,
)
from chaser_server.sessions.chronicle import Chronicle
from chaser_server.sessions.lives import SERVER, Lives
from chaser_server.sessions.places import Places
from chaser_server.sessions.queue import Waiter
from chaser_server.sessions.running import RunningSession
from chaser_server.store.sessions import SessionStore


class SessionService:
    """Creates, shows and ends the sessions of workspaces."""

    def __init__(self, *, store: SessionStore, places: Places, lives: Lives) -> None:
        self._store = store
        self._places = places
        self._lives = lives
        self._running = places.taken

    @property
    def draining(self) -> bool:
        """Whether the server is on its way down and takes no more sessions."""
        return self._places.closed

    @property
    def running(self) -> Collection[RunningSession]:
        """The open sessions."""
        return self._places.open

    @property
    def unsettled(self) -> list[Session]:
        """The sessions that the sums of usage do not have yet: open ones, and ended ones that wait for the disk."""
        return [running.record for running in self._running.values()]

    @property
    def waiting(self) -> Mapping[str, Sequence[Waiter]]:
        """The creates that wait for a place, by workspace: whose turn is next comes first, and so in each."""
        return self._places.waiting

    @property
    def chronicle(self) -> Chronicle:
        """What became of sessions, in numbers."""
        return self._lives.chronicle

    @property
    def waits(self) -> Mapping[str, int]:
        """How often standing in line came to which end: `served`, `timed_out`, `left` or `refused`."""
        return self._places.waits

    async def claim(self, spec: SessionSpec, workspace: Workspace, *, wait_seconds: float = 0) -> RunningSession:
        """A place for a session; `begin` or `give_back` must follow. Without a free one, wait up to `wait_seconds`.

        May be cancelled while it waits. Raises `InvalidRequest` for an unknown profile, `ConcurrencyLimit` without a
        place, `PaymentRequired` when the egress budget is used up, `SubstrateUnavailable` while draining.
        """
        return await self._places.claim(spec, workspace, wait_seconds)

    def give_back(self, running: RunningSession) -> None:
        """Give up a claimed place instead of beginning a session in it."""
        self._places.give_back(running)

    async def begin(self, running: RunningSession) -> Session:
        """Store a session that has its place, and start it; returns its record, and the browser comes up behind it.

        Raises `StorageFailed`, or `SubstrateUnavailable` when a shutdown came in between; the place is given back then.
        A caller that is cancelled leaves a session that lives like any other.
        """
        return await self._lives.begin(running)

    async def get(self, workspace_id: str, session_id: str) -> Session:
        """A session of this workspace, its counts live. Raises `SessionNotFound`."""
        running = self._running.get(session_id)
        session = running.record if running else await self._store.get(session_id)
        if session is None or session.workspace_id != workspace_id:
            raise SessionNotFound(f"no session {session_id} in this workspace")
        return session

    async def page(
        self, workspace_id: str, *, limit: int, before: tuple[datetime, str] | None, status: Status | None
    ) -> Page:
        """One page of a workspace's sessions, newest first."""
        rows = await self._store.page(workspace_id, limit=limit + 1, before=before, status=status)
        live = [running.record if (running := self._running.get(row.id)) else row for row in rows]
        return Page(live[:limit], has_more=len(rows) > limit)

    async def events(self, workspace_id: str, session_id: str) -> list[SessionEvent]:
        """The timeline of a session. Raises `SessionNotFound`."""
        await self.get(workspace_id, session_id)
        await self._lives.catch_up()  # who saw an end finds its cause
        return await self._store.events(session_id)

    async def ledger(self, workspace_id: str, session_id: str) -> list[LedgerRow]:
        """A session's egress by destination and upstream, live. Raises `SessionNotFound`."""
        await self.get(workspace_id, session_id)
        running = self._running.get(session_id)
        if running is not None and running.browser is not None:
            return running.browser.ledger()
        return await self._store.ledger(session_id)

    async def wait_settled(self, workspace_id: str, session_id: str, seconds: float) -> Session:
        """The session as soon as it has left `creating`, or as it is after `seconds`."""
        await self.get(workspace_id, session_id)
        running = self._running.get(session_id)
        if running is not None:
            await _wait(running.settled, seconds)
        return await self.get(workspace_id, session_id)

    async def delete(self, workspace_id: str, session_id: str, by: Actor = SERVER) -> None:
        """End a session for its client. Raises `SessionNotFound`, or `SessionNotOpen` when it has ended already."""
        running = await self._open_session(workspace_id, session_id)
        await self._lives.end(running, EndedReason.CLIENT_DELETE, by)

    async def ready_session(self, workspace_id: str, session_id: str) -> RunningSession:
        """A session of this workspace that is up. Raises `SessionNotFound`, `SessionNotReady` or `SessionNotOpen`."""
        running = await self._open_session(workspace_id, session_id)
        if running.record.status is Status.CREATING:
            raise SessionNotReady("the session is still being created; wait with GET ?wait=ready")
        return running

    async def screenshot(self, workspace_id: str, session_id: str) -> bytes:
        """The screen as PNG. Raises as `ready_session`."""
        running = await self.ready_session(workspace_id, session_id)
        assert running.browser is not None, "a ready session has a browser"
        return await running.browser.screenshot()

    async def open_door(self, session_id: str, hold_seconds: float, owner: str | None) -> RunningSession:
        """A ready session for whoever knows its id, waited for while it is being created.

        `owner` is the workspace it must belong to, or None when the id is enough. Raises `SessionNotFound` for an
        unknown id, `SessionNotOpen` for one that has ended or failed to start, and
        `SessionNotReady` when it is not up after `hold_seconds`.
        """
        running = self._running.get(session_id)
        if running is not None and owner in (None, running.record.workspace_id):
            await _wait(running.settled, hold_seconds)
            if running.record.status is Status.READY:
                return running
            if running.record.status is Status.CREATING:
                raise SessionNotReady(f"the session was not ready within {hold_seconds:g} s")
        session = running.record if running else await self._store.get(session_id)
        if session is None or owner not in (None, session.workspace_id):
            raise SessionNotFound(f"no session {session_id}")
        failure = running.failure if running else await self._store.failure(session_id)
        raise SessionNotOpen(f"the session has ended: {_why(session)}" + (f" ({failure})" if failure else ""))

    def note(self, running: RunningSession, kind: str, detail: dict[str, object]) -> None:
        """Add a line to the timeline of a session; does not wait."""
        self._lives.note(running, kind, detail)

    async def _open_session(self, workspace_id: str, session_id: str) -> RunningSession:
        session = await self.get(workspace_id, session_id)
        running = self._running.get(session_id)
        if running is None or not running.is_open:
            raise SessionNotOpen(f"the session has ended: {_why(session)}")
        return running


def _why(session: Session) -> str:
    return session.ended_reason or session.status


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
