from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaser_server.store.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A new database on disk."""
    opened = await Database.open(tmp_path / "chaser.db")
    yield opened
    await opened.close()
