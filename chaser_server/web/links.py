"""Which one-time links have been used."""

from __future__ import annotations

from datetime import datetime, timedelta

LINK_LIFE = timedelta(minutes=15)


class UsedLinks:
    """Remembers one-time links until they would have expired anyway."""

    def __init__(self) -> None:
        self._used: dict[str, datetime] = {}

    def use(self, nonce: str, expires_at: datetime, now: datetime) -> bool:
        """Whether this is the first use."""
        self._used = {known: end for known, end in self._used.items() if end > now}
        return self._used.setdefault(nonce, expires_at) is expires_at
