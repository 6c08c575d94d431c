"""The life of each session from its launch to its burial. The only place where one changes.

Every change follows the same order: claim in memory before the first await, write to the store, then act. A session
ends exactly once, whoever comes first; its burial (killing the browser) goes on behind the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from chaser_server import lifecycle
from chaser_server.errors import LaunchFailed
from chaser_server.lifecycle import Event
from chaser_server.model import Actor, EndedReason, Session, SessionEvent, Status, utc_now
from chaser_server.sessions.chronicle import Chronicle
from chaser_server.sessions.journal import Journal
from chaser_server.sessions.places import Places
from chaser_server.sessions.running import RunningSession
from chaser_server.store.audit import AuditLog
from chaser_server.store.sessions import SessionStore
from chaser_server.substrate.base import Browser, Exit

MAX_NOTES = 1000
GOING_AWAY = 1001  # RFC 6455 7.4.1: the endpoint is going away
SERVER = Actor("server")
NO_DETAIL: Mapping[str, object] = {}

log = logging.getLogger(__name__)


class Lives:
    """Launches sessions, watches over them, ends and buries them. `chronicle` is told of every turn."""

    def __init__(self, *, store: SessionStore, audit: AuditLog, places: Places) -> None:
        self._store = store
        self._audit = audit
        self._places = places
        self._burials: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[object]] = set()
        self._journal = Journal()
        self.chronicle = Chronicle()

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

    async def begin(self, running: RunningSession) -> Session:
        """Store a session that has its place; its browser comes up behind this.

        Raises `StorageFailed`, or `SubstrateUnavailable` when a shutdown came in between; the place is given back then.
        A caller that is cancelled leaves a session that lives like any other.
        """
        self._places.confirm(running)
        beginning = asyncio.create_task(self._begin(running), name=f"begin-{running.record.id}")
        self._writes.add(beginning)
        beginning.add_done_callback(self._writes.discard)
        return await asyncio.shield(beginning)  # a commit that is under way cannot be called back

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
        await asyncio.gather(*(self.end(running, EndedReason.ABANDONED_ORPHAN) for running in self._places.open))
        await self.settle()

    async def settle(self) -> None:
        """Return when what goes on behind the answers is done: burials, and lines of the timelines."""
        while pending := self._burials | self._writes:
            await asyncio.wait(pending)
        await self.catch_up()

    async def catch_up(self) -> None:
        """Write what the disk has not taken yet, if it does now."""
        await self._journal.catch_up()

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
        self._places.forget(running)

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
