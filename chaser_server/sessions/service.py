"""Sessions as their users know them: asked for, watched, used and ended. The only place where one changes.

Every change follows the same order: claim in memory before the first await, write to the store, then act. A session
ends exactly once, whoever comes first; its burial (killing the browser) goes on behind the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from chaser_server import lifecycle
from chaser_server.config import LimitsConfig
from chaser_server.errors import (
    LaunchFailed,
    SessionNotFound,
    SessionNotOpen,
    SessionNotReady,
)
from chaser_server.lifecycle import Event
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
    utc_now,
)
from chaser_server.sessions.chronicle import Chronicle
from chaser_server.sessions.journal import Journal
from chaser_server.sessions.places import Places
from chaser_server.sessions.queue import Waiter
from chaser_server.sessions.running import RunningSession
from chaser_server.store.audit import AuditLog
from chaser_server.store.sessions import SessionStore
from chaser_server.substrate.base import Browser, Exit, Substrate

MAX_NOTES = 1000
GOING_AWAY = 1001  # RFC 6455 7.4.1: the endpoint is going away
SERVER = Actor("server")
NO_DETAIL: Mapping[str, object] = {}

log = logging.getLogger(__name__)


class SessionService:
    """Creates, shows and ends sessions."""

    def __init__(
        self,
        *,
        store: SessionStore,
        audit: AuditLog,
        substrate: Substrate,
        rehearsal: Substrate,
        limits: LimitsConfig,
    ) -> None:
        """`rehearsal` makes the browsers of sessions that have none."""
        self._store = store
        self._audit = audit
        self._places = Places(store=store, substrate=substrate, rehearsal=rehearsal, limits=limits)
        self._running = self._places.taken
        self._burials: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[object]] = set()
        self._journal = Journal()
        self.chronicle = Chronicle()

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
    def waits(self) -> Mapping[str, int]:
        """How often standing in line came to which end: `served`, `timed_out` or `left`."""
        return self._places.waits

    async def recover(self) -> int:
        """Close what an earlier life of the server left open; returns how many. Call before the first request."""
        orphans = await self._store.open_sessions()
        now = utc_now()
        for orphan in orphans:
            ended = _ended(orphan, EndedReason.ABANDONED_ORPHAN, now)
            await self._store.mark_ended(ended, {"reason": ended.ended_reason})
            await self._note_end(ended, SERVER)
        self.chronicle.note_recovered(len(orphans))
        return len(orphans)

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
        self._places.confirm(running)
        beginning = asyncio.create_task(self._begin(running), name=f"begin-{running.record.id}")
        self._writes.add(beginning)
        beginning.add_done_callback(self._writes.discard)
        return await asyncio.shield(beginning)  # a commit that is under way cannot be called back

    async def _begin(self, running: RunningSession) -> Session:
        try:
            await self._store.insert(running.record)
        except BaseException:
            self._places.give_back(running)
            raise
        self.chronicle.note_created(running)
        if running.is_open:  # a shutdown may have come in between
            running.life = asyncio.create_task(self._live(running), name=f"live-{running.record.id}")
        return running.record

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
        await self.catch_up()  # who saw an end finds its cause
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
        await self.end(running, EndedReason.CLIENT_DELETE, by)

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

    async def end(
        self, running: RunningSession, reason: EndedReason, by: Actor = SERVER, detail: Mapping[str, object] = NO_DETAIL
    ) -> bool:
        """End an open session: stored, clients told, its place free when this returns; False if it had ended.

        The browser is killed behind it; `drain` waits for that.
        """
        if running.record.status in lifecycle.TERMINAL:
            return False
        running.change(
            status=lifecycle.move(running.record.status, Event.ENDED), ended_at=utc_now(), ended_reason=reason
        )
        await self._finish(running, {"reason": reason, **detail}, by)
        return True

    def note(self, running: RunningSession, kind: str, detail: dict[str, object]) -> None:
        """Add a line to the timeline of a session, behind whatever is under way.

        After `MAX_NOTES` there is one that says so, and then no more: a client may come and go in a loop.
        """
        running.notes += 1
        if running.notes > MAX_NOTES:
            return
        if running.notes == MAX_NOTES:
            kind, detail = "timeline_full", {"lines": MAX_NOTES}
        event = SessionEvent(at=utc_now(), kind=kind, detail=detail)
        self._journal.add(partial(self._store.add_event, running.record.id, event))
        task = asyncio.create_task(self._journal.catch_up(), name=f"note-{kind}")
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def drain(self) -> None:
        """Take no more sessions, end those that are open, and return when nothing of them is left."""
        self._places.close()
        await asyncio.gather(*(self.end(running, EndedReason.ABANDONED_ORPHAN) for running in self.running))
        await self.settle()

    async def settle(self) -> None:
        """Return when what goes on behind the answers is done: burials, and lines of the timelines."""
        while pending := self._burials | self._writes:
            await asyncio.wait(pending)
        await self.catch_up()

    async def catch_up(self) -> None:
        """Write what the disk has not taken yet, if it does now."""
        await self._journal.catch_up()

    async def _open_session(self, workspace_id: str, session_id: str) -> RunningSession:
        session = await self.get(workspace_id, session_id)
        running = self._running.get(session_id)
        if running is None or not running.is_open:
            raise SessionNotOpen(f"the session has ended: {_why(session)}")
        return running

    async def _live(self, running: RunningSession) -> None:
        """Bring the browser up, then watch over it until it goes."""
        on_event = partial(self.note, running)
        try:
            launch = running.substrate.launch(running.record.profile, egress=running.egress, on_event=on_event)
            browser = running.browser = await launch
        except LaunchFailed as error:
            await self._fail(running, error)
            return
        except Exception as error:  # a bug below us must not leave a session `creating` till its time is up
            log.exception("the launch for session %s broke", running.record.id)
            await self._fail(running, LaunchFailed(f"the launch broke: {error!r}"))
            return
        if running.is_open:  # else its burial waits for us and takes the browser away
            await self._make_ready(running, browser)
            gone = await browser.exited()
            reason = lifecycle.exit_reason(gone.code)
            await self.end(running, reason, detail=_cause(gone) if gone.code else {"exit_code": 0})

    async def _make_ready(self, running: RunningSession, browser: Browser) -> None:
        now = running.quiet_since = utc_now()
        status = lifecycle.move(running.record.status, Event.LAUNCHED)
        ready = running.change(status=status, ready_at=now, device=browser.device)
        running.settled.set()
        self.chronicle.note_ready(running)
        await self._journal.write(partial(self._store.mark_ready, ready))

    async def _fail(self, running: RunningSession, error: LaunchFailed) -> None:
        if not running.is_open:
            return
        running.failure = error.message
        running.change(status=lifecycle.move(running.record.status, Event.LAUNCH_FAILED), ended_at=utc_now())
        await self._finish(running, {"error": error.message, "stderr_tail": error.stderr_tail})

    async def _finish(self, running: RunningSession, detail: dict[str, object], by: Actor = SERVER) -> None:
        """What every end has in common. The record is terminal already, so this runs once for a session."""
        running.settled.set()
        self.chronicle.note_ended(running)
        running.dismiss(GOING_AWAY, running.record.ended_reason or "error")
        told = asyncio.Event()
        burial = asyncio.create_task(self._bury(running, told), name=f"bury-{running.record.id}")
        self._burials.add(burial)
        burial.add_done_callback(partial(self._buried, running))
        self._places.died()
        try:
            if running.browser is not None:
                await running.browser.cut_network()  # so that the counts that are stored now are the last
            self._journal.add(partial(self._forget, running, detail))
            # Apart from the record: each is written exactly once.
            await self._journal.write(partial(self._note_end, running.record, by))
        finally:
            told.set()

    def _buried(self, running: RunningSession, burial: asyncio.Task[None]) -> None:
        self._burials.discard(burial)
        self.chronicle.note_buried(running)
        self._places.buried()

    async def _forget(self, running: RunningSession, detail: dict[str, object]) -> None:
        """Store the end; until that is done, the record in memory is the true one."""
        if running.browser is not None:
            await self._store.save_ledger(running.record.id, running.browser.ledger())
        await self._store.mark_ended(running.record, detail)
        self._running.pop(running.record.id, None)

    async def _note_end(self, session: Session, by: Actor) -> None:
        detail = {"session_id": session.id, "status": session.status, "reason": session.ended_reason}
        await self._audit.append(session.workspace_id, "session_ended", by, **detail)

    async def _bury(self, running: RunningSession, told: asyncio.Event) -> None:
        """Stop a launch that is under way, end the browser, and save what was counted to the last.

        A browser's death keeps the processors busy for some 30 ms, so the answer goes out before it.
        """
        await told.wait()
        if running.browser is None and running.life is not None and running.record.status is Status.CLOSED:
            running.life.cancel()
            await asyncio.wait([running.life])
        if running.browser is not None:
            await running.browser.close()
        await self._journal.write(partial(self._save_last, running))

    async def _save_last(self, running: RunningSession) -> None:
        if running.browser is not None:
            await self._store.save_ledger(running.record.id, running.browser.ledger())
        await self._store.save_counts([running.record])


def _ended(session: Session, reason: EndedReason, now: datetime) -> Session:
    status = lifecycle.move(session.status, Event.ENDED)
    return replace(session, status=status, ended_at=now, ended_reason=reason)


def _cause(gone: Exit) -> dict[str, object]:
    """What the timeline says of a browser that died."""
    return {
        "exit_code": gone.code,
        "signal": gone.signal,
        "out_of_memory": gone.out_of_memory,
        "stderr_tail": gone.stderr_tail,
    }


def _why(session: Session) -> str:
    return session.ended_reason or session.status


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
