"""Who has a place and who waits for one. A place is held from the claim to the end of a session; what is still being
buried holds none of its workspace's, but counts for the whole server: the machine bears it, too."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

from chaser_server.config import LimitsConfig
from chaser_server.errors import ConcurrencyLimit, InvalidRequest, PaymentRequired, SubstrateUnavailable
from chaser_server.limits import check_places
from chaser_server.model import Session, SessionSpec, Status, Workspace, utc_now
from chaser_server.sessions.queue import FairQueue, Waiter
from chaser_server.sessions.running import RunningSession
from chaser_server.store.sessions import SessionStore
from chaser_server.substrate.base import Substrate
from chaser_server.tokens import new_uuid7


class Places:
    """Admits sessions. `taken` has every session that lives, or whose end is not stored yet, by id; `waits` tells how
    often standing in line came to which end."""

    def __init__(
        self, *, store: SessionStore, substrate: Substrate, rehearsal: Substrate, limits: LimitsConfig
    ) -> None:
        self._store = store
        self._substrate = substrate
        self._rehearsal = rehearsal
        self._limits = limits
        self._queue = FairQueue()
        self._claimed: set[RunningSession] = set()
        self._dying = 0
        self.taken: dict[str, RunningSession] = {}
        self.closed = False
        self.waits = Counter({"served": 0, "timed_out": 0, "left": 0, "refused": 0})

    @property
    def open(self) -> list[RunningSession]:
        """The sessions that have not ended."""
        return [running for running in self.taken.values() if running.is_open]

    @property
    def waiting(self) -> dict[str, list[Waiter]]:
        """Who waits in line, by workspace: the one whose turn is next comes first, and so in each."""
        return self._queue.lines()

    async def claim(self, spec: SessionSpec, workspace: Workspace, wait_seconds: float) -> RunningSession:
        """A place for a new session, waited for up to `wait_seconds` when there is none.

        Raises `InvalidRequest`, `ConcurrencyLimit`, `PaymentRequired` or `SubstrateUnavailable`.
        """
        await self._check_budget(workspace)
        try:
            return self._claim(spec, workspace)
        except ConcurrencyLimit as limit:
            if wait_seconds <= 0:
                raise
            return await self._wait_for_place(spec, workspace, wait_seconds, limit)

    def confirm(self, running: RunningSession) -> None:
        """The session of a claimed place begins. Raises `SubstrateUnavailable` when `close` came first."""
        if self.closed:
            raise _shutting_down()
        self._claimed.discard(running)

    def give_back(self, running: RunningSession) -> None:
        """Give up a place whose session never began."""
        self._claimed.discard(running)
        self.taken.pop(running.record.id, None)
        self._serve_queue()

    def died(self) -> None:
        """A session has ended, and its burial begins."""
        self._dying += 1
        self._serve_queue()

    def buried(self) -> None:
        """A burial is over."""
        self._dying -= 1
        self._serve_queue()

    def forget(self, running: RunningSession) -> None:
        """The end of a session is stored."""
        self.taken.pop(running.record.id, None)

    def close(self) -> None:
        """Admit nobody any more, nor who has claimed a place and not yet begun."""
        self.closed = True
        for running in self._claimed:
            del self.taken[running.record.id]
        self._queue.refuse_all(_shutting_down())

    async def _check_budget(self, workspace: Workspace) -> None:
        own_budget = workspace.egress_budget_bytes
        budget = self._limits.egress_budget_bytes if own_budget is None else own_budget
        if not budget:
            return
        # Counts are stored every second, and those of a session that ends behind the place that it gives.
        mine = [running.record for running in self.taken.values() if running.record.workspace_id == workspace.id]
        if await self._store.month_egress(workspace.id, utc_now().strftime("%Y-%m"), mine) >= budget:
            raise PaymentRequired(f"the workspace has used up its egress budget of {budget} bytes for this month")

    def _claim(self, spec: SessionSpec, workspace: Workspace) -> RunningSession:
        """Take a place, at once, or raise what `_admit` raises."""
        self._admit(spec, workspace)
        now = utc_now()
        session = Session(
            id=f"sess_{new_uuid7()}",
            workspace_id=spec.workspace_id,
            key_id=spec.key_id,
            profile=spec.profile,
            status=Status.CREATING,
            created_at=now,
            expires_at=now + timedelta(seconds=spec.ttl_seconds),
        )
        substrate = self._rehearsal if spec.rehearsal else self._substrate
        running = self.taken[session.id] = RunningSession(session, substrate, rehearsal=spec.rehearsal)
        self._claimed.add(running)
        return running

    async def _wait_for_place(
        self, spec: SessionSpec, workspace: Workspace, seconds: float, limit: ConcurrencyLimit
    ) -> RunningSession:
        waiter = Waiter(spec, workspace, asyncio.get_running_loop().create_future())
        self._queue.join(waiter)
        try:
            async with asyncio.timeout(seconds):
                placed = await asyncio.shield(waiter.answer)
            await self._check_budget(workspace)  # which others may have used up meanwhile
            if self.closed:  # between the answer and this line
                raise _shutting_down()
        except BaseException as error:
            self.waits[_outcome(error)] += 1
            if waiter.answer.done() and waiter.answer.exception() is None:  # a place came, but too late or in vain
                self.give_back(waiter.answer.result())
            raise limit if isinstance(error, TimeoutError) else error from None
        else:
            self.waits["served"] += 1
            return placed
        finally:
            self._queue.leave(waiter)

    def _serve_queue(self) -> None:
        """A place may have become free."""

        def place(waiter: Waiter) -> RunningSession | None:
            try:
                return self._claim(waiter.spec, waiter.workspace)
            except ConcurrencyLimit:
                return None

        if not self.closed:
            self._queue.serve(place)

    def _admit(self, spec: SessionSpec, workspace: Workspace) -> None:
        """Refuse a session that may not be created now."""
        if why := self._substrate.unavailable.get(spec.profile):
            raise InvalidRequest(f"profile {spec.profile!r} cannot be had here: {why}")
        if spec.profile not in self._substrate.profiles:
            known = ", ".join(sorted(self._substrate.profiles))
            raise InvalidRequest(f"profile {spec.profile!r} is not configured here; there are: {known}")
        if self.closed:
            raise _shutting_down()
        running = self.open
        mine = sum(session.record.workspace_id == workspace.id for session in running)
        check_places(self._limits, workspace, mine=mine, living=len(running) + self._dying)


def _outcome(error: BaseException) -> str:
    """What came of standing in line, if it was no place."""
    if isinstance(error, TimeoutError):
        return "timed_out"
    return "left" if isinstance(error, asyncio.CancelledError) else "refused"


def _shutting_down() -> SubstrateUnavailable:
    return SubstrateUnavailable("the server is shutting down", retry_after_seconds=10)
