"""The rooms that a session needs, without a web room above them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chaser_server.config import LimitsConfig
from chaser_server.model import Session, SessionSpec, Status, Workspace
from chaser_server.sessions.bookkeeper import Bookkeeper
from chaser_server.sessions.lives import Lives
from chaser_server.sessions.places import Places
from chaser_server.sessions.reaper import Reaper
from chaser_server.sessions.running import RunningSession
from chaser_server.sessions.service import SessionService
from chaser_server.store.audit import AuditLog
from chaser_server.store.database import Database
from chaser_server.store.sessions import SessionStore
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.substrate.rehearsal import RehearsalSubstrate
from tests.substrates import FakeSubstrate


class House:
    """`Places`, `Lives` and their `SessionService` on a real database, driven without their clock."""

    def __init__(self, database: Database, workspace: Workspace) -> None:
        self.database = database
        self.workspace = workspace
        self.store = SessionStore(database)
        self.substrate: Any = None
        self.places: Places
        self.lives: Lives
        self.service: SessionService
        self.reaper: Reaper
        self.bookkeeper: Bookkeeper
        self.furnish(FakeSubstrate())

    @classmethod
    async def open(cls, data_dir: Path) -> House:
        database = await Database.open(data_dir / "chaser.db")
        return cls(database, await WorkspaceStore(database).ensure_default())

    def furnish(self, substrate: FakeSubstrate, *, idle_seconds: float = 300, **limits: int) -> None:
        """Build the session room on this substrate."""
        self.substrate = substrate
        places = self.places = Places(
            store=self.store,
            substrate=substrate,
            rehearsal=RehearsalSubstrate(substrate.profiles),
            limits=LimitsConfig(**limits),
        )
        self.lives = Lives(store=self.store, audit=AuditLog(self.database), places=places)
        self.service = SessionService(store=self.store, places=places, lives=self.lives)
        self.reaper = Reaper(places=places, lives=self.lives, idle_seconds=idle_seconds)
        self.bookkeeper = Bookkeeper(places=places, lives=self.lives, store=self.store)

    async def close(self) -> None:
        for running in self.service.running:
            if running.life is not None:  # else a test has failed with a place in its hands
                running.life.cancel()
        await self.lives.settle()
        await self.database.close()

    async def create(self, ttl_seconds: int = 60, profile: str = "default") -> RunningSession:
        """A session that has begun; its live half."""
        spec = SessionSpec(self.workspace.id, None, profile, ttl_seconds)
        running = await self.service.claim(spec, self.workspace)
        await self.service.begin(running)
        return running

    async def ready(self, ttl_seconds: int = 60) -> RunningSession:
        running = await self.create(ttl_seconds)
        await running.settled.wait()
        assert running.record.status is Status.READY
        return running

    async def delete(self, running: RunningSession) -> None:
        await self.service.delete(self.workspace.id, running.record.id)

    async def over(self, running: RunningSession) -> Session:
        """Wait for the end of a session that ends by itself; its stored record."""
        assert running.life is not None
        await running.life
        await self.lives.settle()
        return await self.stored(running)

    async def stored(self, running: RunningSession) -> Session:
        """What the disk says of it."""
        found = await self.store.get(running.record.id)
        assert found is not None
        return found

    async def ends(self, running: RunningSession) -> list[dict[str, object]]:
        """The details of every `ended` event on disk: there may never be more than one."""
        return [event.detail for event in await self.store.events(running.record.id) if event.kind == "ended"]

    async def fill_disk(self) -> None:
        """From now on SQLite refuses what it has to write, as it does on a full disk."""
        await self.database._writer.execute("PRAGMA query_only = ON")

    async def make_room(self) -> None:
        await self.database._writer.execute("PRAGMA query_only = OFF")
