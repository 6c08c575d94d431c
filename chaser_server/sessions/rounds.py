"""Work that is done again and again while the server runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from chaser_server.errors import StorageFailed

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def every(seconds: float, work: Callable[[], Awaitable[None]], *, name: str) -> AsyncIterator[None]:
    """Do `work` every `seconds` for the length of the block; a round that fails is logged, and the next one comes."""

    async def rounds() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except StorageFailed as error:
                log.error("a round of the %s failed: %s", name, error.message)
            except Exception:  # a bug must not end the rounds; the next one tries again
                log.exception("a round of the %s failed", name)

    task = asyncio.create_task(rounds(), name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
