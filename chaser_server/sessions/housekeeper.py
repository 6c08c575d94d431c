"""Forgets what has been over for long enough, one small step at a time."""

from __future__ import annotations

from datetime import timedelta

from chaser_server.config import RetentionConfig
from chaser_server.model import utc_now
from chaser_server.store.retention import Retention


class Housekeeper:
    """Applies the retention of the config."""

    def __init__(self, *, retention: Retention, config: RetentionConfig) -> None:
        self._retention = retention
        self._config = config

    async def step(self) -> int:
        """Remove one step of each kind of row that is too old; returns how many went."""
        now = utc_now()
        sessions = await self._retention.forget_sessions(now - timedelta(days=self._config.sessions_days))
        return sessions + await self._retention.forget_audit(now - timedelta(days=self._config.audit_days))

    async def round(self) -> None:
        """One step; the next round takes the next."""
        await self.step()

    async def all(self) -> int:
        """Steps until nothing is left that is too old; returns how many rows went."""
        total = 0
        while went := await self.step():
            total += went
        return total
