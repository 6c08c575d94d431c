"""Writes what happened to sessions, in order, and keeps what the disk would not take until it does.

A session that has ended has ended, whether or not the disk is full: what happened is not undone, its record waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from chaser_server.errors import StorageFailed

log = logging.getLogger(__name__)

Write = Callable[[], Awaitable[None]]


class Journal:
    """A queue of writes that is empty as long as the disk is well."""

    def __init__(self) -> None:
        self._late: deque[Write] = deque()
        self._turn = asyncio.Lock()

    async def write(self, write: Write) -> None:
        """Write now, or as soon as the disk takes it, behind what was handed in before."""
        self.add(write)
        await self.catch_up()

    def add(self, write: Write) -> None:
        """Take a place in the order now; the writing is done by whoever catches up next."""
        self._late.append(write)

    async def catch_up(self) -> None:
        """Try what waits; returns when all is written, or when the disk refuses."""
        async with self._turn:
            while self._late:
                try:
                    await self._late[0]()
                except StorageFailed as error:
                    log.error("%d changes of sessions wait for the disk: %s", len(self._late), error.message)
                    return
                except Exception:  # written again it would fail again, and hold up all that follow
                    log.exception("a change of a session cannot be written")
                self._late.popleft()
